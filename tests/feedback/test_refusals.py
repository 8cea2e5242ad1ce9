"""What a server refuses in the SMTP session counts as a bounce, a point a day."""

from datetime import date, timedelta

import pytest

from digest.deliveries import control
from digest.deliveries.plan import plan
from digest.deliveries.schedule import release_at
from digest.deliveries.send import send_due
from digest.models import Delivery, Edition
from digest.tasks import catch_up
from subscribers.models import Suppression
from tests import make
from tests.smtp_sink import Illness

pytestmark = pytest.mark.django_db
OTHERS = 6


@pytest.fixture
def relay(sink, settings, tmp_path):
    settings.STATE_DIR = tmp_path / "state"
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    settings.MAILER_URL = sink.url
    first = release_at(make.DAY) - timedelta(days=1)
    make.reader("ann+rcpt-550@gone.example", "graphs", at=first)
    for number in range(OTHERS):
        make.reader(f"r{number}@d{number % 3}.example", "graphs", at=first)
    return sink


def send_day(step: int) -> None:
    day = make.DAY + timedelta(days=step)
    now = make.NOON + timedelta(days=step)
    make.edition({make.paper(step + 1, day=day): {"graphs": 1.0}}, day=day)
    plan(now)
    send_due(lambda: now)
    catch_up(now + timedelta(minutes=1))


def suppressed_after(days: int) -> list[int]:
    """The days, from 0, after which an address was suppressed."""
    found = []
    for step in range(days):
        send_day(step)
        if Suppression.objects.exists():
            found.append(step)
    return found


def test_b2_refusals_on_five_days_suppress_the_address(relay):
    assert suppressed_after(8) == [4, 5, 6, 7]
    assert Suppression.objects.get().reason == "bounced"
    refused = Delivery.objects.filter(state="refused")
    assert refused.count() == 5
    assert len(relay.mails()) == OTHERS * 8


@pytest.mark.embedded
@pytest.mark.parametrize("reply", ["554 5.7.1 looks like spam", "451 4.7.1 greylisted"])
def test_b2_what_is_said_of_the_mail_or_for_now_is_no_bounce(reply, relay):
    relay.ails(Illness("dot", reply, lambda number: number % (OTHERS + 1) == 0))
    assert suppressed_after(6) == [4, 5]
    assert Suppression.objects.count() == 1, "only the one that is refused by name"


def test_b2_a_relay_that_refuses_all_is_nobodys_bounce(relay):
    relay.ails(Illness("rcpt", "550 no such user"))
    assert suppressed_after(7) == []


def test_b2_refusals_that_were_wrong_do_not_count(relay):
    for step in range(4):
        send_day(step)
        now = make.NOON + timedelta(days=step, minutes=2)
        edition = Edition.objects.latest("day")
        assert edition.day == date(2026, 4, 17) + timedelta(days=step)
        assert control.retry_refused(edition, make.NOON, now=now) == 1
        Delivery.objects.filter(state="pending").update(state="skipped")
    send_day(4)
    assert not Suppression.objects.exists()
