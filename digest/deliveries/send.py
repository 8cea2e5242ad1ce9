"""Send: claim a slice, rank and compose for each reader, commit intents, hand over, record.

Nothing here is in a transaction while the network is used. Whatever happens between
two lines of `send_slice`, the ledger says what may still be sent and what may not.
"""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice

from django.conf import settings
from django.db import Error, transaction

from digest import process
from digest.deliveries import (
    control,
    fencing,
    history,
    idempotent_retry,
    ledger,
    outcome_journal,
)
from digest.deliveries.evidence import Evidence
from digest.deliveries.ledger import Claimed
from digest.deliveries.outlets import Clock, Outlet, Outlets
from digest.deliveries.preflight import composed
from digest.deliveries.throughput import Meter
from digest.editions.compose import EncodedEdition
from digest.editions.picks import format_picks
from digest.models import Edition, Fence
from digest.ranking.loaded import LoadedEdition
from digest.ranking.select import Digest, select
from digest.signing import senders
from digest.sql import Statement, fetch
from digest.throttling import circuit_breaker, rate
from digest.throttling.domains import Gate
from digest.transport.base import Line, Mail, Transport
from digest.transport.outcomes import NOT_BEGUN, Cause, Outcome, Verdict
from digest.transport.relays import MAIN, several
from subscribers import suppression
from subscribers.models import Subscriber, Suppression

logger = logging.getLogger(__name__)

# How long mails of one group are begun, which is a second's worth as long as the line is as
# fast as before. What begins last still ends before the worker's time for a task does.
GROUP_SECONDS = 60.0
# A transport gives an outcome for each mail; should one not, nothing may stay open.
NO_WORD = Outcome(Verdict.UNKNOWN, "no outcome from the transport")
# Look at rows, readers and suppressions by their keys, without a lock.
STILL_WANTED = Statement(
    postgresql="""
SELECT d.id FROM digest_delivery d JOIN subscribers_subscriber p ON p.id = d.subscriber_id
WHERE d.id = ANY(%(ids)s::bigint[]) AND d.state = 'submitting' AND d.lease_token = %(token)s
    AND d.edition_id NOT IN (SELECT id FROM digest_edition WHERE hold <> '')
    AND p.state = 'active' AND NOT EXISTS (
        SELECT 1 FROM subscribers_suppression x WHERE x.email_hash = p.email_hash)""",
    sqlite="""
SELECT d.id FROM digest_delivery d JOIN subscribers_subscriber p ON p.id = d.subscriber_id
WHERE d.id IN (SELECT value FROM json_each(%(ids)s)) AND d.state = 'submitting'
    AND d.lease_token = %(token)s
    AND d.edition_id NOT IN (SELECT id FROM digest_edition WHERE hold <> '')
    AND p.state = 'active' AND NOT EXISTS (
        SELECT 1 FROM subscribers_suppression x WHERE x.email_hash = p.email_hash)""",
)


@dataclass(slots=True)
class Group:
    """Rows whose intents are committed together, on their way to their outcomes."""

    rows: Sequence[Claimed] = ()
    mails: dict[int, Mail] = field(default_factory=dict)
    picks: dict[int, str] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    line: Line = field(default_factory=lambda: Line(()))

    def interrupt(self) -> None:
        """Begin nothing more; note that no byte of what stands in line still has left."""
        self.line.stop()
        for pk in self.line.dropped:
            self.outcomes.setdefault(pk, NOT_BEGUN)

    def begun(self) -> dict[int, Outcome]:
        """Return the outcomes of the mails whose hand-over began."""
        return {
            pk: one
            for pk, one in self.outcomes.items()
            if one.verdict is not Verdict.RETURNED
        }


@dataclass
class Run:
    """One sender at work: how it sends, how fast the line is, and until when it sends."""

    clock: Clock
    due: Clock | None
    until: datetime | None
    outlets: Outlets
    meter: Meter = field(default_factory=Meter)
    speed: float = 0.0  # mails a second of the last slice

    @property
    def slice(self) -> int:
        """Return how many rows to claim at once: what `until` would cut off is for others.

        To give a row back costs nothing, but it was ranked in vain.
        """
        size = self.outlets.slice
        if self.until is None or not self.speed:
            return size
        left = (self.until - self.clock()).total_seconds()
        return max(min(size, int(left * self.speed)), self.outlets.group)

    def judged_at(self) -> datetime | None:
        """Return the instant by which to judge what is due, or None for now."""
        return self.due() if self.due else None

    def over(self) -> bool:
        """Return whether to stop; asked after each group, so that a slow line ends in time."""
        late = self.until is not None and self.clock() >= self.until
        return late or process.is_stopping()


def send_due(
    clock: Clock,
    *,
    due: Clock | None = None,
    until: datetime | None = None,
    edition_id: int | None = None,
) -> Counter[str]:
    """Send slices of what is due until nothing is left, `until` has come, or we shall stop.

    `due` is another instant to judge by what is due and what too late: leases, rests and
    waits that outlive this sender are always by `clock`.
    Returns how many rows ended in which verdict or skip. Raises fencing.SendingRefused.
    """
    tally: Counter[str] = Counter()
    outcome_journal.replay(ledger.database_now())
    run = Run(clock, due, until, Outlets(clock))
    try:
        while not run.over():
            permits = rate.ask(run.slice, ledger.database_now)
            if not permits.mails:
                if rate.wait_for(permits):
                    continue
                break
            mark = fencing.rise()
            known, rests = circuit_breaker.read()
            if not run.outlets.begin(known):
                rate.settle(permits, Counter(), ledger.database_now)
                break
            now, judged_at = clock(), run.judged_at()
            fencing.remember_due(mark, judged_at or now)
            claimed = ledger.claim(
                now, due=judged_at, limit=permits.mails, edition_id=edition_id
            )
            if not claimed:
                rate.settle(permits, Counter(), ledger.database_now)
                break
            ids = [row.delivery_id for row in claimed]
            logger.info("slice of %d deliveries, %d to %d", len(ids), min(ids), max(ids))
            gate = Gate(clock(), rests, settings.DOMAIN_RATES)
            begin = time.monotonic()
            sent = send_slice(claimed, run, gate, mark)
            run.speed = sent.total() / max(time.monotonic() - begin, 0.001)
            rate.settle(permits, sent, ledger.database_now)
            tally += sent
            run.meter.count(sent, clock)
            if not run.outlets.settle():
                break
    finally:
        run.outlets.close()
    run.meter.write(clock())
    return tally


def send_slice(
    claimed: Sequence[Claimed], run: Run, gate: Gate, mark: Fence
) -> Counter[str]:
    """Send a claimed slice group by group.

    The outcomes of a group and the intents of the next are one commit. When the
    provider is down, the run is over, or on an error, what is untouched is anybody's.
    """
    tally: Counter[str] = Counter()
    owned = {row.delivery_id: row for row in claimed}
    sent = Group()
    try:
        for outlet, loaded, batch in groups(claimed, run.outlets, gate):
            now = run.clock()
            rows = [owned[digest.reader.delivery_id] for digest in batch]
            group = prepared(loaded.encoded, rows, batch, now)
            with transaction.atomic():
                record(sent, now)
                intended = ledger.intend(
                    group.rows,
                    group.picks,
                    group.faults,
                    now=now,
                    due=run.judged_at(),
                    relay=outlet.name,
                )
                if outlet.name == MAIN:  # a provider can be no other
                    mails = [pk for pk in group.mails if pk in intended]
                    idempotent_retry.note_submission(mails, now)
                fencing.advance(mark)
            sent = group
            attest(group, intended, mark)
            wanted = [mail for pk, mail in group.mails.items() if pk in intended]
            begin = time.monotonic()
            group.line = in_line(wanted, claimed[0].lease_token)
            for pk, outcome in hand_over(group.line, outlet.transport):
                group.outcomes[pk] = outcome
            outlet.learn(len(group.begun()), time.monotonic() - begin)
            judge(group, run, outlet, gate)
            run.meter.look_at(group.outcomes)
            tally += tallied(group, len(group.rows) - len(intended), outlet)
            if not run.outlets.left() or run.over():
                break
    except BaseException:
        sent.interrupt()
        settle(sent, run.clock)
        # The lease stays: by it, what has an intent and no outcome ends as unknown.
        ledger.give_back(claimed[0].lease_token)
        raise
    settle(sent, run.clock)
    ledger.finish(claimed[0].lease_token, gate.waits)
    return tally


def attest(group: Group, intended: Iterable[int], mark: Fence) -> None:
    """Note the group's intents outside of the database. Raises SendingRefused.

    Then its outcomes say that nothing of it has begun.
    """
    group.outcomes = dict.fromkeys(intended, NOT_BEGUN)
    fencing.attest(mark)
    group.outcomes.clear()


def settle(sent: Group, clock: Clock) -> None:
    """Record the last group; what the database does not take is kept on disk."""
    try:
        record(sent, clock())
    except Error:
        if sent.outcomes:
            outcome_journal.keep(sent.outcomes, sent.rows)
        raise


def groups(
    claimed: Sequence[Claimed], outlets: Outlets, gate: Gate
) -> Iterator[tuple[Outlet, LoadedEdition, Sequence[Digest]]]:
    """Yield the slice's digests that may pass now in submit groups.

    Each is of one edition and goes by one relay.
    """
    editions = defaultdict(list)
    for row in claimed:
        editions[row.edition_id].append(row)
    for edition_id, rows in editions.items():
        try:
            loaded = composed(edition_id)
        except Error:
            raise
        except Exception:  # what all its mails share is broken: others must not wait for it
            logger.exception("edition %d cannot be composed and is paused", edition_id)
            control.pause(Edition(pk=edition_id), "cannot be composed")
            continue
        owed = [(row.delivery_id, row.subscriber_id) for row in rows]
        ranked = iter(select(loaded, owed))
        while batch := tuple(islice(ranked, outlets.group)):
            if passing := gate.passing(batch):
                for outlet, some in outlets.shared(passing, gate):
                    yield outlet, loaded, some


def prepared(
    encoded: EncodedEdition, rows: Sequence[Claimed], batch: Sequence[Digest], now: datetime
) -> Group:
    """Return the batch's rows, picks and mails, which are composed when their turn comes."""
    group = Group(rows)
    sender = senders(encoded.sender)
    for row, (reader, picks, fault) in zip(rows, batch, strict=True):
        pk = reader.delivery_id
        if fault:
            group.faults[pk] = fault
        group.picks[pk] = format_picks(encoded, reader, picks)
        if group.picks[pk]:  # there is a mail
            until = datetime.fromisoformat(row.expires_at)
            given = {"sent_at": now, "expires_at": until}
            compose = partial(encoded.compose, reader, picks, **given)
            parts = partial(encoded.letter, reader, picks, **given)
            group.mails[pk] = Mail(pk, sender(pk), reader.address, compose, parts)
    return group


def in_line(mails: Sequence[Mail], token: str) -> Line:
    """Return mails in line, whose intents must be committed.

    Soon after GROUP_SECONDS none is begun any more: it is somebody else's.
    """
    until = time.monotonic() + GROUP_SECONDS

    def look(ids: Collection[int]) -> Collection[int]:
        """Return the ids to begin: none on a shutdown, too late or when the database fails."""
        if process.is_stopping() or time.monotonic() > until:
            return ()
        try:
            return still_wanted(ids, token)
        except Error as error:
            logger.error("nothing more is begun: %s", type(error).__name__)
            return ()

    return Line(mails, look)


def hand_over(line: Line, transport: Transport) -> Iterator[tuple[int, Outcome]]:
    """Yield (delivery id, outcome) of each mail in line as it becomes known."""
    without = {mail.delivery_id for mail in line.mails}
    for pk, outcome in transport.hand_over(line):
        without.discard(pk)
        yield pk, outcome
    for pk in without:
        yield pk, NOT_BEGUN if pk in line.dropped else NO_WORD


def still_wanted(ids: Collection[int], token: str) -> set[int]:
    """Return the ids that may still be begun, of rows with an intent of ours.

    Between an intent and its turn a reader may leave, an edition be held, a lease end.
    """
    return {pk for (pk,) in fetch(STILL_WANTED, ids=list(ids), token=token)}


def record(group: Group, now: datetime) -> None:
    """Write a group's outcomes; an address that does not exist is never tried again."""
    if not group.outcomes:
        return
    ledger.record(group.outcomes, group.rows, now=now)
    refused = refused_hashes(group)
    history.note_outcomes(group.outcomes, refused, now=now)
    for pk, email_hash in refused.items():
        if group.outcomes[pk].bad_address:
            suppression.suppress(email_hash, Suppression.Reason.BOUNCED, now=now)


def refused_hashes(group: Group) -> dict[int, str]:
    """Return the address hashes of the deliveries that a server refused, by delivery id."""
    owners = {
        row.delivery_id: row.subscriber_id
        for row in group.rows
        if (outcome := group.outcomes.get(row.delivery_id))
        and outcome.verdict is Verdict.REFUSED
        and outcome.reply
    }
    if not owners:
        return {}
    people = Subscriber.objects.filter(pk__in={pk or 0 for pk in owners.values()})
    hashes = dict(people.values_list("pk", "email_hash"))
    return {pk: hashes[owner] for pk, owner in owners.items() if owner in hashes}


def judge(group: Group, run: Run, outlet: Outlet, gate: Gate) -> None:
    """Tell whose fault it was: the relay's or ours first, then a domain's."""
    one = outlet.name if several() else ""
    evidence = Evidence({row.edition_id for row in group.rows}, run.clock, one)
    outcomes = group.begun()
    is_down = outlet.relay.judge(group.mails, outcomes, evidence)
    group.outcomes |= outcomes
    if outlet.relay.wronged:
        control.forgive(outlet.relay.wronged, now=run.clock())
        outlet.relay.wronged.clear()
    if not is_down:
        gate.judge(group.mails, outcomes)


def tallied(group: Group, skipped: int, outlet: Outlet) -> Counter[str]:
    """Count the group by verdict; `not tried` is what a relay that is down did not take."""
    outcomes: Mapping[int, Outcome] = group.outcomes
    tally = Counter([str(outcome.verdict) for outcome in outcomes.values()])
    tally["skipped"] += skipped
    outlet.took |= bool(tally[Verdict.ACCEPTED])
    if outlet.relay.cause:
        tally[Cause.NOT_TRIED] += sum(not one.charged for one in group.begun().values())
    return tally
