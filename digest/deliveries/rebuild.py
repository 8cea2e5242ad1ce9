"""Rebuild the mail of a delivery as it was handed over, for all who ask for it later."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from digest.editions import picks
from digest.editions.bodies import letter
from digest.editions.compose import EncodedEdition, Reader
from digest.editions.encode import encode
from digest.editions.frames import FrameContent, load_frame
from digest.editions.reasons import Reason
from digest.models import Block, Delivery, Frame
from digest.ranking.loaded import load
from digest.signing import senders
from digest.transport.base import Mail


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
        to = Reader(pk, address, unsubscribe_token, self.was.language)
        encoded = self.encoded()
        compose = partial(encoded.compose, to, self.was.picks, sent_at=sent_at)
        parts = partial(letter, encoded, to, self.was.picks, sent_at=sent_at)
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
        positions = [pick.position for pick in self.was.picks]
        found = self.delivery.edition.blocks.filter(position__in=positions)
        blocks = {block.position: block for block in found.select_related("paper")}
        topics = self.around.topics
        return [
            ShownPick(
                blocks[pick.position],
                *(("", "") if pick.topic is None else topics[pick.topic]),
                pick.reasons,
            )
            for pick in self.was.picks
        ]


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
