"""A pause while mails go out: what has not begun does not begin."""

import threading
import time
from collections import Counter

import pytest
from django.db import connection

from digest.deliveries import control
from digest.deliveries.plan import plan
from digest.deliveries.send import send_due
from tests import make

READERS = 12


@pytest.mark.django_db(transaction=True)
def test_r4_a_pause_stops_a_slow_run_within_two_seconds_and_loses_nothing(sink, settings):
    settings.MAILER_URL = sink.url
    edition = make.edition({make.paper(1): {"graphs": 1.0}})
    # Each takes a second at the server: six seconds for all, on two connections.
    make.readers([f"r{number}+dot-slow@example.org" for number in range(READERS)], "graphs")
    plan(make.NOON)

    def send() -> None:
        send_due(lambda: make.NOON)
        connection.close()

    sender = threading.Thread(target=send)
    sender.start()
    sink.wait(2)
    assert control.pause(edition, "a wrong title")
    before, paused = len(sink.mails()), time.monotonic()
    sender.join(60)
    stopped = time.monotonic() - paused
    # Two a second, for two seconds, and the two that were under way. "slow" is a second.
    after = len(sink.mails()) - before
    assert after <= 6, f"{after} mails after the pause, the last {stopped:.1f} s after it"
    counted = control.account(edition).states
    assert counted["accepted"] == before + after
    assert counted["pending"] == READERS - before - after

    control.resume(edition, now=make.NOON)
    send_due(lambda: make.NOON)
    assert Counter(mail.rcpt[0] for mail in sink.mails()).most_common(1)[0][1] == 1
    assert len(sink.mails()) == READERS
