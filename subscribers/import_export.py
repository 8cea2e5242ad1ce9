"""Readers in and out of a file: CSV with a head line, or JSON Lines.

An import confirms nobody by itself: without a stated legal source each address is asked
by mail. Who has left or is barred stays away, whatever the file says, and whoever is
known already stays as they are.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.utils.datastructures import MultiValueDict

from subscribers import address_key, rate_limits, subscriptions
from subscribers.addresses import address_hash, counting_key
from subscribers.consent import Origin, record
from subscribers.forms import SignUpForm
from subscribers.models import ConsentEvent, Subscriber
from subscribers.preferences import SubscriptionRequest, described, set_preferences
from subscribers.preferences_form import preferences_of
from subscribers.suppression import is_suppressed
from subscribers.tables import as_csv, unquoted

ORIGIN = Origin("import")
LISTS = {"topics", "days"}
LINES = {"keywords", "watched_authors", "muted_authors"}
COLUMNS = ["email", "state", "topics", "interests", "keywords", "watched_authors"]
COLUMNS += ["muted_authors", "most_papers", "timezone", "send_hour", "cadence", "days"]
COLUMNS += ["weekday", "language", "created_at", "confirmed_at", "unsubscribed_at"]


class BadFile(Exception):
    """The file as a whole cannot be read; the message says why."""


@dataclass(frozen=True)
class Imported:
    """What became of one row: its line, and why it was refused (empty: taken)."""

    line: int
    refused: str


def load(path: Path, *, legal_source: str, now: datetime) -> Iterator[Imported]:
    """Import the rows one by one, each in a transaction of its own.

    Raises BadFile; WrongKey, as everybody would be taken for new.

    `legal_source` says in words why these people may be written to; a column of that
    name outdoes it row by row. Empty: each address gets a mail to confirm.
    """
    address_key.check()
    for line, row in rows_of(path):
        yield Imported(line, load_row(row, legal_source=legal_source, now=now))


def rows_of(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """(line number, row), for JSON Lines if the suffix says so, else CSV."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix in {".jsonl", ".ndjson", ".json"}:
                yield from json_rows(file)
                return
            reader = csv.DictReader(file)
            if "email" not in (reader.fieldnames or ()):
                raise BadFile("the first line must name the columns, one of them email")
            for row in reader:
                plain = {k: unquoted(v) for k, v in row.items() if k and v}
                yield reader.line_num, dict(plain)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadFile(f"cannot read {path}: {error}") from None


def json_rows(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, object]]]:
    for number, text in enumerate(lines, start=1):
        if text.strip():
            try:
                row = json.loads(text)
            except ValueError:
                row = None
            yield number, row if isinstance(row, dict) else {}


def load_row(row: dict[str, object], *, legal_source: str, now: datetime) -> str:
    """Why the row was refused; empty if it was taken."""
    if not row.get("email"):
        return "no email"
    form = SignUpForm(posted(row))
    if not form.is_valid():
        field, errors = next(iter(form.errors.items()))
        return f"{field}: {errors[0]}"
    stated = str(row.get("legal_source") or legal_source).strip()
    return take(form.request(), stated, now=now)


def posted(row: dict[str, object]) -> MultiValueDict[str, str]:
    """The row as the sign-up form would have posted it."""
    data: MultiValueDict[str, str] = MultiValueDict()
    for name, value in row.items():
        if name in LISTS and not isinstance(value, list):
            value = str(value).split()
        if name in LINES and isinstance(value, list):
            value = "\n".join(map(str, value))
        many = value if isinstance(value, list) else [value]
        data.setlist(name, [str(one) for one in many if one is not None])
    return data


@transaction.atomic
def take(wanted: SubscriptionRequest, legal_source: str, *, now: datetime) -> str:
    rate_limits.one_at_a_time(counting_key(wanted.email))
    email_hash = address_hash(wanted.email)
    if is_suppressed(email_hash):
        return "has left or must not be written to"
    if Subscriber.objects.filter(email_hash=email_hash).exists():
        return "known already"
    if not legal_source:
        subscriptions.subscribe(wanted, origin=ORIGIN, now=now)
        return ""
    reader = Subscriber(email=wanted.email, email_hash=email_hash, created_at=now)
    reader.state, reader.confirmed_at = Subscriber.State.ACTIVE, now
    set_preferences(reader, wanted, now=now)
    detail = described(wanted) | {"legal_source": legal_source[:500]}
    kind = ConsentEvent.Kind.IMPORTED
    record(reader, kind, origin=ORIGIN, now=now, detail=detail)
    return ""


def dump(*, jsonl: bool) -> Iterator[str]:
    """All readers as text, piece by piece: JSON Lines, or CSV without formulas."""
    readers = Subscriber.objects.select_related("schedule").prefetch_related("topics")
    if not jsonl:
        yield as_csv([], COLUMNS)
    for reader in readers.order_by("pk").iterator(chunk_size=500):
        row = row_of(reader)
        if jsonl:
            yield json.dumps(row, ensure_ascii=False) + "\n"
        else:
            flat = {name: flattened(name, value) for name, value in row.items()}
            yield as_csv([flat], COLUMNS).partition("\r\n")[2]


def row_of(reader: Subscriber) -> dict[str, object]:
    row = preferences_of(reader) | {"email": reader.email, "state": reader.state}
    row["topics"] = sorted(topic.slug for topic in reader.topics.all())
    for name in ("created_at", "confirmed_at", "unsubscribed_at"):
        instant = getattr(reader, name)
        row[name] = instant.isoformat() if instant else None
    return {name: row[name] for name in COLUMNS}


def flattened(name: str, value: object) -> object:
    if isinstance(value, list):
        return ("\n" if name in LINES else " ").join(map(str, value))
    return value
