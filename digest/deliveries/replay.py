"""A digest outside the sending: what would go out now, and what went out then, rebuilt."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

from digest.editions import phrases, picks
from digest.editions.compose import EncodedEdition, Pick, Reader
from digest.editions.encode import encode
from digest.editions.frames import FrameContent, load_frame
from digest.editions.reasons import Reason
from digest.models import Block, Delivery, Edition, Frame, folded
from digest.ranking.loaded import LoadedEdition, lay_out, load
from digest.ranking.select import select_now
from digest.signing import senders
from digest.transport.base import Mail
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
    row = folded.of(edition, subscriber.pk)
    loaded = load(edition.pk)
    digest = select_now(loaded, row.pk if row else 0, subscriber.pk)
    if not loaded.encoded.is_mail(*digest[:2]):
        raise NothingToShow(
            "the edition has no paper for this reader: no mail would go out"
        )
    encoded = loaded.encoded if row else without_votes(edition, loaded)
    until = row.expires_at if row else None
    return encoded.compose(digest.reader, digest.picks, sent_at=now, expires_at=until)


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
    why = phrases.reason(label, reasons)
    return ScoredPick(block.paper.arxiv_id, block.title, why, fit, block.upvotes)


class NothingToShow(Exception):
    """There is no such mail; the message says why."""


class ShownPick(NamedTuple):
    """A paper of a mail, with the topic and the reasons for it; all empty: trending."""

    block: Block
    slug: str
    label: str
    reasons: Sequence[Reason]


class Rebuilt(NamedTuple):
    """A mail of the past: its delivery, picks, and the frame that was around them."""

    delivery: Delivery
    was: picks.StoredDigest
    around: FrameContent

    def mail(self, address: str, unsubscribe_token: str) -> Mail:
        """Return the mail to this address, byte for byte if nothing of the reader changed.

        Raises NothingToShow for a delivery that has no intent.
        """
        pk, sent_at = self.delivery.pk, self.delivery.intent_at
        if sent_at is None:
            raise NothingToShow(
                f"no mail was handed over: the row is {self.delivery.state}"
            )
        to = Reader(pk, address, unsubscribe_token, self.was.language, self.was.length)
        encoded = self.encoded()
        given = {"sent_at": sent_at, "expires_at": self.delivery.expires_at}
        compose = partial(encoded.compose, to, self.was.picks, **given)
        parts = partial(encoded.letter, to, self.was.picks, **given)
        return Mail(pk, senders(encoded.sender)(pk), address, compose, parts)

    def encoded(self) -> EncodedEdition:
        """Return the edition as it was encoded then: as today's, while nothing changed."""
        edition = self.delivery.edition
        today = load(edition.pk).encoded
        if today.fingerprint == self.was.fingerprint:
            return today
        blocks = list(edition.blocks.order_by("position"))
        return encode(edition, blocks, around=self.around)

    def shown(self) -> list[ShownPick]:
        """Return the papers of the mail, in their order."""
        return shown_picks(self.delivery.edition, self.was.picks, self.around.topics)


def shown_picks(
    edition: Edition, picks: Sequence[Pick], topics: Sequence[tuple[str, str]]
) -> list[ShownPick]:
    """Return the papers of these picks; `topics` is (slug, label) by column."""
    found = edition.blocks.filter(position__in=[pick.position for pick in picks])
    blocks = {block.position: block for block in found.select_related("paper")}
    return [
        ShownPick(
            blocks[pick.position],
            *(("", "") if pick.topic is None else topics[pick.topic]),
            pick.reasons,
        )
        for pick in picks
    ]


def shown_to(subscriber_id: int, edition: Edition) -> list[ShownPick]:
    """Return the papers of the edition as this reader would get them now; maybe none."""
    laid = lay_out(edition.pk)
    digest = select_now(laid, 0, subscriber_id)
    return shown_picks(edition, digest.picks, laid.labels)


def rebuild(delivery: Delivery) -> Rebuilt:
    """Return the delivery's mail from its picks and the frame that was kept of it.

    Raises NothingToShow when it has no picks, or its frame is gone.
    """
    was = picks.parse_picks(delivery.picks)
    if not was:
        raise NothingToShow(f"no mail was handed over: the row is {delivery.state}")
    try:
        return Rebuilt(delivery, was, load_frame(delivery.edition, was.fingerprint))
    except Frame.DoesNotExist:
        raise NothingToShow("the frame of that mail was not kept") from None
