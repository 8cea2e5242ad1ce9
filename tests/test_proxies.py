"""The files for nginx and Caddy in deploy/, in the real programs.

Caddy is the one of the development group, as Debian's is too old.
"""

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.conf import settings

from tests.environment import DEPLOYMENT, KEYS, ROOT, bare
from tests.ports import free_port, wait_until_it_answers
from tests.test_bodies import FORM, ask, dripping, opened, status, taken
from tests.web_server import web_server

DEADLINE = "10s"  # of slow requests, in the files
BRIEF, SECONDS = "2s", 2.0  # here
SITE = "papers.example.org"
CADDY = str(Path(sys.executable).with_name("caddy"))
# What starts a program in this folder, at this port, in front of this one.
type Command = Callable[[Path, int, int], list[str]]


def shipped(name: str) -> str:
    """Return a file of deploy/; its deadlines stand in it as often as is thought here."""
    text = (ROOT / "deploy" / name).read_text()
    assert text.count(DEADLINE) == 2
    return text


def nginx(folder: Path, port: int, backend: int) -> list[str]:
    """Take the file as it is, but for TLS and for the server that leads to it."""
    lines = re.sub(r"(?m)^ *(listen|ssl_\w+) .*;\n", "", shipped("nginx.conf"))
    upstream, leading, main = lines.split("\nserver {")
    assert "return 301 https://" in leading
    (folder / "nginx.conf").write_text(f"""
        {"user root;" if os.geteuid() == 0 else ""} daemon off; pid {folder}/pid; error_log stderr warn;
        events {{ worker_connections 768; }}
        http {{
            client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/proxied;
            fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            {at(upstream, backend)}
            server {{ listen 127.0.0.1:{port};
            {at(main, backend)}
        }}
    """)
    return ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]


def caddy(folder: Path, port: int, backend: int) -> list[str]:
    lines = (
        shipped("Caddyfile")
        .replace("{$SITE_HOST:", "http://")
        .replace(f"{SITE}}} {{", f"{SITE}:{port} {{")
    )
    lines = lines.replace("{$PAPERS_WEB:127.0.0.1:8000}", "127.0.0.1:8000")
    written = at(lines, backend).replace("servers {", "admin off\n    servers {", 1)
    (folder / "Caddyfile").write_text(written)
    return [CADDY, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def at(lines: str, backend: int) -> str:
    """Point the lines to our web server, and shorten the deadlines."""
    return lines.replace("127.0.0.1:8000", f"127.0.0.1:{backend}").replace(DEADLINE, BRIEF)


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def program(request: pytest.FixtureRequest) -> Command:
    command: Command = request.param
    if command is nginx and not shutil.which("nginx"):
        reason = "nginx is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return command


@pytest.fixture
def proxy(program: Command, web_database: Path, tmp_path: Path) -> Iterator[int]:
    """The port of the proxy, in front of a web server."""
    env = {"SITE_URL": f"http://{SITE}", "BEHIND_PROXY": "true"}
    env["ANYMAIL_WEBHOOK_SECRET"] = "ann:a-long-secret"
    where = f"sqlite:///{web_database}"
    with ExitStack() as running:
        web = web_server(tmp_path, workers=2, threads=4, database=where, env=env)
        backend = running.enter_context(web)
        port = free_port()
        home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"] + ":/usr/sbin"}
        process = subprocess.Popen(program(tmp_path, port, backend), env=home)
        running.callback(process.wait)
        running.callback(process.terminate)
        wait_until_it_answers(port, process=process)
        yield port


def test_b4_a_form_and_a_report_pass_and_large_ones_are_refused(
    proxy: int, web_database: Path
) -> None:
    taken(web_database)
    line = opened(proxy, "/preferences/", length=len(FORM), host=SITE)
    line.sendall(FORM)
    assert status(line) == 303
    assert taken(web_database) == ["ann@example.org"]
    assert answer(proxy, "/preferences/", 70_000) == 413
    assert answer(proxy, "/preferences/", 10**12) == 413
    assert answer(proxy, "/webhooks/postmark/tracking/", 70_000) == 401  # without password
    assert taken(web_database) == []


def answer(port: int, path: str, length: int) -> int:
    """Return the status that is answered to a body of this length, or to its beginning."""
    line = opened(port, path, length=length, host=SITE)
    with suppress(OSError):  # refused before all of it has come
        line.sendall(b"x" * min(length, 100_000))
    return status(line)


def begun_head(port: int) -> socket.socket:
    """Return a connection on which a request's head has begun to come."""
    line = socket.create_connection(("127.0.0.1", port), timeout=20)
    line.sendall(f"GET / HTTP/1.1\r\nHost: {SITE}\r\n".encode())
    return line


def test_b4_health_and_forms_answer_while_forty_heads_and_bodies_come_slowly(
    proxy: int,
) -> None:
    """Without a proxy each of the heads would hold one of the web server's eight threads."""
    bodies = [opened(proxy, "/subscribe/", length=1000, host=SITE) for _ in range(40)]
    with dripping([*bodies, *(begun_head(proxy) for _ in range(40))]):
        took = [ask(proxy, host=SITE) for _ in range(20)]
        line = opened(proxy, "/preferences/", length=len(FORM), host=SITE)
        line.sendall(FORM)
        assert status(line) == 303
    assert statistics.median(took) < 1 and max(took) < 2 * SECONDS


def test_b4_slow_requests_are_given_up_and_none_is_taken(
    proxy: int, web_database: Path
) -> None:
    taken(web_database)
    slow_body = opened(proxy, "/preferences/", length=1000, host=SITE)
    slow_body.sendall(FORM)
    slow_head = begun_head(proxy)
    began = time.monotonic()
    # nginx ends the connection without a word, Caddy says 499.
    assert status(slow_head) in {0, 408, 499}
    assert status(slow_body) in {0, 408, 499}
    assert SECONDS - 0.5 < time.monotonic() - began < SECONDS + 8
    assert taken(web_database) == []


# -- a cache in front, as a CDN's ---------------------------------------------------------

CDN = """
{user} daemon off; pid {folder}/pid; error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    proxy_cache_path {folder}/kept keys_zone=papers:1m;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{backend};
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_cache papers;
            proxy_cache_key $request_uri;
            add_header X-Cache $upstream_cache_status always;
        }}
    }}
}}
"""
KEPT = ["/", "/?q=1", "/archive/", "/de/topics/", "/search/?q=paper", "/privacy/"]
KEPT += ["/feeds/all.atom", "/api/v1/days", "/sitemap.xml", "/card.png"]
NOT_KEPT = ["/subscribe/", "/subscribe/done/", "/subscribe/challenge/", "/preferences/"]
NOT_KEPT += [f"/u/{'x' * 22}", f"/p/{'x' * 22}", f"/preferences/{'x' * 22}", "/v/none/1"]
NOT_KEPT += [f"/feeds/mine/{'x' * 22}.atom", "/nothing/", "/api/v1/papers/none", "/readyz"]
NOT_KEPT += ["/admin/", "/admin/login/", "/healthz", "/metrics", "/preview/"]


@pytest.fixture(scope="module")
def cdn(web_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of nginx, which keeps what it may, in front of a web server."""
    if not shutil.which("nginx"):
        reason = "nginx is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    folder = tmp_path_factory.mktemp("cdn")
    env = {"SITE_URL": f"http://{SITE}", "BEHIND_PROXY": "true"}
    env |= {"STATIC_ROOT": str(folder / "static")}
    where = f"sqlite:///{web_database}"
    collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"]
    given = bare() | DEPLOYMENT | KEYS | env
    given |= {"STATE_DIR": str(folder), "DATABASE_URL": where}
    subprocess.run(collect, cwd=ROOT, env=given, check=True)
    with web_server(folder, database=where, env=env) as backend:
        port = free_port()
        user = "user root;" if os.geteuid() == 0 else ""
        conf = CDN.format(user=user, folder=folder, port=port, backend=backend)
        (folder / "nginx.conf").write_text(conf)
        command = ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
        path = {"PATH": os.environ["PATH"] + ":/usr/sbin"}
        with subprocess.Popen(command, env=path) as process:
            try:
                wait_until_it_answers(port, process=process)
                yield port
            finally:
                process.terminate()


def got(port: int, path: str, *, cookie: str = "") -> tuple[dict[str, str], str]:
    """Return the headers, in small letters, and the page."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as line:
        line.request("GET", path, headers={"Host": SITE, "Cookie": cookie})
        answer = line.getresponse()
        page = answer.read().decode(errors="replace")
        return {name.lower(): value for name, value in answer.getheaders()}, page


def test_s33_a_cache_keeps_what_is_for_everybody_and_no_answer_to_one(cdn: int) -> None:
    mine = f"{settings.SESSION_COOKIE_NAME}=x; {settings.CSRF_COOKIE_NAME}=y"
    for path in KEPT:
        first, _ = got(cdn, path, cookie=mine)  # nobody else gets anything of theirs
        again, _ = got(cdn, path)
        assert again["x-cache"] == "HIT", path
        assert "set-cookie" not in first | again, path
    for path in NOT_KEPT:
        for _ in range(2):
            headers, _ = got(cdn, path)
            assert headers["x-cache"] == "MISS", path


def test_s33_a_file_of_the_site_is_kept_for_ever_by_its_name(cdn: int) -> None:
    _, page = got(cdn, "/")
    names = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(names) > 2
    for name in names:
        got(cdn, name)
        headers, _ = got(cdn, name)
        assert headers["x-cache"] == "HIT", name
        assert headers["cache-control"] == "max-age=315360000, public, immutable", name


def test_s33_the_form_on_a_kept_page_signs_up(cdn: int, web_database: Path) -> None:
    taken(web_database)
    got(cdn, "/")
    headers, page = got(cdn, "/")
    assert headers["x-cache"] == "HIT" and 'action="/subscribe/"' in page
    form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    form["email"] = "ann@example.org"
    first_step = urlencode(form | {"step": "1"})
    form.pop("step", None)
    for sent, wanted in ((first_step, 200), (urlencode(form), 303)):
        line = opened(cdn, "/subscribe/", length=len(sent), host=SITE)
        line.sendall(sent.encode())
        assert status(line) == wanted
    assert taken(web_database) == ["ann@example.org"]
