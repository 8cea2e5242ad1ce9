"""The deployment guide, followed to the letter: from packages to a digest over TLS."""

import os
import re
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import trustme

from tests import embedded_redis, postgres
from tests.deploy.host import Host, until
from tests.environment import ROOT
from tests.ports import free_port
from tests.sink import Sink, in_thread
from tests.source_server import Source, entry, running

GUIDE = (ROOT / "docs/deploy.md").read_text()
SITE = "papers.example.org"
READER = "ann@example.org"

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(
        not (shutil.which("nginx") or os.environ.get("CI")), reason="nginx is not installed"
    ),
]


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    """Whom the host trusts: for the site and for the mail server."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = made.issue_cert(SITE, "127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "privkey.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "fullchain.pem")
    return made


@pytest.fixture
def sink(tmp_path: Path, authority: trustme.CA) -> Iterator[Sink]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with in_thread(tmp_path / "sink", tls=context) as there:
        yield there


@pytest.fixture
def source() -> Iterator[Source]:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    with running() as there:
        for day in (yesterday, yesterday + timedelta(days=1)):
            there.days[f"{day}"] = [entry(number, day=f"{day}") for number in range(1, 8)]
        yield there


@pytest.fixture
def host(
    tmp_path: Path, authority: trustme.CA, sink: Sink, source: Source
) -> Iterator[Host]:
    folder, web, tls, plain = tmp_path / "host", free_port(), free_port(), free_port()
    with ExitStack() as stack:
        address = stack.enter_context(postgres.server())
        redis, _ = stack.enter_context(embedded_redis.server(short(stack)))
        sockets = re.search("@([^/]+)/", address)
        assert sockets
        words = {
            "@127.0.0.1:5432": f"@{sockets[1]}",
            "redis://127.0.0.1:6379/0": redis,
            "smtp://user:password@mail.example.org:587": (
                f"smtp://papers:secret@127.0.0.1:{sink.port}"
            ),
            # What a host has beside the guide: a real source, and authorities it trusts.
            "ADMINS=you@example.org": (
                f"ADMINS=you@example.org\nSOURCE_URL={source.url}\n"
                f"SSL_CERT_FILE={tmp_path}/ca.pem"
            ),
            "127.0.0.1:8000": f"127.0.0.1:{web}",
            "listen 443 ssl": f"listen 127.0.0.1:{tls} ssl",
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "    listen [::]:443 ssl http2;\n": "",
            "    listen [::]:80;\n": "",
            f"/etc/letsencrypt/live/{SITE}": str(tmp_path),
            "/srv/papers": f"{folder}/srv/papers",
            "/var/lib/papers": f"{folder}/var/lib/papers",
            "/var/backups": f"{folder}/var/backups",
            "/usr/local/bin": f"{folder}/bin",
            " --compile-bytecode": "",  # all packages' files: here each process keeps its own
            "/etc/nginx/sites": f"{folder}/etc/nginx/sites",
            "/etc/systemd": f"{folder}/etc/systemd",
            f"--fail-with-body --retry 5 https://{SITE}": (
                f"--fail --retry 60 --retry-all-errors "
                f"--retry-delay 1 --cacert {tmp_path}/ca.pem "
                f"--connect-to {SITE}:443:127.0.0.1:{tls} https://{SITE}"
            ),
        }
        answers = {
            "Username": "ada",
            "Email address:": "ada@example.org",
            "Password:": "a-long-pass-phrase",
            "Password (again):": "a-long-pass-phrase",
        }
        made = Host(folder, sockets[1].replace("%2F", "/"), words, answers)
        made.prepare()
        stack.callback(made.stop)
        yield made


def short(stack: ExitStack) -> Path:
    """A folder whose path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="dp-", dir="/tmp"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def test_c32_the_guide_leads_from_nothing_to_a_digest_over_tls(
    host: Host, sink: Sink, tmp_path: Path
) -> None:
    said = host.follow(GUIDE)
    assert "Superuser created successfully" in said
    assert re.search(r"^ready\r?$", said, re.MULTILINE), said
    tls = re.search(
        r"127\.0\.0\.1:(\d+) ssl",
        (host.folder / "srv/papers/deploy/nginx.conf").read_text(),
    )
    assert tls
    site = f"https://127.0.0.1:{tls[1]}"
    with requests.Session() as browser:
        browser.trust_env = False  # its REQUESTS_CA_BUNDLE would win
        browser.verify = str(tmp_path / "ca.pem")
        browser.headers["Host"] = SITE
        # The guide's last words restart the web processes.
        until(lambda: browser.get(f"{site}/").ok, seconds=60, what=host.log)
        front = browser.get(f"{site}/")
        assert front.status_code == 200 and "An Invented Paper" in front.text
        assert (site_file := re.search(r'href="(/static/site[^"]+\.css)"', front.text))
        assert browser.get(site + site_file[1]).status_code == 200
        stamp = re.search(r'name="started"[^>]*value="([^"]+)"', front.text)
        form = {"email": READER, "timezone": "UTC", "cadence": "daily"}
        # An hour that has just come: one of many hours ago would be too late for today.
        form |= {"send_hour": str(datetime.now(UTC).hour)}
        form |= {"topics": "graphs", "started": stamp[1] if stamp else ""}
        assert browser.post(f"{site}/subscribe/", data=form).ok
        until(lambda: sink.to(READER), seconds=60, what=host.log)
        link = re.search(rf"https://{SITE}(/confirm/[\w-]+/)", text(sink, 0))
        assert link
        assert browser.post(site + link[1]).ok
    # A mail to confirm, a welcome, and the digest, in whichever order the last two come.
    until(lambda: len(sink.to(READER)) == 3, seconds=60, what=host.log)
    assert any("An Invented Paper About Graphs" in text(sink, place) for place in (1, 2))
    (backup,) = (host.folder / "var/backups/papers").glob("*.tar")
    assert backup.stat().st_size > 10_000


def text(sink: Sink, number: int) -> str:
    part = sink.to(READER)[number].message.get_body(("plain",))
    assert part
    return str(part.get_content())


def test_the_units_are_sound() -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    units = sorted((ROOT / "deploy/systemd").iterdir())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", *units],
        capture_output=True,
        text=True,
    )
    faults = [
        line
        for line in done.stderr.splitlines()
        if "is not executable" not in line  # it is installed by the guide
    ]
    assert faults == []
