"""Call a request's preferences what they are called everywhere else."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0001_squashed")]

    operations = [
        migrations.RenameField(
            model_name="request", old_name="wishes", new_name="preferences"
        )
    ]
