"""The envelope sender: our From address, with the delivery's name in its local part.

A bounce comes back to it, so it says of which mail it is without being read (VERP); the
domain stays that of From, as SPF and DMARC want it.
"""

from collections.abc import Callable

from digest.editions import signatures
from digest.editions.signatures import Purpose

LONGEST_LOCAL = 64  # RFC 5321 section 4.5.3.1.1


def senders(address: str) -> Callable[[int], str]:
    """Envelope senders by delivery id: papers@… → papers+7cf-3ed3021c…@….

    The address itself where that would be too long.
    """
    local, _, domain = address.rpartition("@")
    name = signatures.namer(Purpose.BOUNCE)

    def sender(delivery_id: int) -> str:
        named = f"{local}+{name(delivery_id)}"
        return f"{named}@{domain}" if len(named) <= LONGEST_LOCAL else address

    return sender


def delivery_of(address: str) -> int | None:
    """The delivery's id of a bounce address that we made, else None."""
    local = address.rpartition("@")[0]
    return signatures.read(Purpose.BOUNCE, local.rpartition("+")[2].lower())
