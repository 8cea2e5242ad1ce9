"""What tests start from: readers, papers and editions, with plain defaults."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from django.db.models import QuerySet

from digest.deliveries import ledger
from digest.deliveries.plan import plan
from digest.deliveries.schedule import release_at
from digest.models import Block, Delivery, Edition, Paper
from subscribers import subscriptions
from subscribers.addresses import address_hash
from subscribers.consent import Origin
from subscribers.models import Schedule, Subscriber, Subscription, Suppression, Topic
from subscribers.preferences import Preferences, profile

DAY = date(2026, 4, 17)
RELEASE = release_at(DAY)
NOON = datetime(2026, 4, 17, 12, tzinfo=UTC)


def topic(slug: str, *, label: str | None = None, position: int = 0) -> Topic:
    found, _ = Topic.objects.get_or_create(
        slug=slug,
        defaults={"label": label or slug.title(), "group": "Test", "position": position},
    )
    return found


def schedule(
    timezone: str = "UTC", hour: int = 9, *, cadence: str = "daily", days: int | None = None
) -> Schedule:
    wished = days or {"daily": 127, "weekdays": 31, "weekly": 1}[cadence]
    found, _ = Schedule.objects.get_or_create(
        timezone=timezone, send_hour=hour, cadence=cadence, days=wished
    )
    return found


def reader(
    email: str,
    *topics: str,
    when: Schedule | None = None,
    state: str = "active",
    at: datetime = RELEASE - timedelta(days=1),
) -> Subscriber:
    return readers([email], *topics, when=when, state=state, at=at)[0]


def deliverable() -> QuerySet[Subscriber]:
    """Select those who may get a digest: active, and not on the list of the suppressed."""
    suppressed = Suppression.objects.values("email_hash")
    return Subscriber.objects.filter(state="active").exclude(email_hash__in=suppressed)


def readers(
    emails: Iterable[str],
    *topics: str,
    when: Schedule | None = None,
    state: str = "active",
    at: datetime = RELEASE - timedelta(days=1),
) -> list[Subscriber]:
    """Readers who wish the same, in as few statements as one of them."""
    wished, wished_at = [topic(slug) for slug in topics], when or schedule()
    made = Subscriber.objects.bulk_create(
        Subscriber(
            email=email,
            email_hash=address_hash(email),
            state=state,
            schedule=wished_at,
            created_at=at,
            confirmed_at=None if state == "pending" else at,
            changed_at=at,
            profile=profile([one.column for one in wished], {}),
        )
        for email in emails
    )
    Subscription.objects.bulk_create(
        Subscription(subscriber=one, topic=topic) for one in made for topic in wished
    )
    return made


def change_preferences(
    subscriber_id: int, wishes: Preferences, *, origin: Origin, now: datetime
) -> None:
    """Put these preferences in place of the old."""
    subscriptions.adjust_preferences(
        subscriber_id, lambda _: wishes, origin=origin, now=now
    )


def paper(number: int, *, day: date = DAY, upvotes: int = 0, **fields: object) -> Paper:
    values: dict[str, object] = {
        "title": f"Paper {number}",
        "abstract": f"What paper {number} finds. It is short.",
        "authors": ["Ada Example", "Bo Sample"],
        "author_count": 2,
        "fetched_at": NOON,
    }
    return Paper.objects.create(
        arxiv_id=f"2604.{number:05}", day=day, upvotes=upvotes, **values | fields
    )


def edition(
    papers: dict[Paper, dict[str, float]], *, day: date = DAY, kind: str = "daily"
) -> Edition:
    """A published edition of these papers with these topic weights, most upvotes first."""
    from digest.editions.blocks import block

    made = Edition.objects.create(kind=kind, day=day, published_at=release_at(day))
    ranked = sorted(papers, key=lambda item: -item.upvotes)
    for position, item in enumerate(ranked):
        html, text = block(item)
        Block.objects.create(
            edition=made,
            paper=item,
            position=position,
            title=item.title,
            upvotes=item.upvotes,
            topics=papers[item],
            html=html,
            text=text,
        )
    return made


def handed_over(count: int = 1) -> list[Delivery]:
    """So many hand-overs that were begun at noon; what became of them is not known."""
    edition({paper(1): {"graphs": 1.0}})
    readers([f"r{number}@example.org" for number in range(count)], "graphs")
    plan(NOON)
    rows = ledger.claim(NOON, limit=count)
    ledger.intend(rows, {row.delivery_id: "0" for row in rows}, now=NOON)
    return list(Delivery.objects.order_by("pk"))


def states() -> dict[str, str]:
    """The ledger: address → state."""
    rows = Delivery.objects.values_list("subscriber__email", "state")
    return {email or "": state for email, state in rows}
