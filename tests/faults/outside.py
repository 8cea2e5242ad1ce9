"""The other side: an SMTP sink or a fake provider, each with a journal of what it kept."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.environment import ROOT
from tests.sink import in_process


@dataclass(frozen=True)
class Outside:
    """A running server: the environment that points to it, and its journal."""

    name: str
    folder: Path
    env: dict[str, str]

    def arrived(self) -> list[str]:
        """The address of each mail that was kept, in order."""
        return [entry["rcpt"][0] for entry in lines(self.folder / "journal.jsonl")]

    def requests(self) -> list[dict[str, Any]]:
        """A provider's requests, whatever became of them."""
        return lines(self.folder / "requests.jsonl")


def lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines only: one that a kill cut off was never answered."""
    if not path.exists():
        return []
    parts = path.read_bytes().splitlines(keepends=True)
    return [json.loads(part) for part in parts if part.endswith(b"\n")]


@contextmanager
def smtp(folder: Path, *, lint: bool = True) -> Iterator[Outside]:
    with in_process(folder, lint=lint) as sink:
        yield Outside("SMTP", folder, {"MAILER_URL": sink.url})


@contextmanager
def provider(folder: Path, name: str = "postmark") -> Iterator[Outside]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.provider_server", "--folder", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout
            url = f"http://127.0.0.1:{int(process.stdout.readline())}/"
            yield Outside(name, folder, settings(name, url))
        finally:
            process.kill()


def server(name: str, folder: Path) -> AbstractContextManager[Outside]:
    return smtp(folder) if name == "smtp" else provider(folder, name)


def settings(name: str, url: str) -> dict[str, str]:
    if name == "amazon_ses":
        return {
            "MAILER_URL": "anymail://amazon_ses",
            "AWS_ENDPOINT_URL": url.rstrip("/"),
            "AWS_ACCESS_KEY_ID": "an-id",
            "AWS_SECRET_ACCESS_KEY": "a-secret",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }
    secret = {"postmark": "SERVER_TOKEN"}.get(name, "API_KEY")
    return {
        "MAILER_URL": f"anymail://{name}",
        f"ANYMAIL_{name.upper()}_API_URL": url,
        f"ANYMAIL_{name.upper()}_{secret}": "a-secret",
    }
