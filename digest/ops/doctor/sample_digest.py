"""Send one digest to an address of the operator's, by the real transport.

It stands outside the ledger: no delivery is made, nobody's edition is used up. Its subject
is marked, and its unsubscribe link is nobody's.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from digest.deliveries.replay import NothingToShow, without_votes
from digest.editions.compose import EncodedEdition, Pick, Reader
from digest.models import Edition
from digest.ranking.loaded import load
from digest.ranking.matching import NOTHING, Person
from digest.ranking.select import sound
from digest.signing import senders
from digest.throttling.domains import domain_of
from digest.transport import relays
from digest.transport.base import Mail
from digest.transport.open import open_transport
from digest.transport.outcomes import Outcome
from subscribers.addresses import address_hash, canonical
from subscribers.models import Trending
from subscribers.suppression import is_suppressed

logger = logging.getLogger(__name__)

NO_DELIVERY = 0
# A well-formed token of nobody: the site answers to it as to a reader's.
NOBODYS_TOKEN = "A" * 22
MARK = "[Test] "
# A reader who has chosen nothing, and so gets the trending papers.
READER = Person(
    NO_DELIVERY,
    "",
    NOBODYS_TOKEN,
    "en",
    "short",
    5,
    Trending.TO_FILL_UP,
    b"",
    None,
    *NOTHING,
)


class NotSent(ValueError):
    """The test digest was not handed over; the message says why."""


def send(edition: Edition, address: str, *, now: datetime) -> Outcome:
    """Hand the edition over as a new reader would get it, and return the outcome.

    Raises BadAddress, and NotSent for an empty edition or a suppressed address.
    """
    address = allowed(address)
    try:
        sample = compose(edition, address, now=now)
    except NothingToShow as empty:
        raise NotSent(f"{empty}") from None
    outcome = hand_over(sample)
    logger.info("test digest of %s: %s %s", edition, outcome.verdict, outcome.reason)
    return outcome


def allowed(address: str) -> str:
    """Return the address in its canonical form. Raises BadAddress and NotSent."""
    address = canonical(address)
    if is_suppressed(address_hash(address)):
        raise NotSent("this address is suppressed: lift that first, or use another")
    return address


def hand_over(sample: Mail) -> Outcome:
    """Hand one mail of no delivery over."""
    relay, *_ = relays.serving(domain_of(sample.recipient))
    transport = open_transport(relay)
    try:
        return dict(transport.hand_over([sample]))[NO_DELIVERY]
    finally:
        transport.close()


def compose(edition: Edition, address: str, *, now: datetime) -> Mail:
    """Return the mail of that edition for READER at this address. Raises NothingToShow."""
    loaded = load(edition.pk)
    reader = READER._replace(email=address)
    (digest,) = sound(loaded, [NO_DELIVERY], [reader])
    if not digest.picks:
        raise NothingToShow("the edition has no paper for a new reader")
    encoded = without_votes(edition, loaded)
    encoded = replace(encoded, titles=[f"{MARK}{title}" for title in encoded.titles])
    return mail(encoded, digest.reader, digest.picks, now=now)


def mail(
    encoded: EncodedEdition, reader: Reader, picks: Sequence[Pick], *, now: datetime
) -> Mail:
    """Return the mail of no delivery, for a transport."""
    whole = partial(encoded.compose, reader, picks, sent_at=now)
    parts = partial(encoded.letter, reader, picks, sent_at=now)
    sender = senders(encoded.sender)(NO_DELIVERY)
    return Mail(NO_DELIVERY, sender, reader.address, whole, parts)
