"""Names of a delivery that only we can make: for the mail's page and its bounce address.

A name says which delivery and gives no right. It is the row's number and a keyed hash,
one key per purpose, so that a name of one kind is none of another.
"""

import hashlib
import hmac
import re
from enum import Enum
from functools import lru_cache

from django.conf import settings

NAME = re.compile(r"([1-9a-f][0-9a-f]{0,15})-([0-9a-f]{24})")


class Purpose(Enum):
    PAGE = b"mail page"
    BOUNCE = b"bounce address"


@lru_cache(maxsize=16)
def key(purpose: Purpose, secret: str) -> bytes:
    return hashlib.blake2b(secret.encode(), person=purpose.value).digest()


def name(purpose: Purpose, delivery_id: int) -> str:
    """Lower-case letters, digits and a dash: mail servers may fold the case."""
    return named(delivery_id, key(purpose, settings.SECRET_KEY))


def named(delivery_id: int, secret: bytes) -> str:
    number = b"%x" % delivery_id
    return (
        f"{delivery_id:x}-{hashlib.blake2b(number, digest_size=12, key=secret).hexdigest()}"
    )


def read(purpose: Purpose, given: str) -> int | None:
    """The delivery's id, or None for a name that we did not make."""
    found = NAME.fullmatch(given)
    if not found:
        return None
    delivery_id = int(found[1], 16)
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        if hmac.compare_digest(named(delivery_id, key(purpose, secret)), given):
            return delivery_id
    return None
