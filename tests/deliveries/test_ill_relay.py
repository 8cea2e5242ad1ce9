"""A relay that refuses us, at each stage and in each way: no reader pays for it."""

import io
import itertools
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial

import pytest
import trustme
from _pytest.mark import ParameterSet
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from digest.deliveries import ledger
from digest.deliveries.evidence import Evidence, newest_accepted
from digest.deliveries.outlets import BatchSizer
from digest.deliveries.plan import plan
from digest.deliveries.send import send_due
from digest.models import BackOff, Delivery, DeliveryEvent
from digest.throttling import circuit_breaker
from digest.throttling.relay import Relay
from digest.transport import smtp_opening
from digest.transport.base import Mail
from digest.transport.outcomes import Phase, of_reply
from digest.transport.relays import MAIN
from subscribers import suppression
from subscribers.models import Subscriber, Suppression
from tests import make
from tests.sink import Sink, in_thread
from tests.smtp_sink import Illness

pytestmark = pytest.mark.django_db
READERS, DOMAINS = 24, 6
ONE: Callable[[int], bool] = lambda number: number == 5  # noqa: E731
SOME: Callable[[int], bool] = lambda number: number % 3 == 2  # noqa: E731
ALL: Callable[[int], bool] = lambda number: True  # noqa: E731
SHARES = {"one": ONE, "some": SOME, "all": ALL}
BEFORE_RECIPIENTS = [
    ("banner", "554 5.7.1 no service for your address"),
    ("banner", "421 4.3.2 closing"),
    ("ehlo", "504 5.5.2 need a fully qualified host name"),
    ("ehlo", "550 5.7.1 go away"),
    ("starttls", "454 4.7.0 TLS not available"),
    ("auth", "535 5.7.8 bad credentials"),
    ("auth", "454 4.7.0 try later"),
    ("auth", "530 5.7.0 STARTTLS first"),
]
# Whatever is said at MAIL, and these at any stage, is about us or the relay.
OURS = [
    "530 5.7.0 Must issue a STARTTLS command first",
    "530 Authentication required",
    "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
    "554 5.7.1 <ann@example.org>: Relay access denied",
    "554 relay denied",
    "554 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
    "550 JunkMail rejected - your IP is listed, see https://rbl.example",
    "550 5.7.1 Unable to relay",
    "553 sorry, that domain isn't in my list of allowed rcpthosts",
    "504 5.5.2 <host>: Helo command rejected: need fully-qualified hostname",
    "553 5.7.1 <papers@x.example>: Sender address rejected: not owned by user",
    "450 4.1.8 <papers@x.example>: Sender address rejected: Domain not found",
    "550 5.7.26 This mail is unauthenticated: DMARC policy",
    "554 Message rejected: Email address is not verified",
    "503 5.5.1 out of order",
    "452 4.3.1 insufficient system storage",
]
# About us if they are said to all, about a reader if others are taken.
EITHER = [
    "554 5.7.1 looks like spam",
    "550 5.3.0 other mail system problem",
    "550 5.1.1 no such user",
    "552 5.2.2 mailbox full",
    "550 no",
    "451 4.7.1 greylisted",
    "451 try again",
    "450 4.2.1 mailbox busy",
]
AT_MAIL = [*OURS, *EITHER, "553 sender not allowed", "421 4.7.0 closing"]
PLACES = [("mail", share) for share in SHARES] + [("rcpt", share) for share in SHARES]
PLACES += [("data", "all"), ("dot", "some"), ("dot", "all")]


def cases() -> Iterator[ParameterSet]:
    """Each reply at each place. In the suite at three of them, at one on PostgreSQL; so
    each place meets a third of the replies. The others are nightly."""
    for number, reply in enumerate(AT_MAIL):
        for place, (stage, share) in enumerate(PLACES):
            if stage != "mail" and reply not in OURS + EITHER:
                continue
            turn = (place - number) % len(PLACES)
            marks = [] if turn == 0 else [pytest.mark.embedded]
            marks += [pytest.mark.nightly] if turn % 3 else []
            yield pytest.param(stage, reply, share, marks=marks)


@pytest.fixture(autouse=True)
def quick(settings, tmp_path, monkeypatch):
    # On a busy machine groups would shrink, down to one mail that is refused.
    monkeypatch.setattr(BatchSizer, "SECONDS", 3600.0)
    settings.STATE_DIR = tmp_path / "state"
    settings.REDIS_URL = "redis://127.0.0.1:9/0"


@pytest.fixture
def relay(sink: Sink, settings) -> Sink:
    settings.MAILER_URL = sink.url
    return sink


@pytest.fixture
def readers() -> None:
    make.edition({make.paper(1): {"graphs": 1.0}})
    make.readers(
        [f"r{number}@d{number % DOMAINS}.example" for number in range(READERS)], "graphs"
    )


def deliver(now: datetime = make.NOON) -> dict[str, int]:
    """Plan and send at this instant, by a clock that ticks each time it is read."""
    plan(now)
    ticks = itertools.count()
    return dict(+send_due(lambda: now + timedelta(microseconds=next(ticks))))


def states() -> set[tuple[str, int]]:
    return set(Delivery.objects.values_list("state", "attempts"))


def all_arrive_once(relay: Sink) -> None:
    relay.ails(None)
    for minutes in (60, 120, 180):
        deliver(make.NOON + timedelta(minutes=minutes))
    assert {state for state, _ in states()} == {"accepted"}
    assert len(relay.mails()) == READERS == len({mail.rcpt for mail in relay.mails()})


def rests(words: str) -> bool:
    provider = circuit_breaker.read()[0].get(MAIN)
    return bool(provider and provider.failures > 0 and words.split()[0] in provider.cause)


@pytest.mark.parametrize(("stage", "reply"), BEFORE_RECIPIENTS)
def test_r32_what_is_said_before_any_recipient_costs_nobody_an_attempt(
    stage, reply, readers, tmp_path, settings, monkeypatch, caplog
):
    with trusted_relay(tmp_path, monkeypatch) as relay:
        settings.MAILER_URL = f"smtp://ann:secret@127.0.0.1:{relay.port}?tls=starttls"
        relay.ails(Illness(stage, reply))
        for minutes in range(0, 50, 10):
            deliver(make.NOON + timedelta(minutes=minutes))
        assert states() == {("pending", 0)}
        assert BackOff.objects.get(pk=BackOff.PROVIDER).failures == 5
        assert "The relay cannot be used" in caplog.text
        assert "secret" not in caplog.text
        all_arrive_once(relay)
    assert BackOff.objects.get(pk=BackOff.PROVIDER).failures == 0


def trusted_relay(tmp_path, monkeypatch) -> AbstractContextManager[Sink]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    smtp_opening.trust.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return in_thread(tmp_path / "relay", tls=context)


@pytest.mark.parametrize(("stage", "reply", "share"), list(cases()))
def test_r32_what_a_relay_says_of_us_is_charged_to_no_reader(
    stage, reply, share, relay, readers, settings, caplog
):
    settings.SEND_CONNECTIONS = 1  # so that the server's count is the readers' order
    relay.ails(Illness(stage, reply, SHARES[share]))
    deliver()
    tells_of_us = stage == "mail" or reply in OURS
    if share == "all" or tells_of_us:
        assert states() <= {("pending", 0), ("accepted", 1)}
        assert not Suppression.objects.exists()
    if share == "all":
        assert states() == {("pending", 0)}
        assert rests(reply)
        assert caplog.text.count("The relay cannot be used") == 1
        assert "@" not in BackOff.objects.get(pk=BackOff.PROVIDER).cause
    else:
        assert not rests(reply), "others are taken"
        charged = Delivery.objects.exclude(state="accepted").exclude(attempts=0)
        assert charged.exists() is not tells_of_us
        assert ("accepted", 1) in states()
    if share == "all" or tells_of_us:
        all_arrive_once(relay)


IN_TURN = [
    ("550 5.1.1 user unknown", "550 5.1.10 recipient not found"),
    ("554 5.7.1 looks like spam", "550 5.1.1 no such user", "552 5.2.2 mailbox full"),
    ("550 no", "554 never"),
]


@pytest.mark.parametrize("replies", IN_TURN)
def test_r32_a_relay_that_refuses_everybody_in_several_ways_is_charged_to_no_reader(
    replies, relay, readers, settings
):
    settings.SEND_CONNECTIONS = 1
    relay.ails(Illness("rcpt", "", in_turn=replies))
    deliver()
    assert states() == {("pending", 0)}
    assert not Suppression.objects.exists()
    assert BackOff.objects.get(pk=BackOff.PROVIDER).failures == 1
    all_arrive_once(relay)


def test_r9_a_relay_without_room_refuses_nobody_however_long_it_lasts(relay, readers):
    relay.ails(Illness("mail", "452 4.3.1 insufficient system storage", SOME))
    for minutes in range(0, 240, 6):
        deliver(make.NOON + timedelta(minutes=minutes))
    assert {state for state, _ in states()} <= {"accepted", "pending"}
    all_arrive_once(relay)


def test_r32_a_relay_that_breaks_in_mid_edition_costs_those_on_their_way_at_most(
    relay, readers, settings
):
    relay.ails(Illness("rcpt", "550 5.1.1 no such user", lambda number: number >= 12))
    for minutes in range(0, 60, 6):
        deliver(make.NOON + timedelta(minutes=minutes))
    refused = Delivery.objects.filter(state="refused").count()
    assert refused == Suppression.objects.count() < settings.SEND_CONNECTIONS
    assert states() - {("refused", 1)} == {("accepted", 1), ("pending", 0)}
    relay.ails(None)
    deliver(make.NOON + timedelta(minutes=120))
    assert len(relay.mails()) == READERS - refused


def test_r32_a_relay_for_its_own_domain_only_refuses_nobody_else(relay, readers, settings):
    settings.SEND_CONNECTIONS = 1  # so that the server's count is the readers' order
    own = [number for number in range(READERS) if number % DOMAINS == 0]
    relay.ails(Illness("rcpt", "550 5.7.1 not for us", lambda number: number not in own))
    deliver()
    assert {state for state, _ in states()} == {"accepted", "pending"}
    assert dict(states())["pending"] == 0


def test_r32_one_reader_alone_is_refused_for_what_is_said_of_one_mailbox(relay, readers):
    Delivery.objects.all().delete()
    Subscriber.objects.exclude(email="r0@d0.example").delete()
    relay.ails(Illness("rcpt", "550 5.1.1 no such user"))
    assert deliver() == {"refused": 1}
    assert Suppression.objects.count() == 1


# Readers by their hour: `a1` lives, `d1` is dead, the number is the domain. Whether the relay
# refuses everybody, or only the dead; what it says, in turn; how all end.
HOURS = {
    "one an hour": ("a1 a2 a3 a4", True, ["550 5.1.1 no such user"], "pending"),
    "two an hour": ("a1a2 a3a4", True, ["550 5.1.1 no such user"], "pending"),
    "one domain alone": ("a1 a1 a1 a1", True, ["550 5.1.1 no such user"], "pending"),
    "several words": ("a1 a2 a3 a1 a2 a3", True, IN_TURN[0], "pending"),
    "after others": ("a1", False, ["250 fine"], "accepted"),
    "a dead one alone": ("d1", False, ["550 5.1.1 no such user"], "refused"),
    "a dead one an hour, others between": (
        "d1 a1 d2 a2 d3 a3 d4",
        False,
        ["550 5.1.1 no such user"],
        "refused",
    ),
    "two dead ones, one after the other": (
        "a1 d1 d2",
        False,
        ["550 5.1.1 no such user"],
        "refused",
    ),
    "dead ones in a row, others later": (
        "d1d2d3d4 a1a2",
        False,
        ["550 5.1.1 no such user"],
        "refused",
    ),
    "dead ones in a row among others": (
        "a1a2a3d1d2d3d4a4",
        False,
        ["550 5.1.1 no such user"],
        "refused",
    ),
    "a domain that was closed": (
        "a1a2a3d9d9d9d9d9d9",
        False,
        ["550 5.1.2 no such domain"],
        "refused",
    ),
}


@pytest.mark.parametrize("case", HOURS)
def test_r32_readers_who_are_due_one_by_one_pay_for_a_relay_as_little_as_many(
    case, relay, settings
):
    hours, refuses_all, replies, dead_end = HOURS[case]
    settings.SEND_CONNECTIONS = 1
    make.edition({make.paper(1): {"graphs": 1.0}})
    for hour, due in enumerate(hours.split()):
        for place, (kind, domain) in enumerate(zip(due[::2], due[1::2], strict=True)):
            fault = "+rcpt-550" if kind == "d" else ""
            make.reader(
                f"r{hour}{place}{fault}@d{domain}.example",
                "graphs",
                when=make.schedule(hour=9 + hour),
            )
    relay.ails(Illness("rcpt", "", in_turn=replies) if refuses_all else None)
    start = make.NOON - timedelta(hours=3)
    for step in range(2 * len(hours.split()) + 1):
        deliver(start + timedelta(minutes=30 * step))
    dead = (
        Delivery.objects.filter(subscriber__email__contains="+") or Delivery.objects.all()
    )
    assert {row.state for row in dead} == {dead_end}
    if dead_end == "pending":
        assert states() == {("pending", 0)}
        assert not Suppression.objects.exists()
        assert rests("provider")
        relay.ails(None)
        for hours_later in (5, 6):
            deliver(make.NOON + timedelta(hours=hours_later))
        assert states() == {("accepted", 1)}
    else:
        others = Delivery.objects.exclude(pk__in=[row.pk for row in dead])
        assert {row.state for row in others} <= {"accepted"}
    assert len(relay.mails()) == Delivery.objects.filter(state="accepted").count()


# Readers in the order of one run; whether only the dead are refused, or all after the first
# three; how the others end, day by day.
EVENINGS = {
    "a few dead ones are the last": ("a1a2a3d4d5d6", False, "expired" + " refused" * 4),
    "the relay breaks for many": (
        "a1a2a3" + "b4b5b6b7" * 3,
        True,
        "expired expired expired",
    ),
    "the relay breaks for a few": ("a1a2a3b4b5b6", True, "expired accepted expired"),
}


def then_all(first: Iterator[bool], _: int) -> bool:
    return next(first, True)


@pytest.mark.parametrize("case", EVENINGS)
def test_r32_dead_addresses_that_are_always_the_last_wait_for_one_day_only(
    case, relay, settings
):
    due, breaks, ends = EVENINGS[case]
    settings.SEND_CONNECTIONS = 1
    for place, (kind, domain) in enumerate(zip(due[::2], due[1::2], strict=True)):
        fault = "+rcpt-550" if kind == "d" else ""
        make.reader(f"r{place:02}{fault}@d{domain}.example", "graphs")
    for step, end in enumerate(ends.split()):
        day = make.DAY + timedelta(days=step)
        edition = make.edition({make.paper(step, day=day): {"graphs": 1.0}}, day=day)
        begin = make.NOON + timedelta(days=step)
        ill = breaks and end != "accepted"
        breaks_after = iter([False] * 3)
        broken = Illness("rcpt", "550 5.1.1 no", partial(then_all, breaks_after))
        relay.ails(broken if ill else None)
        deliver(begin)
        rows = Delivery.objects.filter(edition=edition)
        rows.update(expires_at=begin + timedelta(hours=18))
        for hours in (1, 6, 19):
            deliver(begin + timedelta(hours=hours))
        last = rows.order_by("subscriber")[3:]
        assert {row.state for row in last} == {end}, f"day {step}"
        assert {row.state for row in rows.order_by("subscriber")[:3]} == {"accepted"}
        assert rests("550") is (end == "expired")
    assert not Suppression.objects.exists()


def test_r32_a_row_that_was_forgiven_counts_against_the_relay_no_longer(db) -> None:
    mails = {pk: Mail(pk, "us@x.example", f"r{pk}@d{pk}.example", bytes) for pk in range(9)}
    judge, no = Relay(), of_reply(Phase.RECIPIENT, 550, "5.1.1 no such user")
    evidence = Evidence([], lambda: make.NOON)
    found = []
    for pk in range(6):
        outcomes = {pk: no}
        judge.judge(mails, outcomes, evidence)
        found.append((outcomes[pk].verdict, sorted(judge.wronged)))
        judge.wronged.clear()
    assert [forgiven for _, forgiven in found] == [[], [], [0, 1], [], [2, 3], []]
    assert sorted(judge.refused) == [4, 5]


def test_r32_the_newest_acceptance_is_found_without_reading_an_edition(db) -> None:
    edition = make.edition({})
    with CaptureQueriesContext(connection) as captured:
        assert newest_accepted(edition) is None
    (query,) = captured.captured_queries
    with transaction.atomic(), connection.cursor() as cursor:
        explain = "EXPLAIN QUERY PLAN"
        if connection.vendor == "postgresql":  # so short a table is read as a whole
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
            explain = "EXPLAIN"
        cursor.execute(f"{explain} {query['sql']}")
        steps = "\n".join(map(str, cursor.fetchall()))
    assert "delivery_outcome" in steps
    assert "Sort" not in steps and "TEMP B-TREE" not in steps


def test_r32_who_was_refused_before_the_relay_was_found_out_comes_back(
    relay, readers, settings
):
    settings.SEND_CONNECTIONS = settings.SUBMIT_GROUP = 1
    relay.ails(Illness("rcpt", "550 5.1.1 no such user"))
    deliver()
    assert states() == {("pending", 0)}
    assert not Suppression.objects.exists()
    all_arrive_once(relay)


def retry_refused(since: datetime) -> str:
    out = io.StringIO()
    words = ["edition", f"{make.DAY}", "retry-refused", "--since", since.isoformat()]
    call_command(*words, stdout=out)
    return out.getvalue()


def test_r32_what_was_refused_wrongly_is_sent_again_by_a_command(relay, readers):
    relay.ails(Illness("rcpt", "550 5.1.1 no such user", SOME))
    assert deliver()["refused"] == READERS / 3 == Suppression.objects.count()
    relay.ails(None)
    left = Delivery.objects.filter(state="refused").earliest("pk").subscriber
    assert left
    suppression.suppress(left.email_hash, Suppression.Reason.COMPLAINED, now=make.NOON)
    Suppression.objects.filter(email_hash=left.email_hash).update(reason="complained")
    assert "0 pending again" in retry_refused(make.NOON + timedelta(minutes=1))
    assert f"{READERS // 3} pending again" in retry_refused(make.NOON)
    assert not Suppression.objects.exclude(reason="complained").exists()
    send_due(ledger.database_now)
    assert len(relay.mails()) == READERS - 1
    kinds = DeliveryEvent.objects.filter(source="operator").values_list("kind", "reply")
    assert all(kind == "pending" and "no such user" in reply for kind, reply in kinds)
