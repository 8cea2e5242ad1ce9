"""What search finds papers by, with the database's own full-text index over it.

SQLite: FTS5 tables without text of their own, kept up to date by triggers. PostgreSQL:
generated vectors, kept out of the row when they are long, so that ranking reads little.
The rows are written by the next fetch, or by `manage.py search_index`.
"""

import django.db.models.deletion
from django.db import migrations, models

INDEXES = {
    "digest_paperwords": ("paper_id", ["name", "title", "people", "tags", "abstract"]),
    "digest_knownword": ("id", ["grams"]),
}
VECTORS = {
    "digest_paperwords": {
        "name_vector": "name",
        "title_vector": "title",
        "people_vector": "people",
        "tags_vector": "tags",
        "main_vector": "title || ' zz ' || people || ' zz ' || tags",
        "all_vector": "title || ' zz ' || people || ' zz ' || tags || ' zz ' || abstract",
    },
    "digest_knownword": {"grams_vector": "grams"},
}
SEARCHED = {
    *("title_vector", "people_vector", "tags_vector", "main_vector", "all_vector"),
    "grams_vector",
}


def make_indexes(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        for table, (row, columns) in INDEXES.items():
            make_sqlite(schema_editor, table, row, columns)
    else:
        for table, vectors in VECTORS.items():
            make_postgresql(schema_editor, table, vectors)


def make_sqlite(schema_editor, table, row, columns):
    """See https://sqlite.org/fts5.html#external_content_tables."""
    listed = ", ".join(columns)
    old, new = (
        ", ".join(f"{which}.{column}" for column in [row, *columns])
        for which in ("old", "new")
    )
    forget = (
        f"INSERT INTO {table}_fts ({table}_fts, rowid, {listed}) VALUES ('delete', {old});"
    )
    add = f"INSERT INTO {table}_fts (rowid, {listed}) VALUES ({new});"
    schema_editor.execute(
        f"CREATE VIRTUAL TABLE {table}_fts USING fts5({listed}, content='{table}',"
        f" content_rowid='{row}', tokenize='unicode61 remove_diacritics 0')"
    )
    for event, body in {
        "INSERT": add,
        "DELETE": forget,
        "UPDATE": forget + add,
    }.items():
        schema_editor.execute(
            f"CREATE TRIGGER {table}_fts_{event.lower()} AFTER {event} ON {table}"
            f" BEGIN {body} END"
        )


def make_postgresql(schema_editor, table, vectors):
    for name, text in vectors.items():
        schema_editor.execute(
            f"ALTER TABLE {table} ADD COLUMN {name} tsvector"
            f" GENERATED ALWAYS AS (to_tsvector('simple', {text})) STORED"
        )
        schema_editor.execute(
            f"ALTER TABLE {table} ALTER COLUMN {name} SET STORAGE EXTERNAL"
        )
        if name in SEARCHED:
            schema_editor.execute(
                f"CREATE INDEX {table}_{name} ON {table} USING gin ({name})"
            )


def drop_indexes(apps, schema_editor):
    """The vectors go with their tables."""
    if schema_editor.connection.vendor == "sqlite":
        for table in INDEXES:
            schema_editor.execute(f"DROP TABLE {table}_fts")


class Migration(migrations.Migration):
    dependencies = [
        ("digest", "0016_paper_summary"),
    ]

    operations = [
        migrations.CreateModel(
            name="KnownWord",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("word", models.CharField(max_length=40, unique=True)),
                (
                    "grams",
                    models.TextField(help_text="What it shares with misspellings of it."),
                ),
            ],
            options={
                "verbose_name_plural": "known words",
            },
        ),
        migrations.CreateModel(
            name="PaperWords",
            fields=[
                (
                    "paper",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="words",
                        serialize=False,
                        to="digest.paper",
                    ),
                ),
                ("day", models.DateField(db_index=True, help_text="As of the paper.")),
                (
                    "topics",
                    models.TextField(help_text="Slugs, best first, separated by spaces."),
                ),
                (
                    "version",
                    models.PositiveSmallIntegerField(
                        help_text="Of the code that wrote this row."
                    ),
                ),
                (
                    "name",
                    models.TextField(
                        help_text="What the title calls the work before its colon."
                    ),
                ),
                ("title", models.TextField()),
                ("people", models.TextField(help_text="Authors and organization.")),
                ("tags", models.TextField(help_text="Topics, keywords, words that recur.")),
                ("abstract", models.TextField()),
            ],
            options={
                "verbose_name_plural": "paper words",
            },
        ),
        migrations.RunPython(make_indexes, drop_indexes),
    ]
