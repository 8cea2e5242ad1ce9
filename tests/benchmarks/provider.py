"""A provider's HTTP API: our transport beside Anymail's own path, one call per reader."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.benchmarks import world
from tests.benchmarks.machine import Cost, describe, middle, spread, table
from tests.environment import ROOT


def run(*, readers: int = 2000, rounds: int = 3) -> None:
    """Print CPU seconds of the client for `readers` personal mails by Postmark's API."""
    print(describe())
    with http_sink() as port, world.world(1000) as here:
        from django.conf import settings

        settings.MAILERS = {
            "default": {"BACKEND": "anymail.backends.postmark.EmailBackend"}
        }
        settings.ANYMAIL |= {
            "POSTMARK_SERVER_TOKEN": "x",
            "POSTMARK_API_URL": f"http://127.0.0.1:{port}/",
        }
        settings.MAILER_URL = "anymail://postmark"
        ours, theirs = [], []
        for _ in range(rounds):
            theirs.append(measured(readers, anymail_sender(here)))
            ours.append(measured(readers, own_sender(here)))
    ratio = middle(a.cpu / b.cpu for a, b in zip(ours, theirs, strict=True))
    rows = [
        [name, spread([cost.rate for cost in costs], 0),
         spread([cost.cpu_per_10k for cost in costs])]
        for name, costs in (("Anymail", theirs), ("Daily Papers", ours))
    ]  # fmt: skip
    print(table(["way", "mails/s", "CPU s/10k"], [*rows, ["ratio", "", f"{ratio:.2f}"]]))


def measured(mails: int, send) -> Cost:
    send(20)
    begin, cpu = time.perf_counter(), time.process_time()
    send(mails)
    return Cost(mails, time.perf_counter() - begin, time.process_time() - cpu)


def own_sender(here: world.World):
    from functools import partial

    from django.utils import timezone

    from digest.deliveries.digests import load
    from digest.deliveries.mail import Mail
    from digest.deliveries.transport import open_transport
    from digest.editions.compose import Pick, Reader

    encoded, now = load(here.edition.pk).encoded, timezone.now()
    picks = [Pick(place, 1) for place in range(10, 20)]

    def send(count: int) -> None:
        mails = [
            Mail(
                number,
                encoded.sender,
                f"reader.{number}@list7.example.com",
                partial(
                    encoded.compose,
                    Reader(number, f"reader.{number}@list7.example.com", f"{number:022}"),
                    picks,
                    sent_at=now,
                ),
            )
            for number in range(count)
        ]
        transport = open_transport()
        outcomes = dict(transport.hand_over(mails))
        transport.close()
        assert {outcome.verdict.value for outcome in outcomes.values()} == {"accepted"}

    return send


def anymail_sender(here: world.World):
    """Messages with ready-made bodies of the same size: rendering is not counted."""
    from django.core.mail import EmailMultiAlternatives, mailers

    html, text = "<p>" + "a paper and its words " * 1500, "a paper and its words " * 900

    def send(count: int) -> None:
        backend = mailers["default"]
        backend.open()
        for number in range(count):
            address = f"reader.{number}@list7.example.com"
            headers = {"List-Unsubscribe": f"<https://papers.example.org/u/{number:022}>"}
            message = EmailMultiAlternatives("Papers", text, to=[address], headers=headers)
            message.attach_alternative(f"{html} {number}</p>", "text/html")
            backend.send_messages([message])
        backend.close()

    return send


@contextmanager
def http_sink() -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.http_sink"],
        cwd=ROOT,
        env=os.environ.copy(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()
