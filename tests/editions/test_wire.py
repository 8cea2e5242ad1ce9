"""Quoted-printable pieces and headers, held against the standard library's decoder."""

import quopri
from email import message_from_bytes, policy

from hypothesis import given
from hypothesis import strategies as st

from digest.editions.wire import header, quoted_printable

TEXT = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]))


@given(TEXT)
def test_what_was_encoded_decodes_to_the_same(text):
    assert quopri.decodestring(quoted_printable(text)).decode() == text.replace(
        "\n", "\r\n"
    )


@given(TEXT)
def test_encoded_lines_are_short_seven_bit_and_never_start_with_a_dot(text):
    encoded = quoted_printable(text)
    assert encoded == b"" or encoded.endswith(b"\r\n")
    for line in encoded.split(b"\r\n"):
        assert len(line) <= 76
        assert not line.startswith(b".")
        assert b"\n" not in line and b"\r" not in line
        assert all(byte < 128 for byte in line)


@given(st.lists(TEXT, max_size=5))
def test_pieces_can_be_joined_in_any_order(texts):
    joined = b"".join(quoted_printable(text) for text in reversed(texts))
    assert quopri.decodestring(joined).decode() == "".join(
        text.replace("\n", "\r\n") for text in reversed(texts)
    )


@given(
    st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1).filter(str.strip)
    | st.just("=?utf-8?q?not_encoded?=")
    | st.just("Ein sehr langer Titel " * 12 + "über Graphen und 図形")
)
def test_a_subject_in_any_script_reads_back(value):
    raw = header("Subject", value)
    assert all(len(line) <= 78 for line in raw.split(b"\r\n")) or len(value.split()) < 2
    parsed = message_from_bytes(raw + b"\r\n", policy=policy.default)
    assert str(parsed["Subject"]).split() == value.split()
