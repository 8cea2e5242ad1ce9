"""Run named statements, and send a list of ids or rows as one parameter of them.

One parameter keeps a statement short and the same for any size: arrays on PostgreSQL,
JSON on SQLite.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import methodcaller
from typing import Any, NamedTuple

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, TextField
from django.db.models.expressions import RawSQL


class Statement(NamedTuple):
    """A whole statement in each dialect; its parameters are named, as in %(now)s."""

    postgresql: str
    sqlite: str


class Rows(NamedTuple):
    """Rows for one parameter, and the names of their columns, each of text or instants.

    PostgreSQL gets an array named after each column, SQLite all as JSON in %(rows)s.
    Columns in `numbers` hold integers.
    """

    columns: Sequence[str]
    values: Sequence[Sequence[object]]
    numbers: Sequence[str] = ("id",)


def fetch(statement: Statement, **parameters: object) -> list[tuple[Any, ...]]:
    """Run the statement and return its rows.

    An instant, a list of ids and Rows are written as the dialect reads them.
    """
    with connection.cursor() as cursor:
        cursor.execute(getattr(statement, connection.vendor), adapted(parameters))
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def change(statement: Statement, **parameters: object) -> int:
    """Run the statement, with parameters as for `fetch`, and return how many rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(getattr(statement, connection.vendor), adapted(parameters))
        return int(cursor.rowcount)


def adapted(parameters: Mapping[str, object]) -> dict[str, Any]:
    """Return the parameters as the dialect reads them."""
    written: dict[str, Any] = {}
    for name, value in parameters.items():
        match value:
            case Rows():
                written |= columns(value)
            case list():
                written[name] = id_list(value)[1]
            case datetime():
                written[name] = instant(value)
            case _:
                written[name] = value
    return written


def columns(rows: Rows) -> dict[str, Any]:
    """Return the parameters that hold these rows."""
    if not postgres():
        return {"rows": json.dumps(rows.values, default=instant)}
    return {
        name: integers(column) if name in rows.numbers else array(column)
        for name, column in zip(rows.columns, zip(*rows.values, strict=True), strict=True)
    }


def read_any_text(connection: BaseDatabaseWrapper, **_: object) -> None:
    """Decode SQLite text with U+FFFD for bytes that are not UTF-8, which SQLite may store.

    A receiver of `connection_created`. By default one such value fails its whole query.
    """
    if connection.vendor == "sqlite":
        # Called for each value: partial(str, errors="replace") took three times as long.
        connection.connection.text_factory = methodcaller("decode", "utf-8", "replace")


def postgres() -> bool:
    return connection.vendor == "postgresql"


def id_list(ids: Iterable[int]) -> tuple[str, str]:
    """Return `= ANY(…)` or `IN (…)` for these ids, and its one parameter.

    The parameter is text: a driver writes a long list far slower than str.join does.
    """
    text = ",".join(map(str, ids))
    if postgres():
        return "= ANY(%s::bigint[])", f"{{{text}}}"
    return "IN (SELECT value FROM json_each(%s))", f"[{text}]"


def among(ids: Iterable[int]) -> RawSQL:
    """Return the ids as one parameter for filter(pk__in=…)."""
    _, values = id_list(ids)
    sql = "SELECT unnest(%s::bigint[])" if postgres() else "SELECT value FROM json_each(%s)"
    return RawSQL(sql, [values], BigIntegerField())


def among_texts(texts: Iterable[str]) -> RawSQL:
    """Return the texts as one parameter for filter(name__in=…)."""
    if postgres():
        return RawSQL("SELECT unnest(%s::text[])", [array(texts)], TextField())
    listed = json.dumps(list(texts))
    return RawSQL("SELECT value FROM json_each(%s)", [listed], TextField())


def array(values: Iterable[object]) -> str:
    """Return PostgreSQL's text form of an array (manual, section 8.15.6).

    A value that a column repeats is escaped once.
    """
    written = {value: element(value) for value in set(values)}
    return "{" + ",".join([written[value] for value in values]) + "}"


def integers(values: Iterable[object]) -> str:
    """Return the array of integers, which seldom repeat."""
    return "{" + ",".join(["NULL" if one is None else str(one) for one in values]) + "}"


def element(value: object) -> str:
    if value is None:
        return "NULL"
    text = str(value)
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def instant(value: datetime) -> str | datetime:
    """Return the parameter for an instant."""
    return connection.ops.adapt_datetimefield_value(value) or value
