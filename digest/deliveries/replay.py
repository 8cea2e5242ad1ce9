"""A digest outside the sending: what would go out now, and what went out then."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from digest.deliveries.rebuild import NothingToShow, rebuild
from digest.editions import phrases
from digest.editions.compose import EncodedEdition
from digest.editions.encode import encode
from digest.editions.frames import load_frame
from digest.editions.reasons import Reason
from digest.models import Block, Delivery, Edition
from digest.ranking.loaded import LoadedEdition, load
from digest.ranking.select import select
from subscribers.models import Subscriber


@dataclass(frozen=True, slots=True)
class ScoredPick:
    """A pick with what it was chosen by, as frozen in the edition."""

    arxiv_id: str
    title: str
    why: str  # the reasons as the reader saw them
    fit: float  # 0 to 1
    upvotes: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """A mail that was handed over, and its picks."""

    content: bytes
    picks: Sequence[ScoredPick]


def preview(subscriber: Subscriber, edition: Edition, *, now: datetime) -> bytes:
    """Return the mail of that edition for this reader as it would go out now.

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
    """Return the edition without links to vote, for a reader to whom no mail is planned."""
    blocks: list[Block] = list(edition.blocks.order_by("position"))
    around = load_frame(edition, loaded.encoded.fingerprint)
    return encode(edition, blocks, around=around, votes=False)


def replay(delivery: Delivery) -> Replayed:
    """Return the mail of a ledger row as it was handed over last, byte for byte.

    Address and unsubscribe link are the reader's of today. Raises NothingToShow.
    """
    reader = delivery.subscriber
    if not reader:
        raise NothingToShow(f"no mail was handed over: the row is {delivery.state}")
    rebuilt = rebuild(delivery)
    mail = rebuilt.mail(reader.email, reader.unsubscribe_token)
    return Replayed(mail.compose(), [scored_pick(*shown) for shown in rebuilt.shown()])


def scored_pick(
    block: Block, slug: str, label: str, reasons: Sequence[Reason]
) -> ScoredPick:
    """Return the pick with its scores of the edition."""
    fit = float(block.topics.get(slug, 0))
    why = phrases.reasons(label, reasons)
    return ScoredPick(block.paper.arxiv_id, block.title, why, fit, block.upvotes)
