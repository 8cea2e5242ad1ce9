"""The ledger's transitions, their guards and their races."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from digest.deliveries import ledger
from digest.deliveries.plan import plan
from digest.models import Delivery, Lease
from digest.transport.outcomes import Outcome, Verdict
from subscribers import suppression
from subscribers.models import Subscriber, Suppression
from tests import make
from tests.race import at_once

pytestmark = pytest.mark.django_db

NOW = make.NOON
ACCEPTED = Outcome(Verdict.ACCEPTED, "accepted", "250 ok")
LATER = Outcome(Verdict.RETRY, "temporary refusal", "450 later")


@pytest.fixture
def due():
    """Makes rows for that many readers and returns the readers."""

    def make_due(count: int) -> list[Subscriber]:
        make.edition({make.paper(1): {"graphs": 1.0}})
        emails = [f"r{number}@example.org" for number in range(count)]
        readers = make.readers(emails, "graphs")
        assert plan(NOW) == count
        return readers

    return make_due


def claim(limit: int = 10, now: datetime = NOW) -> list[ledger.Claimed]:
    return ledger.claim(now, limit=limit)


def intend(rows: list[ledger.Claimed], now: datetime = NOW) -> set[int]:
    return ledger.intend(rows, {row.delivery_id: "0" for row in rows}, now=now)


def the_states() -> list[str]:
    return sorted(make.states().values())


def test_a_row_goes_from_pending_to_accepted(due):
    due(1)
    rows = claim()
    assert the_states() == ["pending"]
    assert Lease.objects.get().deliveries == str(rows[0].delivery_id)
    assert intend(rows) == {rows[0].delivery_id}
    assert the_states() == ["submitting"]
    assert ledger.record({rows[0].delivery_id: ACCEPTED}, rows, now=NOW) == 1
    row = Delivery.objects.get()
    assert (row.state, row.reply, row.picks) == ("accepted", "250 ok", "0")
    assert (row.intent_at, row.outcome_at) == (NOW, NOW)


def test_what_is_claimed_is_claimed_once(due):
    due(3)
    assert [len(claim(2)), len(claim(2)), len(claim(2))] == [2, 1, 0]


def test_nothing_is_claimed_before_its_time(due):
    due(1)
    assert claim(now=NOW - timedelta(hours=4)) == []


def test_the_oldest_due_is_claimed_first():
    make.edition({make.paper(1): {}})
    for hour in (11, 9, 10):
        make.reader(f"at{hour}@example.org", when=make.schedule("UTC", hour))
    plan(NOW)
    order = [row.subscriber_id for row in claim()]
    emails = dict(Subscriber.objects.values_list("pk", "email"))
    assert [emails[pk or 0] for pk in order] == [
        "at9@example.org",
        "at10@example.org",
        "at11@example.org",
    ]


def test_who_unsubscribed_after_the_claim_gets_nothing(due):
    readers = due(3)
    rows = claim()
    Subscriber.objects.filter(pk=readers[0].pk).update(state="unsubscribed")
    suppression.suppress(readers[1].email_hash, Suppression.Reason.BLOCKED, now=NOW)
    assert len(intend(rows)) == 1
    assert make.states() == {
        "r0@example.org": "skipped",
        "r1@example.org": "skipped",
        "r2@example.org": "submitting",
    }
    assert set(
        Delivery.objects.filter(state="skipped").values_list("reason", flat=True)
    ) == {"no longer subscribed"}


def test_who_was_erased_after_the_claim_gets_nothing(due):
    readers = due(1)
    rows = claim()
    readers[0].delete()
    assert intend(rows) == set()
    row = Delivery.objects.get()
    assert (row.state, row.picks) == ("pending", "")  # nothing of theirs is written again
    ledger.finish(rows[0].lease_token)
    assert intend(claim()) == set()
    assert Delivery.objects.get().state == "skipped"


def test_a_reader_for_whom_the_day_has_nothing_is_skipped_with_the_reason(due):
    due(1)
    rows = claim()
    assert ledger.intend(rows, {}, now=NOW) == set()
    assert Delivery.objects.get().reason == "no paper of the reader's topics"


def test_what_is_too_late_expires(due):
    due(1)
    later = NOW + timedelta(days=1)
    assert intend(claim(now=later), now=later) == set()
    assert the_states() == ["expired"]


def test_a_temporary_no_waits_and_counts(due):
    due(1)
    rows = claim()
    intend(rows)
    ledger.record({rows[0].delivery_id: LATER}, rows, now=NOW)
    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.reason) == ("pending", 1, "temporary refusal")
    assert NOW < row.not_before < NOW + timedelta(hours=1, minutes=1)
    ledger.finish(rows[0].lease_token)
    assert claim() == []
    assert len(claim(now=row.not_before)) == 1


def test_a_row_that_always_fails_ends_refused(due):
    due(1)
    now = NOW
    for _ in range(ledger.MOST_ATTEMPTS):
        assert the_states() == ["pending"]
        rows = claim(now=now)
        Delivery.objects.update(expires_at=now + timedelta(days=1))
        intend(rows, now=now)
        ledger.record({rows[0].delivery_id: LATER}, rows, now=now)
        ledger.finish(rows[0].lease_token)
        now = Delivery.objects.get().not_before
    assert the_states() == ["refused"]


def test_a_dead_claim_returns_and_a_dead_hand_over_is_unknown(due):
    due(2)
    rows = claim(1) + claim(1)
    intend(rows[:1])
    assert ledger.rescue_expired(NOW + timedelta(minutes=1)) == (0, 0)
    assert ledger.rescue_expired(NOW + timedelta(minutes=16)) == (1, 1)
    assert the_states() == ["pending", "unknown"]
    assert ledger.rescue_expired(NOW + timedelta(days=1)) == (0, 0)


def test_a_sender_that_slept_through_its_claim_sends_nothing(due):
    due(1)
    slept = claim()
    late = NOW + timedelta(minutes=3)
    ledger.rescue_expired(late)
    other = claim(now=late)
    assert intend(slept, now=late) == set()
    assert intend(other, now=late) == {other[0].delivery_id}


def test_a_late_outcome_upgrades_unknown_and_nothing_else(due):
    due(1)
    rows = claim()
    intend(rows)
    ledger.rescue_expired(NOW + timedelta(hours=1))
    assert ledger.record({rows[0].delivery_id: LATER}, rows, now=NOW) == 0
    assert the_states() == ["unknown"]
    assert ledger.record({rows[0].delivery_id: ACCEPTED}, rows, now=NOW) == 1
    assert ledger.record({rows[0].delivery_id: LATER}, rows, now=NOW) == 0
    assert the_states() == ["accepted"]


def test_a_row_keeps_its_token_while_somebody_may_still_write_by_it(due):
    due(2)
    rows = claim()
    intend(rows)
    lost, taken = [row.delivery_id for row in rows]
    outcomes = {lost: Outcome(Verdict.UNKNOWN, "no reply after dot"), taken: ACCEPTED}
    ledger.record(outcomes, rows, now=NOW)
    token, run = rows[0].lease_token, Delivery.objects.get(pk=taken).run
    stored = dict(Delivery.objects.values_list("pk", "lease_token"))
    assert stored == {lost: token, taken: run} and token.startswith(run) and len(run) == 8
    assert ledger.record({lost: ACCEPTED}, rows, now=NOW) == 1
    assert ledger.record({lost: ACCEPTED, taken: LATER}, rows, now=NOW) == 0
    told = set(Delivery.objects.values_list("state", "reason", "lease_token"))
    assert told == {("accepted", "", run)}


def test_an_outcome_by_another_token_is_nothing(due):
    due(1)
    rows = claim()
    intend(rows)
    stranger = [ledger.Claimed(rows[0].delivery_id, 0, None, 0, "another token")]
    assert ledger.record({rows[0].delivery_id: ACCEPTED}, stranger, now=NOW) == 0
    assert the_states() == ["submitting"]


def test_a_release_gives_back_what_was_not_handed_over(due):
    due(2)
    rows = claim()
    intend(rows[:1])
    ledger.finish(rows[0].lease_token)
    assert the_states() == ["pending", "submitting"]
    assert not Lease.objects.exists()
    assert len(claim()) == 1


def test_a_hostile_reply_is_kept_as_text(due):
    due(1)
    rows = claim()
    intend(rows)
    words = "550 \0'; DROP TABLE digest_delivery; -- %s {} \ud7ff" + "x" * 1000
    refused = Outcome(Verdict.REFUSED, "refused", words)
    ledger.record({rows[0].delivery_id: refused}, rows, now=NOW)
    assert Delivery.objects.get().reply == words.replace("\0", "")[:500]


def test_the_databases_clock_is_the_worlds():
    assert abs(ledger.database_now() - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.django_db(transaction=True)
def test_many_who_claim_at_once_never_share_a_row(due):
    due(60)
    claimed: list[int] = []

    def run():
        while rows := claim(7):
            claimed.extend(row.delivery_id for row in rows)

    at_once(*[run] * 4)
    assert len(claimed) == len(set(claimed)) == 60


def test_a_claim_reads_its_slice_and_not_all_that_is_due(due):
    """Statistics are of yesterday when an edition is planned: no rows are open in them."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    due(3)
    claim(1)
    with CaptureQueriesContext(connection) as captured:
        claim()
    said = [one["sql"] for one in captured.captured_queries]
    (sql,) = [one for one in said if one.lstrip().startswith("SELECT id, edition_id")]
    with transaction.atomic(), connection.cursor() as cursor:
        for setting in said[: said.index(sql)]:
            if setting.startswith("SET LOCAL"):
                cursor.execute(setting)
        explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{explain} {sql}")
        plan_rows = "\n".join(str(row) for row in cursor.fetchall())
    assert "delivery_open" in plan_rows
    assert "Sort" not in plan_rows
    assert "TEMP B-TREE" not in plan_rows
    if connection.vendor == "postgresql":  # the leases are read once, not for each row
        assert plan_rows.count("hashed SubPlan") == plan_rows.count("NOT (ANY")


def test_who_is_erased_leaves_deliveries_that_are_nobodys_and_other_readers_alone(due):
    erased, other = due(2)
    rows = claim()
    assert len(intend(rows)) == 2
    ledger.record({row.delivery_id: ACCEPTED for row in rows}, rows, now=NOW)
    gone = erased.pk
    erased.delete()
    assert not Delivery.objects.of_readers(gone).exists()
    assert Delivery.objects.get(subscriber=None).reply == ""
    assert Delivery.objects.of_readers(other.pk).get().reply == "250 ok"


def test_a_readers_deliveries_are_found_without_reading_everybodys(due):
    (reader,) = due(1)
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # so short a table is read as a whole
            cursor.execute("SET LOCAL enable_seqscan = off")
        steps = Delivery.objects.of_readers(reader.pk).explain()
    _, found, condition = steps.partition(
        "Index Cond:" if connection.vendor == "postgresql" else "USING INDEX"
    )
    assert found
    assert "edition_id" in condition
    assert "subscriber_id" in condition
