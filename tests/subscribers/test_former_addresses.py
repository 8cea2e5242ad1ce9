"""A person stays one person when their address changes: all addresses they had are theirs."""

import json
from datetime import datetime, timedelta

import pytest
from django.core.management import CommandError, call_command

from digest import privacy as digest_privacy
from digest.models import DeliveryEvent
from subscribers import (
    address_change,
    consent,
    import_export,
    links,
    privacy,
    requests,
    retention,
    subscriptions,
)
from subscribers.addresses import address_hash, canonical
from subscribers.consent import Origin
from subscribers.import_file import ImportFile
from subscribers.import_rows import KNOWN
from subscribers.models import ConsentEvent, Link, Request, Subscriber, Suppression
from subscribers.rate_limits import Filled
from tests import make
from tests.subscribers.conftest import NOW, ask

pytestmark = pytest.mark.usefixtures("topics")

A, B, C = "ann@a.example", "ann@b.example", "ann@c.example"
HERS = Origin("/subscribe/", "192.0.2.0/24", "hers")
HIS = Origin("/subscribe/", "198.51.100.0/24", "his")
DAY = timedelta(days=1)
YEARS = timedelta(days=3 * 365 + 1)


def join(email: str, *, origin: Origin = HERS, now: datetime = NOW) -> Subscriber:
    subscriptions.subscribe(*ask(email), origin=origin, now=now)
    reader = Subscriber.objects.get(email_hash=address_hash(email))
    token = links.make(reader, Link.Purpose.CONFIRM, now=now)
    subscriptions.confirm(token, origin=origin, now=now)
    return reader


def move(reader: Subscriber, email: str, *, now: datetime) -> None:
    token = links.make(reader, Link.Purpose.ADDRESS, now=now, email=email)
    address_change.confirm(token, origin=HERS, now=now)
    reader.refresh_from_db()


def moved_once() -> Subscriber:
    reader = join(A)
    move(reader, B, now=NOW + DAY)
    return reader


def moved_twice() -> Subscriber:
    reader = moved_once()
    move(reader, C, now=NOW + 2 * DAY)
    return reader


def moved_there_and_back() -> Subscriber:
    reader = moved_once()
    move(reader, A, now=NOW + 2 * DAY)
    return reader


def moved_in_another_case() -> Subscriber:
    reader = moved_once()
    move(reader, B.capitalize(), now=NOW + 2 * DAY)
    return reader


def moved_to_an_address_that_had_left() -> Subscriber:
    other = join(B)
    subscriptions.unsubscribe(other.pk, origin=HERS, now=NOW)
    return moved_once()


def moved_left_and_came_back() -> Subscriber:
    """Her row was dropped in between, so her first receipts have none."""
    reader = moved_once()
    subscriptions.unsubscribe(reader.pk, origin=HERS, now=NOW + 2 * DAY)
    retention.purge(NOW + 100 * DAY)
    assert not Subscriber.objects.exists()
    return join(B, now=NOW + 101 * DAY)


def another_reads_at_the_former_address() -> Subscriber:
    reader = moved_once()
    join(A, origin=HIS, now=NOW + 3 * DAY)
    return reader


def another_has_read_and_gone() -> Subscriber:
    reader = moved_once()
    other = join(A, origin=HIS, now=NOW + 3 * DAY)
    subscriptions.unsubscribe(other.pk, origin=HIS, now=NOW + 4 * DAY)
    retention.purge(NOW + 100 * DAY)
    return reader


HISTORIES = [
    moved_once,
    moved_twice,
    moved_there_and_back,
    moved_in_another_case,
    moved_to_an_address_that_had_left,
    moved_left_and_came_back,
    another_reads_at_the_former_address,
    another_has_read_and_gone,
]


@pytest.fixture(params=HISTORIES, ids=lambda history: history.__name__)
def reader(request) -> Subscriber:
    made: Subscriber = request.param()
    return made


def receipts(origin: Origin) -> int:
    return (
        ConsentEvent.objects.filter(wording=origin.wording).exclude(email_hash="").count()
    )


def test_g2_the_copy_holds_every_receipt_of_hers_and_none_of_his(reader) -> None:
    rows = privacy.personal_data(reader)["consent"]
    assert len(rows) == receipts(HERS)
    assert {row["wording"] for row in rows} == {"hers"}
    assert "192.0.2.0/24" in json.dumps(rows)


def test_g3_an_erasure_leaves_nothing_of_hers_and_all_of_his(reader) -> None:
    his = receipts(HIS)
    hashes = {address_hash(one) for one in (A, B, C)}
    assert privacy.erase(reader.pk, now=NOW + 200 * DAY)
    left = ConsentEvent.objects.exclude(wording="his")
    assert set(left.values_list("email_hash", "network", "source")) == {("", "", "")}
    assert all(row.detail == {} for row in left)
    assert receipts(HIS) == his
    assert consent.verify().wrong == []
    kept = set(Suppression.objects.values_list("email_hash", flat=True))
    assert kept <= hashes  # keyed hashes alone, so that no list brings her back


def test_g5_after_three_years_a_current_readers_proof_is_whole(reader) -> None:
    before = receipts(HERS)
    retention.purge(NOW + YEARS + 110 * DAY)
    assert consent.of_person(reader).filter(kind="confirmed").exists()
    current = ConsentEvent.objects.filter(subscriber=reader)
    assert not current.filter(email_hash="").exists()
    assert receipts(HERS) <= before


def test_g5_receipts_of_who_has_gone_are_blanked_each_when_it_is_old() -> None:
    reader = moved_once()
    later = NOW + 400 * DAY
    subscriptions.unsubscribe(reader.pk, origin=HERS, now=later)
    retention.purge(later + 91 * DAY)
    retention.purge(NOW + YEARS + 2 * DAY)
    left = ConsentEvent.objects.exclude(email_hash="")
    assert set(left.values_list("kind", flat=True)) == {"unsubscribed"}
    retention.purge(later + YEARS)
    assert not ConsentEvent.objects.exclude(email_hash="").exists()


@pytest.mark.parametrize("end", ["reads on", "left", "erased"])
def test_g3_no_import_of_an_old_list_brings_a_former_address_back(end, tmp_path) -> None:
    reader = moved_twice()
    if end == "left":
        subscriptions.unsubscribe(reader.pk, origin=HERS, now=NOW + 3 * DAY)
    if end == "erased":
        privacy.erase(reader.pk, now=NOW + 3 * DAY)
    old_list = tmp_path / "old.csv"
    old_list.write_text(f"email\n{A}\n{B}\n{C}\n")
    rows = import_export.load(
        ImportFile(old_list, KNOWN), legal_source="bought", now=NOW + 4 * DAY
    )
    assert all(row.words for row in rows)
    assert Subscriber.objects.filter(state="active").count() == (end == "reads on")


def test_a_new_holder_of_a_former_address_can_sign_up() -> None:
    moved_once()
    his = join(A, origin=HIS, now=NOW + 3 * DAY)
    assert make.deliverable().filter(pk=his.pk).exists()


@pytest.mark.parametrize("email", [A, A.upper(), A.capitalize(), "Ann@A.example"])
@pytest.mark.parametrize("kind", Request.Kind)
def test_g3_open_requests_go_in_whatever_letter_case(
    email: str, kind: Request.Kind
) -> None:
    reader = join(A)
    other = "bob@a.example"
    for address in (email, other):
        requests.put(
            Request(kind=kind, email=address, preferences={"interests": "graphs"}),
            origin=HERS,
            filled=Filled(),
            now=NOW,
        )
    requests.ask_to_move(reader.pk, canonical(C), origin=HERS, filled=Filled(), now=NOW)
    assert len(privacy.personal_data(reader)["open_requests"]) == 2
    privacy.erase(reader.pk, now=NOW)
    assert list(Request.objects.values_list("email", flat=True)) == [other]


def report(email: str, at: datetime, key: str) -> None:
    DeliveryEvent.objects.create(
        email_hash=address_hash(email),
        at=at,
        source="provider",
        kind="bounced",
        reply=f"550 {email}",
        event_key=key,
    )


def test_g3_reports_on_a_former_address_go_too_but_not_another_readers() -> None:
    reader = moved_twice()
    join(A, origin=HIS, now=NOW + 3 * DAY)
    for number, email in enumerate((A, B, C)):
        report(email, NOW, str(number))
    assert len(digest_privacy.personal_data(reader)["delivery_events"]) == 2
    privacy.erase(reader.pk, now=NOW + 4 * DAY)
    left = DeliveryEvent.objects.exclude(reply="")
    assert [one.reply for one in left] == [f"550 {A}"]


def test_g3_who_left_long_ago_can_be_erased_by_address() -> None:
    reader = join(A)
    subscriptions.unsubscribe(reader.pk, origin=HERS, now=NOW)
    retention.purge(NOW + 91 * DAY)
    assert receipts(HERS) == 3
    call_command("subscribers", "erase", "ANN@A.example")
    assert receipts(HERS) == 0
    assert consent.verify().wrong == []
    with pytest.raises(CommandError, match="there is no data about this address"):
        call_command("subscribers", "erase", A)
