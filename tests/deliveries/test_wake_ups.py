"""A process that dies between its COMMIT and the broker: nothing is lost with it."""

import json
import os
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.stack import Stack


@pytest.fixture
def deadly_broker(short_folder: Path) -> Iterator[str]:
    """The address of a Redis that kills whoever connects, before a word is said."""
    path = short_folder / "deadly.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    guest, _ = listener.accept()
                except OSError:
                    return
                with guest:
                    size = struct.calcsize("3i")
                    known = guest.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
                    os.kill(struct.unpack("3i", known)[0], signal.SIGKILL)

        threading.Thread(target=serve, daemon=True).start()
        yield f"unix://{path}"
        listener.shutdown(socket.SHUT_RDWR)


def run(stack: Stack, code: str) -> subprocess.CompletedProcess[str]:
    return stack.manage("shell", "-v0", "-c", code)


@pytest.mark.embedded
def test_r13_a_kill_before_the_wake_up_costs_time_and_no_mail(stack, deadly_broker, sink):
    assert stack.manage("migrate", "-v0").returncode == 0
    now = datetime.now(UTC)
    day = now.date() - timedelta(days=now.hour < 9)  # whose mails are due this hour
    seeded = run(
        stack,
        "from tests import make; from datetime import date\n"
        f"day = date({day.year}, {day.month}, {day.day})\n"
        "make.edition({make.paper(1, day=day): {'graphs': 1.0}}, day=day)\n"
        f"make.reader('ann@example.org', 'graphs', when=make.schedule('UTC', {now.hour}))",
    )
    assert seeded.returncode == 0, seeded.stderr
    stack.env["REDIS_URL"] = deadly_broker

    ticked = run(stack, "from digest.tasks import tick; tick()")
    assert ticked.returncode == -signal.SIGKILL
    told = json.loads(stack.manage("edition", f"{day}", "--json").stdout)
    assert told["states"]["pending"] == 1, "the plan was committed"
    asked = run(
        stack,
        "import time; from django.conf import settings\n"
        "from django.test import Client\n"
        "client = Client(headers={'host': settings.SITE_HOST})\n"
        "client.post('/subscribe/', {'email': 'bob@example.org', 'timezone': 'UTC',"
        " 'send_hour': '7'})\n"
        "time.sleep(60)",
    )
    assert asked.returncode == -signal.SIGKILL
    assert sink.mails() == []

    # What beat does without being asked, with a Redis again: the next tick's sender, and the
    # inbox.
    del stack.env["REDIS_URL"]
    assert stack.manage("deliver").returncode == 0
    done = run(
        stack,
        "from datetime import timedelta; from django.utils import timezone\n"
        "from subscribers import requests\n"
        "from subscribers.notices.send import send_open_notices\n"
        "now = timezone.now() + timedelta(minutes=20)\n"
        "requests.handle_open(now=now); send_open_notices(now=now)",
    )
    assert done.returncode == 0, done.stderr
    assert sorted(mail.rcpt for mail in sink.mails()) == [
        ("ann@example.org",),
        ("bob@example.org",),
    ]
