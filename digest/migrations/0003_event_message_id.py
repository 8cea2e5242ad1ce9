"""A report keeps the provider's name of the mail: two for one delivery are two mails."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("digest", "0002_heartbeat")]

    operations = [
        migrations.AddField(
            model_name="deliveryevent",
            name="message_id",
            field=models.CharField(
                blank=True,
                default="",
                help_text="The provider's own, if it says.",
                max_length=200,
            ),
        ),
    ]
