"""The operator's hands: count, pause, cancel, look up, resolve, and refuse a restored copy."""

import json
import re
from datetime import date, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from digest import process
from digest.deliveries import control, fencing, ledger, outcome_journal
from digest.deliveries.plan import plan
from digest.deliveries.send import send_due
from digest.models import BackOff, Block, Delivery, Edition, Fence
from digest.ranking import loaded
from digest.tasks import catch_up
from digest.throttling import circuit_breaker
from digest.transport.outcomes import Outcome, Verdict
from tests import make

pytestmark = pytest.mark.django_db
NOW = make.NOON
ACCEPTED = Outcome(Verdict.ACCEPTED, "accepted", "250 ok")


@pytest.fixture
def sink(sink, settings):
    settings.MAILER_URL = sink.url
    return sink


@pytest.fixture
def edition(settings, tmp_path):
    settings.STATE_DIR = tmp_path / "state"
    return make.edition({make.paper(1): {"graphs": 1.0}})


def readers(*names: str) -> None:
    for name in names:
        make.reader(f"{name}@example.org", "graphs")
    Edition.objects.update(planned_until=None)


def run(*command: str) -> str:
    output = StringIO()
    call_command(*command, stdout=output)
    return output.getvalue()


def counted(day: str = "2026-04-17") -> dict[str, int]:
    told = json.loads(run("edition", day, "--json"))
    assert told["eligible"] == sum(told["states"].values())
    return {state: count for state, count in told["states"].items() if count}


def deliver(now=NOW) -> dict[str, int]:
    plan(now)
    return dict(+send_due(lambda: now))


def unknown_row() -> Delivery:
    readers("ann")
    plan(NOW)
    rows = ledger.claim(NOW, limit=9)
    ledger.intend(rows, {row.delivery_id: "0" for row in rows}, now=NOW)
    ledger.rescue_expired(NOW + timedelta(hours=1))
    return Delivery.objects.get(state="unknown")


def test_r2_an_edition_counts_every_state_and_they_sum_to_the_eligible(sink, edition):
    readers("ann", "bob+rcpt-550", "cem+dot-keep-drop", "dea+rcpt-450")
    make.topic("video")
    make.reader("eve@example.org", "video")
    deliver()
    assert counted() == {
        "accepted": 1,
        "refused": 1,
        "unknown": 1,
        "pending": 1,
        "skipped": 1,
    }
    assert "5 eligible" in run("edition", "2026-04-17")


def test_r4_a_paused_edition_sends_nothing_and_resumed_sends_what_is_open(sink, edition):
    readers("ann", "bob")
    run("edition", "2026-04-17", "pause", "--reason", "a wrong title")
    assert deliver() == {}
    assert counted() == {"pending": 2}
    assert "paused: a wrong title" in run("edition", "2026-04-17")
    run("edition", "2026-04-17", "resume")
    assert deliver() == {"accepted": 2}
    assert len(sink.mails()) == 2


def test_r4_a_pause_holds_for_rows_that_were_claimed_before_it(edition):
    readers("ann")
    plan(NOW)
    rows = ledger.claim(NOW, limit=9)
    control.pause(edition, "wait")
    assert ledger.intend(rows, {rows[0].delivery_id: "0"}, now=NOW) == set()
    ledger.finish(rows[0].lease_token)
    control.resume(edition, now=make.NOON)
    rows = ledger.claim(NOW, limit=9)
    assert len(ledger.intend(rows, {rows[0].delivery_id: "0"}, now=NOW)) == 1


def test_r4_a_cancelled_edition_ends_and_cannot_be_resumed(sink, edition):
    readers("ann")
    plan(NOW)
    run("edition", "2026-04-17", "cancel", "--yes")
    assert counted() == {"skipped": 1}
    with pytest.raises(CommandError, match="not paused"):
        run("edition", "2026-04-17", "resume")
    readers("bob")
    assert deliver() == {}
    catch_up(NOW)
    assert counted() == {"skipped": 2}
    assert sink.mails() == []


def test_r20_a_delivery_tells_its_whole_history_in_the_servers_words(sink, edition):
    readers("ann+rcpt-450x1")
    deliver()
    later = Delivery.objects.get().not_before
    deliver(later)
    told = run("delivery", "ann+rcpt-450x1@example.org")
    first, last = told.index("450 4.0.0 as you asked"), told.index("250 2.0.0 kept")
    assert told.index("due") < first < told.index("intent") < last
    row = Delivery.objects.get()
    kinds = [
        step["kind"]
        for step in json.loads(run("delivery", str(row.pk), "--json"))["history"]
    ]
    assert kinds == ["due", "retry", "intent", "accepted"]
    with pytest.raises(CommandError, match="no such delivery"):
        run("delivery", "nobody@example.org")


def test_an_unknown_is_listed_and_marked_as_sent(edition):
    row = unknown_row()
    assert "crashed in flight" in run("unknown")
    run("unknown", "mark-sent", str(row.pk))
    assert counted() == {"accepted": 1}
    assert "was unknown: crashed in flight" in run("delivery", str(row.pk))
    with pytest.raises(CommandError, match="1 of them were not unknown"):
        run("unknown", "mark-sent", str(row.pk))


def test_an_unknown_is_sent_again_only_by_the_operators_word(sink, edition):
    row = unknown_row()
    assert deliver(NOW + timedelta(hours=2)) == {}
    with pytest.raises(CommandError, match="or --all"):
        run("unknown", "resend")
    run("unknown", "resend", "--all")
    assert dict(+send_due(ledger.database_now)) == {"accepted": 1}
    assert Delivery.objects.get(pk=row.pk).state == "accepted"


def test_an_unknown_that_is_too_late_is_abandoned_and_a_pending_row_expires(edition):
    row = unknown_row()
    readers("bob")
    plan(NOW)
    catch_up(row.expires_at - timedelta(seconds=1))
    assert sorted(make.states().values()) == ["pending", "unknown"]
    catch_up(row.expires_at)
    assert sorted(make.states().values()) == ["abandoned", "expired"]
    assert Delivery.objects.get(pk=row.pk).reason == "crashed in flight"


def test_outcomes_that_the_database_does_not_take_wait_on_disk(edition):
    readers("ann")
    plan(NOW)
    rows = ledger.claim(NOW, limit=9)
    ledger.intend(rows, {rows[0].delivery_id: "0"}, now=NOW)
    outcome_journal.keep({rows[0].delivery_id: ACCEPTED}, rows)
    ledger.rescue_expired(NOW + timedelta(hours=1))
    catch_up(NOW + timedelta(hours=1))
    assert counted() == {"accepted": 1}
    assert (
        outcome_journal.replay(NOW) == 0 and list(outcome_journal.folder().iterdir()) == []
    )


def test_r14_a_restored_database_sends_nothing_until_it_was_told(sink, edition):
    readers("ann", "bob")
    deliver()
    deliver()
    # As a backup of before that day: the rows are gone, and so is the number.
    Delivery.objects.all().delete()
    Edition.objects.update(planned_until=None)
    Fence.objects.update(count=0)
    with pytest.raises(fencing.SendingRefused, match="older than this machine"):
        deliver()
    assert control.quarantine(NOW - timedelta(days=1), now=NOW) == 2
    fencing.accept()
    assert deliver() == {}
    assert counted() == {"unknown": 2}
    Fence.objects.update(count=0)
    with pytest.raises(CommandError, match="quarantine --since"):
        run("deliver")
    assert len(sink.mails()) == 2


def test_r14_what_waited_for_another_attempt_at_the_backup_is_set_aside_too(sink, edition):
    readers("ann+rcpt-450x1")
    deliver()
    later = Delivery.objects.get().not_before
    assert deliver(later) == {"accepted": 1}
    # As a backup of after the refusal: due long before it, and sent after it.
    Delivery.objects.update(state="pending", outcome_at=None)
    Fence.objects.update(count=0)
    with pytest.raises(fencing.SendingRefused):
        deliver(later)
    assert control.quarantine(later - timedelta(minutes=1), now=later) == 1
    assert control.quarantine(later - timedelta(minutes=1), now=later) == 0
    fencing.accept()
    assert deliver(later) == {} and len(sink.mails()) == 1


def test_r14_days_that_the_backup_lacks_hold_the_senders_until_something_is_said(
    sink, edition
):
    readers("ann")
    now = ledger.database_now()
    since = (now - timedelta(days=1)).isoformat()
    Fence.objects.update_or_create(pk=1, defaults={"count": 0})
    fencing.remember(Fence(identity=Fence.objects.get().identity, count=41))
    with pytest.raises(CommandError, match="may have been sent") as refused:
        run("quarantine", "--since", since)
    with pytest.raises(CommandError, match="older than this machine"):
        run("deliver")
    for day in re.findall(r"\d{4}-\d\d-\d\d", str(refused.value)):
        paper = make.paper(int(day[-2:]) + 100, day=date.fromisoformat(day))
        make.edition({paper: {"graphs": 1.0}}, day=date.fromisoformat(day))
    assert "senders may start" in run("quarantine", "--since", since)
    run("deliver")
    assert "accepted" not in make.states().values() and sink.mails() == []


def test_r14_a_copy_for_another_address_sends_nothing(sink, edition, settings):
    settings.EMBEDDED, settings.SITE_URL = False, "https://papers.example.org"
    readers("ann")
    fencing.rise()
    settings.SITE_URL = "https://staging.example.org"
    settings.STATE_DIR = settings.STATE_DIR / "another machine"
    with pytest.raises(fencing.SendingRefused, match="made for https://papers.example.org"):
        deliver()
    run("quarantine", "--since", "2100-01-01T00:00Z")
    assert deliver() == {"accepted": 1}


def test_a_new_database_on_a_machine_that_knew_another_may_send(sink, edition):
    readers("ann")
    fencing.remember(Fence(identity="another-database", count=41))
    assert deliver() == {"accepted": 1}


def test_r9_senders_rest_longer_each_time_and_no_row_pays_for_it(sink, edition, settings):
    readers("ann")
    there, settings.MAILER_URL = settings.MAILER_URL, "smtp://127.0.0.1:9"
    now, rests = NOW, []
    for _ in range(3):
        assert deliver(now) == {"retry": 1, "not tried": 1}
        settings.MAILER_URL = there
        assert deliver(now) == {}, "a resting sender claims nothing"
        settings.MAILER_URL = "smtp://127.0.0.1:9"
        until = BackOff.objects.get().resting_until
        assert until
        rests.append(until - now)
        now = max(Delivery.objects.get().not_before, now + rests[-1])
    assert rests == [circuit_breaker.FIRST_REST * factor for factor in (1, 2, 4)]
    assert Delivery.objects.get().attempts == 0
    settings.MAILER_URL = there
    assert deliver(now) == {"accepted": 1}
    assert BackOff.objects.get().failures == 0


def test_r8_a_wait_that_was_asked_for_is_kept(edition):
    readers("ann")
    plan(NOW)
    rows = ledger.claim(NOW, limit=9)
    ledger.intend(rows, {rows[0].delivery_id: "0"}, now=NOW)
    asked = Outcome(Verdict.RETRY, "provider refuses us", "429", charged=False, wait=900)
    ledger.record({rows[0].delivery_id: asked}, rows, now=NOW)
    assert Delivery.objects.get().not_before == NOW + timedelta(minutes=15)


def test_r12_a_sender_that_shall_stop_claims_nothing(sink, edition):
    readers("ann")
    process.ask_to_stop()
    try:
        assert deliver() == {}
    finally:
        process.MARK[0] = 0
    assert deliver() == {"accepted": 1}


def test_r10_an_edition_that_cannot_be_composed_is_paused_and_another_goes_out(
    sink, edition
):
    readers("ann")
    plan(NOW)
    Block.objects.update(html="no marks", text="no marks")
    loaded.load.cache_clear()  # another process, and newer templates
    later = NOW + timedelta(days=1)
    make.edition({make.paper(2): {"graphs": 1.0}}, day=later.date())
    assert deliver(later) == {"accepted": 1}
    assert Edition.objects.get(hold="paused").hold_reason == "cannot be composed"
    assert counted() in ({"pending": 1}, {"expired": 1})
    assert Delivery.objects.get(edition=edition).attempts == 0
