"""Send events to the operator's own systems, and posts about editions to chats.

Events are signed and sent as Standard Webhooks (https://www.standardwebhooks.com/), at least
once: a receiver drops what it knows by `webhook-id`. A post is sent at most once: where no
answer came, it may be there, and is not repeated. No transaction is open meanwhile, and no
redirect is followed; a public name must lead to public addresses.
"""

import base64
import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.db.models import F
from urllib3.exceptions import HTTPError

from digest.deliveries import fencing
from digest.deliveries.counts import count_editions
from digest.deliveries.plan import due_editions, due_instants
from digest.models import Delivery, Edition
from digest.papers.download import SourceError, session_until
from digest.papers.text import cut
from digest.transport import retry_after
from subscribers import webhooks
from subscribers.models import OutgoingEvent, Subscriber

logger = logging.getLogger(__name__)

State = OutgoingEvent.State
SEND_FOR = 10.0  # seconds of one run in which requests begin
TIMEOUT = (5, 10)  # seconds to connect, and between two pieces of an answer
LEASE = timedelta(minutes=2)  # longer than one request can take
# Waits after each failed attempt, as Standard Webhooks advises: given up after 28 hours.
WAITS = [
    timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
]
KEPT = timedelta(days=30)
BATCH = 20
MOST_READ = 8192  # bytes of an answer's body
POSTED = 3  # papers of an edition
TITLE_LENGTH = 90
NO_ANSWER = "no answer: it may have arrived"
# In the words of an error before the first byte of the request.
NOT_REACHED = re.compile("NewConnectionError|CERTIFICATE_VERIFY_FAILED")
MARKUP = re.compile(r"([\\*_`~|\[\]()<>#@])")


class Call(NamedTuple):
    """One request: where to, its headers and its JSON."""

    url: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What became of a request: its status (0 without an answer) and what to tell of it."""

    status: int
    words: str
    wait: float = 0.0
    was_reached: bool = True

    @property
    def is_yes(self) -> bool:
        return 200 <= self.status < 300


def send_open(now: datetime) -> int:
    """Send what is due, and begin nothing after SEND_FOR seconds; return how many were sent.

    Where one failed, the others would meet the same, and wait for the next run. A copy of a
    database sends nothing: in test mode, or while senders refuse (see fencing.py).
    """
    if settings.TEST_MODE_TO or fencing.refusal():
        return 0
    until, sent, failed = time.monotonic() + SEND_FOR, 0, set[str]()
    due = OutgoingEvent.objects.filter(state=State.PENDING, not_before__lte=now)
    # The few posts come first: they do not wait behind the events of a receiver that is down.
    in_order = due.order_by("-to", "not_before", "pk")
    with session_until(until + sum(TIMEOUT)) as session:
        while rows := list(in_order.exclude(to__in=failed)[:BATCH]):
            for row in rows:
                if time.monotonic() > until:
                    return sent
                if row.to in failed or not claimed(row, now):
                    continue
                answer = deliver(row, session)
                settle(row, answer, now)
                sent += answer.is_yes
                if not answer.is_yes:
                    failed.add(row.to)
    return sent


def claimed(row: OutgoingEvent, now: datetime) -> bool:
    """Take a row from other senders. A post counts as sent without an answer until we know."""
    still = OutgoingEvent.objects.filter(
        pk=row.pk, state=State.PENDING, not_before=row.not_before
    )
    row.attempts += 1
    return bool(
        still.update(
            not_before=now + LEASE,
            attempts=F("attempts") + 1,
            state=State.GIVEN_UP if row.to else State.PENDING,
            reply=NO_ANSWER if row.to else "",
            ended_at=now if row.to else None,
        )
    )


def deliver(row: OutgoingEvent, session: requests.Session) -> Answer:
    try:
        call = post(row) if row.to else signed(row, settings.EVENTS_SECRET)
    except LookupError:
        return Answer(410, "its place is no longer configured")
    return request(call, session)


def settle(row: OutgoingEvent, answer: Answer, now: datetime) -> None:
    """Write what became of a row: sent, again later, or given up."""
    # A post that may have arrived is not repeated; these answers say that it has not.
    is_refusal = 400 <= answer.status < 500 or answer.status == 503
    retried = not row.to or is_refusal or not answer.was_reached
    ends = answer.status == 410 or row.attempts > len(WAITS) or not retried
    if answer.is_yes:
        state = State.SENT
    else:
        state = State.GIVEN_UP if ends else State.PENDING
        logger.warning("%s %s: %s", row.kind, state, answer.words)
    wait = timedelta() if ends else WAITS[row.attempts - 1]
    OutgoingEvent.objects.filter(pk=row.pk, attempts=row.attempts).update(
        state=state,
        reply=answer.words[:200],
        not_before=now + max(wait, timedelta(seconds=answer.wait)),
        ended_at=None if state == State.PENDING else now,
    )


def request(call: Call, session: requests.Session) -> Answer:
    """Make one request; raise nothing."""
    try:
        with session.post(
            call.url,
            data=call.body,
            headers={"Content-Type": "application/json", **call.headers},
            timeout=TIMEOUT,
            stream=True,
            allow_redirects=False,
        ) as answer:
            with suppress(HTTPError, OSError):  # read, the connection serves the next
                answer.raw.read(MOST_READ)
            wait = retry_after.seconds(answer.headers)
            return Answer(answer.status_code, f"answered {answer.status_code}", wait)
    except SourceError:
        return Answer(0, "no such name, or an address that is not public", 0, False)
    except requests.ConnectTimeout:
        return Answer(0, "no connection in time", 0, False)
    except (requests.RequestException, OSError, ValueError) as error:
        never = NOT_REACHED.search(f"{error}") is not None
        return Answer(0, "no connection" if never else NO_ANSWER, 0, not never)


def troubles(now: datetime) -> list[str]:
    """Return one line about what was given up in the last day, if anything was."""
    rows = OutgoingEvent.objects.filter(
        state=State.GIVEN_UP, ended_at__gt=now - timedelta(days=1)
    )
    newest = rows.order_by("-ended_at").values_list("kind", "reply").first()
    if newest is None:
        return []
    kind, reply = newest
    return [f"{rows.count()} events or posts were given up, the last, {kind}: {reply}"]


def prune(now: datetime) -> int:
    """Delete what ended long ago; return how many rows."""
    return OutgoingEvent.objects.filter(ended_at__lt=now - KEPT).delete()[0]


# -- events ------------------------------------------------------------------------------


def signed(row: OutgoingEvent, secret: str) -> Call:
    """Return the request of an event, signed at this moment (Standard Webhooks, v1).

    Raises LookupError if nobody listens any more.
    """
    if not settings.EVENTS_URL:
        raise LookupError
    body = json.dumps(
        {
            "type": row.kind,
            "timestamp": row.at.astimezone(UTC).isoformat(),
            "data": about(row),
        },
        ensure_ascii=False,
    ).encode()
    at = f"{int(time.time())}"
    headers = {
        "webhook-id": row.key,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{signature(secret, row.key, at, body)}",
    }
    return Call(settings.EVENTS_URL, headers, body)


def signature(secret: str, event_id: str, at: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{event_id}.{at}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def about(row: OutgoingEvent) -> dict[str, object]:
    """Return an event's data, with the reader as they are now: null once they are erased.

    Without their address: a receiver would keep it after an erasure.
    """
    if row.subscriber is None:
        return dict(row.data)
    fields = ("id", "state", "language")
    reader = Subscriber.objects.filter(pk=row.subscriber).values(*fields).first()
    return {"subscriber": reader, **row.data}


def tell_finished(now: datetime) -> None:
    """Tell of editions that are through: all hours have come, and no row is open."""
    if not settings.EVENTS_URL or settings.TEST_MODE_TO:
        return
    announced = Edition.objects.filter(
        kind=Edition.Kind.ANNOUNCEMENT,
        published_at__gte=now - timedelta(days=11),
        planned_until__isnull=False,
    )
    keys = {
        f"finished-{one.kind}-{one.pk}": one for one in [*due_editions(now), *announced]
    }
    told = OutgoingEvent.objects.filter(key__in=list(keys))
    for key in keys.keys() - set(told.values_list("key", flat=True)):
        edition = keys[key]
        until = edition.planned_until
        if until is None or edition.kind == Edition.Kind.MISSED:
            continue
        if any(due > until for due in due_instants(edition).values()):
            continue
        if Delivery.objects.filter(edition=edition, is_open=True).exists():
            continue
        counts = dict.fromkeys(FINAL, 0)
        for state, _, count in count_editions([edition.pk])[edition.pk]:
            counts[state] = counts.get(state, 0) + count
        if len(counts) == len(FINAL):  # else a row was opened again meanwhile
            data = {**edition.named, "deliveries": counts}
            webhooks.tell("edition.finished", now=now, data=data, key=key)


FINAL = ("accepted", "refused", "unknown", "skipped", "expired", "abandoned")


# -- posts -------------------------------------------------------------------------------


def post(row: OutgoingEvent) -> Call:
    """Return the request of a post. Raises LookupError for a place or edition that is gone."""
    urls = {webhooks.place(url): url for url in settings.POST_URLS}
    url = urls[row.to]
    named = {name: row.data[name] for name in ("kind", "day")}
    edition = Edition.objects.filter(**named).first()
    if edition is None:
        raise LookupError
    place = urlsplit(url)
    if place.scheme == "mastodon":
        words = {"status": text_of(edition, plain)}
        headers = {
            "Authorization": f"Bearer {place.username}",
            "Idempotency-Key": row.key,
        }
        return called(f"https://{place.hostname}/api/v1/statuses", headers, words)
    if (place.hostname or "").endswith(("discord.com", "discordapp.com")):
        body = {"content": text_of(edition, in_discord), "allowed_mentions": {"parse": []}}
        return called(url, {}, body)
    return called(url, {}, {"text": text_of(edition, in_slack)})


def called(url: str, headers: dict[str, str], body: object) -> Call:
    return Call(url, headers, json.dumps(body).encode())


def plain(title: str) -> str:
    """Return a title that mentions nobody."""
    return title.replace("@", "\uff20")


def in_discord(title: str) -> str:
    return MARKUP.sub(r"\\\1", title)


def in_slack(title: str) -> str:
    """Escape as Slack asks, and without mentions, links and images.

    Mattermost, Rocket.Chat and Matrix's hookshot read the same field as Markdown.
    """
    escaped = plain(title).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("]", "]\u200b")  # no more a link or an image, "[…](…)"


def text_of(edition: Edition, escaped: Callable[[str], str]) -> str:
    """Return the day, the first papers and where the rest is."""
    blocks = edition.blocks.order_by("position").select_related("paper")
    site = settings.SITE_URL
    lines = [f"Daily Papers, {edition.day}: {edition.blocks.count()} papers"]
    for block in blocks[:POSTED]:
        title = escaped(cut(block.title, TITLE_LENGTH))
        lines.append(f"• {title} {site}/papers/{block.paper.arxiv_id}/")
    return "\n".join([*lines, f"{site}/papers/{edition.day}/"])
