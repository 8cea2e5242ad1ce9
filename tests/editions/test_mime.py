"""Quoted-printable pieces and headers, held against the standard library's decoder."""

import quopri
import re
from email import message_from_bytes, policy
from email.header import decode_header
from email.utils import parseaddr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from digest.editions.mime import header, mailbox, quoted_printable

TEXT = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]))
TEXT |= st.lists(st.sampled_from([".", "--", "-", "From ", "\n", "=", "a" * 74])).map(
    "".join
)


@given(TEXT)
def test_what_was_encoded_decodes_to_the_same(text):
    assert quopri.decodestring(quoted_printable(text)).decode() == text.replace(
        "\n", "\r\n"
    )


@given(TEXT)
@example("--x\n-- \n.\n..\nFrom x\n- -\n" + "a" * 75 + "--b" + "." * 80 + "-" * 160)
@example("--" + "a" * 73 + "\n--" + "a" * 72 + "\n--" + "ä" * 12 + "aa\nFrom")
def test_encoded_lines_are_short_seven_bit_and_start_with_nothing_special(text):
    encoded = quoted_printable(text)
    assert encoded == b"" or encoded.endswith(b"\r\n")
    for line in encoded.split(b"\r\n"):
        assert len(line) <= 76
        assert not line.startswith((b".", b"--", b"From "))
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


@pytest.mark.parametrize(
    "text",
    [
        "Daily Papers <papers@papers.example.org>",
        "papers@papers.example.org",
        "Tägliche Paper <papers@papers.example.org>",
        "日刊論文 " * 20 + "<papers@papers.example.org>",
        '"Papers, daily (x)" <papers@papers.example.org>',
        f"Daily Papers <papers@{'long-label.' * 8}example.org>",
        '"=?utf-8?q?x?=" <papers@papers.example.org>',
    ],
)
def test_m13_a_name_in_any_script_reads_back_in_short_lines(text):
    raw = mailbox("From", text)
    for line in raw.split(b"\r\n"):
        assert len(line) <= 78 or len(line.split()) == 1
    (found,) = message_from_bytes(raw + b"\r\n", policy=policy.default)["From"].addresses
    name, address = parseaddr(text)
    assert found.addr_spec == address
    assert "".join(found.display_name.split()) == "".join(name.split())


@given(
    st.text(
        st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp", "Cn"]), min_size=1
    )
)
def test_m2_m13_no_header_line_is_long_and_no_encoded_word_splits_a_character(text):
    raw = header("Subject", f"{text} {text * 3}")
    for line in raw.removesuffix(b"\r\n").split(b"\r\n"):
        assert len(line) <= 78
    for word in re.findall(rb"=\?utf-8\?[bq]\?[^?]*\?=", raw):
        assert len(word) <= 75
        ((data, charset),) = decode_header(word.decode())
        data.decode(charset)


def test_s7_what_would_end_a_header_is_a_space():
    raw = header("Subject", "a\r\nBcc: x\u2028y\u0085z\0")
    parsed = message_from_bytes(raw + b"\r\n", policy=policy.default)
    assert raw.count(b"\r\n") == 1 and list(parsed.keys()) == ["Subject"]
    assert parsed["Subject"].split() == ["a", "Bcc:", "x", "y", "z"]
