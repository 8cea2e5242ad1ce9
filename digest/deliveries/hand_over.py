"""Hand over a submit group: each mail when its turn comes, as long as it is still wanted."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence

from django.db import Error

from digest import process
from digest.sql import Statement, fetch
from digest.transport.base import Line, Mail, Transport
from digest.transport.outcomes import NOT_BEGUN, Outcome, Verdict

logger = logging.getLogger(__name__)

# A transport gives an outcome for each mail; should one not, nothing may stay open.
NO_WORD = Outcome(Verdict.UNKNOWN, "no outcome from the transport")


def hand_over(
    mails: Sequence[Mail], transport: Transport, token: str
) -> Iterator[tuple[int, Outcome]]:
    """Yield (delivery id, outcome) of each mail as it becomes known.

    The intents of all of them must be committed.
    """

    def look(ids: Collection[int]) -> Collection[int]:
        """Return the ids to begin: none on a shutdown or when the database fails."""
        try:
            return () if process.is_stopping() else still_wanted(ids, token)
        except Error as error:
            logger.error("nothing more is begun: %s", type(error).__name__)
            return ()

    line, without = Line(mails, look), {mail.delivery_id for mail in mails}
    for pk, outcome in transport.hand_over(line):
        without.discard(pk)
        yield pk, outcome
    for pk in without:
        yield pk, NOT_BEGUN if pk in line.dropped else NO_WORD


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


def still_wanted(ids: Collection[int], token: str) -> set[int]:
    """Return the ids that may still be begun, of rows with an intent of ours.

    Between an intent and its turn a reader may leave, an edition be held, a lease end.
    """
    return {pk for (pk,) in fetch(STILL_WANTED, ids=list(ids), token=token)}


def begun(outcomes: Mapping[int, Outcome]) -> dict[int, Outcome]:
    """Return the outcomes of the mails whose hand-over began."""
    return {pk: one for pk, one in outcomes.items() if one.verdict is not Verdict.RETURNED}
