"""How a whole slice travels in one parameter, in both dialects.

A list of ids or rows as one value keeps statements short and the same for any size:
arrays on PostgreSQL, JSON on SQLite.
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
    """Read text that is not UTF-8 with U+FFFD in it, as SQLite stores any bytes as text.

    For Django's signal `connection_created`. By default one such value is an error for
    all rows of its query.
    """
    if connection.vendor == "sqlite":
        connection.connection.text_factory = partial(
            str, encoding="utf-8", errors="replace"
        )


def postgres() -> bool:
    return connection.vendor == "postgresql"


def id_list(ids: Iterable[int]) -> tuple[str, str]:
    """`= ANY(…)` or `IN (…)` for these ids, and its one parameter.

    As text: a driver writes a long list out far slower than str.join does.
    """
    text = ",".join(map(str, ids))
    if postgres():
        return "= ANY(%s::bigint[])", f"{{{text}}}"
    return "IN (SELECT value FROM json_each(%s))", f"[{text}]"


def among(ids: Iterable[int]) -> RawSQL:
    """For filter(pk__in=…): the ids as one parameter instead of one each."""
    _, values = id_list(ids)
    sql = "SELECT unnest(%s::bigint[])" if postgres() else "SELECT value FROM json_each(%s)"
    return RawSQL(sql, [values], BigIntegerField())


def rows(
    name: str, columns: dict[str, str], values: Sequence[Sequence[object]]
) -> tuple[str, list[str]]:
    """A FROM-item NAME with these columns (name → type) and rows; its parameters."""
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
    """PostgreSQL's text form of an array (manual, section 8.15.6).

    What a column says again and again is written out once.
    """
    written = {value: element(value) for value in set(values)}
    return "{" + ",".join([written[value] for value in values]) + "}"


def integers(values: Iterable[object]) -> str:
    """The same of numbers, which differ from row to row."""
    return "{" + ",".join(["NULL" if one is None else str(one) for one in values]) + "}"


def element(value: object) -> str:
    if value is None:
        return "NULL"
    text = str(value)
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def instant(value: datetime) -> str | datetime:
    """The parameter for an instant."""
    return connection.ops.adapt_datetimefield_value(value) or value


def typed() -> str:
    """The placeholder for an instant where its type cannot be inferred."""
    return "%s::timestamptz" if postgres() else "%s"
