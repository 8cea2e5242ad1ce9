import django.db.models.deletion
from django.db import migrations, models


def end_leases(apps, schema_editor):
    """Leases of rows are not leases of slices: senders are stopped, end theirs."""
    rows = apps.get_model("digest", "Delivery").objects
    rows.filter(state="claimed").update(state="pending", lease_token="")
    rows.filter(state="submitting").update(state="unknown", reason="crashed in flight")


def leave_room(apps, schema_editor):
    """Room for a row's next versions on its own page, without which no update is HOT."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE digest_delivery SET (fillfactor = 25)")


class Migration(migrations.Migration):
    dependencies = [
        ("digest", "0005_vote"),
        ("subscribers", "0001_initial"),
    ]

    operations = [
        migrations.RunPython(end_leases, migrations.RunPython.noop, elidable=True),
        migrations.CreateModel(
            name="Lease",
            fields=[
                (
                    "token",
                    models.CharField(max_length=22, primary_key=True, serialize=False),
                ),
                (
                    "claimed_until",
                    models.DateTimeField(help_text="For rows without an intent."),
                ),
                (
                    "submitting_until",
                    models.DateTimeField(
                        help_text="For those of the last intents.", null=True
                    ),
                ),
                (
                    "deliveries",
                    models.TextField(help_text="Ids, with commas between them."),
                ),
            ],
        ),
        migrations.RemoveIndex(
            model_name="delivery",
            name="delivery_ready",
        ),
        migrations.RemoveIndex(
            model_name="delivery",
            name="delivery_leased",
        ),
        migrations.RemoveIndex(
            model_name="delivery",
            name="delivery_unknown",
        ),
        migrations.AddField(
            model_name="delivery",
            name="is_open",
            field=models.GeneratedField(
                db_persist=True,
                expression=models.Q(("state__in", ["pending", "claimed", "submitting"])),
                output_field=models.BooleanField(),
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="is_unknown",
            field=models.GeneratedField(
                db_persist=True,
                expression=models.Q(("state", "unknown")),
                output_field=models.BooleanField(),
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="edition",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                to="digest.edition",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="subscriber",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                to="subscribers.subscriber",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("is_open", True)),
                fields=["not_before"],
                name="delivery_open",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("is_unknown", True)),
                fields=["expires_at"],
                name="delivery_unknown",
            ),
        ),
        migrations.RemoveField(
            model_name="delivery",
            name="lease_until",
        ),
        migrations.RunPython(leave_room, migrations.RunPython.noop),
    ]
