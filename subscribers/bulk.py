"""Many rows in one statement, without an object's full way through the ORM."""

from collections.abc import Sequence

from django.db import connection, models


def insert(rows: Sequence[models.Model]) -> None:
    """Insert rows of one model, which get no ids: bulk_create takes twice as long."""
    if not rows:
        return
    options, quoted = type(rows[0])._meta, connection.ops.quote_name
    fields = [field for field in options.concrete_fields if not field.primary_key]
    columns = ", ".join(quoted(str(field.column)) for field in fields)
    marks = ", ".join(["%s"] * len(fields))
    into = f"INSERT INTO {quoted(options.db_table)} ({columns}) VALUES ({marks})"  # noqa: S608
    values = [
        [field.get_db_prep_save(field.pre_save(row, True), connection) for row in rows]
        for field in fields
    ]
    with connection.cursor() as cursor:
        cursor.executemany(into, list(zip(*values, strict=True)))
