"""Mails whose answer was lost are asked about again: by the same key, and only while."""

from datetime import timedelta

import pytest

from digest.deliveries import control, fencing, idempotent_retry
from digest.deliveries.plan import plan
from digest.deliveries.send import send_due
from digest.models import Delivery, Edition, Frame
from digest.ranking import loaded
from subscribers.models import Subscriber
from tests import make

pytestmark = pytest.mark.django_db
LATER = make.NOON + timedelta(minutes=16)


@pytest.fixture
def lost(use, settings):
    """lost("resend"): an edition whose answers have all been lost, though it was taken."""

    def deliver(name: str, reader: str = "ann+http-keep-dropx2"):
        loaded.load.cache_clear()
        server = use(name)
        topic = make.topic("graphs")
        make.edition({make.paper(1, upvotes=3): {topic.slug: 1.0}})
        make.reader(f"{reader}@example.org", "graphs")
        plan(make.NOON)
        assert dict(+send_due(lambda: make.NOON)) == {"unknown": 1}
        return server

    return deliver


def states() -> list[str]:
    return list(make.states().values())


@pytest.mark.parametrize("name", ["resend", "brevo"])
def test_a3_a4_a_lost_answer_is_asked_for_later_by_the_same_key_and_bytes(
    lost, journal, name
):
    lost(name, "ann+http-502x2")  # nothing was taken: now it is, once
    assert idempotent_retry.ask_again(LATER) == 1
    assert states() == ["accepted"]
    asked = journal()
    assert len(asked) == 3
    assert len({(one["key"], one["hash"]) for one in asked}) == 1
    assert len(journal("journal")) == 1
    row = Delivery.objects.get()
    assert [event.kind for event in row.events.order_by("at")] == ["unknown", "accepted"]
    assert idempotent_retry.ask_again(LATER) == 0 and len(journal()) == 3


@pytest.mark.parametrize("name", ["resend", "brevo"])
def test_in_test_mode_the_operator_is_asked_about_and_no_reader_named(
    lost, journal, settings, name
):
    settings.TEST_MODE_TO = "ada+http-502x2@example.org"
    lost(name, "ann")
    assert idempotent_retry.ask_again(LATER) == 1
    asked = journal()
    assert len(asked) == 3 and len({(one["key"], one["hash"]) for one in asked}) == 1
    assert [one["rcpt"] for one in journal("journal")] == [["ada+http-502x2@example.org"]]
    assert all("ann@" not in str(one["body"]) for one in journal("bodies"))
    assert all("delivery_id" not in str(one["body"]) for one in journal("bodies"))


@pytest.mark.parametrize(
    ("name", "last"), [("resend", timedelta(hours=23)), ("brevo", timedelta(minutes=24))]
)
def test_a3_a4_a_key_that_the_provider_may_have_forgotten_is_not_used(lost, name, last):
    lost(name, "ann+http-502")
    Delivery.objects.update(expires_at=make.NOON + timedelta(days=9))
    assert idempotent_retry.waiting(make.NOON + last).exists()
    too_late = make.NOON + last + timedelta(hours=1)
    assert not idempotent_retry.waiting(too_late).exists()
    assert idempotent_retry.ask_again(too_late) == 0 and states() == ["unknown"]


def test_a3_without_a_yes_the_row_stays_unknown_and_waits_longer_each_time(lost, journal):
    lost("resend", "ann+http-502")
    now, gaps = LATER, []
    for _ in range(3):
        asked = len(journal())
        assert idempotent_retry.ask_again(now) == 0
        assert len(journal()) == asked + 1 and states() == ["unknown"]
        gaps.append(Delivery.objects.get().not_before - now)
        assert not idempotent_retry.waiting(now + gaps[-1] - timedelta(seconds=1)).exists()
        now += gaps[-1]
    assert gaps == sorted(gaps) and gaps[0] < gaps[-1]


def leaves() -> None:
    Subscriber.objects.update(state="unsubscribed")


def is_paused() -> None:
    Edition.objects.update(hold=Edition.Hold.PAUSED)


def is_restored() -> None:
    control.quarantine(make.NOON - timedelta(hours=9), now=LATER)


def lost_its_frame() -> None:
    Frame.objects.all().delete()
    loaded.load.cache_clear()
    Delivery.objects.update(picks="0:0 en@ffffffffffff")


@pytest.mark.parametrize("happens", [leaves, is_paused, is_restored, lost_its_frame])
def test_a3_nobody_asks_for_a_mail_that_may_not_go_out(lost, journal, happens):
    lost("resend", "ann+http-502")
    asked = len(journal())
    happens()
    assert idempotent_retry.ask_again(LATER) == 0
    assert len(journal()) == asked


def test_o8_another_account_is_not_asked_about_mails_of_the_first(lost, journal, settings):
    lost("resend", "ann+http-502")
    asked = len(journal())
    settings.ANYMAIL = settings.ANYMAIL | {"RESEND_API_KEY": "another"}
    assert idempotent_retry.waiting(LATER).exists()
    assert idempotent_retry.ask_again(LATER) == 0
    assert len(journal()) == asked


def test_r14_a_database_that_is_behind_asks_nobody(lost, journal):
    lost("resend", "ann+http-502")
    asked = len(journal())
    mark = fencing.rise()
    mark.count += 9
    fencing.remember(mark)
    with pytest.raises(fencing.SendingRefused):
        idempotent_retry.ask_again(LATER)
    assert len(journal()) == asked
    fencing.path().unlink()
