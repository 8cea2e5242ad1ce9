"""Whether an address reads here: what somebody who reads here, too, could learn of it.

They ask for something in its name at a form, and compare what they get themselves before and
after: their own mails, and the copy of their own data.
"""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.core import mail as mailbox
from django.test import Client
from django.utils import timezone

from subscribers import links, privacy
from subscribers.addresses import address_hash
from subscribers.models import Link, Notice, Subscriber, Suppression
from subscribers.notices import outbox
from subscribers.suppression import suppress
from tests.make import reader
from tests.subscribers.conftest import NOW, forget_quota, work_off

WHOM = "whom@example.net"


def barred() -> None:
    suppress(address_hash(WHOM), Suppression.Reason.COMPLAINED, now=timezone.now())


def erased() -> None:
    privacy.erase(reader(WHOM).pk, now=timezone.now())


def mailed_today() -> None:
    other = reader("other@example.net")
    for kind in (Notice.Kind.CONFIRM, Notice.Kind.DATA, Notice.Kind.ADDRESS):
        outbox.enqueue(other, kind, now=timezone.now(), email=WHOM)


STATES: dict[str, Callable[[], object]] = {
    "nobody": lambda: None,
    "a reader": lambda: reader(WHOM),
    "one who paused": lambda: reader(WHOM, state="paused"),
    "one who has not confirmed": lambda: reader(WHOM, state="pending"),
    "one who has left": lambda: reader(WHOM, state="unsubscribed"),
    "one who was erased": erased,
    "one who complained": barred,
    "one with the day's mails": mailed_today,
}
ASKED = ("sign-up", "link", "data", "move")


@pytest.mark.parametrize("asked", ASKED)
def test_s3a_nothing_that_a_reader_gets_tells_of_another_address(
    client: Client, active: Subscriber, form: dict[str, object], asked: str
) -> None:
    forget_quota()
    told = {
        state: attack(client, active, form, asked, made) for state, made in STATES.items()
    }
    assert len(told) == len(STATES)
    assert {state: one == told["nobody"] for state, one in told.items()} == dict.fromkeys(
        STATES, True
    )


def attack(
    client: Client,
    active: Subscriber,
    form: dict[str, object],
    asked: str,
    made: Callable[[], object],
) -> list[object]:
    """Return what the attacker is answered, mailed, and told of themselves."""
    Subscriber.objects.exclude(pk=active.pk).delete()
    Suppression.objects.all().delete()
    Notice.objects.all().delete()
    Link.objects.filter(subscriber=active).delete()
    mailbox.outbox.clear()
    with time_machine.travel(NOW + timedelta(days=1), tick=False):
        made()
        answers = [own_link(client), ask_for(client, active, form, asked), own_link(client)]
        token = links.make(active, Link.Purpose.DATA, now=timezone.now())
        tables = privacy.personal_data(active)
        assert client.post(f"/data/{token}/", {"action": "download"}).status_code == 200
    own = [mail for mail in mailbox.outbox if mail.to == [active.email]]
    assert own and own[-1].extra_headers["Message-ID"].startswith("<notice-")
    return [answers, [without_chance(str(mail.message())) for mail in own], tables]


def own_link(client: Client) -> tuple[int, str, list[str]]:
    forget_quota()
    answer = client.post("/preferences/", {"email": "ann@example.org"})
    work_off()
    return answer.status_code, answer.get("Location", ""), sorted(answer.headers)


def ask_for(
    client: Client, active: Subscriber, form: dict[str, object], asked: str
) -> tuple[int, list[str], bytes]:
    if asked == "sign-up":
        answer = client.post("/subscribe/", form | {"email": WHOM})
    elif asked == "move":
        token = links.make(active, Link.Purpose.PREFERENCES, now=timezone.now())
        posted = {"action": "address", "email": WHOM}
        answer = client.post(f"/preferences/{token}/", posted)
    else:
        answer = client.post("/preferences/", {"email": WHOM, "action": asked})
    work_off()
    return answer.status_code, sorted(answer.headers), answer.content


def without_chance(raw: str) -> str:
    """Leave out what is random in any mail: tokens, boundaries, and the keyed name."""
    raw = re.sub(r"=_[0-9a-f]{16}|<notice-[0-9a-f]{24}@", "·", raw)
    return re.sub(r"/(preferences|u)/[A-Za-z0-9_=\r\n-]{22,28}", r"/\1/·", raw)


def test_s3a_a_copy_of_ones_data_counts_nothing_that_others_have(
    active: Subscriber,
) -> None:
    numbers = {"id", "pk", "number", "link", "subscriber", "schedule"}

    def names(value: object) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {name for one in value.values() for name in names(one)}
        if isinstance(value, list | tuple):
            return {name for one in value for name in names(one)}
        return set()

    for table, rows in privacy.personal_data(active).items():
        assert not names(list(rows)) & numbers, table
