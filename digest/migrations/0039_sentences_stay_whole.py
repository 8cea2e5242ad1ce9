from django.db import migrations
from django.db.models import Q


def forget(apps, schema_editor):
    """Let the tick compute anew the directions of readers whose text may be cut otherwise now.

    Until it has, those readers are ranked without their words. Only a text with a comma or a
    semicolon may be; how it is cut is the code's of today, and no matter of a migration.
    """
    readers = apps.get_model("subscribers", "Subscriber").objects
    cut = Q(interests__contains=",") | Q(interests__contains=";")
    readers.filter(cut).exclude(directions=None).update(directions=None)


class Migration(migrations.Migration):
    dependencies = [
        ("digest", "0038_has_votes"),
        ("subscribers", "0024_suppression_taken_from"),
    ]

    operations = [migrations.RunPython(forget, migrations.RunPython.noop)]
