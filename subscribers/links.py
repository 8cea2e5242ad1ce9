"""Links in mail: the holder of one may do one thing, without a password.

A token is 128 random bits as 22 characters of base64url. Of all but the token of /u/
only the SHA-256 is stored, so they are found, not compared, and a copy of the
database opens nothing. The token of /u/ is a column of its reader: it never expires,
depends on no key, and can do no more than reduce mail. Addresses are built from
SITE_URL, never from a request.
"""

import hashlib
import re
from datetime import datetime, timedelta

from django.conf import settings

from subscribers.models import Browser, Link, Subscriber, new_capability

LIFETIMES = {
    Link.Purpose.CONFIRM: timedelta(hours=48),
    Link.Purpose.PREFERENCES: timedelta(hours=24),
    Link.Purpose.ADDRESS: timedelta(hours=24),
    Link.Purpose.DATA: timedelta(hours=1),
}
# Of the pages behind links; not asked of the URLs, which load the whole site into a worker.
PATHS = {
    "confirm": "/confirm/{}/",
    "block": "/block/{}/",
    "preferences": "/preferences/{}/",
    "newest": "/preferences/{}/newest/",
    "address": "/address/{}/",
    "data": "/data/{}/",
    "unsubscribe": "/u/{}",
}
SINGLE_USE = {Link.Purpose.ADDRESS, Link.Purpose.DATA}
TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")


class BadLink(Exception):
    """The link opens nothing."""


class Malformed(BadLink):
    """This was never a token of ours."""


class Unknown(BadLink):
    """No such link, or it is for another purpose."""


class Expired(BadLink):
    """It was a link once; `link` says whose."""

    def __init__(self, link: Link) -> None:
        super().__init__("expired")
        self.link = link


def make(
    subscriber: Subscriber,
    purpose: Link.Purpose,
    *,
    now: datetime,
    email: str = "",
    preferences: dict[str, object] | None = None,
    beside: bool = False,
) -> str:
    """Make a link and return its token. Of the links to confirm, only the newest stays valid.

    A link `beside` ends no earlier one: a reminder asks for the same as the first mail.

    `email` is the canonical new address that a link to confirm an address is for,
    `preferences` what a link to confirm a subscription confirms.
    Call it where the subscriber's row is locked.
    """
    if purpose in {Link.Purpose.CONFIRM, Link.Purpose.ADDRESS} and not beside:
        older = Link.objects.filter(subscriber=subscriber, purpose=purpose)
        older.filter(expires_at__gt=now).update(expires_at=now)
    token = new_capability()
    Link.objects.create(
        subscriber=subscriber,
        purpose=purpose,
        token_hash=hash_of(token),
        created_at=now,
        expires_at=now + LIFETIMES[purpose],
        email=email,
        preferences=preferences or {},
    )
    return token


def read(token: str, purpose: Link.Purpose, *, now: datetime) -> Link:
    """Return the link with its subscriber. Raises Malformed, Unknown or Expired."""
    if not well_formed(token):
        raise Malformed
    found = Link.objects.select_related("subscriber__schedule").filter(
        token_hash=hash_of(token), purpose=purpose
    )
    link = found.first()
    if link is None:
        raise Unknown
    if link.expires_at <= now or (purpose in SINGLE_USE and link.used_at):
        raise Expired(link)
    return link


def read_to_block(token: str, *, now: datetime) -> Link:
    """Return a link to confirm an address, however old. Raises Malformed or Unknown."""
    for purpose in (Link.Purpose.CONFIRM, Link.Purpose.ADDRESS):
        try:
            return read(token, purpose, now=now)
        except Expired as expired:
            return expired.link
        except Unknown:
            continue
    raise Unknown


def use_up(link: Link, *, now: datetime) -> None:
    """Take a link of single use. Raises Expired if somebody else was faster."""
    if not Link.objects.filter(pk=link.pk, used_at=None).update(used_at=now):
        raise Expired(link)


def end_all(subscriber: Subscriber, *, now: datetime) -> None:
    """End all links that were mailed so far, and what they opened for longer."""
    Link.objects.filter(subscriber=subscriber, expires_at__gt=now).update(expires_at=now)
    forget_browsers(subscriber)


def forget_browsers(subscriber: Subscriber) -> None:
    """End all browsers in which the reader needs no link: see browsers.py."""
    Browser.objects.filter(subscriber=subscriber).delete()


def well_formed(token: str) -> bool:
    return TOKEN.fullmatch(token) is not None


def hash_of(token: str) -> str:
    """Return the SHA-256 under which a token is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def url(name: str, token: str) -> str:
    """Return the URL of a page of PATHS. Raises KeyError for another name."""
    return settings.SITE_URL + PATHS[name].format(token)


def unsubscribe_url(token: str) -> str:
    """Return the page for Subscriber.unsubscribe_token, the one-click URI of RFC 8058, too."""
    return url("unsubscribe", token)
