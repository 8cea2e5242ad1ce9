"""The one form of an address, and what is refused and why.

Mail goes to the canonical form only, never to what was typed: the domain as lower-case
A-labels (UTS 46), the local part as typed. Addresses that differ in ASCII case only are
the same reader; address_hash says so. Test domains (.test, .example, example.org) are
accepted, since operators try them; localhost and .invalid are not.
"""

import hmac
import re
import unicodedata
from functools import lru_cache
from typing import NewType

from django.conf import settings
from django.utils.translation import get_language, gettext
from email_validator import EmailNotValidError, validate_email

LONGEST = 254  # RFC 5321 4.5.3.1.3: a path has 256 octets, two of them angle brackets
LONGEST_LOCAL = 64  # RFC 5321 4.5.3.1.1
# Most names by far. They are valid and stay as typed, so that only their domain, which many
# share, is left to check.
PLAIN_LOCAL = re.compile("[A-Za-z0-9]+(?:[._+-][A-Za-z0-9]+)*")
ASCII_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


Address = NewType("Address", str)  # in its canonical form: what `canonical` has returned


class BadAddress(ValueError):
    """The address cannot be used; the message tells its owner what to change."""


def canonical(text: str) -> Address:
    """Return the form in which an address is stored and mailed. Raises BadAddress."""
    typed = text.strip(" ")
    refuse_by_sight(typed)
    local, _, domain = typed.rpartition("@")
    try:
        if PLAIN_LOCAL.fullmatch(local):
            domain = domain_of_anybody(domain)
        else:
            local, domain = validated(typed)
    except EmailNotValidError as error:
        raise BadAddress(explained(error)) from None
    address = Address(f"{local}@{domain}")
    if len(address) > LONGEST:
        raise too_long()
    return address


@lru_cache(maxsize=4096)
def domain_of_anybody(domain: str) -> str:
    """Return the canonical domain. Raises EmailNotValidError, which is not remembered."""
    return validated(f"a@{domain}")[1]


def validated(typed: str) -> tuple[str, str]:
    """Return the local part as typed and the canonical domain. Raises EmailNotValidError."""
    found = validate_email(
        typed,
        check_deliverability=False,
        test_environment=True,
        allow_smtputf8=False,
        strict=True,
    )
    return found.local_part, found.ascii_domain.translate(ASCII_LOWER)


def refuse_by_sight(typed: str) -> None:
    """Apply the rules that the validator lacks or words less clearly. Raises BadAddress."""
    local, at, _ = typed.rpartition("@")
    if len(typed) > LONGEST:
        raise too_long()
    if not typed.isprintable() and any(
        unicodedata.category(character)[0] == "C" for character in typed
    ):
        raise BadAddress(
            gettext(
                "This address contains an invisible character: type it instead of pasting it."
            )
        )
    if "," in typed or ";" in typed or typed.count("@") > 1:
        raise BadAddress(gettext("Enter one address only."))
    if not at:
        raise BadAddress(gettext("An address has an @ between the name and the domain."))
    if not local.isascii():
        raise BadAddress(
            gettext(
                "Before the @, use plain letters (a to z): we cannot send to other addresses yet."
            )
        )
    if '"' in typed or "(" in typed or ")" in typed:
        raise BadAddress(gettext("Leave out quotes and brackets."))
    if local.startswith("-"):
        raise BadAddress(
            gettext("An address that begins with a hyphen cannot be used here.")
        )
    if len(local) > LONGEST_LOCAL:
        words = gettext("Before the @, %(n)d characters are allowed at most.")
        raise BadAddress(words % {"n": LONGEST_LOCAL})


def too_long() -> BadAddress:
    words = gettext("This address is too long: %(n)d characters at most.")
    return BadAddress(words % {"n": LONGEST})


def explained(error: EmailNotValidError) -> str:
    """Return what is wrong: the validator's own words, which are English, or one sentence."""
    if get_language() == settings.LANGUAGE_CODE:
        return str(error)
    return gettext("This is not a valid email address. Check it for typing errors.")


def keyed_hash(text: str) -> str:
    """Return 64 hex digits that only we can make.

    Texts of other kinds than an address begin with a word of their own and a space.
    """
    return hmac.digest(settings.ADDRESS_KEY.encode(), text.encode(), "sha256").hex()


def key_fingerprint() -> str:
    """Return 16 hex digits that tell one ADDRESS_KEY from another, and nothing of it."""
    return keyed_hash("fingerprint of the key")[:16]


def address_hash(canonical: str) -> str:
    """Return 64 hex digits that stand for an address and outlive it; case is ignored.

    Keyed by ADDRESS_KEY, so that a stolen table names nobody; SECRET_KEY may change.
    """
    return keyed_hash(canonical.translate(ASCII_LOWER))


def counting_key(canonical: str) -> str:
    """Return 64 hex digits, the same for all spellings that may reach one mailbox.

    Tags after a plus and dots before the @ are left off. For counting only: at some
    providers a.b@ and ab@ are two people.
    """
    local, _, domain = canonical.translate(ASCII_LOWER).rpartition("@")
    mailbox = local.partition("+")[0].replace(".", "") or local
    return keyed_hash(f"mailbox {mailbox}@{domain}")


def domain_hash(canonical: str) -> str:
    """Return 64 hex digits that stand for the domain of an address, for counting only."""
    return keyed_hash("domain " + canonical.translate(ASCII_LOWER).rpartition("@")[2])


def masked(canonical: str) -> str:
    """Return enough to recognise one's own address and too little to learn another's."""
    local, _, domain = canonical.rpartition("@")
    return f"{local[:1]}…@{domain[:1]}…{domain[domain.rfind('.') :]}"
