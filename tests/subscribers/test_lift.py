"""A bar that should not be there is lifted by an operator, with a reason and a receipt."""

import io
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client

from digest.feedback import events
from digest.feedback.events import Report
from digest.models import DeliveryEvent
from subscribers import consent, privacy, subscriptions
from subscribers.addresses import address_hash
from subscribers.models import ConsentEvent, Notice, Subscriber, Suppression
from subscribers.subscriptions import subscribe
from subscribers.suppression import (
    is_barred,
    is_suppressed,
    lifted_at,
    suppress,
    suppress_all,
    suppress_each,
)
from tests import make
from tests.subscribers.conftest import NOW, ORIGIN, ask

pytestmark = pytest.mark.django_db
ADDRESS = "ann@example.org"
HASH_OF = address_hash
WANTED = ask(ADDRESS, timezone="Europe/Berlin", send_hour=9)
Reason = Suppression.Reason
BARS = [Reason.BOUNCED, Reason.COMPLAINED, Reason.BLOCKED, Reason.MANUAL]


def lift(email: str = ADDRESS, why: str = "our relay's fault") -> str:
    printed = io.StringIO()
    call_command("subscribers", "lift", email, reason=why, stdout=printed)
    return printed.getvalue()


def by_page(client: Client, at: str, why: str = "our relay's fault", **more: object) -> str:
    ids = list(Suppression.objects.values_list("pk", flat=True))
    form = {"action": "lift", "_selected_action": ids, "why": why} | more
    return client.post(f"{at}/suppression/", form, follow=True).text


@pytest.fixture
def at(settings) -> str:
    return f"/{settings.ADMIN_PATH}/subscribers"


def test_what_outdoes_an_imported_opt_out_is_not_taken_from_that_import() -> None:
    suppress_each(
        [("a", Reason.LEFT, NOW), ("b", Reason.LEFT, NOW)], taken_from="old.csv", now=NOW
    )
    suppress("a", Reason.BOUNCED, now=NOW)
    suppress_all({"b"}, Reason.COMPLAINED, now=NOW)
    assert set(Suppression.objects.values_list("taken_from", flat=True)) == {""}


def receipt() -> ConsentEvent:
    return ConsentEvent.objects.get(kind="lifted")


@pytest.mark.parametrize("bar", BARS)
@pytest.mark.parametrize("state", ["active", "paused"])
def test_a_confirmed_reader_gets_mail_again(active: Subscriber, bar, state) -> None:
    if state == "paused":
        subscriptions.pause(active.pk, origin=ORIGIN, now=NOW)
    suppress(active.email_hash, bar, now=NOW)
    assert "mail goes again" in lift("Ann@Example.org")
    assert not is_suppressed(active.email_hash)
    active.refresh_from_db()
    assert active.state == state
    event = receipt()
    assert event.subscriber == active
    assert event.source == "subscribers lift"
    assert event.detail == {
        "why": "our relay's fault",
        "was": bar,
        "since": NOW.isoformat(),
    }
    consent.seal()
    assert consent.verify().wrong == []


@pytest.mark.parametrize("bar", BARS)
@pytest.mark.parametrize("state", ["unsubscribed", "pending", "erased", "never known"])
def test_a_lift_is_no_consent(active: Subscriber, bar, state) -> None:
    address = ADDRESS if state != "never known" else "bob@example.org"
    if state != "never known":
        subscriptions.unsubscribe(active.pk, origin=ORIGIN, now=NOW)
    if state == "pending":
        subscribe(*WANTED, origin=ORIGIN, now=NOW)
    if state == "erased":
        privacy.erase(active.pk, now=NOW)
    before = list(Subscriber.objects.values_list("state", flat=True))
    suppress(HASH_OF(address), bar, now=NOW)
    assert is_barred(HASH_OF(address))
    assert "once its holder confirms" in lift(address)
    assert list(Subscriber.objects.values_list("state", flat=True)) == before
    assert Suppression.objects.get().reason == "left"
    assert receipt().email_hash == HASH_OF(address)
    assert receipt().detail["was"] == bar
    consent.seal()
    assert consent.verify().wrong == []


def test_after_a_lift_the_holder_may_sign_up_anew(active: Subscriber) -> None:
    subscriptions.unsubscribe(active.pk, origin=ORIGIN, now=NOW)
    suppress(active.email_hash, Reason.BOUNCED, now=NOW)
    Notice.objects.all().delete()
    subscribe(*WANTED, origin=ORIGIN, now=NOW)
    assert not Notice.objects.exists()
    lift()
    subscribe(*WANTED, origin=ORIGIN, now=NOW)
    assert Notice.objects.get().kind == "confirm"


@pytest.mark.parametrize(
    ("email", "why", "words"),
    [
        (ADDRESS, " ", "--reason is empty"),
        (ADDRESS, "x", "not barred"),
        ("left@example.org", "x", "only their own confirmation"),
        ("no address", "x", "@"),
    ],
)
def test_what_cannot_be_lifted_is_one_line_and_no_receipt(
    active: Subscriber, email: str, why: str, words: str
) -> None:
    suppress(HASH_OF("left@example.org"), Reason.LEFT, now=NOW)
    with pytest.raises(CommandError, match=words):
        lift(email, why)
    assert Suppression.objects.get().reason == "left"
    assert not ConsentEvent.objects.filter(kind="lifted").exists()


def test_bounces_before_a_lift_are_forgotten_and_new_ones_count() -> None:
    (row,) = make.handed_over()
    reader = Subscriber.objects.get()
    for day in range(5):
        bounce(row.pk, make.NOON + timedelta(days=day))
    assert is_barred(reader.email_hash)
    lift(reader.email)
    lifted = lifted_at([reader.email_hash])[reader.email_hash]
    DeliveryEvent.objects.update(at=lifted - timedelta(days=1))
    for day in range(1, 6):
        assert not is_barred(reader.email_hash)
        bounce(row.pk, lifted + timedelta(days=day))
    assert is_barred(reader.email_hash)


def bounce(delivery: int, at) -> None:
    report = Report("bounced", f"{at}", at, delivery, words="5.2.2 mailbox full")
    events.take([report], now=at)


# -- the admin's page ------------------------------------------------------------------


def test_the_page_lifts_with_a_reason(
    admin_client: Client, active: Subscriber, at: str
) -> None:
    suppress(active.email_hash, Reason.BOUNCED, now=NOW)
    suppress(HASH_OF("left@example.org"), Reason.LEFT, now=NOW)
    assert "Enter a reason" in by_page(admin_client, at, why=" ")
    assert Suppression.objects.count() == 2
    page = by_page(admin_client, at)
    assert "Bars lifted: 1." in page and "only their own confirmation" in page
    assert Suppression.objects.get().reason == "left"
    assert receipt().source == "admin: admin"
    assert receipt().detail["why"] == "our relay's fault"


def test_the_page_finds_a_bar_by_the_whole_address(admin_client: Client, at: str) -> None:
    suppress(HASH_OF(ADDRESS), Reason.BOUNCED, now=NOW)
    found = {
        words: admin_client.get(f"{at}/suppression/", {"q": words}).text
        for words in ("Ann@example.org", "ann", "bob@example.org", HASH_OF(ADDRESS)[:9])
    }
    assert ["1 suppression" in text for text in found.values()] == [True] + [False] * 3


def test_who_may_only_look_lifts_nothing(
    client: Client, active: Subscriber, at: str
) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_suppression"))
    client.force_login(viewer)
    suppress(active.email_hash, Reason.BOUNCED, now=NOW)
    assert "Lift the bar" not in client.get(f"{at}/suppression/").text
    by_page(client, at)
    assert is_barred(active.email_hash)
    assert not ConsentEvent.objects.filter(kind="lifted").exists()
