from itertools import batched

from django.db import migrations
from django.db.models import Q

from digest.ranking.interests import written


def forget(apps, schema_editor):
    """Let the tick compute anew the directions of readers whose text is cut otherwise now.

    Until it has, those readers are ranked without their words.
    """
    readers = apps.get_model("subscribers", "Subscriber").objects
    cut = Q(interests__contains=",") | Q(interests__contains=";")
    known = readers.filter(cut).exclude(directions=None).order_by()
    rows = known.values_list("pk", "interests").iterator()
    changed = [pk for pk, text in rows if before(text) != written(text)]
    for some in batched(changed, 500, strict=False):
        readers.filter(pk__in=some).update(directions=None)


def before(interests):
    """Cut a text as until now: at each comma of a line of short pieces."""
    found = []
    for line in interests.splitlines():
        pieces = [piece.strip() for piece in line.replace(";", ",").split(",")]
        pieces = [piece for piece in pieces if piece]
        short = all(len(piece.split()) <= 4 for piece in pieces)
        found += pieces if short else [line.strip()]
    return found


class Migration(migrations.Migration):
    dependencies = [
        ("digest", "0038_has_votes"),
        ("subscribers", "0024_suppression_taken_from"),
    ]

    operations = [migrations.RunPython(forget, migrations.RunPython.noop)]
