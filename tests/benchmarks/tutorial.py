"""The obvious way, twice: as tutorials show it, and as a careful Django project does it.

Tutorial: a Celery task per reader that gets the reader and the papers, renders two
templates, sends one message over a connection of its own and writes a row. Decent:
papers and templates read once, a hundred messages a connection, rows in bulk.
"""

import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import batched, islice
from pathlib import Path
from typing import TYPE_CHECKING

from celery import Celery

if TYPE_CHECKING:
    from django.core.mail import EmailMultiAlternatives
    from django.template import Template

    from digest.models import Block, Paper
    from subscribers.models import Subscriber

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "digest.settings")
FOLDER = Path(__file__).with_name("templates")
FILLER = "Further words of this paper, so that the mail is as long as a rich one. "

app = Celery("tutorial", set_as_current=False)
app.config_from_object("django.conf:settings", namespace="CELERY")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a message is made for."""

    subscriber: "Subscriber"
    topics: set[str]


@app.task(name="tutorial.send")
def send(subscriber_id: int, edition_id: int, filler: int) -> None:
    from django.utils import timezone

    from digest.models import Delivery, Edition
    from subscribers.models import Subscriber

    subscriber = Subscriber.objects.get(pk=subscriber_id)
    topics = set(subscriber.topics.values_list("slug", flat=True))
    edition = Edition.objects.get(pk=edition_id)
    papers = chosen(stored(edition_id), topics)
    message(Wishes(subscriber, topics), papers, edition.day, filler).send()
    now = timezone.now()
    Delivery.objects.create(
        edition=edition,
        subscriber=subscriber,
        state="accepted",
        due_at=now,
        not_before=now,
        expires_at=now,
    )


def decent(edition_id: int, filler: int, *, most: int, group: int = 100) -> int:
    """Send to the first `most` readers in this process; how many."""
    from django.core.mail import mailers
    from django.utils import timezone

    from digest.models import Delivery, Edition
    from subscribers.models import Subscriber

    edition, blocks, sent = Edition.objects.get(pk=edition_id), stored(edition_id), 0
    everybody = Subscriber.objects.order_by("pk").prefetch_related("topics")
    readers = everybody[:most].iterator(chunk_size=group)
    for batch in batched(readers, group, strict=False):
        wishes = [
            Wishes(item, {topic.slug for topic in item.topics.all()}) for item in batch
        ]
        messages = [
            message(wish, chosen(blocks, wish.topics), edition.day, filler)
            for wish in wishes
        ]
        mailers["default"].send_messages(messages)
        now = timezone.now()
        Delivery.objects.bulk_create(
            Delivery(
                edition=edition,
                subscriber=item,
                state="accepted",
                due_at=now,
                not_before=now,
                expires_at=now,
            )
            for item in batch
        )
        sent += len(batch)
    return sent


def stored(edition_id: int) -> Sequence["Block"]:
    from digest.models import Block

    blocks = Block.objects.filter(edition=edition_id).select_related("paper")
    return list(blocks.defer("html", "text").order_by("position"))


def chosen(blocks: Iterable["Block"], topics: set[str]) -> list["Paper"]:
    """Ten papers of these topics, most upvotes first, each with its reason."""
    fitting = (block for block in blocks if not topics or topics & block.topics.keys())
    papers = []
    for block in islice(fitting, 10):
        mine = [topic for topic in block.topics if topic in topics]
        block.paper.reason = mine[0] if mine else "Trending"  # type: ignore[attr-defined]
        papers.append(block.paper)
    return papers


@cache
def template(name: str) -> "Template":
    from django.template import engines

    engine = engines["html" if name.endswith("html") else "text"]
    return engine.from_string((FOLDER / name).read_text())  # type: ignore[return-value]


def message(
    wishes: Wishes, papers: Sequence["Paper"], day: date, filler: int = 0
) -> "EmailMultiAlternatives":
    """The digest by templates and Django's message; `filler` bytes make it longer."""
    from django.conf import settings
    from django.core.mail import EmailMultiAlternatives

    subscriber = wishes.subscriber
    context = {
        "subscriber": subscriber,
        "papers": papers,
        "day": day,
        "site": settings.SITE_URL,
        "postal_address": settings.POSTAL_ADDRESS,
        "filler": (FILLER * (filler // len(FILLER) + 1))[:filler],
    }
    made = EmailMultiAlternatives(
        subject=f"{papers[0].title} and {len(papers) - 1} more papers",
        body=template("tutorial.txt").render(context),  # type: ignore[arg-type]
        to=[subscriber.email],
        headers={
            "List-Id": f"Daily Papers <daily.{settings.SITE_HOST}>",
            "List-Unsubscribe": f"<{settings.SITE_URL}/u/{subscriber.unsubscribe_token}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    )
    html = template("tutorial.html").render(context)  # type: ignore[arg-type]
    made.attach_alternative(html, "text/html")
    return made


def child(edition_id: int, filler: int, mails: int) -> None:
    """The decent way in a process of its own: prints wall and CPU seconds."""
    import django

    django.setup()
    begin, cpu = time.perf_counter(), time.process_time()
    sent = decent(edition_id, filler, most=mails)
    assert sent == mails
    print(time.perf_counter() - begin, time.process_time() - cpu)


if __name__ == "__main__":
    child(*(int(word) for word in sys.argv[1:]))
