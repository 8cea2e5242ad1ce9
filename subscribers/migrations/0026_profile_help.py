from django.db import migrations, models


class Migration(migrations.Migration):
    """Only the words of a field change: no statement is run."""

    dependencies = [("subscribers", "0025_inbox_in_order")]

    operations = [
        migrations.AlterField(
            model_name="subscriber",
            name="profile",
            field=models.BinaryField(
                blank=True,
                default=b"",
                help_text="Topics chosen and voted for: see preferences.py.",
            ),
        ),
    ]
