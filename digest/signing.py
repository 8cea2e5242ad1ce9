"""Signed names of a delivery, for the mail's page and its bounce address.

A name identifies a delivery and grants no right. It is the row's id and a keyed hash with
a key per purpose, so that a name is valid for one purpose only. The envelope sender
contains it in its local part (VERP), so that a bounce's address identifies the mail; the
domain stays that of From, as SPF and DMARC require.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from enum import Enum
from functools import lru_cache, partial

from django.conf import settings

LONGEST_LOCAL = 64  # RFC 5321 section 4.5.3.1.1
NAME = re.compile(r"([1-9a-f][0-9a-f]{0,15})-([0-9a-f]{24})")


class Purpose(Enum):
    PAGE = b"mail page"
    BOUNCE = b"bounce address"


@lru_cache(maxsize=16)
def keyed(purpose: Purpose, secret: str) -> "hashlib.blake2b":
    """Return a keyed hash object; each name is computed with a copy of it."""
    key = hashlib.blake2b(secret.encode(), person=purpose.value).digest()
    return hashlib.blake2b(digest_size=12, key=key)


def namer(purpose: Purpose) -> Callable[[int], str]:
    """Return a function that makes many names, as it looks up key and settings once."""
    return partial(named, keyed_hash=keyed(purpose, settings.SECRET_KEY))


def name(purpose: Purpose, delivery_id: int) -> str:
    """Return a name of lower-case letters, digits and a dash, as servers may fold case."""
    return named(delivery_id, keyed(purpose, settings.SECRET_KEY))


def named(delivery_id: int, keyed_hash: "hashlib.blake2b") -> str:
    number = f"{delivery_id:x}"
    made = keyed_hash.copy()
    made.update(number.encode())
    return f"{number}-{made.hexdigest()}"


def read(purpose: Purpose, given: str) -> int | None:
    """Return the delivery's id, or None for an invalid name."""
    found = NAME.fullmatch(given)
    if not found:
        return None
    delivery_id = int(found[1], 16)
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        if hmac.compare_digest(named(delivery_id, keyed(purpose, secret)), given):
            return delivery_id
    return None


def senders(address: str) -> Callable[[int], str]:
    """Return a function of delivery id → envelope sender: papers+7cf-3ed3021c…@….

    It returns the address itself where that would be too long.
    """
    local, _, domain = address.rpartition("@")
    name = namer(Purpose.BOUNCE)

    def sender(delivery_id: int) -> str:
        named = f"{local}+{name(delivery_id)}"
        return f"{named}@{domain}" if len(named) <= LONGEST_LOCAL else address

    return sender


def delivery_of(address: str) -> int | None:
    """Return the delivery's id of a valid bounce address, else None."""
    local = address.rpartition("@")[0]
    return read(Purpose.BOUNCE, local.rpartition("+")[2].lower())
