"""The second factor of an account: codes of an app (TOTP, RFC 6238), and recovery codes."""

import hashlib
import secrets
from base64 import b32encode
from dataclasses import dataclass
from datetime import datetime

import segno
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django_otp.plugins.otp_totp.models import TOTPDevice

from digest.models import RecoveryCode

NAME = "app"
CODES = 10
BYTES = 10  # of a recovery code: 80 bits, so a plain hash of it cannot be guessed back
QUIET_ZONE = 4  # modules around a QR code (ISO/IEC 18004)


@dataclass(frozen=True)
class Enrolment:
    """What an app needs to know: as an SVG, and as text to type."""

    qr: str
    secret: str


def device_of(user: User) -> TOTPDevice | None:
    """Return the account's app, once it has shown a right code."""
    found: TOTPDevice | None = TOTPDevice.objects.filter(user=user, confirmed=True).first()
    return found


def secured() -> set[int]:
    """Return the ids of the accounts that have an app."""
    return set(TOTPDevice.objects.filter(confirmed=True).values_list("user", flat=True))


def begin(user: User) -> None:
    """Make a new secret, which counts for nothing until a code of it was typed."""
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user, confirmed=False).delete()
        TOTPDevice.objects.create(user=user, name=NAME, confirmed=False)


def begun(user: User) -> Enrolment | None:
    """Return what to show while an app is being added."""
    device = TOTPDevice.objects.filter(user=user, confirmed=False).first()
    if device is None:
        return None
    qr = segno.make(device.config_url, error="m", micro=False)
    svg = qr.svg_inline(scale=5, border=QUIET_ZONE, light="#fff", dark="#000")
    secret = b32encode(device.bin_key).decode()
    return Enrolment(svg, " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)))


def finish(user: User, typed: str) -> list[str]:
    """Make the begun app count if its code is right. Return recovery codes, or none."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        device = TOTPDevice.objects.filter(user=user, confirmed=False).first()
        if device is None or device_of(user) or not device.verify_token(digits(typed)):
            return []
        device.confirmed = True
        device.save(update_fields=["confirmed"])
        return new_codes(user)


def verify(user: User, typed: str, *, now: datetime) -> TOTPDevice | None:
    """Return the account's app if the code is right; a code works once.

    Call it in a transaction that holds the account's row, so that two cannot use one code.
    """
    device = device_of(user)
    if device is None or device.verify_token(digits(typed)):
        return device
    unused = RecoveryCode.objects.filter(user=user, used_at=None)
    return device if unused.filter(code_hash=hashed(typed)).update(used_at=now) else None


def new_codes(user: User) -> list[str]:
    """Replace all recovery codes. Returns the new ones, which are kept as hashes alone."""
    codes = [b32encode(secrets.token_bytes(BYTES)).decode().lower() for _ in range(CODES)]
    with transaction.atomic():
        RecoveryCode.objects.filter(user=user).delete()
        RecoveryCode.objects.bulk_create(
            RecoveryCode(user=user, code_hash=hashed(code)) for code in codes
        )
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]


def remove(user: User) -> bool:
    """Take the app and its codes from an account, and log it out everywhere."""
    with transaction.atomic():
        count, _ = TOTPDevice.objects.filter(user=user).delete()
        RecoveryCode.objects.filter(user=user).delete()
        for session in Session.objects.iterator():
            if session.get_decoded().get("_auth_user_id") == f"{user.pk}":
                session.delete()
    return bool(count)


def digits(typed: str) -> str:
    """Return a code of an app without the spaces that apps show; empty for anything else."""
    code = "".join(typed.split())
    return code if len(code) == 6 and code.isascii() and code.isdecimal() else ""


def hashed(code: str) -> str:
    plain = "".join(code.split()).replace("-", "").lower()
    return hashlib.sha256(plain.encode()).hexdigest()
