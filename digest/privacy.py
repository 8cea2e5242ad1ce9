"""The data of one person in this app: show it to them, and erase it."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from django.db.models import Q

from digest.models import Block, Delivery, DeliveryEvent, SavedPaper, Vote, folded
from subscribers import consent
from subscribers.models import Subscriber


def personal_data(subscriber: Subscriber) -> dict[str, list[dict[str, object]]]:
    """Return table name → rows, for the reader's copy of their data."""
    fields = ["edition_id", "edition__kind", "edition__day", "state", "due_at", "picks"]
    fields += ["reason", "reply", "intent_at", "outcome_at"]
    rows = Delivery.objects.of_readers(subscriber.pk).order_by("pk")
    ids = list(rows.values_list("pk", flat=True))
    reports = DeliveryEvent.objects.filter(Q(delivery__in=ids) | unmatched(subscriber))
    votes = Vote.objects.filter(subscriber=subscriber).order_by("pk")
    saved = SavedPaper.objects.filter(subscriber=subscriber).order_by("pk")
    # The ledger first: what is folded between the two is told twice rather than not at all.
    deliveries = [dict(row) for row in rows.values(*fields)]
    deliveries += [
        {name: attrgetter(name.replace("__", "."))(row) for name in fields}
        for row in folded.of_readers(subscriber.pk)
    ]
    told = ["delivery__edition__day", "at", "source", "kind", "reason", "reply"]
    return {
        "deliveries": with_papers(deliveries),
        "delivery_events": [dict(row) for row in reports.values(*told)],
        "votes": [dict(row) for row in votes.values("paper__arxiv_id", "value", "at")],
        "saved_papers": [dict(row) for row in saved.values("paper__arxiv_id", "at")],
    }


def with_papers(deliveries: Iterable[dict[str, Any]]) -> list[dict[str, object]]:
    """Add the papers of each mail, best first, by their ids; a mail without any has none."""
    rows = list(deliveries)
    blocks = Block.objects.filter(
        edition__in={row["edition_id"] for row in rows}
    ).order_by()
    known = {
        (edition, position): arxiv_id
        for edition, position, arxiv_id in blocks.values_list(
            "edition_id", "position", "paper__arxiv_id"
        )
    }
    found = []
    for row in rows:
        edition, picks = row.pop("edition_id"), row["picks"].partition("\n")[0]
        # Each pick begins with its block's position: see editions/picks.py.
        positions = [pick.partition(":")[0] for pick in picks.split() if ":" in pick]
        places = [(edition, int(one)) for one in positions if one.isdecimal()]
        found.append(row | {"papers": [known[one] for one in places if one in known]})
    return found


def unmatched(subscriber: Subscriber) -> Q:
    """Select the reports on the reader's addresses, former ones too, without a delivery.

    A former address that belongs to another reader now is excluded.
    """
    hashes = list(consent.addresses_of(subscriber))
    others = Subscriber.objects.filter(email_hash__in=hashes).exclude(pk=subscriber.pk)
    foreign = others.values_list("email_hash", flat=True)
    return Q(delivery=None, email_hash__in=set(hashes) - set(foreign))


def forget(sender: type[Subscriber], instance: Subscriber, **kwargs: Any) -> None:
    """Detach a reader's deliveries before the row is deleted, and clear their words.

    The replies of servers often repeat the address, and lines after the first of the picks
    the reader's interests.
    """
    ids = list(Delivery.objects.of_readers(instance.pk).values_list("pk", flat=True))
    theirs = Q(delivery__in=ids) | unmatched(instance)
    DeliveryEvent.objects.filter(theirs).update(reply="", email_hash="")
    Delivery.objects.filter(pk__in=ids, picks__contains="\n").update(picks="")
    Delivery.objects.filter(pk__in=ids).update(reply="", subscriber=None)
    folded.forget(instance.pk)
