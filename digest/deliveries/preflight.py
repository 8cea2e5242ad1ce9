"""The canary: what all mails of an edition share is composed and read before any goes out.

A fault in it would refuse every reader's mail, one by one. So whole mails of an edition are
looked at before its first plan, and each sender composes them before its first.
"""

import email
import email.policy
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import HeaderRegistry
from functools import lru_cache

from django.db import Error
from django.db.models import QuerySet

from digest.alert import alert
from digest.deliveries import control
from digest.editions.compose import MOST_BYTES, MOST_HTML, MOST_PICKS, Pick, Reader
from digest.models import Edition
from digest.ranking.loaded import LoadedEdition, load

logger = logging.getLogger(__name__)

ADDRESS = "canary@daily-papers.example"
TOKEN = "canary-canary-canary-c"  # noqa: S105
ANY_INSTANT = datetime(2026, 1, 1, tzinfo=UTC)
# Headers as they stand: their parsers cost more than the rest.
RAW_HEADERS = email.policy.default.clone(
    header_factory=HeaderRegistry(use_default_map=False)
)
NO_BREAK = 998  # octets of a line, RFC 5322 section 2.1.1


class PreflightFailed(Exception):
    """A mail of the edition must not go out; the message says why."""


def check_new(editions: QuerySet[Edition], now: datetime) -> None:
    """Check those that nobody has checked yet, before their first mail can go out."""
    for edition in editions.filter(checked_at=None, hold=Edition.Hold.NONE):
        hold_if_failing(edition)
        Edition.objects.filter(pk=edition.pk).update(checked_at=now)


def hold_if_failing(edition: Edition) -> bool:
    """Compose and read every block in every language; pause the edition if one fails."""
    try:
        for position, mail in mails(load(edition.pk)):
            read(mail, whole=position % MOST_PICKS == 0)
    except Error:
        raise
    except Exception as error:  # whatever it is, every reader's mail would have it
        reason = str(error) if isinstance(error, PreflightFailed) else type(error).__name__
        logger.exception("the preflight check of %s", edition)
        if paused := control.pause(edition, f"preflight check failed: {reason}"):
            alert(f"{edition} is paused: its mails are not sound ({reason})")
        return paused
    return False


@lru_cache(maxsize=8)
def composed(edition_id: int) -> LoadedEdition:
    """The edition, loaded once per process and composed once for nobody.

    Raises what composing raises: before the first intent, not once for every reader.
    """
    loaded = load(edition_id)
    for _ in mails(loaded):
        pass
    return loaded


def mails(loaded: LoadedEdition) -> Iterator[tuple[int, bytes]]:
    """Mails for nobody, in every language: each block is the first of one, and its number."""
    encoded = loaded.encoded
    picks = [Pick(position, None) for position in range(len(encoded.titles))]
    for language in encoded.localized:
        reader = Reader(0, ADDRESS, TOKEN, language)
        for position in range(len(picks)):
            some = (picks[position:] + picks[:position])[:MOST_PICKS]
            yield position, encoded.compose(reader, some, sent_at=ANY_INSTANT)


def read(mail: bytes, *, whole: bool = True) -> None:
    """Raise PreflightFailed unless both parts can be read and hold the way out.

    Not `whole`: the headers only, as its blocks are read in other mails.
    """
    if len(mail) > MOST_BYTES:
        raise PreflightFailed(f"a mail has {len(mail)} bytes")
    whole = whole or len(mail) > MOST_HTML
    text = mail if whole else mail.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    if any(len(line) > NO_BREAK or b"\n" in line for line in text.split(b"\r\n")):
        raise PreflightFailed("a line is too long or ends without CRLF")
    policy = email.policy.default if whole else RAW_HEADERS
    message = email.message_from_bytes(text, policy=policy)
    if message["To"] != ADDRESS or TOKEN not in str(message["List-Unsubscribe"]):
        raise PreflightFailed("the headers are not the reader's")
    for subtype in ("plain", "html") if whole else ():
        part = message.get_body((subtype,))
        if part is None or part.defects:
            raise PreflightFailed(f"the {subtype} part cannot be read")
        if f"/u/{TOKEN}" not in part.get_content():
            raise PreflightFailed(f"the {subtype} part has no way out")
        if subtype == "html" and len(part.as_bytes()) > MOST_HTML:
            raise PreflightFailed("the html part is too big")
