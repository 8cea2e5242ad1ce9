"""Sentence embeddings: tokens like BERT's own tokenizer, and a model that can be missing."""

import numpy as np
import pytest

from digest.ranking import sentences
from digest.ranking.sentences import BEGIN, END, LONGEST, UNKNOWN, Encoder, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [  # as the package `tokenizers` gives them for bert-base-uncased
        ("", []),
        ("Hello, world!", [7592, 1010, 2088, 999]),
        ("unaffable", [14477, 20961, 3468]),
        ("Étude", [3802, 12672]),
        ("\u4e2d\u56fd", [1746, 1799]),
        ("\u0000\ufffd", None),
        ("x" * 101, [UNKNOWN]),
        ("[CLS]", [1031, 18856, 2015, 1033]),  # in a text it is a text
    ],
)
def test_a_text_is_cut_into_its_tokens(text: str, expected: list[int] | None) -> None:
    found = tokens(text)
    assert found[0] == BEGIN and found[-1] == END
    if expected is not None:
        assert found[1:-1] == expected


@pytest.mark.parametrize(
    "text", ["a" * 50_000, "a b " * 20_000, "\u0301" * 9_000, "\ud800"]
)
def test_a_hostile_text_has_a_point_of_length_one(text: str) -> None:
    assert len(tokens(text)) <= LONGEST
    encode = sentences.encode()
    assert encode is not None
    (point,) = encode([text])
    assert abs(float(np.linalg.norm(point)) - 1) < 1e-3


def test_a_text_has_the_same_point_alone_and_among_others() -> None:
    encode = sentences.encode()
    assert encode is not None
    alone, among = encode(["robots"]), encode(["robots", "a longer text about speech"])
    assert float(alone[0] @ among[0]) > 0.98
    assert float(among[0] @ among[1]) < 0.5


def test_another_file_than_the_pinned_model_is_refused(tmp_path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ValueError, match="is not the model"):
        Encoder(tmp_path / "model.onnx")
    with pytest.raises(OSError, match="missing"):
        Encoder(tmp_path / "missing.onnx")
