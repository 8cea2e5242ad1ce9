"""Read the mails that the catcher stored: one .eml of the received bytes per mail.

NAME.json beside it is the envelope: mail_from, rcpt_to, received_at. NAME is the time of
receipt in nanoseconds and six hex digits, so names sort by time. The bytes are hostile:
reading them always returns something to show and never raises.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

MAIL_ID = re.compile(r"[0-9]{16,24}-[0-9a-f]{6}", re.ASCII)
LARGEST_SHOWN = 10 * 1024 * 1024
OPENING = re.compile(r"<head\b[^>]*>|<html\b[^>]*>|<!doctype\b[^>]*>", re.IGNORECASE)


@dataclass(frozen=True)
class Envelope:
    """The envelope of one caught mail. `received_at` is in UTC."""

    mail_id: str
    mail_from: str
    rcpt_to: tuple[str, ...]
    received_at: datetime


@dataclass(frozen=True)
class CaughtMail:
    """One caught mail, parsed. `html` and `text` are empty where it has no such part."""

    envelope: Envelope
    subject: str
    sender: str
    headers: tuple[tuple[str, str], ...]
    html: str
    text: str
    source: str


def envelopes(folder: Path, *, to: str = "") -> list[Envelope]:
    """Return all envelopes, newest first; with `to`, those with it in a recipient."""
    try:
        names = [path.stem for path in folder.iterdir() if path.suffix == ".eml"]
    except OSError:
        return []  # no mail was ever caught
    found = (read_envelope(folder, name) for name in names if MAIL_ID.fullmatch(name))
    wanted = to.strip().casefold()
    return sorted(
        (
            one
            for one in found
            if any(wanted in rcpt.casefold() for rcpt in one.rcpt_to or [""])
        ),
        key=lambda one: one.mail_id,
        reverse=True,
    )


def read_envelope(folder: Path, mail_id: str) -> Envelope:
    """Return the envelope of a mail, with empty fields for a missing or broken sidecar."""
    try:
        known = json.loads((folder / f"{mail_id}.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        known = {}
    if not isinstance(known, dict):
        known = {}
    rcpt_to = known.get("rcpt_to")
    return Envelope(
        mail_id=mail_id,
        mail_from=str(known.get("mail_from") or ""),
        rcpt_to=tuple(map(str, rcpt_to)) if isinstance(rcpt_to, list) else (),
        received_at=time_of(mail_id),
    )


def time_of(mail_id: str) -> datetime:
    """Return the time of receipt, UTC, from the mail's name."""
    try:
        return datetime.fromtimestamp(int(mail_id.partition("-")[0]) / 1e9, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def read(folder: Path, mail_id: str) -> CaughtMail | None:
    """Return the mail of that id; None for a malformed or unknown id."""
    if not MAIL_ID.fullmatch(mail_id):
        return None
    try:
        with open(folder / f"{mail_id}.eml", "rb") as file:
            source = file.read(LARGEST_SHOWN)
    except OSError:
        return None
    message = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(source)
    return CaughtMail(
        envelope=read_envelope(folder, mail_id),
        subject=header(message, "Subject"),
        sender=header(message, "From"),
        headers=tuple(
            (name, header_value(message, name, str(raw)))
            for name, raw in message.raw_items()
        ),
        html=part(message, "html"),
        text=part(message, "plain"),
        source=source.decode("utf-8", errors="replace"),
    )


def header(message: EmailMessage, name: str) -> str:
    """Return the first header of that name, decoded and on one line; empty without one."""
    for found, raw in message.raw_items():
        if found.lower() == name.lower():
            return header_value(message, found, str(raw))
    return ""


def header_value(message: EmailMessage, name: str, raw: str) -> str:
    """Decode a header's value; return it as it is where the parser fails."""
    try:
        value = str(message.policy.header_fetch_parse(name, raw))
    except Exception:  # the parser raises many kinds on hostile values
        value = raw
    return " ".join(readable(value).split())


def part(message: EmailMessage, subtype: str) -> str:
    """Return the text of the mail's html or plain body; empty without one."""
    try:
        found = message.get_body((subtype,))
        if not isinstance(found, EmailMessage):
            return ""
        content = found.get_content()
        return readable(content if isinstance(content, str) else repr(content))
    except Exception:  # unknown charset, broken base64, malformed nested parts
        return part_as_bytes(message, subtype)


def part_as_bytes(message: EmailMessage, subtype: str) -> str:
    """Return the first part of that subtype, decoded as UTF-8 with replacements."""
    for candidate in message.walk():
        if candidate.get_content_subtype() == subtype and not candidate.is_multipart():
            payload = candidate.get_payload(decode=True)
            if isinstance(payload, bytes):
                return payload.decode("utf-8", errors="replace")
    return ""


def readable(text: str) -> str:
    """Replace lone surrogates, which a response cannot be encoded with."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def with_new_tabs(html: str) -> str:
    """Return the HTML with its links opening in a new tab."""
    base = '<base target="_blank">'
    openings = list(OPENING.finditer(html[:4096]))
    if not openings:
        return base + html
    end = openings[-1].end()
    return html[:end] + base + html[end:]
