"""A reader's profile: what they chose and what their votes lean to, ready to multiply.

One signed byte per topic, at the place Topic.column: CHOSEN if the reader chose it,
plus a leaning of at most MOST_LEANING either way. So a chosen topic weighs at least
half of CHOSEN whatever was voted, any other stays below that, and one can tell which
is which from the byte alone. Zeros at the end are left off.
"""

from array import array
from collections.abc import Iterable, Mapping

from subscribers.models import Subscriber, Subscription, Topic

CHOSEN = 64
MOST_LEANING = 31


def profile(chosen: Iterable[int], leaning: Mapping[int, int]) -> bytes:
    """The bytes of chosen columns and of column → leaning, -31 to 31."""
    weights = dict(leaning)
    for column in chosen:
        weights[column] = weights.get(column, 0) + CHOSEN
    dense = array("b", bytes(max(weights, default=-1) + 1))
    for column, weight in weights.items():
        dense[column] = weight
    return dense.tobytes().rstrip(b"\0")


def leaning(stored: bytes) -> dict[int, int]:
    """Column → leaning of a stored profile, without zeros."""
    leanings = (weight - CHOSEN * (weight > MOST_LEANING) for weight in array("b", stored))
    return {column: lean for column, lean in enumerate(leanings) if lean}


def follow_choice(subscriber: Subscriber, topics: Iterable[Topic]) -> None:
    """The profile with these topics chosen and no others; the caller saves the row."""
    columns = [topic.column for topic in topics]
    subscriber.profile = profile(columns, leaning(bytes(subscriber.profile)))


def follow_votes(subscriber: Subscriber, leanings: Mapping[int, int]) -> None:
    """Store the profile with these leanings in place of the old. The row is locked."""
    chosen = Subscription.objects.filter(subscriber=subscriber)
    subscriber.profile = profile(chosen.values_list("topic__column", flat=True), leanings)
    subscriber.save(update_fields=["profile"])


def weights(subscriber: Subscriber) -> list[dict[str, object]]:
    """The profile for the reader's own eyes: topic → weight, 1 as chosen without votes."""
    stored = array("b", bytes(subscriber.profile))
    topics = Topic.objects.filter(column__lt=len(stored))
    return [
        {"topic": topic.slug, "weight": stored[topic.column] / CHOSEN}
        for topic in topics
        if stored[topic.column]
    ]
