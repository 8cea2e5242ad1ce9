"""Old deliveries are folded, and whatever is asked of them has the same answer as before."""

import io
import re
import sys
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.forms import model_to_dict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from digest import privacy, signing
from digest.deliveries import control, counts, history, sweep
from digest.deliveries.plan import HORIZON, due_editions, plan, plan_edition
from digest.deliveries.planned_rows import AWAY_DAYS
from digest.deliveries.schedule import DAILY_LATENESS, release_at
from digest.deliveries.send import send_due
from digest.feedback import events
from digest.feedback.events import Report
from digest.models import (
    Delivery,
    DeliveryEvent,
    Edition,
    FoldedDeliveries,
    Frame,
    Vote,
    folded,
)
from digest.models.editions import DAYS
from digest.ranking import votes
from digest.ranking.interleaving import credit
from digest.ranking.sent_before import sent_before
from digest.site.private_feed import digest_of
from subscribers import links
from subscribers import privacy as people
from subscribers.models import Link, Subscriber, Suppression
from tests import make
from tests.race import at_once

pytestmark = pytest.mark.django_db

NOW = make.NOON
LATER = NOW + folded.FOLDED_AFTER + timedelta(days=1)
READERS = [f"r{number}@example.org" for number in range(4)]


@pytest.fixture
def edition(sink, settings) -> Edition:
    """An edition that went to three readers; one left before, one had no paper of theirs."""
    settings.MAILER_URL = sink.url
    papers = {make.paper(1): {"graphs": 1.0}, make.paper(2): {"graphs": 0.5}}
    found = make.edition(papers)
    make.readers(READERS, "graphs")
    make.reader("nothing@example.org", "robots")
    assert plan(NOW) == 5
    Subscriber.objects.filter(email=READERS[3]).update(state="unsubscribed")
    assert send_due(lambda: NOW)["accepted"] == 3
    return found


def fold() -> int:
    return sweep.fold_deliveries(LATER)


def printed(*command: str) -> bytes:
    """What the command writes."""
    out = io.TextIOWrapper(io.BytesIO())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        call_command(*command, stdout=out, stderr=io.StringIO())
    out.flush()
    return out.buffer.getvalue()


def doors() -> dict[int, dict[str, str]]:
    """Return the tokens behind which each reader's own pages are, by their purpose."""
    return {
        reader.pk: {
            purpose.value: links.make(reader, purpose, now=timezone.now())
            for purpose in (Link.Purpose.PREFERENCES, Link.Purpose.DATA)
        }
        for reader in Subscriber.objects.all()
    }


def answers(edition: Edition, tokens: dict[int, dict[str, str]]) -> dict[str, object]:
    """Return what readers, operators and programs are told of an edition's deliveries."""
    User.objects.get_or_create(username="op", is_staff=True, is_superuser=True)
    told: dict[str, object] = {}
    columns = [field.name for field in Delivery._meta.fields if not field.generated]
    for reader in Subscriber.objects.order_by("pk"):
        row = folded.of(edition, reader.pk)
        assert row and folded.find(row.pk) == row
        who, name = reader.email, signing.name(signing.Purpose.PAGE, row.pk)
        pages = [reverse("digest", args=[name]), reverse("vote", args=[name, 0])]
        mine, data = tokens[reader.pk].values()
        pages += [reverse("past_digests", args=[mine]), reverse("why", args=[mine])]
        pages += [reverse("data", args=[data])]
        pages += [reverse("console_reader", args=[reader.pk])]
        pages += [reverse("console_sent", args=[row.pk])]
        told |= {f"{who} {page}": shown(page) for page in pages}
        told[f"{who} row"] = model_to_dict(row, columns)
        told[f"{who} data"] = privacy.personal_data(reader)
        told[f"{who} feed"] = list(digest_of(reader, edition))
        told[f"{who} history"] = [
            printed("delivery", by, "--json") for by in (who, str(row.pk))
        ]
        if row.state == "accepted":
            told[f"{who} mail"] = printed("replay", who, f"{edition.day}")
            told[f"{who} pick"] = votes.picked(name, 0)
            why = printed("replay", who, f"{edition.day}", "--paper", "2604.00001")
            told[f"{who} why"] = why
    told["page"] = shown(reverse("console_edition", args=[edition.pk]))
    told["sums"] = control.account(edition)
    told["counts"] = sorted(counts.of_editions([edition.pk])[edition.pk].rows)
    return told


def shown(path: str) -> tuple[int, str]:
    """Return a page's status and content, without what is different each time."""
    client = Client()
    if path.startswith(f"/{settings.ADMIN_PATH}/"):
        client.force_login(User.objects.get())
    answer = client.get(path)
    content = answer.content.decode()
    content = re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"', "", content)
    return answer.status_code, re.sub(r'nonce="[^"]*"', "", content)


def test_t34_whatever_is_asked_of_a_folded_delivery_has_the_same_answer(edition):
    tokens = doors()
    before = answers(edition, tokens)
    pages = [told for what, told in before.items() if f"{READERS[0]} /" in what]
    assert before[f"{READERS[0]} mail"] and len(pages) == 7
    assert all(isinstance(page, tuple) and page[0] == 200 for page in pages)
    assert fold() == 5 and not Delivery.objects.exists()
    edition.refresh_from_db()
    after = answers(edition, tokens)
    assert after.keys() == before.keys()
    for what, told in before.items():
        assert after[what] == told, what
    assert sent_in(edition) == [0, 1]


def sent_in(edition: Edition) -> list[int]:
    """Return the positions that the first reader had, as another edition of these papers sees."""
    week = Edition.objects.create(kind="weekly", day=edition.day, published_at=NOW)
    for block in list(edition.blocks.all()):
        block.pk, block.edition = None, week
        block.save()
    first = Subscriber.objects.order_by("pk")[0].pk
    found = sorted(place for _, place in sent_before(week, [first]))
    assert not list(sent_before(week, [first], until=NOW - timedelta(days=1)))
    return found


def test_folded_rows_keep_each_value_as_it_was():
    odd = {"state": "abandoned", "lane": 1, "attempts": 8, "reason": "crashed in flight"}
    odd |= {"reply": '250 \u2028 \\ " 🎉 ü', "relay": "b", "lease_token": "12345678"}
    odd |= {"picks": "0:1+0 de/titles@1f2e3d4c5b6a\nwords", "subscriber_id": 7}
    at = NOW.replace(microsecond=999_999)
    times = {"due_at": NOW, "not_before": at, "expires_at": at + timedelta(days=400)}
    rows = [
        Delivery(pk=2**40, edition_id=3, **times, intent_at=at, outcome_at=at, **odd),
        Delivery(pk=5, edition_id=3, **times, state="skipped", subscriber_id=9),
        Delivery(pk=6, edition_id=3, **times, state="accepted", subscriber_id=None),
    ]
    one = FoldedDeliveries(edition_id=3, span=0)
    one.fill(rows)
    columns = [field.name for field in Delivery._meta.fields if not field.generated]
    kept = {row.pk: model_to_dict(row, columns) for row in one.deliveries()}
    assert kept == {row.pk: model_to_dict(row, columns) for row in rows}
    assert (one.first_id, one.last_id, one.size) == (5, 2**40, 3)
    assert [row.pk for row in one.deliveries([9])] == [5]


def test_votes_on_folded_mails_count_for_the_ranking_that_they_came_from(edition):
    Edition.objects.update(variant="other")
    Delivery.objects.filter(state="accepted").update(picks="0:0b 1:0a en@1f2e3d4c5b6a")
    reader, paper = (
        Subscriber.objects.order_by("pk")[0],
        edition.blocks.get(position=0).paper,
    )
    votes.cast(reader.pk, paper, Vote.Value.MORE, now=NOW)
    before = credit("other")
    assert before.votes == 1
    fold()
    assert credit("other") == before


def test_twice_at_once_and_half_way_each_row_is_folded_once(edition, monkeypatch):
    monkeypatch.setattr(folded, "SPAN", 2)
    monkeypatch.setattr(sweep, "SPAN", 2)
    rows = set(Delivery.objects.values_list("pk", flat=True))
    assert sweep.fold_deliveries(LATER, batches=1) < 5
    with transaction.atomic():
        assert fold()
        transaction.set_rollback(True)
    fold()
    assert fold() == 0
    kept = [row.pk for one in FoldedDeliveries.objects.all() for row in one.deliveries()]
    assert sorted(kept) == sorted(rows) and not Delivery.objects.exists()


def test_t34_nobody_gets_a_folded_edition_again(edition):
    assert fold() == 5
    edition.refresh_from_db()
    assert plan_edition(edition, LATER) == 0
    # As after a clock that had been months ahead.
    assert not due_editions(NOW).exists() and plan(NOW) == 0
    with pytest.raises(CommandError, match="too old"):
        call_command("deliver", "--day", f"{edition.day}")
    assert not Delivery.objects.exists()


def test_rows_stay_for_longer_than_an_edition_is_due_and_its_usual_look_back():
    """Beyond that, who was away is asked of folded rows, or gets the day's edition."""
    most_away = timedelta(days=7 + AWAY_DAYS)
    to_release = release_at(NOW.date()) - release_at(NOW.date()).replace(hour=0, minute=0)
    usual = to_release + timedelta(days=1) + DAILY_LATENESS
    looked_back = max(timedelta(days=max(DAYS.values()) - 1), most_away) + usual
    assert max(HORIZON, looked_back) < folded.FOLDED_AFTER < sweep.KEPT


def test_what_is_open_unknown_or_has_a_history_stays(edition):
    first, second, *_ = Delivery.objects.filter(state="accepted").order_by("pk")
    history.note([first], "accepted", source="operator", reason="told", now=NOW)
    for state in ("unknown", "submitting", "pending"):
        Delivery.objects.filter(pk=second.pk).update(state=state)
        assert fold() == 0
        assert not Edition.objects.get().folded_at
    Delivery.objects.filter(pk=second.pk).update(state="accepted")
    assert fold() == 4
    assert Delivery.objects.get() == first
    DeliveryEvent.objects.all().delete()
    assert fold() == 1
    assert FoldedDeliveries.objects.get().size == 5


def test_nothing_is_folded_before_its_time_and_no_edition_without_rows(edition):
    empty = make.edition({}, day=edition.day - timedelta(days=1))
    assert sweep.fold_deliveries(LATER - timedelta(days=1)) == 0
    assert fold() == 5
    empty.refresh_from_db()
    assert not empty.folded_at


def test_g3_an_erased_reader_leaves_nothing_of_theirs_in_folded_rows(edition):
    Delivery.objects.update(reply="250 ok r0@example.org")
    one, other = Subscriber.objects.order_by("pk")[:2]
    picks = "0:0+0 en@1f2e3d4c5b6a\nwhat one wishes"
    Delivery.objects.filter(subscriber=one).update(picks=picks)
    row = Delivery.objects.get(subscriber=one)
    fold()
    sums = control.account(Edition.objects.get())
    people.erase(one.pk, now=NOW)
    assert folded.of_readers(one.pk) == []
    left = folded.find(row.pk)
    assert left and (left.subscriber_id, left.reply, left.picks) == (None, "", "")
    assert [kept.reply for kept in folded.of_readers(other.pk)] == ["250 ok r0@example.org"]
    assert control.account(Edition.objects.get()) == sums
    packed = [one.deliveries() for one in FoldedDeliveries.objects.all()]
    assert not [row for rows in packed for row in rows if "wishes" in row.picks]


def test_a_report_on_a_folded_delivery_still_finds_its_reader(edition):
    row = Delivery.objects.filter(state="accepted").order_by("pk")[0]
    fold()
    assert events.take([Report("complained", "key", NOW, row.pk)], now=LATER) == 1
    event = DeliveryEvent.objects.get()
    reader = Subscriber.objects.get(email=READERS[0])
    assert (event.delivery_id, event.email_hash) == (None, reader.email_hash)
    assert Suppression.objects.get().email_hash == reader.email_hash


def test_folded_rows_go_with_the_others_after_ninety_days(edition):
    Frame.objects.get_or_create(edition=edition, fingerprint="f" * 12, data="{}")
    fold()
    assert sweep.prune_deliveries(NOW + sweep.KEPT) == 0
    assert Frame.objects.exists()
    assert sweep.prune_deliveries(NOW + sweep.KEPT + timedelta(days=1)) == 5
    assert not FoldedDeliveries.objects.exists() and not Frame.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_folded_while_a_plan_an_erasure_and_another_fold_run(edition):
    reader = Subscriber.objects.order_by("pk")[0]
    at_once(
        fold,
        fold,
        lambda: plan_edition(edition, NOW),
        lambda: people.erase(reader.pk, now=NOW),
    )
    fold()
    rows = [row for one in FoldedDeliveries.objects.all() for row in one.deliveries()]
    rows += Delivery.objects.all()
    owners = [row.subscriber_id for row in rows]
    assert len(rows) == 5 and owners.count(None) == 1 and len(set(owners)) == 5


def test_a_readers_page_asks_as_often_whatever_is_folded(admin_client: Client) -> None:
    reader, counts = make.reader("ann@example.org", "graphs"), []
    for number in (1, 2, 3):
        day = make.DAY - timedelta(days=20 + number)
        old = make.edition({}, day=day)
        row = Delivery(pk=number, edition=old, subscriber=reader, state="accepted")
        row.due_at = row.not_before = row.expires_at = NOW - timedelta(days=20 + number)
        packed = FoldedDeliveries(edition=old, span=folded.span_of(row))
        packed.fill([row])
        packed.save()
        with CaptureQueriesContext(connection) as asked:
            page = admin_client.get(reverse("console_reader", args=[reader.pk]))
        assert page.text.count('<details class="delivery">') == number
        counts.append(len(asked))
    assert counts[0] == counts[1] == counts[2]


def test_the_admins_list_says_where_folded_deliveries_are(admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:digest_delivery_changelist")).text
    assert "older than 16 days are folded and not listed here" in page
