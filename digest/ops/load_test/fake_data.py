"""Fill a scratch database with invented readers and papers, for measurements.

All data follows from the seed. Addresses are below example.com, a reserved domain.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import batched

from django.db import connection, transaction

from digest.deliveries.schedule import release_at
from digest.editions.blocks import block
from digest.models import Block, Edition, Paper
from subscribers.addresses import address_hash
from subscribers.bulk import insert
from subscribers.models import Schedule, Subscriber, Subscription, Topic
from subscribers.preferences import profile

# The zones of readers: a few have most of them, and no hour of the day is empty.
ZONES = {
    "America/New_York": 18,
    "America/Los_Angeles": 14,
    "Europe/Berlin": 14,
    "Asia/Shanghai": 14,
    "Europe/London": 8,
    "Asia/Kolkata": 10,
    "Asia/Tokyo": 8,
    "America/Sao_Paulo": 5,
    "Asia/Singapore": 4,
    "Australia/Sydney": 2,
    "Africa/Lagos": 2,
    "Pacific/Auckland": 1,
}
HOURS = {6: 10, 7: 25, 8: 35, 9: 15, 12: 5, 18: 10}
EVERY_DAY = 127
type Wished = set[tuple[int, int]]
BATCH = 5000
TEXT = (
    "we show that a learned model of attention over long context scales with data and "
    "compute while its cost per token falls across tasks from vision to language agents "
    "with rewards policy diffusion retrieval reasoning benchmarks evaluation robust sparse "
    "training inference memory graph theory für naïve Schrödinger β-approximation ≤ → "
    "in this paper results improve over strong baselines by a wide margin on five sets"
)


def add_readers(count: int, *, now: datetime, seed: int = 1) -> None:
    """Add `count` active readers with their schedules and topics, in bulk.

    One in twenty has no topic; the others have one to five, some far more popular.
    """
    chance = random.Random(seed)  # noqa: S311 - a crowd, not a secret
    schedules = list(make_schedules().items())
    pool = chance.choices(*zip(*schedules, strict=True), k=1009)
    topics = list(Topic.objects.order_by("position").values_list("pk", "column"))
    weights = [1 / (place + 3) for place in range(len(topics))]
    first = (
        Subscriber.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    ) + 1
    for numbers in batched(range(first, first + count), BATCH, strict=False):
        with transaction.atomic():
            chosen = preferences(numbers, topics, weights, chance)
            insert(Subscriber, list(readers(chosen, pool, now)))
            insert(
                Subscription,
                [
                    {"subscriber_id": number, "topic_id": topic}
                    for number, some in chosen.items()
                    for topic, _ in some
                ],
            )
    reset_sequences()


def make_schedules() -> dict[int, int]:
    """Make the schedules; return schedule id → its share of readers, in 1/10,000."""
    found = {}
    for zone, share in ZONES.items():
        for hour, part in HOURS.items():
            row, _ = Schedule.objects.get_or_create(
                timezone=zone,
                send_hour=hour,
                cadence=Schedule.Cadence.DAILY,
                days=EVERY_DAY,
            )
            found[row.pk] = share * part
    return found


def readers(
    chosen: Mapping[int, Wished], schedules: Sequence[int], now: datetime
) -> Iterator[dict[str, object]]:
    before = now - timedelta(days=30)
    same = {
        "state": Subscriber.State.ACTIVE.value,
        "created_at": before,
        "confirmed_at": before,
        "changed_at": before,
    }
    for number, topics in chosen.items():
        email = f"reader.{number}@list{number % 997}.example.com"
        yield same | {
            "id": number,
            "email": email,
            "email_hash": address_hash(email),
            "schedule_id": schedules[number % len(schedules)],
            "profile": profile([column for _, column in topics], {}),
        }


def preferences(
    numbers: Sequence[int],
    topics: Sequence[tuple[int, int]],
    weights: Sequence[float],
    chance: random.Random,
) -> dict[int, Wished]:
    """Return reader → topics as (id, column)."""
    drawn = iter(chance.choices(topics, weights, k=5 * BATCH))
    return {
        number: {next(drawn) for _ in range(number % 5 + 1)} if number % 20 else set()
        for number in numbers
    }


def reset_sequences() -> None:
    """Move the sequence past the inserted ids, so that the next sign-up gets a free one."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence('subscribers_subscriber', 'id'),"
                " (SELECT max(id) FROM subscribers_subscriber))"
            )


def add_edition(day: date, *, papers: int, abstract: int = 1200, seed: int = 1) -> Edition:
    """Add a published edition of invented papers, each of one to three topics.

    `abstract` is a length in characters; a mail shows the beginning of a longer one.
    """
    chance = random.Random(seed)  # noqa: S311 - a crowd, not a secret
    slugs = list(Topic.objects.order_by("position").values_list("slug", flat=True))
    now = release_at(day)
    edition = Edition.objects.create(day=day, published_at=now)
    made = Paper.objects.bulk_create(
        [paper(number, day, now, chance, abstract) for number in range(papers)]
    )
    blocks = []
    for position, item in enumerate(made):
        html, text = block(item)
        weights = {slug: chance.uniform(0.3, 1) for slug in chance.sample(slugs, k=3)}
        blocks.append(
            Block(
                edition=edition,
                paper=item,
                position=position,
                title=item.title,
                upvotes=item.upvotes,
                topics=weights,
                html=html,
                text=text,
            )
        )
    Block.objects.bulk_create(blocks, batch_size=100)
    return edition


def paper(
    number: int, day: date, now: datetime, chance: random.Random, abstract: int
) -> Paper:
    arxiv_id = f"{day:%y%m}.{number + 10000:05}"
    return Paper(
        arxiv_id=arxiv_id,
        title=sentence(chance, 70).rstrip("."),
        abstract=" ".join(sentence(chance, 150) for _ in range(math.ceil(abstract / 150))),
        authors=[f"Author {place} Example" for place in range(6)],
        author_count=6,
        submitted_at=now,
        day=day,
        upvotes=int(300 / (number + 1)) + chance.randrange(5),
        comments=number % 7,
        code_url=f"https://github.com/example/{arxiv_id}" if number % 2 else "",
        project_url=f"https://{arxiv_id}.example.org/" if number % 3 else "",
        is_sample=True,
        fetched_at=now,
    )


def sentence(chance: random.Random, length: int) -> str:
    words, chosen, size = TEXT.split(), [], 0
    while size < length:
        chosen.append(chance.choice(words))
        size += len(chosen[-1]) + 1
    return " ".join(chosen).capitalize() + "."
