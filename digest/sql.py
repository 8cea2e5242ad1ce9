"""Pass a list of ids or rows as one SQL parameter, in both dialects.

One parameter keeps a statement short and the same for any size: arrays on PostgreSQL, JSON
on SQLite.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField
from django.db.models.expressions import RawSQL


def read_any_text(connection: BaseDatabaseWrapper, **_: object) -> None:
    """Decode SQLite text with U+FFFD for bytes that are not UTF-8, which SQLite may store.

    A receiver of `connection_created`. By default one such value fails its whole query.
    """
    if connection.vendor == "sqlite":
        connection.connection.text_factory = partial(
            str, encoding="utf-8", errors="replace"
        )


def postgres() -> bool:
    return connection.vendor == "postgresql"


def id_list(ids: Iterable[int]) -> tuple[str, str]:
    """Return `= ANY(…)` or `IN (…)` for these ids, and its one parameter.

    The parameter is text, as a driver formats a long list far slower than str.join.
    """
    text = ",".join(map(str, ids))
    if postgres():
        return "= ANY(%s::bigint[])", f"{{{text}}}"
    return "IN (SELECT value FROM json_each(%s))", f"[{text}]"


def among(ids: Iterable[int]) -> RawSQL:
    """Return a value for filter(pk__in=…) with one parameter instead of one per id."""
    _, values = id_list(ids)
    sql = "SELECT unnest(%s::bigint[])" if postgres() else "SELECT value FROM json_each(%s)"
    return RawSQL(sql, [values], BigIntegerField())


def rows(
    name: str, columns: dict[str, str], values: Sequence[Sequence[object]]
) -> tuple[str, list[str]]:
    """Return a FROM item NAME with these columns (name → type) and its parameters."""
    if postgres():
        arrays = ", ".join(f"%s::{kind}[]" for kind in columns.values())
        parameters = [
            integers(column) if kind == "bigint" else array(column)
            for kind, column in zip(
                columns.values(), zip(*values, strict=True), strict=True
            )
        ]
        return f"unnest({arrays}) AS {name}({', '.join(columns)})", parameters
    parts = (
        f"CAST(value ->> {place} AS INTEGER) AS {column}"
        if kind == "bigint"
        else f"value ->> {place} AS {column}"
        for place, (column, kind) in enumerate(columns.items())
    )
    return f"(SELECT {', '.join(parts)} FROM json_each(%s)) AS {name}", [json.dumps(values)]


def array(values: Iterable[object]) -> str:
    """Return PostgreSQL's text form of an array (manual, section 8.15.6).

    Repeated values of a column are formatted once.
    """
    written = {value: element(value) for value in set(values)}
    return "{" + ",".join([written[value] for value in values]) + "}"


def integers(values: Iterable[object]) -> str:
    """Return PostgreSQL's text form of an array of numbers, which seldom repeat."""
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


def typed() -> str:
    """Return the placeholder for an instant where its type cannot be inferred."""
    return "%s::timestamptz" if postgres() else "%s"
