"""All tables, as the first release of them was; see `replaces`."""

import django.db.models.deletion
from django.db import migrations, models

import subscribers.models.people


def leave_room(apps, schema_editor):
    """Leave room for a row's next versions on its own page: without it no update is HOT."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE digest_delivery SET (fillfactor = 25)")


class Migration(migrations.Migration):
    initial = True

    # What databases of before the first release have applied instead.
    replaces = [
        ("digest", "0001_initial"),
        ("digest", "0002_heartbeat"),
        ("digest", "0003_event_message_id"),
        ("digest", "0004_submission"),
        ("digest", "0005_vote"),
        ("digest", "0006_slices_have_leases"),
        ("digest", "0007_limits_and_resting_domains"),
        ("digest", "0008_no_index_by_reader"),
    ]

    dependencies = [
        ("subscribers", "0001_squashed"),
    ]

    operations = [
        migrations.CreateModel(
            name="Bucket",
            fields=[
                (
                    "name",
                    models.CharField(max_length=270, primary_key=True, serialize=False),
                ),
                ("full_at", models.DateTimeField(help_text="It fills until then.")),
                (
                    "in_use_until",
                    models.DateTimeField(
                        help_text="Until then senders take from here and don't ask Redis."
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="DomainRest",
            fields=[
                (
                    "domain",
                    models.CharField(max_length=255, primary_key=True, serialize=False),
                ),
                (
                    "failures",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="Hand-overs put off by it, less those that it answered.",
                    ),
                ),
                (
                    "rests",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="How many, in a row."
                    ),
                ),
                ("resting_until", models.DateTimeField(blank=True, null=True)),
                ("changed_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["domain"],
            },
        ),
        migrations.CreateModel(
            name="Heartbeat",
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
                ("loop", models.CharField(max_length=8, unique=True)),
                ("at", models.DateTimeField(help_text="UTC, by the database's clock.")),
            ],
        ),
        migrations.CreateModel(
            name="HighWater",
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
                (
                    "identity",
                    models.CharField(
                        default=subscribers.models.people.new_capability,
                        help_text="Tells a copy from another database.",
                        max_length=22,
                    ),
                ),
                ("count", models.PositiveBigIntegerField(default=0)),
                ("site_url", models.CharField(blank=True, default="", max_length=200)),
                (
                    "resting_until",
                    models.DateTimeField(
                        blank=True,
                        help_text="The provider asked us, or failed us, until then.",
                        null=True,
                    ),
                ),
                (
                    "failures",
                    models.PositiveSmallIntegerField(
                        default=0,
                        help_text="How often in a row the provider could not be used.",
                    ),
                ),
            ],
        ),
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
        migrations.CreateModel(
            name="Paper",
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
                (
                    "arxiv_id",
                    models.CharField(
                        help_text="Canonical: 2604.01234, no version.",
                        max_length=32,
                        unique=True,
                    ),
                ),
                ("title", models.TextField()),
                ("abstract", models.TextField()),
                ("authors", models.JSONField(default=list, help_text="Names, in order.")),
                ("author_count", models.PositiveIntegerField(default=0)),
                ("organization", models.CharField(blank=True, max_length=200)),
                (
                    "submitted_at",
                    models.DateTimeField(blank=True, help_text="arXiv, UTC.", null=True),
                ),
                (
                    "day",
                    models.DateField(
                        db_index=True, help_text="The day it was first listed, UTC."
                    ),
                ),
                ("upvotes", models.PositiveIntegerField(default=0)),
                ("comments", models.PositiveIntegerField(default=0)),
                ("code_url", models.URLField(blank=True, max_length=500)),
                ("project_url", models.URLField(blank=True, max_length=500)),
                ("keywords", models.JSONField(blank=True, default=list)),
                (
                    "categories",
                    models.JSONField(blank=True, default=list, help_text="arXiv codes."),
                ),
                (
                    "is_sample",
                    models.BooleanField(default=False, help_text="Written for the demo."),
                ),
                ("fetched_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["-day", "-upvotes", "arxiv_id"],
            },
        ),
        migrations.CreateModel(
            name="Submission",
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
                (
                    "account",
                    models.CharField(
                        help_text="Provider and hash of its settings.", max_length=40
                    ),
                ),
                (
                    "intent_at",
                    models.DateTimeField(
                        db_index=True, help_text="UTC, as in its deliveries."
                    ),
                ),
                ("members", models.JSONField(help_text="Ids of deliveries, in order.")),
            ],
        ),
        migrations.CreateModel(
            name="WarmUpDay",
            fields=[
                (
                    "day",
                    models.DateField(help_text="UTC.", primary_key=True, serialize=False),
                ),
                ("handed_over", models.PositiveIntegerField(default=0)),
            ],
            options={
                "ordering": ["-day"],
            },
        ),
        migrations.CreateModel(
            name="Edition",
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
                (
                    "kind",
                    models.CharField(
                        choices=[("daily", "Daily"), ("weekly", "Weekly")],
                        default="daily",
                        max_length=6,
                    ),
                ),
                ("day", models.DateField()),
                ("published_at", models.DateTimeField()),
                (
                    "planned_until",
                    models.DateTimeField(
                        blank=True,
                        help_text="Due instants up to here have their rows.",
                        null=True,
                    ),
                ),
                (
                    "hold",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "Goes out"),
                            ("paused", "Paused"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="",
                        help_text="Stops hand-overs.",
                        max_length=9,
                    ),
                ),
                ("hold_reason", models.CharField(blank=True, default="", max_length=200)),
            ],
            options={
                "ordering": ["-day"],
                "constraints": [
                    models.UniqueConstraint(fields=("kind", "day"), name="edition_unique")
                ],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
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
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("claimed", "Claimed"),
                            ("submitting", "Submitting"),
                            ("accepted", "Accepted"),
                            ("refused", "Refused"),
                            ("unknown", "Unknown"),
                            ("skipped", "Skipped"),
                            ("expired", "Expired"),
                            ("abandoned", "Abandoned"),
                        ],
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("due_at", models.DateTimeField(help_text="The reader's hour, UTC.")),
                (
                    "not_before",
                    models.DateTimeField(help_text="due_at, or later after a refusal."),
                ),
                (
                    "expires_at",
                    models.DateTimeField(help_text="Too late after this: expired."),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("lease_token", models.CharField(blank=True, default="", max_length=22)),
                (
                    "picks",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Block positions, in order.",
                        max_length=400,
                    ),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=60)),
                (
                    "reply",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="The server's own words.",
                        max_length=500,
                    ),
                ),
                ("intent_at", models.DateTimeField(blank=True, null=True)),
                ("outcome_at", models.DateTimeField(blank=True, null=True)),
                (
                    "is_open",
                    models.GeneratedField(
                        db_persist=True,
                        expression=models.Q(
                            ("state__in", ["pending", "claimed", "submitting"])
                        ),
                        output_field=models.BooleanField(),
                    ),
                ),
                (
                    "is_unknown",
                    models.GeneratedField(
                        db_persist=True,
                        expression=models.Q(("state", "unknown")),
                        output_field=models.BooleanField(),
                    ),
                ),
                (
                    "subscriber",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="subscribers.subscriber",
                    ),
                ),
                (
                    "edition",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="digest.edition",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Frame",
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
                (
                    "fingerprint",
                    models.CharField(help_text="Hash of the data.", max_length=12),
                ),
                ("data", models.TextField(help_text="JSON: see editions/frames.py.")),
                (
                    "edition",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="frames",
                        to="digest.edition",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Block",
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
                (
                    "position",
                    models.PositiveSmallIntegerField(help_text="Best first, from 0."),
                ),
                ("title", models.TextField()),
                ("upvotes", models.PositiveIntegerField()),
                ("topics", models.JSONField(help_text="Topic slug → weight, 0 to 1.")),
                ("html", models.TextField()),
                ("text", models.TextField()),
                (
                    "edition",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="blocks",
                        to="digest.edition",
                    ),
                ),
                (
                    "paper",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="blocks",
                        to="digest.paper",
                    ),
                ),
            ],
            options={
                "ordering": ["position"],
            },
        ),
        migrations.CreateModel(
            name="Vote",
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
                (
                    "value",
                    models.SmallIntegerField(
                        choices=[(1, "More like this"), (-1, "Less like this")]
                    ),
                ),
                ("at", models.DateTimeField(help_text="UTC, of the last word.")),
                (
                    "paper",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to="digest.paper"
                    ),
                ),
                (
                    "subscriber",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="subscribers.subscriber",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="DeliveryEvent",
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
                (
                    "email_hash",
                    models.CharField(blank=True, db_index=True, default="", max_length=64),
                ),
                ("at", models.DateTimeField(help_text="UTC.")),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("sender", "Sender"),
                            ("sweep", "Sweep"),
                            ("operator", "Operator"),
                            ("provider", "Provider"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        help_text="The state that it led to, or Anymail's EventType.",
                        max_length=20,
                    ),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=60)),
                ("reply", models.CharField(blank=True, default="", max_length=500)),
                (
                    "message_id",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="The provider's own, if it says.",
                        max_length=200,
                    ),
                ),
                (
                    "event_key",
                    models.CharField(
                        help_text="A provider's event counts once, however often it is reported.",
                        max_length=64,
                        null=True,
                        unique=True,
                    ),
                ),
                (
                    "delivery",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="digest.delivery",
                    ),
                ),
            ],
            options={
                "ordering": ["at", "pk"],
                "indexes": [
                    models.Index(fields=["kind", "at"], name="delivery_event_lately")
                ],
            },
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
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(
                fields=("edition", "subscriber"), name="delivery_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="frame",
            constraint=models.UniqueConstraint(
                fields=("edition", "fingerprint"), name="frame_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="block",
            constraint=models.UniqueConstraint(
                fields=("edition", "paper"), name="block_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="block",
            constraint=models.UniqueConstraint(
                fields=("edition", "position"), name="block_position_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="vote",
            constraint=models.UniqueConstraint(
                fields=("subscriber", "paper"), name="vote_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="vote",
            constraint=models.CheckConstraint(
                condition=models.Q(("value__in", [1, -1])), name="vote_more_or_less"
            ),
        ),
        migrations.RunPython(leave_room, migrations.RunPython.noop),
    ]
