"""A provider's HTTP API: our transport beside Anymail's own path, one call per reader."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.building import places, scratch_edition
from tests.benchmarks.figures import Figure, ratios
from tests.benchmarks.machine import Cost, describe, middle, spread, table
from tests.benchmarks.world import thicken
from tests.environment import ROOT

if TYPE_CHECKING:
    from digest.models import Edition
    from digest.transport.base import Mail

GROUP = 100
OURS = ("Daily Papers, one by one", "Daily Papers, batch")
Sender = Callable[[int], None]


def run(*, readers: int = 2000, rounds: int = 5) -> list[Figure]:
    """CPU seconds of the client for `readers` personal mails by Postmark's API."""
    print(describe())
    costs = measured_all(readers=readers, rounds=rounds)
    theirs = costs["Anymail, one by one"]
    rows = [
        [
            way,
            spread([cost.rate for cost in found], 0),
            spread([cost.cpu_per_10k for cost in found]),
            f"{middle(ratios(found, theirs, 'cpu')):.2f}",
        ]
        for way, found in costs.items()
    ]
    print(table(["way", "mails/s", "CPU s/10k", "of Anymail's"], rows))

    single, batch = (ratios(costs[way], theirs, "cpu") for way in OURS)
    return [
        Figure("CPU to Anymail one by one, provider, one by one", single),
        Figure("CPU to Anymail one by one, provider, batch", batch, at_most=0.25),
    ]


def measured_all(*, readers: int, rounds: int) -> dict[str, list[Cost]]:
    with tempfile.TemporaryDirectory(prefix="dp-b-") as folder, http_sink() as port:
        edition = scratch_edition(Path(folder))
        size = thicken(edition, 60_000)
        print(f"{size:,} bytes a mail by SMTP, ten papers of a hundred, all different")
        settle(port)
        ways = {
            "Anymail, one by one": anymail_sender(edition),
            OURS[0]: own_sender(edition, batch=False),
            OURS[1]: own_sender(edition, batch=True),
        }
        costs: dict[str, list[Cost]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, send in ways.items():
                costs[way].append(measured(readers, send))
    return costs


def settle(port: int) -> None:
    from django.conf import settings

    settings.MAILERS = {"default": {"BACKEND": "anymail.backends.postmark.EmailBackend"}}
    settings.ANYMAIL |= {
        "POSTMARK_SERVER_TOKEN": "x",
        "POSTMARK_API_URL": f"http://127.0.0.1:{port}/",
    }
    settings.MAILER_URL = "anymail://postmark"


def measured(mails: int, send: Sender) -> Cost:
    send(GROUP)
    begin, cpu = time.perf_counter(), time.process_time()
    send(mails)
    return Cost(mails, time.perf_counter() - begin, time.process_time() - cpu)


def mails_of(edition: "Edition", count: int) -> list["Mail"]:
    from django.utils import timezone

    from digest.editions.compose import Pick, Reader
    from digest.ranking.loaded import load
    from digest.transport.base import Mail

    encoded, papers, now = load(edition.pk).encoded, edition.blocks.count(), timezone.now()
    mails = []
    for number in range(count):
        reader = Reader(number, f"reader.{number}@list7.example.com", f"{number:022}")
        picks = [Pick(place, number % 7) for place in places(number, papers)]
        whole = partial(encoded.compose, reader, picks, sent_at=now)
        parts = partial(encoded.letter, reader, picks, sent_at=now)
        mails.append(Mail(number, encoded.sender, reader.address, whole, parts))
    return mails


def own_sender(edition: "Edition", *, batch: bool) -> Sender:
    from itertools import batched

    from django.conf import settings

    from digest.transport.open import open_transport

    def send(count: int) -> None:
        settings.PROVIDER_BATCH = batch
        transport = open_transport()
        for group in batched(mails_of(edition, count), GROUP, strict=False):
            outcomes = dict(transport.hand_over(group))
            assert {outcome.verdict.value for outcome in outcomes.values()} == {"accepted"}
        transport.close()

    return send


def anymail_sender(edition: "Edition") -> Sender:
    """Messages with the same bodies, ready made: rendering is not counted."""
    from django.core.mail import EmailMultiAlternatives, mailers

    from digest.transport.base import as_text

    letters = [mail.letter() for mail in mails_of(edition, 100) if mail.letter]
    bodies = [
        (as_text(letter.text, letter.values), as_text(letter.html, letter.values))
        for letter in letters
    ]
    shared = letters[0].shared
    headers = {
        name: value
        for name, value in shared.items()
        if name not in {"From", "MIME-Version", "Content-Type"}
    }

    def send(count: int) -> None:
        backend = mailers["default"]
        backend.open()
        for number in range(count):
            text, html = bodies[number % len(bodies)]
            message = EmailMultiAlternatives(
                "Papers",
                text,
                from_email=shared["From"],
                to=[f"reader.{number}@list7.example.com"],
                headers=headers | {"List-Unsubscribe": f"<https://p.example/u/{number}>"},
            )
            message.attach_alternative(html, "text/html")
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
