"""A small world with a clock to shift, a server's journal, and the truth about consent.

The truth is learned only from answers to requests and from what was done; see life.py.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

import time_machine
from django.conf import settings
from django.core import mail as mailbox
from django.db import transaction
from django.test import Client
from django.utils import timezone
from hypothesis.stateful import RuleBasedStateMachine, invariant

from digest.deliveries.plan import plan
from digest.deliveries.send import send_due
from digest.models import Delivery
from digest.ranking import loaded
from digest.tasks import catch_up
from subscribers import subscriptions
from subscribers.models import Subscriber
from tests import make
from tests.sink import Sink

# Some with the fault that their digests meet; single mails are kept in memory instead.
NAMES = ["ann", "bea", "cem+rcpt-450x2", "dan+dot-keep-dropx1", "eve+rcpt-550"]
TOKEN = re.compile(r"/confirm/([A-Za-z0-9_-]{22})/")
LEAVE = re.compile(rb"^List-Unsubscribe: <[^>]+/u/([\w-]{22})>", re.MULTILINE)
WORLDS = count()


class World(RuleBasedStateMachine):
    """One world; everything in it is undone at the end."""

    sink: Sink

    def __init__(self) -> None:
        super().__init__()
        self.number = next(WORLDS)
        self.savepoint = transaction.savepoint_create()
        self.clock = time_machine.travel(make.NOON, tick=True)
        self.shift = self.clock.start()
        self.client = Client(headers={"host": settings.SITE_HOST})
        self.asked: set[str] = set()  # signed up since they last left
        self.allowed: set[str] = set()
        self.paused: set[str] = set()
        self.barred: set[str] = set()
        self.read = len(self.sink.mails())
        self.seen: set[tuple[str, str]] = set()
        mailbox.outbox.clear()
        loaded.load.cache_clear()

    def teardown(self) -> None:
        try:
            self.end()
        finally:
            self.clock.stop()
            transaction.savepoint_rollback(self.savepoint)

    def end(self) -> None:
        """Days later nothing is open any more."""
        for _ in range(3):
            self.shift.shift(timedelta(hours=1))
            self.beat()
            self.send(timezone.now)
        self.shift.shift(timedelta(days=4))
        catch_up(timezone.now())
        catch_up(timezone.now())
        left = Delivery.objects.filter(state__in=["pending", "claimed", "submitting"])
        assert not left.exists(), f"I2 still open: {list(left.values('state', 'reason'))}"

    def address(self, name: str) -> str:
        first, plus, fault = name.partition("+")
        return f"{first}{self.number}{plus}{fault}@example.org"

    def reader(self, name: str) -> Subscriber | None:
        return Subscriber.objects.filter(email=self.address(name)).first()

    def gone(self, name: str) -> None:
        for names in (self.allowed, self.asked, self.paused):
            names.discard(name)

    def newest_token(self, name: str) -> str | None:
        """Of the links to confirm that were mailed to that reader."""
        mine = [one for one in mailbox.outbox if self.address(name) in one.to]
        found = [match for one in mine if (match := TOKEN.search(str(one.body)))]
        return found[-1][1] if found else None

    def beat(self) -> None:
        now = timezone.now()
        catch_up(now)
        subscriptions.resume_due(now)
        for name in list(self.paused):
            reader = self.reader(name)
            if reader is None or reader.state != Subscriber.State.PAUSED:
                self.paused.discard(name)
        plan(now)

    def send(self, clock: Callable[[], datetime]) -> None:
        try:
            send_due(clock)
        finally:
            self.look()

    def look(self) -> None:
        """At every new mail: who got it, and was that allowed?"""
        names = {self.address(name): name for name in NAMES}
        mails = self.sink.mails()
        for one in mails[self.read :]:
            name, subject = names[one.rcpt[0]], str(one.message["Subject"])
            assert name in self.allowed, f"I5 I9 a mail to {name}, who wants none"
            assert name not in self.paused, f"T7 a mail to {name} in a pause"
            found = LEAVE.search(one.raw)
            assert found, "M1 a mail without a way out"
            mark = (found[1].decode(), subject)
            assert mark not in self.seen, f"I1 {subject} twice to {name}"
            self.seen.add(mark)
        self.read = len(mails)

    @invariant()
    def accepted_means_that_a_mail_arrived(self) -> None:
        """As far as readers are still there."""
        got = {token for token, _ in self.seen}
        accepted = Delivery.objects.filter(state="accepted", subscriber__isnull=False)
        tokens = set(accepted.values_list("subscriber__unsubscribe_token", flat=True))
        assert tokens <= got, "I4 accepted, but nothing arrived"

    @invariant()
    def nobody_reads_unasked(self) -> None:
        active = make.deliverable().values_list("email", flat=True)
        allowed = {self.address(name) for name in self.allowed}
        assert set(active) <= allowed, "I9 active without a confirmation"
