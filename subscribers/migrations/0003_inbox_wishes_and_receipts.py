"""Inbox of requests, all wishes of a reader, receipts as a hash chain."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("subscribers", "0002_notice_mailbox"),
    ]

    operations = [
        migrations.CreateModel(
            name="Request",
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
                        choices=[
                            ("sign_up", "To subscribe"),
                            ("link", "For a link to the preferences"),
                            ("data", "For a link to one's data"),
                            ("address", "For mail at another address"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "email",
                    models.CharField(
                        blank=True, help_text="Canonical form.", max_length=254
                    ),
                ),
                ("wishes", models.JSONField(blank=True, default=dict)),
                ("source", models.CharField(max_length=200)),
                ("wording", models.CharField(blank=True, max_length=32)),
                ("network", models.CharField(blank=True, max_length=43)),
                (
                    "domain",
                    models.CharField(
                        help_text="Keyed hash of the target's domain.", max_length=64
                    ),
                ),
                (
                    "trapped",
                    models.BooleanField(
                        default=False, help_text="Filled in what people can't see."
                    ),
                ),
                (
                    "proof",
                    models.CharField(
                        help_text="Of the solved challenge, which counts once.",
                        max_length=64,
                        null=True,
                        unique=True,
                    ),
                ),
                ("at", models.DateTimeField(db_index=True)),
                ("not_before", models.DateTimeField()),
                ("handled_at", models.DateTimeField(blank=True, null=True)),
                ("outcome", models.CharField(blank=True, max_length=12)),
            ],
        ),
        migrations.AddField(
            model_name="consentevent",
            name="content_hash",
            field=models.CharField(blank=True, default="", max_length=64),
        ),
        migrations.AddField(
            model_name="consentevent",
            name="number",
            field=models.PositiveBigIntegerField(
                help_text="Its place in the chain, once sealed.", null=True, unique=True
            ),
        ),
        migrations.AddField(
            model_name="consentevent",
            name="salt",
            field=models.CharField(blank=True, default="", max_length=22),
        ),
        migrations.AddField(
            model_name="consentevent",
            name="seal",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Hash of the seal before it and of its content.",
                max_length=64,
            ),
        ),
        migrations.AddField(
            model_name="link",
            name="email",
            field=models.CharField(
                blank=True,
                default="",
                help_text="The new address, canonical.",
                max_length=254,
            ),
        ),
        migrations.AddField(
            model_name="notice",
            name="email",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Where to, if not to the subscriber's address.",
                max_length=254,
            ),
        ),
        migrations.AddField(
            model_name="subscriber",
            name="keywords",
            field=models.JSONField(
                blank=True, default=list, help_text="Words to look for."
            ),
        ),
        migrations.AddField(
            model_name="subscriber",
            name="most_papers",
            field=models.PositiveSmallIntegerField(
                default=10,
                help_text="How many papers a digest holds at most.",
                validators=[
                    django.core.validators.MinValueValidator(3),
                    django.core.validators.MaxValueValidator(20),
                ],
            ),
        ),
        migrations.AddField(
            model_name="subscriber",
            name="muted_authors",
            field=models.JSONField(blank=True, default=list, help_text="Names."),
        ),
        migrations.AddField(
            model_name="subscriber",
            name="paused_until",
            field=models.DateField(
                blank=True, help_text="Local date from which mail comes again.", null=True
            ),
        ),
        migrations.AddField(
            model_name="subscriber",
            name="watched_authors",
            field=models.JSONField(blank=True, default=list, help_text="Names."),
        ),
        migrations.AlterField(
            model_name="consentevent",
            name="kind",
            field=models.CharField(
                choices=[
                    ("requested", "Asked to subscribe"),
                    ("confirmed", "Confirmed"),
                    ("changed", "Changed preferences"),
                    ("paused", "Paused"),
                    ("resumed", "Resumed"),
                    ("unsubscribed", "Unsubscribed"),
                    ("blocked", "Address blocked by its holder"),
                    ("moved", "Changed the address"),
                    ("imported", "Imported with a stated legal source"),
                    ("erased", "Erased"),
                ],
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="link",
            name="purpose",
            field=models.CharField(
                choices=[
                    ("confirm", "Confirm a subscription"),
                    ("preferences", "Change preferences"),
                    ("address", "Confirm a new address"),
                    ("data", "Download or erase everything"),
                ],
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="notice",
            name="kind",
            field=models.CharField(
                choices=[
                    ("confirm", "Please confirm"),
                    ("reminder", "Please confirm, a day later"),
                    ("already", "You are already subscribed"),
                    ("preferences", "Your link to the preferences"),
                    ("data", "Your link to your data"),
                    ("address", "Please confirm the new address"),
                    ("moved", "Mail goes to another address from now on"),
                ],
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="schedule",
            name="cadence",
            field=models.CharField(
                choices=[
                    ("daily", "Every day"),
                    ("weekdays", "Monday to Friday"),
                    ("chosen", "On chosen days"),
                    ("weekly", "Once a week"),
                ],
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="suppression",
            name="reason",
            field=models.CharField(
                choices=[
                    ("left", "Unsubscribed: a new confirmation lifts it"),
                    ("blocked", "Blocked by its holder"),
                    ("bounced", "Does not exist"),
                    ("complained", "Reported as spam"),
                    ("manual", "By an operator"),
                ],
                max_length=12,
            ),
        ),
        migrations.AddConstraint(
            model_name="subscriber",
            constraint=models.CheckConstraint(
                condition=models.Q(("most_papers__gte", 3), ("most_papers__lte", 20)),
                name="subscriber_most_papers",
            ),
        ),
        migrations.AddField(
            model_name="request",
            name="subscriber",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                to="subscribers.subscriber",
            ),
        ),
        migrations.AddIndex(
            model_name="request",
            index=models.Index(
                condition=models.Q(("handled_at__isnull", True)),
                fields=["not_before"],
                name="request_open",
            ),
        ),
        migrations.AddIndex(
            model_name="request",
            index=models.Index(fields=["network", "at"], name="request_network"),
        ),
        migrations.AddIndex(
            model_name="request",
            index=models.Index(fields=["domain", "at"], name="request_domain"),
        ),
    ]
