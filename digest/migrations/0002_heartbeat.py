"""Workers say that they run, for /readyz."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("digest", "0001_initial")]

    operations = [
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
                (
                    "at",
                    models.DateTimeField(help_text="UTC, by the database's clock."),
                ),
            ],
        ),
    ]
