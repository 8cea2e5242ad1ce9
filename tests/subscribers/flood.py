"""One mailbox under a flood: `python -m tests.subscribers.flood [--posts 10000]`.

So many posts in one day, in 500 spellings of one mailbox, from forged networks, through
every way in that can bring a mail: all forms, the pages behind links, a change of address,
an import. The inbox is worked off as in operation. Prints how many mails come to it.
"""

import argparse
import itertools
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import django
import time_machine
from django.test import Client
from django.test.utils import setup_databases, setup_test_environment
from django.utils import timezone

SPELLINGS = 500
DAY = timedelta(hours=23, minutes=59)


def spellings(count: int) -> Iterator[str]:
    """Dots, tags and capitals that (nearly) all providers deliver to one mailbox."""
    names = ["ann.smith", "a.nnsmith", "annsmith", "a.n.n.smith", "Ann.Smith", "ANNSMITH"]
    for number in range(count):
        tag = f"+{number}" if number >= len(names) else ""
        yield f"{names[number % len(names)]}{tag}@example.org"


class Attack:
    """Every way in, each asked for a mail to this spelling."""

    def __init__(self) -> None:
        from subscribers.models import Topic

        self.client = Client()
        Topic.objects.get_or_create(
            slug="graphs", defaults={"label": "Graphs", "group": "Test", "position": 900}
        )
        self.form = {"topics": ["graphs"], "timezone": "UTC", "send_hour": "7"}
        self.ways: list[Callable[[str], object]] = [
            lambda email: self.post("/subscribe/", self.form | {"email": email}),
            lambda email: self.post("/preferences/", {"email": email}),
            lambda email: self.post("/preferences/", {"email": email, "action": "data"}),
            self.again,
            self.lessen,
            self.move_here,
            self.bring_in,
        ]

    def post(self, path: str, posted: Mapping[str, object]) -> int:
        self.number = getattr(self, "number", 0) + 1
        network = f"198.{18 + self.number % 2}.{self.number % 250}.7"
        headers = {"X-Forwarded-For": network, "X-Real-IP": network}
        return self.client.post(path, posted, headers=headers).status_code

    def again(self, email: str) -> None:
        """A fresh link instead of one that is too old."""
        from subscribers import links
        from subscribers.models import Link

        long_ago = timezone.now() - timedelta(days=3)
        for reader in self.known(email):
            token = links.make(reader, Link.Purpose.CONFIRM, now=long_ago)
            self.post(f"/confirm/{token}/", {"action": "again"})

    def lessen(self, email: str) -> None:
        """The page of leaving, with a digest that was forwarded."""
        for reader in self.known(email):
            for action in ("link", "undo"):
                self.post(f"/u/{reader.unsubscribe_token}", {"action": action})

    def move_here(self, email: str) -> None:
        """A reader who wants their mail at the mailbox under attack."""
        from subscribers import links
        from subscribers.models import Link, Subscriber
        from tests.make import reader

        bob = Subscriber.objects.filter(email="bob@example.com").first()
        bob = bob or reader("bob@example.com")
        token = links.make(bob, Link.Purpose.PREFERENCES, now=timezone.now())
        self.post(f"/preferences/{token}/", {"action": "address", "email": email})

    def bring_in(self, email: str) -> None:
        """A file with a row for each spelling, without a legal source."""
        from tests.subscribers.conftest import ask, bring_in

        bring_in(*ask(email, topics=()))

    def known(self, email: str) -> list:
        from subscribers.addresses import address_hash
        from subscribers.models import Subscriber

        return list(Subscriber.objects.filter(email_hash=address_hash(email)))


def flood(posts: int, *, within: timedelta = DAY) -> Counter[str]:
    """Subjects of the mails that come to the mailbox in the day that begins now."""
    from django.core import mail as mailbox

    from subscribers import requests
    from subscribers.notices import send

    attack = Attack()
    names = itertools.cycle(list(spellings(SPELLINGS)))
    start = timezone.now()
    with time_machine.travel(start, tick=False) as clock:
        for number in range(posts):
            clock.move_to(start + within * (number / posts))
            attack.ways[number % len(attack.ways)](next(names))
            if number % max(1, posts // 140) == 0:
                work_off(requests, send)
        while (later := timezone.now() + timedelta(minutes=10)) < start + DAY:
            clock.move_to(later)
            work_off(requests, send)
    return Counter(
        str(message.subject)
        for message in mailbox.outbox
        if "smith" in message.to[0].lower()
    )


def work_off(inbox, mail) -> None:
    while inbox.handle_open(now=timezone.now()):
        pass
    mail.send_open_notices(now=timezone.now())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.subscribers.flood")
    parser.add_argument("--posts", type=int, default=10_000)
    parser.add_argument("--hours", type=float, default=DAY.total_seconds() / 3600)
    arguments = parser.parse_args()

    from tests import environment  # noqa: F401  # before Django reads its settings

    os.environ["DJANGO_SETTINGS_MODULE"] = "digest.settings"
    django.setup()
    logging.disable()
    setup_test_environment()
    setup_databases(verbosity=0, interactive=False)
    mails = flood(arguments.posts, within=timedelta(hours=arguments.hours))
    print(f"{arguments.posts} posts, {SPELLINGS} spellings: {sum(mails.values())} mails")
    for subject, count in mails.items():
        print(f"  {count} × {subject}")


if __name__ == "__main__":
    main()
