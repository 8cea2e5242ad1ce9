"""Many rows in one statement, without an object's full way through the ORM."""

from collections.abc import Sequence
from typing import Any

from django.db import connection, models


def insert(rows: Sequence[models.Model]) -> None:
    """Insert rows of one model, which get no ids; bulk_create looks at each value anew."""
    if not rows:
        return
    options, quoted = type(rows[0])._meta, connection.ops.quote_name
    fields = [field for field in options.concrete_fields if not field.primary_key]
    columns = ", ".join(quoted(str(field.column)) for field in fields)
    marks = ", ".join(["%s"] * len(fields))
    into = f"INSERT INTO {quoted(options.db_table)} ({columns}) VALUES ({marks})"  # noqa: S608
    values = [prepared(field, rows) for field in fields]
    with connection.cursor() as cursor:
        cursor.executemany(into, list(zip(*values, strict=True)))


def prepared(field: "models.Field[Any, Any]", rows: Sequence[models.Model]) -> list[object]:
    """Return the rows' values of a column for the database; most rows share theirs."""
    known: dict[object, object] = {}
    found = []
    for row in rows:
        value = field.pre_save(row, True)
        try:
            key = value or type(value)  # of most rows a list is empty
            if key not in known:
                known[key] = field.get_db_prep_save(value, connection)
            found.append(known[key])
        except TypeError:  # a list or an object: JSON
            found.append(field.get_db_prep_save(value, connection))
    return found
