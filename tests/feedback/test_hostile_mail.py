"""Letters that anybody may write to the bounce mailbox: each is read in a moment, or not at all."""

import io
import time
import tracemalloc
import zipfile
from base64 import encodebytes
from datetime import UTC, datetime

import pytest

from digest import signing
from digest.feedback import domain_reports, dsn, hostile_mail
from digest.feedback.domain_reports import NotAReport

NOW = datetime(2026, 4, 18, 6, tzinfo=UTC)
MOST_SECONDS = 2.0  # of a processor; unbounded, each takes from five of them to hours
MIXED = b"Content-Type: multipart/mixed"
END = b"\n\nfeedback-report\n"  # the mark for which any letter is looked at


def nested(deep: int, lines: int) -> bytes:
    heads = (b'%b; boundary="b%d"\n\n--b%d\n' % (MIXED, one, one) for one in range(deep))
    return b"".join(heads) + END + b"\n" * lines


LETTERS: dict[str, bytes] = {
    "a header of semicolons": MIXED + b";" * 300_000 + END,
    "a header of parameters": MIXED + b"; boundary=b" + b";a=b" * 60_000 + END,
    "a header of open quotes": MIXED + b';a="' * 60_000 + END,
    "a header of encoded words": b"Content-Type: application/"
    + b"=?a?q?a?=" * 60_000
    + END,
    "a header of many lines": MIXED + b";\n a" * 60_000 + END,
    "parts in parts around many lines": nested(900, 300_000),
    "many parts": MIXED + b"; boundary=b\n\n" + b"--b\n\n" * 150_000 + END,
    "parameters that the library cannot sort": MIXED + b"; a*=utf-8''x; a*0=y" + END,
    "a boundary in pieces": MIXED + b"; boundary*0=b; boundary*=utf-8''c" + END,
}
LETTERS["an enclosed one in base64"] = (
    b'%b; boundary="o"\n\n--o\nContent-Type: message/rfc822\n'
    b"Content-Transfer-Encoding: base64\n\n%b\n--o--\n"
    % (MIXED, encodebytes(nested(900, 300_000)))
)


@pytest.mark.parametrize("letter", LETTERS.values(), ids=LETTERS)
def test_s31_a_hostile_letter_is_read_in_a_moment(letter) -> None:
    address = signing.senders("papers@papers.example.org")(1)
    begin = time.process_time()
    for came_to in ("", address):
        found = dsn.reports(letter[: dsn.MOST_LETTER], came_to=came_to, now=NOW)
        assert {one.kind for one in found} <= {"unknown"}
    with pytest.raises(NotAReport):
        domain_reports.read(letter)
    assert time.process_time() - begin < MOST_SECONDS


def archive(how: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as made:
        made.writestr("report.xml", bytes(40_000_000))
    return file.getvalue()


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_s31_no_way_of_packing_unpacks_more_than_was_asked_for(how) -> None:
    packed = archive(how)
    tracemalloc.start()
    try:
        with pytest.raises(NotAReport):
            domain_reports.read(packed)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 3 * domain_reports.MOST_UNPACKED


def test_s31_a_report_of_nested_fields_is_read_in_a_moment() -> None:
    fields = (f"<a{one}><b{one}/></a{one}>" for one in range(40_000))
    begin = time.process_time()
    with pytest.raises(NotAReport):
        domain_reports.read(
            f"<feedback><record>{''.join(fields)}</record></feedback>".encode()
        )
    assert time.process_time() - begin < MOST_SECONDS


def test_s31_a_large_mail_of_few_parts_is_read_and_one_of_many_is_not() -> None:
    lines = (b"x" * 76 + b"\r\n") * 60_000
    for parts, is_read in ((20, True), (30_000, False)):
        whole = MIXED + b"; boundary=b\n\n" + b"--b\n\n" * parts + lines
        if is_read:
            assert len(hostile_mail.parsed(whole, hostile_mail.Mail).get_payload()) == parts
        else:
            with pytest.raises(hostile_mail.Unreadable):
                hostile_mail.parsed(whole, hostile_mail.Mail)
