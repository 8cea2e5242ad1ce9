"""Submit groups to providers with keys or batches, kept with their intents."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("digest", "0003_event_message_id")]

    operations = [
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
    ]
