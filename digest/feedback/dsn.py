"""A bounce mail (RFC 3464): what a mail server says later, where no provider reports.

It is believed only if it came to the signed envelope address of a delivery (envelope.py),
and then it is about that delivery, whatever it says of its sender and its recipient.
"""

import email
import hashlib
from collections.abc import Iterator
from datetime import datetime
from email.message import Message

from anymail.signals import EventType

from digest import signing
from digest.feedback.events import Report

STATUS = "message/delivery-status"
# RFC 3464 section 2.3.3; "expanded" says nothing of a mailbox.
ACTIONS = {
    "failed": EventType.BOUNCED,
    "delayed": EventType.DEFERRED,
    "delivered": EventType.DELIVERED,
    "relayed": EventType.SENT,
}


def reports(raw: bytes, *, came_to: str, now: datetime) -> list[Report]:
    """What it reports; nothing for mail of another kind, or to another address."""
    delivery_id = signing.delivery_of(came_to)
    if delivery_id is None:
        return []
    try:
        found = list(recipients(email.message_from_bytes(raw)))
    except RecursionError:  # nested a thousand times: no mail server's work
        return []
    return [
        Report(
            kind=ACTIONS[field(block, "Action").lower()],
            key=key(delivery_id, block),
            at=now,
            delivery_id=delivery_id,
            words=f"{field(block, 'Status')} {field(block, 'Diagnostic-Code')}".strip(),
        )
        for block in found
        if field(block, "Action").lower() in ACTIONS
    ]


def recipients(mail: Message) -> Iterator[Message]:
    """The fields of each recipient; those of the first block are about the whole mail."""
    parts = mail.get_payload() if mail.get_content_type() == "multipart/report" else ()
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, Message) and part.get_content_type() == STATUS:
            blocks = part.get_payload()
            found = blocks[1:] if isinstance(blocks, list) else ()
            yield from (block for block in found if isinstance(block, Message))


def field(block: Message, name: str) -> str:
    return " ".join(str(block.get(name, "")).split())


def key(delivery_id: int, block: Message) -> str:
    """The same for the same mail again."""
    text = (
        f"bounce mail {delivery_id} {[(name, str(value)) for name, value in block.items()]}"
    )
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
