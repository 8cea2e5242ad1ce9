"""A claim is its lease alone, and ends without it when hand-overs of the lease are open."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("digest", "0040_folded_deliveries")]

    operations = [
        migrations.AlterField(
            model_name="lease",
            name="claimed_until",
            field=models.DateTimeField(
                help_text="For rows without an intent; empty when they are anybody's again.",
                null=True,
            ),
        ),
    ]
