"""The mailbox page over files as the catcher writes them, broken ones among them."""

import json
import re
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from tests.site.conftest import html_of

DIGEST = b"""\
From: Daily Papers <papers@example.org>\r
To: reader@example.org\r
Subject: =?utf-8?q?Two_papers_on_Gr=C3=A4phs?=\r
MIME-Version: 1.0\r
Content-Type: multipart/alternative; boundary=bound\r
\r
--bound\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: 8bit\r
\r
Read https://example.org/papers/ \xe2\x80\x94 or not.\r
--bound\r
Content-Type: text/html; charset=utf-8\r
\r
<!DOCTYPE html><html><head><title>Two</title></head><body><a href="https://example.org/u/x">Leave</a></body></html>\r
--bound--\r
"""

BROKEN = {
    "empty": b"",
    "only zeros": b"\0" * 400,
    "no header": b"\r\n\r\nbody alone",
    "unknown charset": b"Subject: s\r\nContent-Type: text/plain; charset=klingon\r\n\r\nbody",
    "charset with NUL": b"Content-Type: text/plain; charset=\"utf\0-8\"\r\n\r\nbody",
    "broken base64": b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n@@@=",
    "endless multipart": b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n" * 40,
    "multipart without boundary": b"Content-Type: multipart/alternative\r\n\r\nbody",
    "image as the only part": b"Content-Type: image/png\r\n\r\n\x89PNG\xff\xfe",
    "text that is multipart": b"Content-Type: text/html\r\nContent-Type: multipart/x\r\n\r\nx",
    "raw bytes in the subject": b"Subject: caf\xe9 \xff\xfe \xed\xa0\x80\r\n\r\nbody",
    "encoded word cut off": b"Subject: =?utf-8?b?4pyT\r\nFrom: =?utf-8?q?=\r\n\r\nbody",
    "encoded surrogate": b"Subject: =?utf-8?q?=ED=A0=80?=\r\n\r\nbody",
    "encoded charset unknown": b"Subject: =?klingon?q?=41?=\r\n\r\nbody",
    "address without end": b"From: \"<<<@@@,,,;;;:(\r\nTo: (((((\r\nCc: @\r\n\r\nbody",
    "date that is none": b"Date: the day after\r\nSender: <>\r\n\r\nbody",
    "content type that is none": b"Content-Type: ;;;===\r\n\r\nbody",
    "disposition that is none": b"Content-Disposition: =\"\r\nMIME-Version: a.b\r\n\r\nbody",
    "message id that is none": b"Message-ID: <@\r\nContent-Transfer-Encoding: \r\n\r\nbody",
    "huge header": b"Subject: " + b"a " * 4_000 + b"\r\n\r\nbody",
    "attached message": b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n",
}  # fmt: skip


class Catcher:
    """Writes files as the catcher does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def store(self, content: bytes, *, to: str = "reader@example.org") -> str:
        self.count += 1
        mail_id = f"{1_776_412_800_000_000_000 + self.count:020}-{self.count:06x}"
        envelope = {
            "mail_from": "bounce@example.org",
            "rcpt_to": [to],
            "received_at": "2026-04-17T08:00:00+00:00",
        }
        (self.folder / f"{mail_id}.json").write_text(json.dumps(envelope))
        (self.folder / f"{mail_id}.eml").write_bytes(content)
        return mail_id


@pytest.fixture
def catcher(settings: Settings, tmp_path: Path) -> Catcher:
    settings.MAILBOX = True
    settings.MAILBOX_DIR = tmp_path / "mailbox"
    settings.MAILBOX_DIR.mkdir()
    return Catcher(settings.MAILBOX_DIR)


def test_the_list_shows_who_what_and_when_newest_first(
    client: Client, catcher: Catcher
) -> None:
    catcher.store(b"Subject: First\r\n\r\n")
    catcher.store(DIGEST)
    html = html_of(client, "/mailbox/")
    assert html.index("Two papers on Gräphs") < html.index("First")
    assert "Daily Papers &lt;papers@example.org&gt; → reader@example.org" in html
    assert "17 Apr 2026, 08:00:00 UTC" in html


def test_a_mailbox_that_never_got_a_mail_says_so(
    client: Client, catcher: Catcher, settings: Settings
) -> None:
    assert "No mail yet" in html_of(client, "/mailbox/")
    settings.MAILBOX_DIR /= "never-made"
    assert "No mail yet" in html_of(client, "/mailbox/")


def test_the_list_can_be_kept_to_one_recipient(client: Client, catcher: Catcher) -> None:
    catcher.store(b"Subject: For Ada\r\n\r\n", to="Ada@example.org")
    catcher.store(b"Subject: For Emmy\r\n\r\n", to="emmy@example.org")
    html = html_of(client, "/mailbox/?to=ada@")
    assert "For Ada" in html
    assert "For Emmy" not in html
    assert "No mail was sent to" in html_of(client, "/mailbox/?to=%3Cscript%3E")


def test_the_list_has_fifty_on_a_page(client: Client, catcher: Catcher) -> None:
    for number in range(51):
        catcher.store(f"Subject: Mail {number}.\r\n\r\n".encode())
    first, second = html_of(client, "/mailbox/"), html_of(client, "/mailbox/?page=2")
    assert first.count('class="subject"') == 50
    assert "Mail 0." not in first
    assert "Mail 0." in second


def test_a_mail_shows_its_html_in_a_frame_that_can_do_nothing(
    client: Client, catcher: Catcher
) -> None:
    mail_id = catcher.store(DIGEST)
    html = html_of(client, f"/mailbox/{mail_id}/")
    sandbox = 'sandbox="allow-popups allow-popups-to-escape-sandbox"'
    assert re.search(rf'<iframe [^>]*{sandbox} src="/mailbox/{mail_id}/html/"', html)
    assert "<title>Two</title>" not in html

    response = client.get(f"/mailbox/{mail_id}/html/")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'self'" in policy
    assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy


def test_links_in_a_mail_open_in_a_new_tab(client: Client, catcher: Catcher) -> None:
    whole = catcher.store(DIGEST)
    bare = catcher.store(b"Content-Type: text/html\r\n\r\n<a href=x>x</a>")
    assert '<head><base target="_blank"><title>' in html_of(
        client, f"/mailbox/{whole}/html/"
    )
    assert '<base target="_blank"><a href=x>' in html_of(client, f"/mailbox/{bare}/html/")


def test_a_mail_shows_its_plain_text_source_and_headers(
    client: Client, catcher: Catcher
) -> None:
    path = f"/mailbox/{catcher.store(DIGEST)}/"
    text = html_of(client, f"{path}?tab=text")
    assert 'href="https://example.org/papers/"' in text
    assert "— or not." in text
    source = html_of(client, f"{path}?tab=source")
    assert "Subject: =?utf-8?q?Two_papers_on_Gr=C3=A4phs?=" in source
    headers = html_of(client, f"{path}?tab=headers")
    assert re.search(r'<th scope="row">Subject</th><td>Two papers on Gräphs</td>', headers)


def test_a_mail_without_html_opens_with_its_text(client: Client, catcher: Catcher) -> None:
    mail_id = catcher.store(b"Content-Type: text/plain\r\n\r\nOnly <b>words</b>")
    html = html_of(client, f"/mailbox/{mail_id}/")
    assert "Only &lt;b&gt;words&lt;/b&gt;" in html
    assert "no HTML part" in html_of(client, f"/mailbox/{mail_id}/?tab=html")


def test_hostile_headers_stay_text(client: Client, catcher: Catcher) -> None:
    mail_id = catcher.store(
        b"Subject: <script>alert(1)</script>\r\nX-<img/src=x>: <img src=x>\r\n\r\n",
        to="<script>alert(2)</script>@example.org",
    )
    for path in [
        "/mailbox/",
        *(f"/mailbox/{mail_id}/?tab={t}" for t in ["source", "headers"]),
    ]:
        html = html_of(client, path)
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "<img/src" not in html


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_mail_is_shown_as_well_as_it_goes(
    client: Client, catcher: Catcher, content: bytes
) -> None:
    mail_id = catcher.store(content)
    html_of(client, "/mailbox/")
    for tab in ["html", "text", "source", "headers", "nonsense", ""]:
        html_of(client, f"/mailbox/{mail_id}/?tab={tab}")
    html_of(client, f"/mailbox/{mail_id}/html/")


@pytest.mark.parametrize(
    "sidecar", [b"", b"{", b"[]", b'{"rcpt_to": 7}', b"\xff", b"[" * 100_000]
)
def test_a_broken_or_missing_envelope_hides_no_mail(
    client: Client, catcher: Catcher, sidecar: bytes
) -> None:
    mail_id = catcher.store(DIGEST)
    (catcher.folder / f"{mail_id}.json").write_bytes(sidecar)
    missing = catcher.store(b"Subject: Without envelope\r\n\r\n")
    (catcher.folder / f"{missing}.json").unlink()
    html = html_of(client, "/mailbox/")
    assert "Two papers on Gräphs" in html
    assert "Without envelope" in html


def test_half_written_and_foreign_files_are_left_out(
    client: Client, catcher: Catcher
) -> None:
    catcher.store(b"Subject: Whole\r\n\r\n")
    for name in ["00001776412800000000-abcdef.tmp", "notes.eml", ".eml", "x-abcdef.eml"]:
        (catcher.folder / name).write_bytes(b"Subject: Not one of ours\r\n\r\n")
    html = html_of(client, "/mailbox/")
    assert "Whole" in html
    assert "Not one of ours" not in html


@pytest.mark.parametrize(
    "mail_id",
    [
        "..%2F..%2Fsecret",
        "..",
        "%2e%2e%2fsecret",
        "secret",
        "00001776412800000000-abcdef",
        "00001776412800000000-abcdef%00",
        "00001776412800000000-abcdef%0a",
        "\u0660" * 20 + "-abcdef",
    ],
)
@pytest.mark.django_db
def test_no_other_file_can_be_read(client: Client, catcher: Catcher, mail_id: str) -> None:
    (catcher.folder.parent / "secret.eml").write_bytes(b"Subject: Secret\r\n\r\nSecret")
    (catcher.folder / "secret.eml").write_bytes(b"Subject: Secret\r\n\r\nSecret")
    for path in [f"/mailbox/{mail_id}/", f"/mailbox/{mail_id}/html/"]:
        assert "Secret" not in html_of(client, path, status=404)


@pytest.mark.django_db
def test_outside_the_embedded_run_there_is_no_mailbox(
    client: Client, catcher: Catcher, settings: Settings
) -> None:
    mail_id = catcher.store(DIGEST)
    settings.MAILBOX = False
    for path in ["/mailbox/", f"/mailbox/{mail_id}/", f"/mailbox/{mail_id}/html/"]:
        assert "Gräphs" not in html_of(client, path, status=404)


def test_the_mailbox_is_read_only_and_kept_by_no_cache(
    client: Client, catcher: Catcher
) -> None:
    mail_id = catcher.store(DIGEST)
    for path in ["/mailbox/", f"/mailbox/{mail_id}/", f"/mailbox/{mail_id}/html/"]:
        assert "no-store" in client.get(path).headers["Cache-Control"]
        assert client.post(path).status_code == 405
