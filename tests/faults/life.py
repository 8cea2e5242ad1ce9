"""What happens to readers and machines, in any order (see world.py for what must hold)."""

from contextlib import suppress
from datetime import date, datetime, timedelta
from itertools import count

from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from digest.feedback import events
from digest.models import Delivery, Edition
from subscribers import privacy, requests, subscriptions
from subscribers.consent import Origin
from subscribers.models import Subscriber
from subscribers.notices import send
from subscribers.preferences import Preferences
from tests import make
from tests.faults.world import NAMES, World

ORIGIN = Origin("/preferences/", "", "test")
ZONES = ["UTC", "Asia/Tokyo", "America/New_York", "Australia/Lord_Howe"]
WISHES = ["leave", "complain", "erase", "pause", "sign_up"]
people = st.sampled_from(NAMES)


class Died(BaseException):
    """The sender is gone, wherever it was when it looked at the clock."""


class Life(World):
    # -- what people do ---------------------------------------------------------------

    @initialize()
    def some_read_already(self) -> None:
        make.topic("graphs")
        self.publish()
        for name in NAMES:
            self.sign_up(name)
            self.confirm(name)

    @rule(name=people)
    def sign_up(self, name: str) -> None:
        form = {"email": self.address(name), "topics": ["graphs"], "timezone": "UTC"}
        more = {"send_hour": "9", "cadence": "daily"}
        assert self.client.post("/subscribe/", form | more).status_code == 303
        now = timezone.now()
        requests.handle_open(now=now)
        send.send_open_notices(now=now)
        self.asked.add(name)

    @rule(name=people)
    def confirm(self, name: str) -> None:
        """By the newest link that was mailed, whatever it is worth by now."""
        if token := self.newest_token(name):
            status = self.client.post(f"/confirm/{token}/").status_code
            assert status in (200, 404, 410)
            if status == 200:
                assert name in self.asked | self.allowed, "an old link revived a reader"
                if name not in self.barred:
                    self.allowed.add(name)
            self.asked.discard(name)

    @rule(name=people)
    def scan(self, name: str) -> None:
        """A scanner opens every link that was mailed: nothing changes."""
        before = list(Subscriber.objects.order_by("pk").values("pk", "state", "changed_at"))
        reader, token = self.reader(name), self.newest_token(name)
        links = [f"/confirm/{token}/", f"/block/{token}/"] if token else []
        links += [f"/u/{reader.unsubscribe_token}"] if reader else []
        for link in links:
            for method in (self.client.get, self.client.head, self.client.options):
                method(link)
        after = list(Subscriber.objects.order_by("pk").values("pk", "state", "changed_at"))
        assert before == after, "I7 a GET changed a reader"

    @rule(name=people, zone=st.sampled_from(ZONES), hour=st.integers(0, 23))
    def change(self, name: str, zone: str, hour: int) -> None:
        if reader := self.reader(name):
            wishes = Preferences(topics=("graphs",), timezone=zone, send_hour=hour)
            now = timezone.now()
            make.change_preferences(reader.pk, wishes, origin=ORIGIN, now=now)

    @rule(name=people, days=st.none() | st.integers(1, 5))
    def pause(self, name: str, days: int | None) -> None:
        if reader := self.reader(name):
            now = timezone.now()
            until: date | None = now.date() + timedelta(days=days) if days else None
            subscriptions.pause(reader.pk, until, origin=ORIGIN, now=now)
            if name in self.allowed:
                self.paused.add(name)

    @rule(name=people)
    def resume(self, name: str) -> None:
        if reader := self.reader(name):
            subscriptions.resume(reader.pk, origin=ORIGIN, now=timezone.now())
            self.paused.discard(name)

    @rule(name=people)
    def leave(self, name: str) -> None:
        if reader := self.reader(name):
            answer = self.client.post(f"/u/{reader.unsubscribe_token}", {"x": "y"})
            assert answer.status_code == 200
            self.gone(name)

    @rule(name=people)
    def complain(self, name: str) -> None:
        got = Delivery.objects.filter(subscriber=self.reader(name), state="accepted")
        if (row := got.first()) and self.reader(name):
            now = timezone.now()
            key = f"{self.number}-{row.pk}"
            report = events.Report("complained", key, now, row.pk, self.address(name))
            events.take([report], now=now)
            self.gone(name)
            self.barred.add(name)

    @rule(name=people)
    def erase(self, name: str) -> None:
        if reader := self.reader(name):
            privacy.erase(reader.pk, now=timezone.now())
            self.gone(name)

    # -- what the machines do ----------------------------------------------------------

    @rule()
    def publish(self) -> None:
        day = (timezone.now() - timedelta(hours=9)).date()
        if not Edition.objects.filter(day=day, kind="daily").exists():
            paper = make.paper(100 * self.number % 90_000 + day.day, day=day)
            make.edition({paper: {"graphs": 1.0}}, day=day)

    @rule(minutes=st.sampled_from([1, 10, 60, 60 * 7, 60 * 24]))
    def forward(self, minutes: int) -> None:
        self.shift.shift(timedelta(minutes=minutes))

    @rule(name=people, wish=st.sampled_from([*WISHES, None]))
    def a_day_goes_by(self, name: str, wish: str | None) -> None:
        """With a reader whose wish comes between the plan and the sending."""
        self.shift.shift(timedelta(days=1))
        self.publish()
        self.tick()
        if wish == "pause":
            self.pause(name, None)
        elif wish:
            getattr(self, wish)(name)
        self.deliver()

    @rule()
    def tick(self) -> None:
        self.beat()

    @rule()
    def deliver(self) -> None:
        self.send(timezone.now)

    @rule(after=st.integers(1, 8))
    def deliver_and_die(self, after: int) -> None:
        """The sender dies when it looks at the clock that often, and ends nothing."""
        calls = count(1)

        def clock() -> datetime:
            if next(calls) >= after:
                raise Died
            return timezone.now()

        with suppress(Died):
            self.send(clock)
