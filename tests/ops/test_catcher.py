"""The mail catcher: a mail that was answered with 250 is on disk, as it was sent."""

import json
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from digest.ops.mailbox.catcher import SIZE_LIMIT, Folder
from tests.environment import ROOT
from tests.ports import free_port

RAW = b"Subject: caf\xc3\xa9\r\n\r\n.dot\r\n" + b"x" * 900 + b"\r\n"


class Catcher:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        options = ["--port", str(self.port), "--dir", str(folder)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "digest.ops.mailbox.catcher", *options],
            cwd=ROOT,
            stderr=subprocess.PIPE,
        )

    def connect(self) -> smtplib.SMTP:
        while True:
            try:
                return smtplib.SMTP("127.0.0.1", self.port, timeout=10)
            except ConnectionRefusedError:
                assert self.process.poll() is None

    def mails(self) -> list[Path]:
        return sorted(self.folder.glob("*.eml"))


@pytest.fixture
def catcher(tmp_path: Path) -> Iterator[Catcher]:
    running = Catcher(tmp_path / "mail box")
    yield running
    running.process.kill()
    running.process.communicate()


def test_keeps_octets_and_envelope_of_every_mail_of_a_long_connection(
    catcher: Catcher,
) -> None:
    with catcher.connect() as client:
        for number in range(30):
            client.sendmail("bounce@example.org", [f"r{number}@example.org"], RAW)
    mails = catcher.mails()
    assert [mail.read_bytes() for mail in mails] == [RAW] * 30
    envelopes = [json.loads(mail.with_suffix(".json").read_text()) for mail in mails]
    assert [one["rcpt_to"] for one in envelopes] == [
        [f"r{number}@example.org"] for number in range(30)
    ]
    assert envelopes[0]["mail_from"] == "bounce@example.org"
    assert envelopes[0]["received_at"].endswith("+00:00")


def test_a_mail_that_breaks_off_leaves_nothing(catcher: Catcher) -> None:
    with catcher.connect() as client:
        client.ehlo()
        client.mail("a@example.org")
        client.rcpt("b@example.org")
        client.docmd("DATA")
        client.send(b"Subject: half\r\n")
        client.close()
    with catcher.connect() as client:
        client.sendmail("a@example.org", ["b@example.org"], RAW)
    assert [mail.read_bytes() for mail in catcher.mails()] == [RAW]
    assert len(list(catcher.folder.iterdir())) == 2


def test_refuses_a_mail_beyond_the_limit(catcher: Catcher) -> None:
    with catcher.connect() as client, pytest.raises(smtplib.SMTPResponseException) as no:
        client.sendmail("a@example.org", ["b@example.org"], b"x" * (SIZE_LIMIT + 1))
    assert no.value.smtp_code == 552
    assert catcher.mails() == []


def test_ends_at_once_and_in_peace_while_somebody_is_connected(catcher: Catcher) -> None:
    with socket.socket() as idle:
        catcher.connect().quit()
        idle.connect(("127.0.0.1", catcher.port))
        catcher.process.terminate()
        _, said = catcher.process.communicate(timeout=10)
    assert catcher.process.returncode == 0
    assert b"Traceback" not in said


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "digest.ops.mailbox.catcher",
                "--port",
                port,
                "--dir",
                tmp_path,
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_keeps_the_newest_mails_only_also_those_of_an_earlier_run(tmp_path: Path) -> None:
    first = Folder(tmp_path, keep=3)
    names = [first.add(RAW, {}) for _ in range(3)]
    (tmp_path / ".half.eml.new").write_bytes(b"cut off")
    names.append(Folder(tmp_path, keep=3).add(RAW, {}))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}{end}" for name in names[1:] for end in (".eml", ".json")
    )


def test_loads_no_django() -> None:
    code = "import digest.ops.mailbox.catcher, sys; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
