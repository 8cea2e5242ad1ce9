"""What a form can show for having been filled in by a person: a stamp, a proof of work.

The stamp says when the form was opened. The proof of work is ALTCHA's (version 1, SHA-256),
made and checked by its library and solved by digest/site/static/proof.js. Both are
signed by SECRET_KEY: after a change of key, forms that are open count as unproved.
"""

from datetime import datetime, timedelta

from altcha import v1 as altcha
from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner
from django.utils.crypto import salted_hmac

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
        hmac_key=key(),
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
        valid, _ = altcha.verify_solution(payload, key(), check_expires=True)
        found = altcha.Payload.from_base64(payload).challenge
    except Exception:  # a stranger's bytes: whatever the library makes of them is a no
        return None
    return str(found) if valid else None


def key() -> str:
    secret = settings.SECRET_KEY
    made = salted_hmac("proof of work", "", secret=secret, algorithm="sha256")
    return made.hexdigest()
