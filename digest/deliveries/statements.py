"""How a whole slice travels in one parameter, in both dialects.

A list of ids or rows as one value keeps statements short and the same for any size:
arrays on PostgreSQL, JSON on SQLite.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import BigIntegerField
from django.db.models.expressions import RawSQL


def postgres() -> bool:
    return connection.vendor == "postgresql"


def among(ids: Iterable[int]) -> RawSQL:
    """For filter(pk__in=…): the ids as one parameter instead of one each."""
    sql = "SELECT unnest(%s::bigint[])" if postgres() else "SELECT value FROM json_each(%s)"
    values = list(ids)
    return RawSQL(sql, [values if postgres() else json.dumps(values)], BigIntegerField())


def rows(
    name: str, columns: dict[str, str], values: Sequence[Sequence[object]]
) -> tuple[str, list[Any]]:
    """A FROM-item NAME with these columns (name → type) and rows; its parameters."""
    if postgres():
        arrays = ", ".join(f"%s::{kind}[]" for kind in columns.values())
        turned = [list(column) for column in zip(*values, strict=True)]
        return f"unnest({arrays}) AS {name}({', '.join(columns)})", [*turned]
    parts = (
        f"CAST(value ->> {place} AS INTEGER) AS {column}"
        if kind == "bigint"
        else f"value ->> {place} AS {column}"
        for place, (column, kind) in enumerate(columns.items())
    )
    return f"(SELECT {', '.join(parts)} FROM json_each(%s)) AS {name}", [json.dumps(values)]


def instant(value: datetime) -> str | datetime:
    """The parameter for an instant."""
    return connection.ops.adapt_datetimefield_value(value) or value


def typed() -> str:
    """The placeholder for an instant where its type cannot be inferred."""
    return "%s::timestamptz" if postgres() else "%s"
