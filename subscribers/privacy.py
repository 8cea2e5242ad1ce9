"""A reader's rights: everything we hold of them, and to have it erased."""

import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date, datetime

from django.db import transaction
from django.db.models import Model, Q, QuerySet
from django.template.loader import render_to_string
from django.utils.dates import WEEKDAYS
from django.utils.translation import override

from subscribers import address_key, consent, preferences
from subscribers.addresses import address_hash, canonical
from subscribers.models import (
    Browser,
    ConsentEvent,
    Link,
    Notice,
    Request,
    Subscriber,
    Suppression,
)
from subscribers.subscriptions import CONFIRMED, State, locked
from subscribers.suppression import suppress
from subscribers.tables import as_csv

type Tables = Mapping[str, Sequence[Mapping[str, object]]]
SECRETS = {"token_hash", "secret_hash", "unsubscribe_token", "feed_token", "salt", "proof"}
# Numbers that count what is stored of everybody: who takes a copy twice could tell by them
# whether a form, sent in between with another's address, has stored anything.
COUNTED = {"id", "subscriber", "schedule", "number"}
# The profile has a table of its own; directions follow from words and votes, which have.
SHOWN_APART = {"profile", "directions"}


def personal_data(subscriber: Subscriber) -> dict[str, Sequence[Mapping[str, object]]]:
    """Return table name → rows: all that this app knows of a person, but secrets and keys."""
    mine = {"subscriber": subscriber}
    hashes = set(consent.addresses_of(subscriber))
    receipts = consent.of_person(subscriber).order_by("pk")
    tables: dict[str, Sequence[Mapping[str, object]]] = {
        "subscriber": [row_of(subscriber)],
        "schedule": [row_of(subscriber.schedule) | {"days": days_of(subscriber)}],
        "topics": [{"topic": topic.slug} for topic in subscriber.topics.all()],
        "profile": preferences.weights(subscriber),
        "consent": [without_link(row) for row in rows_of(receipts)],
        "links": rows_of(their_own(Link.objects.filter(**mine), hashes)),
        "browsers": rows_of(Browser.objects.filter(**mine).order_by("pk")),
        "single_mails": rows_of(their_own(Notice.objects.filter(**mine), hashes)),
        "open_requests": rows_of(requests_of(subscriber)),
        "suppression": rows_of(Suppression.objects.filter(email_hash__in=hashes)),
    }
    return tables


def days_of(subscriber: Subscriber) -> list[str]:
    """Return the weekdays of the reader's mails in words, as the row has them in bits."""
    return [str(WEEKDAYS[day]) for day in subscriber.schedule.weekdays]


def their_own[M: (Link, Notice)](rows: QuerySet[M], hashes: Set[str]) -> list[M]:
    """Leave out what was sent to an address that the person wished to move to and never had.

    Whether we wrote there tells whether that address, maybe another's, reads here or is barred.
    """
    found = rows.order_by("pk")
    return [one for one in found if not one.email or address_hash(one.email) in hashes]


def without_link(receipt: dict[str, object]) -> dict[str, object]:
    """Leave out the number of the link by which something was confirmed."""
    detail = receipt["detail"]
    if isinstance(detail, dict):
        receipt["detail"] = {name: detail[name] for name in detail if name != "link"}
    return receipt


def requests_of(subscriber: Subscriber) -> QuerySet[Request]:
    """Return the open requests of a person, in whatever letter case they were typed."""
    return Request.objects.filter(
        Q(email__iexact=subscriber.email) | Q(subscriber=subscriber)
    )


def rows_of(found: Iterable[Model]) -> list[dict[str, object]]:
    return [row_of(row) for row in found]


def row_of(row: Model) -> dict[str, object]:
    """Return a row with plain values: instants as ISO 8601 in UTC."""
    return {
        field.name: plain(field.value_from_object(row))
        for field in row._meta.concrete_fields
        if field.name not in SECRETS | COUNTED | SHOWN_APART
    }


def plain(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value


def zipped(tables: Tables, *, language: str) -> bytes:
    """data.json with all tables, each as CSV, and in words what they are, in that language.

    The same tables give the same bytes.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        text = json.dumps(tables, ensure_ascii=False, indent=2, default=str)
        archive.writestr("data.json", text + "\n")
        with override(language):
            words = render_to_string("subscribers/data_readme.txt")
        archive.writestr("README.txt", words)
        for name, rows in tables.items():
            columns = list(rows[0]) if rows else []
            archive.writestr(f"{name}.csv", as_csv(rows, columns))
    return out.getvalue()


@transaction.atomic
def erase(subscriber_id: int, *, now: datetime) -> bool:
    """Remove a person for good; False if there is none.

    The keyed hash of one who ever read stays among the suppressed, so that no import brings
    them back; a confirmation of their own does. Receipts stay without the person.
    """
    # In the order of who handles a request: the requests, then the reader's row.
    for known in Subscriber.objects.filter(pk=subscriber_id):
        list(requests_of(known).order_by("pk").select_for_update().values_list("pk"))
    subscriber = locked(subscriber_id)
    if subscriber is None:
        return False
    if subscriber.state in (*CONFIRMED, State.UNSUBSCRIBED):
        suppress(subscriber.email_hash, Suppression.Reason.LEFT, now=now)
    kind = ConsentEvent.Kind.ERASED
    consent.record(subscriber, kind, origin=consent.Origin("erasure"), now=now)
    receipts = list(consent.of_person(subscriber).values_list("pk", flat=True))
    requests_of(subscriber).delete()
    subscriber.delete()  # before its receipts are blanked: they say which addresses it had
    consent.blank(receipts)
    return True


@transaction.atomic
def erase_address(email: str, *, now: datetime) -> bool:
    """Erase the reader of an address, or what is left of one whose row is gone.

    Returns False if there is nothing. Raises BadAddress, WrongKey.
    """
    address_key.check()
    address = canonical(email)
    email_hash = address_hash(address)
    reader = Subscriber.objects.filter(email_hash=email_hash).first()
    if reader is not None:
        return erase(reader.pk, now=now)
    receipts = list(consent.of_address(email_hash).values_list("pk", flat=True))
    consent.blank(receipts)
    requests, _ = Request.objects.filter(email__iexact=address).delete()
    return bool(receipts or requests)
