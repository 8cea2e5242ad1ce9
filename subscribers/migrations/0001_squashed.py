"""All tables, as the first release of them was; see `replaces`."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import subscribers.models.people


class Migration(migrations.Migration):
    initial = True

    # What databases of before the first release have applied instead.
    replaces = [
        ("subscribers", "0001_initial"),
        ("subscribers", "0002_topic_column"),
        ("subscribers", "0003_subscriber_profile"),
    ]

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Suppression",
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
                ("email_hash", models.CharField(max_length=64, unique=True)),
                (
                    "reason",
                    models.CharField(
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
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Topic",
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
                    "slug",
                    models.SlugField(help_text="The name in links and forms.", unique=True),
                ),
                ("label", models.CharField(help_text="What readers see.", max_length=80)),
                (
                    "group",
                    models.CharField(
                        help_text="The heading it stands under.", max_length=80
                    ),
                ),
                ("description", models.CharField(blank=True, max_length=300)),
                (
                    "position",
                    models.PositiveSmallIntegerField(help_text="The order on the form."),
                ),
                (
                    "column",
                    models.PositiveSmallIntegerField(
                        editable=False,
                        help_text="Its place in profiles, never given twice.",
                        unique=True,
                    ),
                ),
            ],
            options={
                "ordering": ["position"],
            },
        ),
        migrations.CreateModel(
            name="Schedule",
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
                ("timezone", models.CharField(help_text="An IANA name.", max_length=64)),
                (
                    "send_hour",
                    models.PositiveSmallIntegerField(help_text="Local hour, 0 to 23."),
                ),
                (
                    "cadence",
                    models.CharField(
                        choices=[
                            ("daily", "Every day"),
                            ("weekdays", "Monday to Friday"),
                            ("chosen", "On chosen days"),
                            ("weekly", "Once a week"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "days",
                    models.PositiveSmallIntegerField(
                        help_text="Local weekdays on which to send; bit 0 is Monday."
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("timezone", "send_hour", "cadence", "days"),
                        name="schedule_unique",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("send_hour__lte", 23)),
                        name="schedule_hour_of_day",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("days__gte", 1), ("days__lte", 127)),
                        name="schedule_some_day",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Subscriber",
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
                    "email",
                    models.CharField(
                        help_text="Canonical form.", max_length=254, unique=True
                    ),
                ),
                (
                    "email_hash",
                    models.CharField(
                        db_index=True,
                        help_text="Keyed hash, as in Suppression.",
                        max_length=64,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Waiting for confirmation"),
                            ("active", "Active"),
                            ("paused", "Paused"),
                            ("unsubscribed", "Unsubscribed"),
                        ],
                        default="pending",
                        max_length=12,
                    ),
                ),
                (
                    "interests",
                    models.TextField(blank=True, help_text="The reader's own words."),
                ),
                (
                    "keywords",
                    models.JSONField(
                        blank=True, default=list, help_text="Words to look for."
                    ),
                ),
                (
                    "watched_authors",
                    models.JSONField(blank=True, default=list, help_text="Names."),
                ),
                (
                    "muted_authors",
                    models.JSONField(blank=True, default=list, help_text="Names."),
                ),
                (
                    "most_papers",
                    models.PositiveSmallIntegerField(
                        default=10,
                        help_text="How many papers a digest holds at most.",
                        validators=[
                            django.core.validators.MinValueValidator(3),
                            django.core.validators.MaxValueValidator(20),
                        ],
                    ),
                ),
                (
                    "language",
                    models.CharField(
                        default="en",
                        help_text="Of the mail's own words: settings.LANGUAGES.",
                        max_length=8,
                    ),
                ),
                (
                    "profile",
                    models.BinaryField(
                        blank=True,
                        default=b"",
                        help_text="Topics chosen and voted for: see profiles.py.",
                    ),
                ),
                (
                    "paused_until",
                    models.DateField(
                        blank=True,
                        help_text="Local date from which mail comes again.",
                        null=True,
                    ),
                ),
                (
                    "unsubscribe_token",
                    models.CharField(
                        default=subscribers.models.people.new_capability,
                        help_text="In every mail; can do nothing but unsubscribe, pause and slow down.",
                        max_length=22,
                        unique=True,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("confirmed_at", models.DateTimeField(blank=True, null=True)),
                ("unsubscribed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "changed_at",
                    models.DateTimeField(
                        db_index=True,
                        help_text="Last change of state or schedule: the planner looks at it anew.",
                    ),
                ),
                (
                    "schedule",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="subscribers.schedule",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Link",
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
                    "purpose",
                    models.CharField(
                        choices=[
                            ("confirm", "Confirm a subscription"),
                            ("preferences", "Change preferences"),
                            ("address", "Confirm a new address"),
                            ("data", "Download or erase everything"),
                        ],
                        max_length=12,
                    ),
                ),
                ("token_hash", models.CharField(max_length=64, unique=True)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("used_at", models.DateTimeField(blank=True, null=True)),
                (
                    "email",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="The new address, canonical.",
                        max_length=254,
                    ),
                ),
                (
                    "subscriber",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        to="subscribers.subscriber",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ConsentEvent",
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
                ("email_hash", models.CharField(db_index=True, max_length=64)),
                (
                    "kind",
                    models.CharField(
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
                ("at", models.DateTimeField()),
                (
                    "wording",
                    models.CharField(help_text="Version of the text shown.", max_length=32),
                ),
                (
                    "source",
                    models.CharField(
                        help_text="Path of the form, or a command.", max_length=200
                    ),
                ),
                (
                    "network",
                    models.CharField(
                        blank=True,
                        help_text="Truncated: /24 of IPv4, /48 of IPv6.",
                        max_length=43,
                    ),
                ),
                ("detail", models.JSONField(blank=True, default=dict)),
                ("salt", models.CharField(blank=True, default="", max_length=22)),
                ("content_hash", models.CharField(blank=True, default="", max_length=64)),
                (
                    "number",
                    models.PositiveBigIntegerField(
                        help_text="Its place in the chain, once sealed.",
                        null=True,
                        unique=True,
                    ),
                ),
                (
                    "seal",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Hash of the seal before it and of its content.",
                        max_length=64,
                    ),
                ),
                (
                    "subscriber",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        to="subscribers.subscriber",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Subscription",
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
                    "subscriber",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        to="subscribers.subscriber",
                    ),
                ),
                (
                    "topic",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to="subscribers.topic"
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="subscriber",
            name="topics",
            field=models.ManyToManyField(
                blank=True, through="subscribers.Subscription", to="subscribers.topic"
            ),
        ),
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
                (
                    "subscriber",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="subscribers.subscriber",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("handled_at__isnull", True)),
                        fields=["not_before"],
                        name="request_open",
                    ),
                    models.Index(fields=["network", "at"], name="request_network"),
                    models.Index(fields=["domain", "at"], name="request_domain"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Notice",
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
                (
                    "email",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="Where to, if not to the subscriber's address.",
                        max_length=254,
                    ),
                ),
                (
                    "mailbox",
                    models.CharField(
                        db_index=True,
                        default="",
                        help_text="The address's counting key: quotas look here.",
                        max_length=64,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("submitting", "Submitting"),
                            ("accepted", "Accepted"),
                            ("refused", "Refused"),
                            ("unknown", "Unknown"),
                        ],
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("not_before", models.DateTimeField()),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("submitted_at", models.DateTimeField(blank=True, null=True)),
                ("reason", models.CharField(blank=True, max_length=200)),
                (
                    "subscriber",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        to="subscribers.subscriber",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "pending")),
                        fields=["not_before"],
                        name="notice_open",
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.UniqueConstraint(
                fields=("subscriber", "topic"), name="subscription_unique"
            ),
        ),
        migrations.AddIndex(
            model_name="subscriber",
            index=models.Index(
                condition=models.Q(("state", "active")),
                fields=["schedule"],
                name="subscriber_active_schedule",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscriber",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["pending", "unsubscribed"]),
                    ("confirmed_at__isnull", False),
                    _connector="OR",
                ),
                name="subscriber_active_is_confirmed",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscriber",
            constraint=models.CheckConstraint(
                condition=models.Q(("most_papers__gte", 3), ("most_papers__lte", 20)),
                name="subscriber_most_papers",
            ),
        ),
    ]
