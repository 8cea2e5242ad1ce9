"""Back-off of provider and domains in one table; the fence is a fence only; one token bucket.

Renamed tables keep their rows and, on PostgreSQL, their oid: senders see the same database.
"""

from django.db import migrations, models
from django.utils import timezone

PROVIDER = "*"
STATE = ("failures", "resting_until", "cause", "alarmed_at")


def move_provider(apps, schema_editor):
    """Copy what the fence's row knew of the provider into a row of its own."""
    database = schema_editor.connection.alias
    back_offs = apps.get_model("digest", "BackOff").objects.using(database)
    for mark in apps.get_model("digest", "HighWater").objects.using(database).filter(pk=1):
        if mark.failures or mark.resting_until or mark.alarmed_at:
            state = {name: getattr(mark, name) for name in STATE}
            back_offs.update_or_create(
                pk=PROVIDER,
                defaults=state | {"rests": mark.failures, "changed_at": timezone.now()},
            )


def move_back(apps, schema_editor):
    database = schema_editor.connection.alias
    marks = apps.get_model("digest", "HighWater").objects.using(database)
    rows = apps.get_model("digest", "BackOff").objects.using(database).filter(pk=PROVIDER)
    for row in rows:
        marks.filter(pk=1).update(**{name: getattr(row, name) for name in STATE})
    rows.delete()


def forget_buckets(apps, schema_editor):
    """Empty the buckets on the way back: a new column that is never null has no value there."""
    apps.get_model("digest", "Bucket").objects.using(
        schema_editor.connection.alias
    ).delete()


class Migration(migrations.Migration):
    dependencies = [("digest", "0014_plural_names")]

    operations = [
        migrations.RenameModel("DomainRest", "BackOff"),
        migrations.RenameField("BackOff", "domain", "name"),
        migrations.AlterModelOptions(
            "BackOff", {"ordering": ["name"], "verbose_name_plural": "back-offs"}
        ),
        migrations.AlterField(
            "BackOff",
            "failures",
            models.PositiveIntegerField(
                default=0,
                help_text="How often in a row the provider could not be used; of a domain, the "
                "hand-overs that it put off less those that it answered.",
            ),
        ),
        migrations.AddField(
            "BackOff",
            "cause",
            models.CharField(
                blank=True,
                default="",
                help_text="Why, in the provider's words.",
                max_length=500,
            ),
        ),
        migrations.AddField(
            "BackOff",
            "alarmed_at",
            models.DateTimeField(
                blank=True, help_text="When the operator was last told so.", null=True
            ),
        ),
        migrations.RunPython(move_provider, move_back),
        migrations.RemoveField("HighWater", "resting_until"),
        migrations.RemoveField("HighWater", "failures"),
        migrations.RemoveField("HighWater", "cause"),
        migrations.RemoveField("HighWater", "alarmed_at"),
        migrations.RenameModel("HighWater", "Fence"),
        migrations.AlterModelOptions("Fence", {"verbose_name_plural": "fences"}),
        migrations.RemoveField("Bucket", "in_use_until"),
        migrations.RunPython(migrations.RunPython.noop, forget_buckets),
    ]
