"""Bind the preferences of a sign-up to its mail and to the link in it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0004_request_preferences")]

    operations = [
        migrations.AddField(
            model_name="link",
            name="preferences",
            field=models.JSONField(
                blank=True, default=dict, help_text="What a link to confirm confirms."
            ),
        ),
        migrations.AddField(
            model_name="notice",
            name="preferences",
            field=models.JSONField(
                blank=True, default=dict, help_text="What a mail to confirm asks about."
            ),
        ),
    ]
