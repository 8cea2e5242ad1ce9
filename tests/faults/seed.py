"""Migrate and fill a database for the harness: one edition, and a reader per address.

`python -m tests.faults.seed` reads a JSON list of addresses and prints the edition's day.
With `--plan` the rows of the ledger are made, too.
"""

import json
import sys
from datetime import UTC, datetime, timedelta

import django
from django.core.management import call_command


def main() -> None:
    django.setup()
    call_command("migrate", verbosity=0)
    from digest.deliveries.plan import plan_edition
    from subscribers.addresses import address_hash
    from subscribers.models import Subscriber, Subscription
    from subscribers.preferences import profile
    from tests import make

    now = datetime.now(UTC)
    day = (now - timedelta(days=2)).date()
    topic, schedule = make.topic("graphs"), make.schedule()
    papers = {
        make.paper(number, day=day, upvotes=number): {"graphs": 1.0} for number in (1, 2, 3)
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
                profile=profile([topic.column], {}),
            )
            for address in json.load(sys.stdin)
        ],
        batch_size=500,
    )
    Subscription.objects.bulk_create(
        [Subscription(subscriber=reader, topic=topic) for reader in readers],
        batch_size=1000,
    )
    if "--plan" in sys.argv:
        plan_edition(edition, now)
    print(day)


if __name__ == "__main__":
    main()
