"""Let PostgreSQL's full-text indexes take in each paper at once.

By default new entries wait in a list that every search reads through: with few papers a
day no vacuum comes for weeks, and a search takes four times as long.
"""

from importlib import import_module

from django.db import migrations

paper_words = import_module("digest.migrations.0017_paper_words")


def take_in(apps, schema_editor):
    set_lists(schema_editor, "off")
    for index in indexes() if schema_editor.connection.vendor == "postgresql" else ():
        schema_editor.execute(f"SELECT gin_clean_pending_list('{index}'::regclass)")


def let_wait(apps, schema_editor):
    set_lists(schema_editor, "on")


def set_lists(schema_editor, value):
    if schema_editor.connection.vendor != "postgresql":
        return
    for index in indexes():
        schema_editor.execute(f"ALTER INDEX {index} SET (fastupdate = {value})")


def indexes():
    return [
        f"{table}_{name}"
        for table, vectors in paper_words.VECTORS.items()
        for name in vectors
        if name in paper_words.SEARCHED
    ]


class Migration(migrations.Migration):
    dependencies = [("digest", "0021_fullness")]

    operations = [migrations.RunPython(take_in, let_wait)]
