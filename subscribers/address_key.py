"""The ADDRESS_KEY that a database was made with: under another one nobody is known in it.

With another key a reader's address has another hash. Who is barred would get mail, who is
known would be taken for a stranger, and receipts would be sealed so that they never verify.
So whatever makes or looks up such hashes by itself asks `check` first. Pages do not: they
go on, and what is asked for at the forms waits until the key is right.
"""

import hmac

from django.db import DEFAULT_DB_ALIAS, connections

from subscribers.addresses import address_hash, key_fingerprint
from subscribers.models import AddressKey, Subscriber

ROW = 1
WORDS = (
    "ADDRESS_KEY is not the key that this database was made with: set that one again "
    "(until then nothing is sent, imported, erased or sealed)"
)


class WrongKey(Exception):
    """ADDRESS_KEY is another than the database's; the message says what to do."""

    def __init__(self) -> None:
        super().__init__(WORDS)


def fits(noted: str | None) -> bool:
    """Return whether that is our key's fingerprint; None: the database has none noted yet."""
    return hmac.compare_digest(noted or "", key_fingerprint())


def check() -> None:
    """Raise WrongKey if the database was made with another key."""
    rows = AddressKey.objects.filter(pk=ROW)
    if not fits(rows.values_list("fingerprint", flat=True).first()):
        raise WrongKey


def note() -> None:
    """Note the key of a database that has none noted, if its readers were hashed with it."""
    reader = Subscriber.objects.order_by("pk").only("email", "email_hash").first()
    if reader is None or reader.email_hash == address_hash(reader.email):
        AddressKey.objects.get_or_create(
            pk=ROW, defaults={"fingerprint": key_fingerprint()}
        )


def note_after_migrate(using: str, **_: object) -> None:
    """Note the key at the end of `migrate`; migrated backwards, there is no table for it."""
    tables = connections[using].introspection.table_names()
    if using == DEFAULT_DB_ALIAS and AddressKey._meta.db_table in tables:
        note()
