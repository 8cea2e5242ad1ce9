"""Directions of readers' words and likes; null where they are to be computed."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def compute_later(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    readers = apps.get_model("subscribers", "Subscriber").objects.all()
    readers.exclude(interests="", keywords=[]).update(directions=None)


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0006_keyed_seals")]

    operations = [
        migrations.AddField(
            model_name="subscriber",
            name="directions",
            field=models.BinaryField(
                null=True,
                blank=True,
                default=b"",
                help_text="Written interests and likes as vectors; null: to be computed.",
            ),
        ),
        migrations.RunPython(compute_later, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="subscriber",
            index=models.Index(
                fields=["id"],
                condition=models.Q(directions__isnull=True),
                name="subscriber_to_compute",
            ),
        ),
    ]
