"""The story of a day, through the public surface only: HTTP, commands, SMTP, signals.

A real `manage.py up` with web server, Celery worker and beat on a real Redis and SQLite, a
source over HTTP and an SMTP server of the tests' own.
"""

import os
import re
import signal
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.sink import Mail, Sink
from tests.source_server import entry, running
from tests.stack import Stack

# An edition that was released a while ago, with an hour after its release that has just
# passed: whenever the tests run, its readers are due now.
NOW = datetime.now(UTC)
DAY = (NOW - timedelta(hours=10)).date()
HOUR = (NOW - timedelta(hours=1)).hour

PAPERS = {
    "graphs": ("Message passing on graphs", "Graph neural networks pass messages.", 41),
    "video": (
        "Video generation at length",
        "Text-to-video generation with video diffusion.",
        7,
    ),
    "robotics": (
        "A robot that folds",
        "Robot manipulation policies for humanoid robots.",
        90,
    ),
}


def entries(day: date) -> list[object]:
    made: list[object] = [
        entry(
            number,
            day=str(day),
            title=title,
            summary=summary,
            upvotes=votes,
            ai_keywords=[],
        )
        for number, (title, summary, votes) in enumerate(PAPERS.values(), start=1)
    ]
    return [*made, entry(9, day=str(day), title=None), {"paper": "nonsense"}]


def sign_up(
    stack: Stack, email: str, *topics: str, hour: int = HOUR, zone: str = "UTC"
) -> None:
    form: dict[str, str | list[str]] = {
        "email": email,
        "topics": list(topics),
        "timezone": zone,
        "send_hour": str(hour),
        "cadence": "daily",
    }
    status, headers, _ = stack.ask("/subscribe/", method="POST", form=form)
    assert status == 303, email
    # The typed address, shown once on the next page; the stack asks without cookies.
    assert headers["Set-Cookie"].startswith("typed=")
    assert "path=/subscribe/done/" in headers["Set-Cookie"].lower()


def digests(sink: Sink, address: str) -> list[Mail]:
    """The digests that arrived there: single mails belong to no list."""
    return [mail for mail in sink.to(address) if mail.message["List-Id"]]


def welcomes(sink: Sink, address: str) -> list[Mail]:
    subject = "You are subscribed to Daily Papers"
    return [mail for mail in sink.to(address) if mail.message["Subject"] == subject]


def wait_for(
    sink: Sink,
    address: str,
    count: int,
    *,
    of: Callable[[Sink, str], list[Mail]] = digests,
    seconds: float = 45,
) -> list[Mail]:
    until = time.monotonic() + seconds
    while len(mails := of(sink, address)) < count:
        assert time.monotonic() < until, f"{address}: {len(mails)} of {count} mails"
        time.sleep(0.1)
    return mails


def confirm(stack: Stack, sink: Sink, email: str) -> None:
    text = body(wait_for(sink, email, 1, of=Sink.to)[0])
    found = re.search(r"/confirm/[\w-]+/", text)
    assert found, text
    assert stack.ask(found[0])[0] == 200  # a scanner opens it: nothing happens
    status, headers, page = stack.ask(found[0], method="POST", form={})
    assert (status, "Set-Cookie" in headers) == (200, False)
    assert "subscribed" in page


def body(mail: Mail, kind: str = "plain") -> str:
    part = mail.message.get_body((kind,))
    assert part
    return str(part.get_content())


def publish(stack: Stack, day: date) -> None:
    fetched = stack.manage("fetch", "--day", str(day))
    assert fetched.returncode == 0, fetched.stderr
    assert "3 papers" in fetched.stdout
    assert fetched.stderr.count("skipped") == 2 or len(fetched.stderr.splitlines()) == 2
    published = stack.manage("publish", "--day", str(day))
    assert published.returncode == 0, published.stderr


def worker(stack: Stack) -> psutil.Process:
    """The parent of the stack's Celery worker processes."""
    for process in psutil.process_iter(["cmdline", "environ"]):
        words = process.info["cmdline"] or []
        environ = process.info["environ"] or {}
        if "worker" in words and environ.get("STATE_DIR") == str(stack.folder):
            parent = process.parent()
            if parent and "worker" not in (parent.cmdline() or []):
                return process
    raise AssertionError("no worker")


@pytest.mark.embedded
def test_c30_a_day_from_fetch_to_unsubscribe_in_what_an_operator_installs(
    stack: Stack, sink: Sink, installed: Path
) -> None:
    stack.python = str(installed / "bin" / "python")
    with running() as source:
        source.days[str(DAY)] = entries(DAY)
        stack.env["SOURCE_URL"] = source.url
        stack.up()
        publish(stack, DAY)

        readers = {"ann@example.org": "graphs", "bob@example.org": "video"}
        for email, topic in readers.items():
            sign_up(stack, email, topic)
        sign_up(stack, "dan@example.org", "recsys")
        sign_up(stack, "eve@example.org", "graphs")
        for email in [*readers, "dan@example.org"]:
            confirm(stack, sink, email)

        # Beat plans and the worker sends, with nobody's help.
        for email, topic in readers.items():
            (digest,) = wait_for(sink, email, 1)
            wait_for(sink, email, 1, of=welcomes)
            title, _, votes = PAPERS[topic]
            text, html = body(digest), body(digest, "html")
            assert title in text and title in html
            assert f" · {votes} upvote" in text
            others = [words[0] for slug, words in PAPERS.items() if slug != topic]
            assert not any(other in text for other in others)
            assert digest.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"

        delivered = stack.manage("deliver", "--day", str(DAY))
        assert delivered.returncode == 0, delivered.stderr
        assert " 0 accepted" in delivered.stdout
        everybody = [*readers, "dan@example.org"]
        assert [len(digests(sink, email)) for email in everybody] == [1, 1, 0]
        assert [len(sink.to(email)) for email in everybody] == [3, 3, 2]
        assert len(sink.to("eve@example.org")) == 1  # never confirmed: no digest

        address = unsubscribe_link(digests(sink, "ann@example.org")[0])
        assert stack.ask(address)[0] == 200  # GET asks only
        form: dict[str, str | list[str]] = {"List-Unsubscribe": "One-Click"}
        status, headers, _ = stack.ask(address, method="POST", form=form)
        assert (status, "Set-Cookie" in headers, "Location" in headers) == (
            200,
            False,
            False,
        )

        earlier = DAY - timedelta(days=1)
        source.days[str(earlier)] = [
            entry(
                70, day=str(earlier), title="More graphs", summary="Graph neural networks."
            ),
            entry(71, day=str(earlier), title="More video", summary="Video generation."),
            entry(
                72, day=str(earlier), title="More reward", summary="Reinforcement learning."
            ),
        ]
        assert stack.manage("fetch", "--day", str(earlier)).returncode == 0
        assert stack.manage("publish", "--day", str(earlier)).returncode == 0
        stack.manage("deliver", "--day", str(earlier))
        assert "More video" in body(wait_for(sink, "bob@example.org", 2)[1])
        assert len(sink.to("ann@example.org")) == 3
        assert "unsubscribed" in stack.manage("subscribers", "export").stdout
        assert stack.end() == 0


def unsubscribe_link(mail: Mail) -> str:
    found = re.search(
        rb"^List-Unsubscribe: <http://[^/>]+(/u/[\w-]{22})>\r$", mail.raw, re.MULTILINE
    )
    assert found
    return found[1].decode()


@pytest.mark.embedded
def test_killing_everything_in_the_middle_gives_nobody_a_second_mail(
    stack: Stack, sink: Sink
) -> None:
    with running() as source:
        source.days[str(DAY)] = entries(DAY)
        stack.env["SOURCE_URL"] = source.url
        stack.up()
        emails = [f"reader{number}+dot-slow@example.org" for number in range(6)]
        for email in emails:
            sign_up(stack, email, "graphs")
        for email in emails:
            confirm(stack, sink, email)
        publish(stack, DAY)
        for email in emails[:2]:  # two digests are out, a third is on its way
            wait_for(sink, email, 1, seconds=60)
        victim = worker(stack)
        for process in [victim, *victim.children(recursive=True)]:
            os.kill(process.pid, signal.SIGKILL)
        sign_up(stack, "late@example.org", "graphs")
        confirm(stack, sink, "late@example.org")
        wait_for(sink, "late@example.org", 1)  # the worker is back and sends
        stack.manage("deliver", "--day", str(DAY))
        assert stack.end(signal.SIGKILL) != 0
        stack.up()
        stack.manage("deliver", "--day", str(DAY))
        counts = {email: len(digests(sink, email)) for email in emails}
        assert max(counts.values()) == 1, counts
        assert sum(counts.values()) >= 2
        assert max(len(welcomes(sink, email)) for email in emails) == 1
