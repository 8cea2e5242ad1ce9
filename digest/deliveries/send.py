"""Send: claim a slice, rank and compose for each reader, commit intents, hand over, record.

Nothing here is in a transaction while the network is used. Whatever happens between
two lines of `send_slice`, the ledger says what may still be sent and what may not.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import batched

import numpy as np

from digest.deliveries import ledger
from digest.deliveries.ledger import Claimed
from digest.deliveries.mail import Mail
from digest.deliveries.outcomes import POISON, Outcome
from digest.deliveries.transport import Transport, open_transport
from digest.editions import compose, ranking
from digest.editions.compose import Encoded, Pick, Reader
from digest.models import Block, Edition
from subscribers import suppression
from subscribers.models import Subscriber, Subscription, Suppression, Topic

logger = logging.getLogger(__name__)

SLICE = 500
# Hand-overs whose intents are committed together. A crash leaves at most this many
# unknown; fewer means more commits per mail.
SUBMIT_GROUP = 20

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Ready:
    """A published edition made ready: encoded for the wire, laid out for the ranking."""

    encoded: Encoded
    columns: dict[int, int]  # topic id → column
    papers: ranking.Floats
    popular: ranking.Floats


@dataclass(frozen=True, slots=True)
class Digest:
    """One claimed row with what its reader gets."""

    row: Claimed
    reader: Reader
    picks: Sequence[Pick]


def send_due(
    clock: Clock, *, until: datetime | None = None, edition_id: int | None = None
) -> Counter[str]:
    """Send slices of what is due until nothing is left or `until` has come.

    Returns how many rows ended in which verdict or skip.
    """
    tally: Counter[str] = Counter()
    transport = open_transport()
    try:
        while until is None or clock() < until:
            claimed = ledger.claim(clock(), limit=SLICE, edition_id=edition_id)
            if not claimed:
                break
            sent = send_slice(claimed, transport, clock)
            tally += sent
            if sent["not tried"]:
                break
    finally:
        transport.close()
    return tally


def send_slice(
    claimed: Sequence[Claimed], transport: Transport, clock: Clock
) -> Counter[str]:
    """Send a claimed slice group by group.

    When the provider is down, or on an error, what is untouched goes back to pending.
    """
    tally: Counter[str] = Counter()
    rest = list(claimed)
    try:
        for edition_id, rows in by_edition(claimed):
            ready = load(edition_id)
            for group in batched(digests(ready, rows), SUBMIT_GROUP, strict=False):
                tally += send_group(ready, group, transport, clock)
                done = {digest.row.delivery_id for digest in group}
                rest = [row for row in rest if row.delivery_id not in done]
                if tally["not tried"]:
                    return tally
    finally:
        if rest:
            ledger.release(rest)
    return tally


def by_edition(claimed: Sequence[Claimed]) -> Iterable[tuple[int, list[Claimed]]]:
    rows = defaultdict(list)
    for row in claimed:
        rows[row.edition_id].append(row)
    return rows.items()


def send_group(
    ready: Ready, group: Sequence[Digest], transport: Transport, clock: Clock
) -> Counter[str]:
    """Commit the group's intents, hand over exactly those rows, record each outcome."""
    rows, now = [digest.row for digest in group], clock()
    outcomes: dict[int, Outcome] = {}
    mails, picks = {}, {}
    for digest in group:
        pk = digest.row.delivery_id
        picks[pk] = " ".join(str(pick.position) for pick in digest.picks)
        try:
            mails[pk] = composed(ready.encoded, digest, now)
        except Exception:  # one poisoned row must not stop an edition
            logger.exception("delivery %d cannot be composed", pk)
            outcomes[pk] = POISON
    intended = ledger.intend(rows, picks, now=now)
    try:
        wanted = [mail for pk, mail in mails.items() if mail and pk in intended]
        outcomes.update(transport.hand_over(wanted))
    finally:
        if outcomes:
            ledger.record(outcomes, rows, now=clock())
    suppress_bad(outcomes, rows, clock())
    tally = Counter(str(outcome.verdict) for outcome in outcomes.values())
    tally["skipped"] += len(group) - len(intended)
    tally["not tried"] += sum(not outcome.charged for outcome in outcomes.values())
    return tally


def composed(encoded: Encoded, digest: Digest, now: datetime) -> Mail | None:
    """The mail, or None for a reader for whom the edition has nothing."""
    if not digest.picks:
        return None
    content = encoded.compose(digest.reader, digest.picks, sent_at=now)
    return Mail(digest.row.delivery_id, encoded.sender, digest.reader.address, content)


def suppress_bad(
    outcomes: dict[int, Outcome], rows: Sequence[Claimed], now: datetime
) -> None:
    bad = {
        row.subscriber_id
        for row in rows
        if row.subscriber_id and outcomes.get(row.delivery_id, POISON).bad_address
    }
    if bad:
        hashes = Subscriber.objects.filter(pk__in=bad).values_list("email_hash", flat=True)
        for email_hash in hashes:
            suppression.suppress(email_hash, Suppression.Reason.BOUNCED, now=now)


def digests(ready: Ready, rows: Sequence[Claimed]) -> Iterable[Digest]:
    """Rank the slice at once; two queries, whatever its size."""
    ids = [row.subscriber_id or 0 for row in rows]  # 0: erased meanwhile
    people = {
        pk: (address, token)
        for pk, address, token in Subscriber.objects.filter(pk__in=ids).values_list(
            "pk", "email", "unsubscribe_token"
        )
    }
    ranked = ranking.rank(
        profiles(ready, ids), ready.papers, ready.popular, most=compose.MOST_PICKS
    )
    picks, topics = ranked.picks.tolist(), ranked.topics.tolist()
    for row, positions, columns in zip(rows, picks, topics, strict=True):
        address, token = people.get(row.subscriber_id or 0, ("", ""))
        chosen = [
            Pick(position, None if column < 0 else column)
            for position, column in zip(positions, columns, strict=True)
            if position >= 0
        ]
        yield Digest(
            row, Reader(row.delivery_id, address, token), chosen if address else []
        )


def profiles(ready: Ready, ids: Sequence[int]) -> ranking.Floats:
    """What the readers wish, N × T: 1 where a topic was chosen."""
    matrix = np.zeros((len(ids), len(ready.columns)), dtype=np.float32)
    places = {pk: place for place, pk in enumerate(ids)}
    wishes = Subscription.objects.filter(subscriber__in=ids)
    for subscriber_id, topic_id in wishes.values_list("subscriber_id", "topic_id"):
        if (column := ready.columns.get(topic_id)) is not None:
            matrix[places[subscriber_id], column] = 1
    return matrix


@lru_cache(maxsize=8)
def load(edition_id: int) -> Ready:
    """Load a published edition once per process: it is frozen."""
    edition = Edition.objects.get(pk=edition_id)
    blocks: list[Block] = list(edition.blocks.order_by("position"))
    topics = list(Topic.objects.order_by("position").values_list("pk", "slug", "label"))
    papers = np.zeros((len(blocks), len(topics)), dtype=np.float32)
    for place, block in enumerate(blocks):
        papers[place] = [block.topics.get(slug, 0) for _, slug, _ in topics]
    return Ready(
        encoded=compose.encode(
            edition, blocks, topics=[(slug, label) for _, slug, label in topics]
        ),
        columns={pk: column for column, (pk, _, _) in enumerate(topics)},
        papers=papers,
        popular=ranking.popularity(np.array([block.upvotes for block in blocks])),
    )
