"""Quotas that keep our forms from being used against other people's mailboxes.

First of all the target counts: every single mail we owe is a Notice that carries the
counting key of its mailbox, whoever asked and from wherever. Requests are counted by
network before they are stored, then by domain and as a whole. Requests without a proof of
work (from browsers without JavaScript, say) come after those with one, and wait a little
longer while the forms are busy. Nothing here shows in any answer.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import ip_network

from altcha import v1 as altcha
from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner
from django.db import connection
from django.db.models import F
from django.utils.crypto import salted_hmac

from subscribers.models import Notice, Request, Subscriber

PAUSE = timedelta(minutes=15)
DAY = timedelta(hours=24)
DAILY = 3

HOUR = timedelta(hours=1)
PER_NETWORK = 30  # requests an hour from one /24 or /48: a lecture hall, no botnet
CALM = 500  # requests an hour up to which nobody needs a proof of work
PER_DOMAIN = 1000  # handled an hour for one mail domain: the rest waits
PER_INSTANCE = 5000  # handled an hour in all: the rest waits
LOOKED_AT = 2000  # newest requests, whose networks say whether the forms are busy
UNPROVED = 60  # handled an hour without proof while the forms are busy
SLOW = timedelta(minutes=15)
HASTY = timedelta(seconds=3)
IMPORTING = 0x696D7074  # the advisory lock's number: an import, or many sign-ups


@dataclass(frozen=True)
class Filled:
    """How a form was filled in: a field that people can't see, its stamp, its proof."""

    trap: str = ""
    stamp: str = ""
    solution: str = ""


# -- the target ------------------------------------------------------------------


def one_at_a_time(mailbox: str) -> None:
    """Keep others from counting or signing up this mailbox until the transaction ends.

    A row lock cannot do it: at a first sign-up there is no row yet. On SQLite the
    immediate transaction already stands alone.
    """
    if connection.vendor == "postgresql":
        number = int.from_bytes(bytes.fromhex(mailbox)[:8], signed=True)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock_shared(%s), pg_advisory_xact_lock(%s)",
                [IMPORTING, number],
            )


def no_sign_up_meanwhile() -> None:
    """Lock all mailboxes at once: an import has too many of them for a lock each."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [IMPORTING])


def may_write(mailbox: str, kind: Notice.Kind, *, now: datetime) -> bool:
    """Return whether a mail fits: three in 24 hours at most, one of a kind in 15 minutes.

    Nobody else counts this mailbox until the transaction ends, which makes the notice.
    """
    one_at_a_time(mailbox)
    return mailbox in may_be_written({mailbox}, kind, now=now)


def may_be_written(
    mailboxes: Collection[str], kind: Notice.Kind, *, now: datetime
) -> set[str]:
    """Return those of the mailboxes that may get such a mail, as `may_write` says."""
    recent = Notice.objects.filter(mailbox__in=mailboxes, created_at__gt=now - DAY)
    sent: dict[str, list[tuple[str, datetime]]] = {}
    for mailbox, sent_kind, at in recent.values_list("mailbox", "kind", "created_at"):
        sent.setdefault(mailbox, []).append((sent_kind, at))
    return {one for one in mailboxes if has_room(sent.get(one, []), kind, now=now)}


def has_room(
    sent: Sequence[tuple[str, datetime]], kind: Notice.Kind, *, now: datetime
) -> bool:
    """Return whether the day's mails to a mailbox leave room for another of this kind."""
    return len(sent) < DAILY and all(
        at <= now - PAUSE for sent_kind, at in sent if sent_kind == kind
    )


def forget(subscriber: Subscriber) -> None:
    """Stop counting sent notices against a mailbox whose holder has answered them."""
    answered = Notice.objects.filter(subscriber=subscriber, email="")
    answered.exclude(mailbox="").update(mailbox="")


# -- requests --------------------------------------------------------------------


@dataclass(frozen=True)
class Crowd:
    """What the requests of the last hour say of the next one."""

    near: int  # of the same network, counted as far as its limit goes
    busy: bool  # whether more is asked than people ask for: then a proof of work counts

    def is_full(self, network: str, *, proved: bool) -> bool:
        """Return whether a request is refused at the door, before anything is stored.

        A network that is not of the open internet may be a proxy's, and all readers behind
        it: there only what nobody could handle in the hour is refused, and no proof.
        """
        if is_global(network):
            return self.near >= PER_NETWORK
        return self.near >= PER_INSTANCE and not proved


# Each cost has a bound whatever was stored. Each network counts for busy as far as its limit
# goes, so none of them puts everybody on the slow lane.
NEAR = """
SELECT count(*) FROM (
    SELECT 1 FROM subscribers_request WHERE network = %s AND at > %s LIMIT %s
) AS near
"""
ALL = """
SELECT sum(CASE WHEN number > %s THEN %s ELSE number END) FROM (
    SELECT count(*) AS number FROM (
        SELECT network FROM subscribers_request WHERE at > %s ORDER BY at DESC LIMIT %s
    ) AS newest GROUP BY network
) AS networks
"""
STILL_BUSY = 1.0  # seconds: so long a process does not count all again under a flood
busy_until = 0.0  # monotonic


def crowd(network: str, *, now: datetime) -> Crowd:
    """Count the requests of the last hour, near and all, in one statement."""
    global busy_until
    since = connection.ops.adapt_datetimefield_value(now - HOUR)
    most = PER_NETWORK if is_global(network) else PER_INSTANCE
    near = [network, since, most]
    with connection.cursor() as cursor:
        if time.monotonic() < busy_until:
            cursor.execute(NEAR, near)
            return Crowd(near=cursor.fetchone()[0], busy=True)
        everybody = [PER_NETWORK, PER_NETWORK, since, LOOKED_AT]
        cursor.execute(f"SELECT ({NEAR}), ({ALL})", [*near, *everybody])
        count, number = cursor.fetchone()
    if busy := (number or 0) > CALM:
        busy_until = time.monotonic() + STILL_BUSY
    return Crowd(near=count, busy=busy)


def wait(filled: Filled, *, proved: bool, busy: bool) -> timedelta:
    """Return how long a request is left lying before it is looked at."""
    if not proved and busy:
        return SLOW
    return HASTY if too_fast(filled.stamp) else timedelta(0)


def refusal(request: Request) -> str:
    """Return why nothing is done about a request, in a word; empty if something is.

    The network's limit is looked at again: many may have come to the door at once.
    """
    if request.trapped:
        return "trapped"
    if not is_global(request.network):
        return ""
    before = Request.objects.filter(
        network=request.network, at__gt=request.at - HOUR, pk__lt=request.pk
    )
    crowded = len(before.values_list("pk")[:PER_NETWORK]) >= PER_NETWORK
    return "network" if crowded else ""


def must_wait(request: Request, *, now: datetime) -> bool:
    """Return whether domain, instance or the slow lane have had their hour's share."""
    done = Request.objects.done(now - HOUR)
    shares = [
        (done.filter(domain=request.domain), PER_DOMAIN),
        (done, PER_INSTANCE),
    ]
    slow = request.proof is None and request.not_before > request.at
    if slow and crowd(request.network, now=now).busy:
        shares.append((done.filter(proof=None, not_before__gt=F("at")), UNPROVED))
    return any(len(rows.values_list("pk")[:most]) >= most for rows, most in shares)


@lru_cache(maxsize=4096)
def is_global(network: str) -> bool:
    """Return whether a network is of the open internet; a proxy's or our own is no measure."""
    return bool(network) and ip_network(network).is_global


# -- a form's stamp and proof of work ----------------------------------------------------

# A form can show that a person filled it in. The stamp says when it was opened. The proof of
# work is ALTCHA's (version 1, SHA-256), made and checked by its library and solved by
# digest/site/static/proof.js. Both are signed by SECRET_KEY: after a change of key, forms that
# are open count as unproved.


FASTEST = timedelta(seconds=2)  # nobody reads, types and sends in less
VALID_FOR = timedelta(minutes=10)
MOST_GUESSES = 50_000  # half of it on average: a second of a phone's time


def stamp() -> str:
    """Return the value of the hidden field that says when a form was opened."""
    return TimestampSigner(salt="form opened").sign("form")


def too_fast(stamp: str) -> bool:
    """Return True if a valid stamp is too young; forms without a stamp are not ours."""
    try:
        TimestampSigner(salt="form opened").unsign(stamp, max_age=FASTEST)
    except (BadSignature, ValueError):  # SignatureExpired is a BadSignature: old enough
        return False
    return True


def challenge(now: datetime) -> dict[str, str | int]:
    """Return the JSON that proof.js solves; it is good once, for ten minutes, for our forms."""
    options = altcha.ChallengeOptions(
        algorithm="SHA-256",
        max_number=MOST_GUESSES,
        hmac_key=proof_key(),
        expires=now + VALID_FOR,
        params={"form": "sign-up"},
    )
    made: dict[str, str | int] = altcha.create_challenge(options).to_dict()
    return made


def solved(payload: str) -> str | None:
    """Return the challenge that a genuine solution solves, to be spent once; else None."""
    if not payload or len(payload) > 2000:
        return None
    try:
        valid, _ = altcha.verify_solution(payload, proof_key(), check_expires=True)
        found = altcha.Payload.from_base64(payload).challenge
    except Exception:  # a stranger's bytes: whatever the library makes of them is a no
        return None
    return str(found) if valid else None


def proof_key() -> str:
    secret = settings.SECRET_KEY
    made = salted_hmac("proof of work", "", secret=secret, algorithm="sha256")
    return made.hexdigest()
