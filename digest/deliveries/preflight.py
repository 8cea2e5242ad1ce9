"""Compose and read sample mails of an edition before any mail of it goes out.

A fault in what all mails share would refuse every reader's mail, one by one, or show
every reader what was never meant for them. So whole mails of an edition are read as a mail
program does before its first plan, and each sender composes them before its first.
"""

import email
import email.policy
import logging
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage
from functools import lru_cache
from typing import NamedTuple

from django.db import Error
from django.db.models import QuerySet

from digest.deliveries import control
from digest.editions.compose import MOST_BYTES, MOST_HTML, MOST_PICKS, Pick, Reader
from digest.logs import alert
from digest.models import Edition
from digest.ranking.loaded import LoadedEdition, load
from digest.transport.base import Letter, as_text

logger = logging.getLogger(__name__)

ANY_INSTANT = datetime(2026, 1, 1, tzinfo=UTC)
# Headers as they stand: their parsers cost more than the rest.
RAW_HEADERS = email.policy.default.clone(
    header_factory=HeaderRegistry(use_default_map=False)
)
NO_BREAK = 998  # octets of a line, RFC 5322 section 2.1.1
# Two openings of parts and the end; one more would delimit a part for some parser.
DELIMITERS = 3
DELIMITER = re.compile(rb"^--", re.MULTILINE)


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
        for sample in mails(load(edition.pk)):
            read(sample, whole=sample.position % MOST_PICKS == 0)
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
    """Return the edition, loaded and composed once per process as a trial.

    Raises what composing raises: before the first intent, not once for every reader.
    """
    loaded = load(edition_id)
    for _ in mails(loaded):
        pass
    return loaded


class SampleMail(NamedTuple):
    """A mail for nobody, and what a reader should see in it."""

    position: int  # of its first block
    reader: Reader
    mail: bytes
    meant: Letter


def mails(loaded: LoadedEdition) -> Iterator[SampleMail]:
    """Yield sample mails in every language and length, each block leading one of them.

    Address and token are random, so that no paper can hold them.
    """
    encoded = loaded.encoded
    token = secrets.token_urlsafe(16)
    address = f"preflight-{secrets.token_hex(8)}@daily-papers.example"
    picks = [Pick(position, None) for position in range(len(encoded.titles))]
    for language, length in encoded.localized:
        reader = Reader(0, address, token, language, length)
        for position in range(max(len(picks), 1)):  # an announcement has no picks
            some = (picks[position:] + picks[:position])[:MOST_PICKS]
            mail = encoded.compose(reader, some, sent_at=ANY_INSTANT)
            meant = encoded.letter(reader, some, sent_at=ANY_INSTANT)
            yield SampleMail(position, reader, mail, meant)


def read(sample: SampleMail, *, whole: bool = True) -> None:
    """Raise PreflightFailed unless a mail program sees what was meant, and the way out.

    Not `whole`: the headers only, as its blocks are read in other mails.
    """
    mail = sample.mail
    if len(mail) > MOST_BYTES:
        raise PreflightFailed(f"a mail has {len(mail)} bytes")
    whole = whole or len(mail) > MOST_HTML
    text = mail if whole else mail.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    if any(len(line) > NO_BREAK or b"\n" in line for line in text.split(b"\r\n")):
        raise PreflightFailed("a line is too long or ends without CRLF")
    policy = email.policy.default if whole else RAW_HEADERS
    message = email.message_from_bytes(text, policy=policy)
    read_headers(message, sample)
    if whole:
        read_parts(message, sample)


def read_headers(message: EmailMessage, sample: SampleMail) -> None:
    """Raise PreflightFailed unless each header is there once, and they are the reader's."""
    names = [*sample.meant.own, *sample.meant.shared]
    way_out = f"/u/{sample.reader.token}>"
    if (
        sorted(message.keys()) != sorted(names)
        or message["To"] != sample.reader.address
        or not str(message["List-Unsubscribe"]).partition(",")[0].endswith(way_out)
    ):
        raise PreflightFailed("the headers are not the reader's")


def read_parts(message: EmailMessage, sample: SampleMail) -> None:
    """Raise PreflightFailed unless the mail is the two parts that were meant, and nothing else."""
    if len(DELIMITER.findall(sample.mail)) != DELIMITERS:
        raise PreflightFailed("a line of text could be taken for the delimiter of a part")
    parts = list(message.iter_parts()) if message.is_multipart() else []
    if [part.get_content_type() for part in parts] != ["text/plain", "text/html"]:
        raise PreflightFailed("the mail is not a text part and an html part")
    if message.defects or message.preamble or message.epilogue:
        raise PreflightFailed("something stands before, between or after the parts")
    meant = [sample.meant.text, sample.meant.html]
    for part, pieces in zip(parts, meant, strict=True):
        name = part.get_content_subtype()
        if part.defects:
            raise PreflightFailed(f"the {name} part cannot be read")
        seen = part.get_content().replace("\r\n", "\n")
        if seen != as_text(pieces, sample.meant.values):
            raise PreflightFailed(f"the {name} part is not what was meant")
        if f"/u/{sample.reader.token}" not in seen:
            raise PreflightFailed(f"the {name} part has no way out")
        if name == "html" and len(part.as_bytes()) > MOST_HTML:
            raise PreflightFailed("the html part is too big")
