"""Each topic gets a place of its own in profiles, in the order of the form."""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def number(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    topics = apps.get_model("subscribers", "Topic").objects
    for column, pk in enumerate(
        topics.order_by("position", "pk").values_list("pk", flat=True)
    ):
        topics.filter(pk=pk).update(column=column)


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="topic",
            name="column",
            field=models.PositiveSmallIntegerField(
                editable=False,
                help_text="Its place in profiles, never given twice.",
                null=True,
            ),
        ),
        migrations.RunPython(number, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="topic",
            name="column",
            field=models.PositiveSmallIntegerField(
                editable=False,
                help_text="Its place in profiles, never given twice.",
                unique=True,
            ),
        ),
    ]
