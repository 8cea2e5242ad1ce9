"""Keep the long texts and vectors of paper words out of their rows, on PostgreSQL.

A search for a common word passes over many rows for their days alone. With 100,000 papers
the rows take 45 MB instead of 175, which stays in the server's memory.
"""

from django.db import migrations

NARROW = [
    "SET LOCAL statement_timeout = 0",
    "ALTER TABLE digest_paperwords SET (toast_tuple_target = 512)",
    "CLUSTER digest_paperwords USING digest_paperwords_pkey",  # writes the rows anew
]
WIDE = ["ALTER TABLE digest_paperwords RESET (toast_tuple_target)"]


def narrow(apps, schema_editor):
    on_postgresql(schema_editor, NARROW)


def widen(apps, schema_editor):
    on_postgresql(schema_editor, WIDE)


def on_postgresql(schema_editor, statements):
    for statement in statements if schema_editor.connection.vendor == "postgresql" else ():
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("digest", "0026_interleaving")]

    operations = [migrations.RunPython(narrow, widen)]
