from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("subscribers", "0003_inbox_wishes_and_receipts"),
    ]

    operations = [
        migrations.AddField(
            model_name="subscriber",
            name="language",
            field=models.CharField(
                default="en",
                help_text="Of the mail's own words: settings.LANGUAGES.",
                max_length=8,
            ),
        ),
    ]
