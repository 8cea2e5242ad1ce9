"""Key the hashes of all receipts, and seal them anew: the next run of the sealer does it.

Stop the old web and worker processes first: what they write meanwhile has hashes without
the key, which `subscribers verify` reports.
"""

import hashlib
import hmac
import json
from datetime import UTC

from django.conf import settings
from django.db import migrations, models

BATCH = 1000


def keyed_hash(text):
    """As `subscribers.addresses` had it at this migration."""
    return hmac.digest(settings.ADDRESS_KEY.encode(), text.encode(), "sha256").hex()


def content_of(event):
    at = event.at.astimezone(UTC).isoformat()
    where = [event.wording, event.source, event.network]
    content = [event.salt, event.email_hash, event.kind, at, *where, event.detail]
    return json.dumps(content, sort_keys=True)


def key_hashes(apps, schema_editor):
    receipts = apps.get_model("subscribers", "ConsentEvent").objects.order_by("pk")
    last = 0
    while rows := list(receipts.filter(pk__gt=last)[:BATCH]):
        for row in rows:
            content = content_of(row)
            if not row.salt:  # blanked
                row.salt = "-" + keyed_hash(f"blanked {row.content_hash}")[:21]
            elif row.content_hash == hashlib.sha256(content.encode()).hexdigest():
                row.content_hash = keyed_hash(f"receipt {content}")
            row.number, row.seal = None, ""
        receipts.bulk_update(rows, ["salt", "content_hash", "number", "seal"])
        last = rows[-1].pk


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0005_preferences_of_link")]

    operations = [
        migrations.AlterField(
            model_name="consentevent",
            name="salt",
            field=models.CharField(
                blank=True, default="", help_text="A mark, once blanked.", max_length=22
            ),
        ),
        migrations.AlterField(
            model_name="consentevent",
            name="seal",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Keyed hash of the seal before it and of its content.",
                max_length=64,
            ),
        ),
        migrations.RunPython(key_hashes, migrations.RunPython.noop),
    ]
