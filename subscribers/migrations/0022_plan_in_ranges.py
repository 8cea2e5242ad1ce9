import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("subscribers", "0021_outgoing_events"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="subscriber",
            index=models.Index(
                condition=models.Q(("state", "active")),
                fields=["schedule", "id"],
                name="subscriber_active_by_schedule",
            ),
        ),
        migrations.RemoveIndex(
            model_name="subscriber",
            name="subscriber_active_schedule",
        ),
        migrations.AlterField(
            model_name="subscriber",
            name="schedule",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                to="subscribers.schedule",
            ),
        ),
    ]
