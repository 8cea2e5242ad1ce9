"""Fill a database for the harness, and migrate it if it is empty: one edition, and a reader per address.

`python -m tests.faults.seed` reads a JSON list of addresses and prints the edition's day.
With `--plan` the rows of the ledger are made, too; with `--papers=FILE` the edition is of
the papers in that file, fetched and published as in operation, for readers of everything.
`--newer` adds a newer edition, due at the same readers' hour, and reads nothing.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import django
from django.core.management import call_command
from django.db import connection


def main() -> None:
    django.setup()
    if not connection.introspection.table_names():
        call_command("migrate", verbosity=0)
    from digest.deliveries.plan import plan_edition
    from digest.editions.publish import publish
    from digest.papers import ingest
    from subscribers.addresses import address_hash
    from subscribers.models import Subscriber, Subscription
    from subscribers.preferences import profile
    from tests import make

    now = datetime.now(UTC)
    if "--newer" in sys.argv:
        newer = (now - timedelta(hours=9)).date()
        when, before = make.schedule("UTC", now.hour), now - timedelta(days=5)
        Subscriber.objects.update(schedule=when, confirmed_at=before)
        make.edition({make.paper(9, day=newer): {"graphs": 1.0}}, day=newer)
        return
    day = (now - timedelta(days=2)).date()
    topic, schedule = make.topic("graphs"), make.schedule()
    files = [word.partition("=")[2] for word in sys.argv if word.startswith("--papers=")]
    chosen = [] if files else [topic]
    if files:
        ingest.fetch_file(Path(files[0]), now=now, day=day)
        edition = publish(day, now=now)
    else:
        papers = {
            make.paper(number, day=day, upvotes=number): {"graphs": 1.0}
            for number in (1, 2, 3)
        }
        edition = make.edition(papers, day=day)
    readers = Subscriber.objects.bulk_create(
        [
            Subscriber(
                email=address,
                email_hash=address_hash(address),
                state=Subscriber.State.ACTIVE,
                schedule=schedule,
                created_at=now,
                confirmed_at=now,
                changed_at=now,
                profile=profile([one.column for one in chosen], {}),
            )
            for address in json.load(sys.stdin)
        ],
        batch_size=500,
    )
    Subscription.objects.bulk_create(
        [Subscription(subscriber=one, topic=topic) for one in readers for topic in chosen],
        batch_size=1000,
    )
    if "--plan" in sys.argv:
        plan_edition(edition, now)
    print(day)


if __name__ == "__main__":
    main()
