"""How many calls cross a file on the two paths that a newcomer follows.

A call counts once per caller and callee, both functions of ours and in different files:
what somebody who reads along has to jump to. `pytest -s -k calls_cross` prints them all.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from types import FrameType

import pytest
from django.test import Client
from django.utils import timezone

from digest.deliveries.plan import plan_edition
from digest.deliveries.send import send_due
from digest.editions.publish import publish
from digest.papers import ingest
from subscribers import requests
from subscribers.models import Notice
from subscribers.notices.send import send_open_notices
from tests import make
from tests.environment import ROOT
from tests.sink import Sink

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.embedded]

OURS = tuple(str(ROOT / package) + "/" for package in ("digest", "subscribers"))
ENTRY = (
    '{{"paper": {{"id": "2604.00001", "title": "Message passing on graphs", '
    '"summary": "Graph neural networks pass messages. We show how far.", '
    '"authors": [{{"name": "Ada Example"}}], "upvotes": 5, "submittedOnDailyAt": "{day}T00:00:00Z"}}}}\n'
)


@contextmanager
def counted() -> Iterator[set[str]]:
    """Collect the calls between files of ours while the block runs, in this thread."""
    calls: set[str] = set()

    def look(frame: FrameType, event: str, _: object) -> None:
        if event != "call" or frame.f_back is None:
            return
        callee, caller = frame.f_code, frame.f_back.f_code
        ours = callee.co_filename.startswith(OURS) and caller.co_filename.startswith(OURS)
        names = (callee.co_name, caller.co_name)
        if ours and callee.co_filename != caller.co_filename and "<module>" not in names:
            ends = [
                f"{code.co_filename.removeprefix(f'{ROOT}/')}:{code.co_qualname}"
                for code in (caller, callee)
            ]
            calls.add(" → ".join(ends))

    sys.setprofile(look)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def test_calls_cross_few_files_from_a_sign_up_to_the_accepted_mail(
    client: Client, sink: Sink, settings
) -> None:
    host, port = sink.url.removeprefix("smtp://").split(":")
    backend = "django.core.mail.backends.smtp.EmailBackend"
    options = {"host": host, "port": int(port)}
    settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": options}}
    settings.MAILER_URL = sink.url
    form = {"email": "ann@example.org", "timezone": "UTC"}
    client.get("/healthz")  # loads the URLs, which the first request of a process does
    with counted() as calls:
        assert client.post("/subscribe/", form).status_code == 303
        later = timezone.now() + timedelta(minutes=20)  # without a proof of work
        requests.handle_open(now=later)
        send_open_notices(now=later)
    assert Notice.objects.get().state == "accepted"
    print(*sorted(calls), len(calls), sep="\n")
    assert len(calls) <= 62


def test_calls_cross_few_files_from_a_fetched_paper_to_the_accepted_mail(
    tmp_path: Path, sink: Sink, settings
) -> None:
    settings.MAILER_URL = sink.url
    make.reader("ann@example.org")
    day: date = make.DAY
    now: datetime = make.NOON
    file = tmp_path / "papers.jsonl"
    file.write_text(ENTRY.format(day=day))
    with counted() as calls:
        ingest.fetch_file(file, now=now, day=day)
        edition = publish(day, now=now)
        plan_edition(edition, now)
        tally = send_due(lambda: now)
    assert tally["accepted"] == 1
    print(*sorted(calls), len(calls), sep="\n")
    # 171 in a new process, where no cache is filled yet: one tells of the edition
    # (webhooks.tell_edition), a dozen choose among several relays (deliveries.outlets), four
    # look at who left before the mail begins (deliveries.send.in_line).
    assert len(calls) <= 171
