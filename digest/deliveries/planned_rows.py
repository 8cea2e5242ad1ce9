"""The rows that a plan makes: of schedules that are due at one instant, or of an audience.

A statement makes the rows of a range of readers, so that none runs into a database's limit
of time, however many readers there are. It may run again after a crash: no row comes twice.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet

from digest.deliveries import schedule
from digest.editions.publish import NothingToPublish, publish
from digest.models import Announcement, Delivery, Edition
from digest.sql import Statement, change, fetch
from subscribers.models import Schedule, Subscriber

logger = logging.getLogger(__name__)

# Looks at editions before their first mail, and holds those that fail: see preflight.py.
type Check = Callable[[QuerySet[Edition], datetime], None]

Reason = Delivery.Reason

# So many ids of readers are looked at by one statement: some seconds of work at the most.
RANGE = 1_000_000
LAST_ID = 2**63 - 1

# Days without a mail, beyond those that the schedule leaves out anyway, after which a reader
# was away.
AWAY_DAYS = 4


class Newer(NamedTuple):
    """What ended an edition's turn: when, and the name of the edition that goes instead."""

    due: datetime
    goes: str


class Part(NamedTuple):
    """Rows to make: of an edition, for the readers of schedules due at one instant.

    With `changed_since` only for those whose state or schedule changed from then on.
    """

    edition: Edition
    schedules: Sequence[int]
    due_at: datetime
    expires_at: datetime
    changed_since: datetime | None = None


# Make a pending row for each active reader of the schedules, by the index
# subscriber_active_by_schedule (`+` keeps SQLite from reading by id instead); delivery_unique
# drops repeats. With `since` only for those who changed from then on, and who have no row: at
# each tick, to leave them out costs less than to try them again. Ids follow each other: times
# a prime, modulo the window, they fill it evenly.
PLAN = Statement(
    postgresql="""
INSERT INTO digest_delivery (edition_id, subscriber_id, due_at, expires_at, state,
    not_before, reason, reply, outcome_at, attempts, lease_token, picks)
SELECT %(edition)s, p.id, %(due)s::timestamptz, %(expires)s::timestamptz, 'pending',
    CASE WHEN %(window)s = 0 OR p.changed_at > %(due)s::timestamptz
        THEN %(due)s::timestamptz
        ELSE %(due)s::timestamptz + make_interval(secs => p.id * 7919 %% %(window)s) END,
    '', '', NULL, 0, '', ''
FROM subscribers_subscriber p
WHERE p.state = 'active' AND p.schedule_id = ANY(%(schedules)s::bigint[])
    AND p.id BETWEEN %(first)s AND %(last)s
    AND (%(since)s::timestamptz IS NULL OR p.changed_at >= %(since)s::timestamptz
        AND NOT EXISTS (SELECT 1 FROM digest_delivery d
            WHERE d.edition_id = %(edition)s AND d.subscriber_id = p.id))
ON CONFLICT (edition_id, subscriber_id) DO NOTHING""",
    sqlite="""
INSERT INTO digest_delivery (edition_id, subscriber_id, due_at, expires_at, state,
    not_before, reason, reply, outcome_at, attempts, lease_token, picks)
SELECT %(edition)s, p.id, %(due)s, %(expires)s, 'pending',
    CASE WHEN %(window)s = 0 OR p.changed_at > %(due)s THEN %(due)s
        ELSE datetime(%(due)s, '+' || (p.id * 7919 %% %(window)s) || ' seconds') END,
    '', '', NULL, 0, '', ''
FROM subscribers_subscriber p
WHERE p.state = 'active'
    AND p.schedule_id IN (SELECT value FROM json_each(%(schedules)s))
    AND +p.id BETWEEN %(first)s AND %(last)s
    AND (%(since)s IS NULL OR p.changed_at >= %(since)s
        AND NOT EXISTS (SELECT 1 FROM digest_delivery d
            WHERE d.edition_id = %(edition)s AND d.subscriber_id = p.id))
ON CONFLICT (edition_id, subscriber_id) DO NOTHING""",
)
# Make a row that ends here for each reader who was owed the edition until then, by the same
# indexes and that of receipts by reader: one who began to read later, or again, was not.
PLAN_ENDED = Statement(
    postgresql="""
INSERT INTO digest_delivery (edition_id, subscriber_id, due_at, expires_at, state,
    not_before, reason, reply, outcome_at, attempts, lease_token, picks)
SELECT %(edition)s, p.id, %(due)s::timestamptz, %(expires)s::timestamptz, %(state)s,
    %(due)s::timestamptz, %(reason)s, %(goes)s, %(now)s::timestamptz, 0, '', ''
FROM subscribers_subscriber p
WHERE p.state = 'active' AND p.schedule_id = ANY(%(schedules)s::bigint[])
    AND p.id BETWEEN %(first)s AND %(last)s
    AND (%(since)s::timestamptz IS NULL OR p.changed_at >= %(since)s::timestamptz
        AND NOT EXISTS (SELECT 1 FROM digest_delivery d
            WHERE d.edition_id = %(edition)s AND d.subscriber_id = p.id))
    AND p.confirmed_at <= %(until)s AND NOT EXISTS (
        SELECT 1 FROM subscribers_consentevent e
        WHERE e.subscriber_id = p.id AND e.at > %(until)s
            AND e.kind IN ('confirmed', 'resumed', 'imported'))
ON CONFLICT (edition_id, subscriber_id) DO NOTHING""",
    sqlite="""
INSERT INTO digest_delivery (edition_id, subscriber_id, due_at, expires_at, state,
    not_before, reason, reply, outcome_at, attempts, lease_token, picks)
SELECT %(edition)s, p.id, %(due)s, %(expires)s, %(state)s,
    %(due)s, %(reason)s, %(goes)s, %(now)s, 0, '', ''
FROM subscribers_subscriber p
WHERE p.state = 'active'
    AND p.schedule_id IN (SELECT value FROM json_each(%(schedules)s))
    AND +p.id BETWEEN %(first)s AND %(last)s
    AND (%(since)s IS NULL OR p.changed_at >= %(since)s
        AND NOT EXISTS (SELECT 1 FROM digest_delivery d
            WHERE d.edition_id = %(edition)s AND d.subscriber_id = p.id))
    AND p.confirmed_at <= %(until)s AND NOT EXISTS (
        SELECT 1 FROM subscribers_consentevent e
        WHERE e.subscriber_id = p.id AND e.at > %(until)s
            AND e.kind IN ('confirmed', 'resumed', 'imported'))
ON CONFLICT (edition_id, subscriber_id) DO NOTHING""",
)


# Readers of the schedules who were away and wish for what they missed, by
# subscriber_wants_missed: those to whom since an edition nothing went that could have, and
# who read already then. What the ranking found nothing for is no mail that was missed.
AWAY = {
    "postgresql": """
FROM subscribers_subscriber p
WHERE p.state = 'active' AND p.wants_missed
    AND p.schedule_id = ANY(%(schedules)s::bigint[])
    AND (%(since)s::timestamptz IS NULL OR p.changed_at >= %(since)s::timestamptz)
    AND NOT EXISTS (SELECT 1 FROM digest_delivery d
        WHERE d.edition_id = ANY(%(recent)s::bigint[]) AND d.subscriber_id = p.id
            AND d.state <> 'expired' AND (d.state <> 'skipped' OR d.reason = %(no_paper)s))
    AND NOT EXISTS (SELECT 1 FROM subscribers_consentevent e
        WHERE e.subscriber_id = p.id AND e.at > %(was)s::timestamptz
            AND e.kind IN ('confirmed', 'imported'))
    AND p.confirmed_at <= %(was)s::timestamptz""",
    "sqlite": """
FROM subscribers_subscriber p
WHERE p.state = 'active' AND p.wants_missed
    AND p.schedule_id IN (SELECT value FROM json_each(%(schedules)s))
    AND (%(since)s IS NULL OR p.changed_at >= %(since)s)
    AND NOT EXISTS (SELECT 1 FROM digest_delivery d
        WHERE d.edition_id IN (SELECT value FROM json_each(%(recent)s))
            AND d.subscriber_id = p.id
            AND d.state <> 'expired' AND (d.state <> 'skipped' OR d.reason = %(no_paper)s))
    AND NOT EXISTS (SELECT 1 FROM subscribers_consentevent e
        WHERE e.subscriber_id = p.id AND e.at > %(was)s
            AND e.kind IN ('confirmed', 'imported'))
    AND p.confirmed_at <= %(was)s""",
}
SOME_AWAY = Statement(
    postgresql=f"SELECT 1 {AWAY['postgresql']} LIMIT 1",
    sqlite=f"SELECT 1 {AWAY['sqlite']} LIMIT 1",
)
# End the row of the edition for which the mail of what was missed goes; the unique pair
# decides between planners.
PLAN_AWAY = Statement(
    postgresql=f"""
INSERT INTO digest_delivery (edition_id, subscriber_id, due_at, expires_at, state,
    not_before, reason, reply, outcome_at, attempts, lease_token, picks)
SELECT %(edition)s, p.id, %(due)s::timestamptz, %(expires)s::timestamptz, 'skipped',
    %(due)s::timestamptz, %(reason)s, %(goes)s, %(now)s::timestamptz, 0, '', ''
{AWAY["postgresql"]}
ON CONFLICT (edition_id, subscriber_id) DO NOTHING""",
    sqlite=f"""
INSERT INTO digest_delivery (edition_id, subscriber_id, due_at, expires_at, state,
    not_before, reason, reply, outcome_at, attempts, lease_token, picks)
SELECT %(edition)s, p.id, %(due)s, %(expires)s, 'skipped',
    %(due)s, %(reason)s, %(goes)s, %(now)s, 0, '', ''
{AWAY["sqlite"]}
ON CONFLICT (edition_id, subscriber_id) DO NOTHING""",
)
# Make the pending rows of what was missed for those whose rows ended for it, due as those
# were: by subscriber_wants_missed and delivery_unique.
PLAN_MISSED = Statement(
    postgresql="""
INSERT INTO digest_delivery (edition_id, subscriber_id, due_at, expires_at, state,
    not_before, reason, reply, outcome_at, attempts, lease_token, picks)
SELECT %(missed)s, p.id, d.due_at, d.expires_at, 'pending',
    d.due_at, '', '', NULL, 0, '', ''
FROM subscribers_subscriber p JOIN digest_delivery d
    ON d.edition_id = %(edition)s AND d.subscriber_id = p.id
WHERE p.state = 'active' AND p.wants_missed
    AND p.schedule_id = ANY(%(schedules)s::bigint[])
    AND d.state = 'skipped' AND d.reason = %(reason)s
ON CONFLICT (edition_id, subscriber_id) DO NOTHING""",
    sqlite="""
INSERT INTO digest_delivery (edition_id, subscriber_id, due_at, expires_at, state,
    not_before, reason, reply, outcome_at, attempts, lease_token, picks)
SELECT %(missed)s, p.id, d.due_at, d.expires_at, 'pending',
    d.due_at, '', '', NULL, 0, '', ''
FROM subscribers_subscriber p JOIN digest_delivery d
    ON d.edition_id = %(edition)s AND d.subscriber_id = p.id
WHERE p.state = 'active' AND p.wants_missed
    AND p.schedule_id IN (SELECT value FROM json_each(%(schedules)s))
    AND d.state = 'skipped' AND d.reason = %(reason)s
ON CONFLICT (edition_id, subscriber_id) DO NOTHING""",
)

# The readers of an announcement: active ones, of a topic or a language if it names them.
AUDIENCE = """
FROM subscribers_subscriber p
WHERE p.state = 'active'
    AND (%(language)s = '' OR p.language = %(language)s)
    AND (%(topic)s = 0 OR EXISTS (SELECT 1 FROM subscribers_subscription s
        WHERE s.subscriber_id = p.id AND s.topic_id = %(topic)s))"""
COUNT_AUDIENCE = Statement(*[f"SELECT count(*) {AUDIENCE}"] * 2)
INSERT_ANNOUNCED = f"""
INSERT INTO digest_delivery (edition_id, subscriber_id, due_at, expires_at, state,
    not_before, reason, reply, outcome_at, attempts, lease_token, picks, lane)
SELECT %(edition)s, p.id, {{due}}, {{expires}}, 'pending',
    {{now}}, '', '', NULL, 0, '', '', %(lane)s
{AUDIENCE}
    AND p.id BETWEEN %(first)s AND %(last)s
ON CONFLICT (edition_id, subscriber_id) DO NOTHING"""
PLAN_ANNOUNCED = Statement(
    *(
        INSERT_ANNOUNCED.format(
            **{name: f"%({name})s{cast}" for name in ("due", "expires", "now")}
        )
        for cast in ("::timestamptz", "")
    )
)


def insert_deliveries(part: Part) -> int:
    """Make pending rows and return how many are new.

    Readers are spread over SEND_WINDOW, each always at the same second of it. One who
    changed after the instant (who has just confirmed, say) does not wait.
    """
    window = settings.SEND_WINDOW * 60
    return sum(
        change(PLAN, first=first, last=last, window=window, **parameters(part))
        for first, last in id_ranges(part.changed_since)
    )


def insert_ended(
    part: Part, state: Delivery.State, reason: Delivery.Reason, by: Newer, now: datetime
) -> int:
    """Make rows that end here, as `by` says; return how many are new."""
    ended = {"state": str(state), "reason": str(reason), "goes": by.goes, "until": by.due}
    return sum(
        change(PLAN_ENDED, first=first, last=last, now=now, **ended, **parameters(part))
        for first, last in id_ranges(part.changed_since)
    )


def id_ranges(changed_since: datetime | None = None) -> Iterator[tuple[int, int]]:
    """Yield the first and last id of each range; one for all where only few rows are made.

    Who joins after this has a later `changed_at` than the plan looked at: the next takes them.
    """
    if changed_since:
        yield 0, LAST_ID
        return
    newest = Subscriber.objects.aggregate(newest=Max("pk"))["newest"] or 0
    for first in range(0, newest + 1, RANGE):
        yield first, first + RANGE - 1


def insert_missed(part: Part, now: datetime, check: Check | None) -> int:
    """Make rows of what was missed for readers who were away; return how many.

    Their rows of the part's edition end here. Publishes the days' edition if it is wanted
    and new, and has it checked before anybody can send it. Where that fails, one of both
    editions is held, or rows are folded that tell who was away (as only after a week without
    editions), they get the part's edition like the others.
    """
    made = 0
    if part.edition.hold:
        return made
    for away, schedules in by_days_away(part.schedules):
        recent, all_there = recent_editions(part.edition.day - away)
        if not all_there:  # who had one of them cannot be told by these statements
            continue
        missing = parameters(part._replace(schedules=schedules)) | {
            "recent": recent,
            "was": part.due_at - away,
            "no_paper": str(Reason.NO_PAPER),
        }
        if not fetch(SOME_AWAY, **missing):
            continue
        if edition := sendable_missed(part.edition.day, now, check):
            names = {"reason": str(Reason.MISSED), "goes": str(edition), "now": now}
            with transaction.atomic():
                if change(PLAN_AWAY, **missing, **names):
                    made += change(PLAN_MISSED, missed=edition.pk, **missing, **names)
    return made


def sendable_missed(day: date, now: datetime, check: Check | None) -> Edition | None:
    """Return the edition of what was missed until that day; None if it cannot go out."""
    try:
        edition = publish(day, now=now, kind=Edition.Kind.MISSED)
    except NothingToPublish as error:
        logger.warning("readers who were away get the day alone: %s", error)
        return None
    if check:
        check(Edition.objects.filter(pk=edition.pk), now)
        edition.refresh_from_db(fields=["hold"])
    return None if edition.hold else edition


def by_days_away(schedules: Sequence[int]) -> Iterator[tuple[timedelta, list[int]]]:
    """Yield after how long a reader was away, and the schedules with a reader who wishes."""
    wishing = Subscriber.objects.filter(
        state=Subscriber.State.ACTIVE, wants_missed=True, schedule__in=schedules
    )
    found = Schedule.objects.filter(pk__in=wishing.values("schedule"))
    groups = defaultdict(list)
    for pk, days in found.values_list("pk", "days"):
        groups[timedelta(days=schedule.longest_gap(days) + AWAY_DAYS)].append(pk)
    yield from sorted(groups.items())


def recent_editions(after: date) -> tuple[list[int], bool]:
    """Return the ids of the editions of papers, of all kinds, of the days after that one.

    And whether the ledger has all their rows, as none is folded.
    """
    editions = Edition.objects.of_papers().filter(day__gt=after)
    found = dict(editions.values_list("pk", "folded_at"))
    return list(found), not any(found.values())


def insert_announced(edition: Edition, now: datetime) -> int:
    """Make a pending row for each reader of an announcement's audience; return how many.

    Once: whoever confirms, returns or changes preferences later was not in the audience.
    The first of concurrent planners makes all the rows, the others wait for it.
    """
    with transaction.atomic():
        first = Edition.objects.filter(pk=edition.pk, planned_until=None)
        if not first.update(planned_until=now):
            return 0
        row = {
            "edition": edition.pk,
            "due": edition.published_at,
            "expires": now + schedule.ANNOUNCEMENT_LATENESS,
            "lane": Delivery.Lane.ANNOUNCEMENT.value,
        }
        asked = audience(edition.announcement)
        return sum(
            change(PLAN_ANNOUNCED, first=first, last=last, now=now, **row, **asked)
            for first, last in id_ranges()
        )


def count_audience(announcement: Announcement) -> int:
    """Return to how many readers the announcement would go now."""
    ((count,),) = fetch(COUNT_AUDIENCE, **audience(announcement))
    return int(count)


def audience(announcement: Announcement) -> dict[str, object]:
    """Return the parameters of AUDIENCE."""
    language = announcement.language if announcement.for_language else ""
    return {"topic": announcement.topic_id or 0, "language": language}


def parameters(part: Part) -> dict[str, object]:
    """Return what both statements ask of a part."""
    return {
        "edition": part.edition.pk,
        "schedules": list(part.schedules),
        "due": part.due_at,
        "expires": part.expires_at,
        "since": part.changed_since,
    }
