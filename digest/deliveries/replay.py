"""A digest outside the sending: what would go out now, and what went out then."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from digest.editions import picks as remembered
from digest.editions.compose import EncodedEdition, Reader
from digest.editions.encode import encode
from digest.editions.frames import load_frame
from digest.models import Block, Delivery, Edition, Frame
from digest.ranking.loaded import LoadedEdition, load
from digest.ranking.select import select
from subscribers.models import Subscriber


class NothingToShow(Exception):
    """There is no such mail; the message says why."""


@dataclass(frozen=True, slots=True)
class ScoredPick:
    """A pick with what it was chosen by, as frozen in the edition."""

    arxiv_id: str
    title: str
    topic: str  # its label; empty: trending
    fit: float  # 0 to 1
    upvotes: int


@dataclass(frozen=True, slots=True)
class Replayed:
    content: bytes
    picks: Sequence[ScoredPick]


def preview(subscriber: Subscriber, edition: Edition, *, now: datetime) -> bytes:
    """The mail of that edition for this reader as it would go out now.

    Raises NothingToShow.
    """
    row = Delivery.objects.filter(edition=edition, subscriber=subscriber).first()
    loaded = load(edition.pk)
    (digest,) = select(loaded, [(row.pk if row else 0, subscriber.pk)])
    if not digest.picks:
        raise NothingToShow(
            "the edition has no paper for this reader: no mail would go out"
        )
    encoded = loaded.encoded if row else without_votes(edition, loaded)
    return encoded.compose(digest.reader, digest.picks, sent_at=now)


def without_votes(edition: Edition, loaded: LoadedEdition) -> EncodedEdition:
    """For a reader to whom no mail is planned: there is nothing that they could vote by."""
    blocks: list[Block] = list(edition.blocks.order_by("position"))
    around = load_frame(edition, loaded.encoded.fingerprint)
    return encode(edition, blocks, around=around, votes=False)


def replay(delivery: Delivery) -> Replayed:
    """The mail of a ledger row as it was handed over last, byte for byte.

    Raises NothingToShow. Address and unsubscribe link are the reader's of today.
    """
    was, reader = remembered.parse_picks(delivery.picks), delivery.subscriber
    if not (was and reader and delivery.intent_at):
        raise NothingToShow(f"no mail was handed over: the row is {delivery.state}")
    edition = delivery.edition
    try:
        around = load_frame(edition, was.fingerprint)
    except Frame.DoesNotExist:
        raise NothingToShow("the frame of that mail was not kept") from None
    blocks = {
        block.position: block for block in edition.blocks.select_related("paper").all()
    }
    encoded = encode(edition, list(blocks.values()), around=around)
    to = Reader(delivery.pk, reader.email, reader.unsubscribe_token, was.language)
    scored = []
    for pick in was.picks:
        slug, label = around.topics[pick.topic] if pick.topic is not None else ("", "")
        scored.append(scored_pick(blocks[pick.position], slug, label))
    return Replayed(encoded.compose(to, was.picks, sent_at=delivery.intent_at), scored)


def scored_pick(block: Block, slug: str, label: str) -> ScoredPick:
    fit = float(block.topics.get(slug, 0))
    return ScoredPick(block.paper.arxiv_id, block.title, label, fit, block.upvotes)
