"""Hand over a submit group: each mail when its turn comes, as long as it is still wanted."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence

from django.db import Error, connection

from digest.deliveries import shutdown
from digest.deliveries.ledger import NOT_HELD
from digest.sql import id_list
from digest.transport.base import Mail, Transport
from digest.transport.line import Line
from digest.transport.outcomes import NOT_BEGUN, Outcome, Verdict

logger = logging.getLogger(__name__)

# A transport gives an outcome for each mail; should one not, nothing may stay open.
NO_WORD = Outcome(Verdict.UNKNOWN, "no outcome from the transport")


def hand_over(
    mails: Sequence[Mail], transport: Transport, token: str
) -> Iterator[tuple[int, Outcome]]:
    """Yield an outcome for each mail, as it becomes known; their intents are committed."""

    def look(ids: Collection[int]) -> Collection[int]:
        """Begin nothing more where we shall stop, or where the database does not say."""
        try:
            return () if shutdown.asked() else still_wanted(ids, token)
        except Error as error:
            logger.error("nothing more is begun: %s", type(error).__name__)
            return ()

    line, without = Line(mails, look), {mail.delivery_id for mail in mails}
    for pk, outcome in transport.hand_over(line):
        without.discard(pk)
        yield pk, outcome
    for pk in without:
        yield pk, NOT_BEGUN if pk in line.dropped else NO_WORD


STILL_WANTED = """
SELECT d.id FROM digest_delivery d JOIN subscribers_subscriber p ON p.id = d.subscriber_id
WHERE d.id {ids} AND d.state = 'submitting' AND d.lease_token = %s AND d.{not_held}
    AND p.state = 'active' AND NOT EXISTS (
        SELECT 1 FROM subscribers_suppression x WHERE x.email_hash = p.email_hash)
"""


def still_wanted(ids: Collection[int], token: str) -> set[int]:
    """Those with an intent of ours that may still be begun: by the rows' keys, no lock.

    Between an intent and its turn a reader may leave, an edition be held, a lease end.
    """
    chosen, values = id_list(ids)
    with connection.cursor() as cursor:
        sql = STILL_WANTED.format(ids=chosen, not_held=NOT_HELD)
        cursor.execute(sql, [values, token])
        return {pk for (pk,) in cursor.fetchall()}


def begun(outcomes: Mapping[int, Outcome]) -> dict[int, Outcome]:
    """The outcomes of what was handed over, or tried to be."""
    return {pk: one for pk, one in outcomes.items() if one.verdict is not Verdict.RETURNED}
