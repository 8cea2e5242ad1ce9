"""A reader's topics as bytes on their own row; those of today's readers are filled in."""

from itertools import batched, groupby
from operator import itemgetter

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

CHOSEN = 64
BATCH = 2000


def fill(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    subscriptions = apps.get_model("subscribers", "Subscription").objects
    pairs = subscriptions.order_by("subscriber").values_list("subscriber", "topic__column")
    readers = groupby(pairs.iterator(chunk_size=BATCH), itemgetter(0))
    with schema_editor.connection.cursor() as cursor:
        for batch in batched(((profile(rows), pk) for pk, rows in readers), BATCH):
            cursor.executemany(
                "UPDATE subscribers_subscriber SET profile = %s WHERE id = %s", batch
            )


def profile(rows) -> bytes:
    columns = {column for _, column in rows}
    return bytes(CHOSEN * (place in columns) for place in range(max(columns) + 1))


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0002_topic_column")]

    operations = [
        migrations.AddField(
            model_name="subscriber",
            name="profile",
            field=models.BinaryField(
                blank=True,
                default=b"",
                help_text="Topics chosen and voted for: see profiles.py.",
            ),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
