"""A bounce mail or a complaint: what a mail server says later, where no provider reports.

It is believed only if it came to the signed envelope address of a delivery (signing.py),
and then it is about that delivery, whatever it says of its sender and its recipient. Feedback
loops send every complaint to one address: such a one must name the signed address. Read
are delivery reports (RFC 3464, RFC 6533), as they are and as gateways leave them, the texts
of qmail and Exim, complaints (RFC 5965), and letters that ask to unsubscribe. Anything else
that comes to such an address is kept as a report of nothing, and logged.
"""

import hashlib
import logging
import re
from collections.abc import Iterator
from datetime import datetime
from email.message import Message
from email.parser import HeaderParser
from functools import partial
from itertools import islice
from typing import NamedTuple

from anymail.signals import EventType

from digest import signing
from digest.feedback import hostile_mail
from digest.feedback.events import Report
from digest.feedback.hostile_mail import Unreadable, parsed

logger = logging.getLogger(__name__)

STATUS = {"text/delivery-status", "text/global-delivery-status"}
FEEDBACK = "text/feedback-report"
FEEDBACK_MARK = b"feedback-report"
ENCLOSED = {"text/rfc822", "text/global"}
RETURNED = ENCLOSED | {"text/rfc822-headers"}
DEEPEST = 3  # gateways around gateways
MOST_LETTER = 1024 * 1024  # enough, as the report comes before the returned mail
MOST_PARTS = 100
MOST_BYTES = 64 * 1024  # of one part: a report has one or two thousand
MOST_VALUE = 2000  # characters of a field
MOST_RECIPIENTS = 20  # we write to one; a list behind the address may have several
MOST_WORDS = 500  # characters of a mail that is not understood
SLOTS = 16
# RFC 3464 section 2.3.3; "expanded" says nothing of a mailbox.
ACTIONS = {
    "failed": EventType.BOUNCED,
    "delayed": EventType.DEFERRED,
    "delivered": EventType.DELIVERED,
    "relayed": EventType.SENT,
    "expanded": None,
}
# Of a server that leaves the action out: the class of the status (RFC 3463 section 3.1).
CLASSES = {"5": EventType.BOUNCED, "4": EventType.DEFERRED, "2": EventType.DELIVERED}
# RFC 5965 section 7.3; opt-out is of its drafts and still sent. A virus, a wrong signature
# (RFC 6591) and "not spam" (RFC 6430) are no complaint of the reader's.
COMPLAINTS = {
    "abuse": EventType.COMPLAINED,
    "fraud": EventType.COMPLAINED,
    "other": EventType.COMPLAINED,
    "opt-out": EventType.UNSUBSCRIBED,
    "opt-out-list": EventType.UNSUBSCRIBED,
}
FIELD = re.compile(r"([A-Za-z][\w-]{0,60})[ \t]?:", re.ASCII)

type Fields = dict[str, str]


class Statement(NamedTuple):
    """What a mail says of the delivery. `kind` None: nothing that concerns us."""

    kind: str | None
    words: str
    fields: Fields


class Part(hostile_mail.Mail):
    """A part of a mail, in which the parts message/… stay text: they may be encoded."""

    def get_content_type(self) -> str:
        given = super().get_content_type()
        return given.replace("message/", "text/", 1)


def reports(raw: bytes, *, came_to: str, now: datetime) -> list[Report]:
    """Return what a mail reports; nothing if it neither came to nor names a signed address."""
    delivery_id = signing.delivery_of(came_to)
    if delivery_id is None and FEEDBACK_MARK not in raw.lower():
        return []
    try:
        mail = parsed(raw, Part)
        found = list(islice(statements(mail, DEEPEST), MOST_RECIPIENTS))
        delivery_id = delivery_id or complained_of(mail)
    except (RecursionError, Unreadable):  # no mail server's work
        mail, found = Part(), []
    if delivery_id is None:
        return []
    if not found and asks_to_leave(mail):
        found = [Statement(EventType.UNSUBSCRIBED, "a letter asked for it", {})]
    if not found:
        return [not_understood(mail, delivery_id, now)]
    return [
        Report(
            kind=one.kind,
            key=key("bounce mail", delivery_id, one.kind, sorted(one.fields.items())),
            at=now,
            delivery_id=delivery_id,
            words=one.words,
        )
        for one in found
        if one.kind
    ]


def asks_to_leave(mail: Message) -> bool:
    """Return whether a letter came by the mailto: of List-Unsubscribe (RFC 2369).

    An automatic answer (RFC 3834) asks for nothing, whatever its subject quotes.
    """
    subject = str(mail.get("Subject", "")).strip().lower()
    automatic = str(mail.get("Auto-Submitted", "no")).strip().lower() != "no"
    return subject == "unsubscribe" and not automatic


def complained_of(mail: Message) -> int | None:
    """Return the delivery that a complaint names, in its fields or in the mail it returns."""
    leaves = list(parts(mail))
    if not any(of_feedback(leaves)):
        return None
    named: list[str] = []
    for part in leaves:
        if part.get_content_type() == FEEDBACK:
            named += [block.get("original-mail-from", "") for block in blocks(text(part))]
        elif part.get_content_type() in RETURNED:
            head = HeaderParser().parsestr(text(part))
            named += [f"{head.get(name, '')}" for name in ("CFBL-Address", "Return-Path")]
    addresses = (one.partition(";")[0].strip(" \t<>") for one in named)
    return next(filter(None, map(signing.delivery_of, addresses)), None)


def not_understood(mail: Message, delivery_id: int, now: datetime) -> Report:
    """Return a report that changes nothing, with the first words of the mail.

    Of a delivery at most SLOTS are kept a day: nobody can fill the table with letters.
    """
    logger.warning(
        "a mail to the bounce address of delivery %d is not understood (%.60r)",
        delivery_id,
        mail.get_content_type(),
    )
    texts = (text(part) for part in parts(mail) if part.get_content_type() == "text/plain")
    subject, letter = str(mail.get("Subject", "")), next(texts, "")
    words = " ".join(f"{subject[:MOST_WORDS]} {letter[: 4 * MOST_WORDS]}".split())
    slot = int(key(words), 16) % SLOTS
    return Report(
        kind=EventType.UNKNOWN,
        key=key("not understood", delivery_id, now.date().isoformat(), slot),
        at=now,
        delivery_id=delivery_id,
        words=words[:MOST_WORDS],
        reject_reason="mail not understood",
    )


def key(*said: object) -> str:
    """Return the same for the same mail again."""
    return hashlib.sha256(repr(said).encode(errors="backslashreplace")).hexdigest()


# -- reading ---------------------------------------------------------------------------


def statements(mail: Message, deepest: int) -> Iterator[Statement]:
    """Yield what the mail says, or, if it says nothing, the mails that it encloses."""
    leaves = list(parts(mail))
    is_exims = "X-Failed-Recipients" in mail
    for read in (of_status, of_feedback, partial(of_text, is_exims=is_exims)):
        if found := list(read(leaves)):
            yield from found
            return
    for part in leaves if deepest else ():
        if part.get_content_type() in ENCLOSED:
            enclosed = parsed(content(part), Part)
            if found := list(statements(enclosed, deepest - 1)):
                yield from found
                return


def of_status(leaves: list[Message]) -> Iterator[Statement]:
    """Yield the fields of each recipient; those of the first block are of the whole mail."""
    plain = next(of_text(leaves), None)
    of_types = (part for part in leaves if part.get_content_type() in STATUS)
    found = (block for part in of_types for block in blocks(text(part)))
    of_recipients = (one for one in found if "action" in one or "status" in one)
    for block in of_recipients:
        action = block.get("action", "").lower().split(maxsplit=1)
        status = block.get("status", "")
        if action and action[0] in ACTIONS:
            kind = ACTIONS[action[0]]
        elif status[:1] in CLASSES:
            kind = CLASSES[status[:1]]
        else:
            continue
        said = block.get("diagnostic-code", "")
        if not said and plain and kind == plain.kind:
            said = plain.words  # Exim leaves it out where no other server was asked
        yield Statement(kind, f"{status} {said}".strip(), block)


def of_feedback(leaves: list[Message]) -> Iterator[Statement]:
    """Yield the complaint that a mailbox provider passes on (RFC 5965)."""
    for part in leaves:
        if part.get_content_type() != FEEDBACK:
            continue
        for block in blocks(text(part))[:1]:
            kind = COMPLAINTS.get(block.get("feedback-type", "").lower())
            if kind:
                agent = block.get("user-agent", "")
                words = f"feedback {block['feedback-type']} by {agent}"
                yield Statement(kind, words, block)


def of_text(leaves: list[Message], *, is_exims: bool = False) -> Iterator[Statement]:
    """Yield what qmail or Exim says where it writes no report."""
    for part in leaves:
        if part.get_content_type() == "text/plain":
            for kind, words in read(text(part), is_exims=is_exims):
                yield Statement(kind, words, {"text": words})
            return  # the first text is the server's, the next ones may be anybody's


def parts(mail: Message) -> Iterator[Message]:
    """Yield the leaves of a mail, as many as a mail server would make."""
    for number, part in enumerate(mail.walk()):
        if number >= MOST_PARTS:
            return
        if not part.is_multipart():
            yield part


def content(part: Message) -> bytes:
    """Return the bytes of a leaf, with base64 and quoted-printable undone."""
    try:
        decoded = part.get_payload(decode=True)
    except ValueError:  # an encoding of nobody's
        return b""
    return decoded if isinstance(decoded, bytes) else b""


def text(part: Message) -> str:
    return content(part)[:MOST_BYTES].decode(errors="replace")


def blocks(given: str) -> list[Fields]:
    """Return the groups of fields, by names in lower case.

    A blank line ends a group; so does a name that the group has already, as some leave the
    blank line out. A line that is no field goes on with the one before.
    """
    found: list[Fields] = [{}]
    name = ""
    for line in given.splitlines():
        if not line.strip():
            found.append({})
            name = ""
        elif (field := FIELD.match(line)) and not line[0].isspace():
            name = field[1].lower()
            if name in found[-1]:
                found.append({})
            found[-1][name] = " ".join(line[field.end() :].split())
        elif name and len(found[-1][name]) < MOST_VALUE:
            found[-1][name] = f"{found[-1][name]} {' '.join(line.split())}".strip()
    return [one for one in found if one]


# -- bounces in words of their own -------------------------------------------------------

# qmail and Exim send back plain texts instead of a report. They are read only from the first
# line on, so that no quoted mail and no paper's text is taken for one. flufl.bounce and sisimai
# know their shapes from the servers' sources.


MOST_LINES = 200
# https://cr.yp.to/proto/qsbmf.txt
QMAIL = "hi. this is the"
RECIPIENT = re.compile(r"<[^<>\s]{1,320}>:")
# deliver.c of Exim, and of those who built on it.
EXIM = "this message was created automatically by"
EXIM_LIST = re.compile(r"address(?:\(?es\)?)? failed:|failed addresses follow:")
EXIM_END = ("------", "--- ", "-- ")


def read(text: str, *, is_exims: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (event, words) for each recipient that the text is about.

    `is_exims`: a head field that only Exim writes says so, whatever words it was given.
    """
    lines = [line.rstrip() for line in text.strip().splitlines()[:MOST_LINES]]
    beginning = lines[0].lower() if lines else ""
    if beginning.startswith(QMAIL):
        yield from of_qmail(lines)
    elif is_exims or beginning.startswith(EXIM):
        yield from of_exim(lines, is_final=is_exims)


def of_qmail(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Read QSBMF: paragraphs that begin with a recipient, up to one that begins with -."""
    words: list[str] | None = None
    for line in [*lines, "-"]:
        begins = RECIPIENT.match(line)
        if words is not None and (begins or not line or line.startswith("-")):
            yield EventType.BOUNCED, " ".join(words)
            words = None
        if begins:
            words = line[begins.end() :].split()
        elif line.startswith("-"):
            return
        elif words is not None:
            words += line.split()


def of_exim(lines: list[str], *, is_final: bool) -> Iterator[tuple[str, str]]:
    """Read what stands below "failed:"; a warning says that it "has not yet been" sent."""
    ends = (n for n, line in enumerate(lines) if n and line.startswith(EXIM_END))
    letter = " ".join(" ".join(lines[: next(ends, len(lines))]).split())
    lower = letter.lower()
    if failed := EXIM_LIST.search(lower):
        yield EventType.BOUNCED, letter[failed.end() :].strip()
    elif "has not yet been delivered" in lower:
        yield EventType.DEFERRED, ""
    elif is_final:
        yield EventType.BOUNCED, letter
