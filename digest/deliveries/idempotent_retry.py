"""Ask a provider with keys again about mails whose answer was lost, after a crash too.

The same key and the same bytes are taken once, so this sends a mail at most once,
whether or not the first request arrived. Only a yes counts; without one the row stays
unknown, and is asked about again later, until the provider forgets its keys.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from digest.deliveries import fencing, unknown
from digest.editions import picks
from digest.editions.bodies import letter
from digest.editions.compose import EncodedEdition, Reader
from digest.editions.encode import encode
from digest.editions.frames import load_frame
from digest.endpoints import ProviderApi, mailer
from digest.models import Delivery, DeliveryEvent, Edition, Frame, Submission
from digest.ranking.loaded import load
from digest.signing import senders
from digest.throttling import circuit_breaker
from digest.transport import idempotency
from digest.transport.base import Mail
from digest.transport.esp import Provider
from digest.transport.outcomes import Cause, Verdict
from subscribers.models import Subscriber, Suppression

logger = logging.getLogger(__name__)

# Why a row is unknown, where the provider may have its mail under our key.
ASKABLE = (Delivery.Reason.CRASHED, Cause.LOST_ANSWER)
MOST_LOOKED_AT = 1000
MOST_AT_ONCE = 50
SHORTEST_WAIT = timedelta(seconds=30)
# Longer than any provider keeps a key, and long enough to look at a lost answer.
KEPT_FOR = timedelta(days=3)


def waiting(now: datetime) -> QuerySet[Delivery]:
    """Unknown rows that may be asked about now, by key and time; oldest intent first."""
    usable = idempotency.usable_for(provider())
    if not usable:
        return Delivery.objects.none()
    rows = Delivery.objects.filter(
        is_unknown=True,
        reason__in=ASKABLE,
        not_before__lte=now,
        intent_at__gt=now - usable,
        expires_at__gt=now + idempotency.MARGIN,
        edition__hold=Edition.Hold.NONE,
    )
    return rows.order_by("intent_at", "pk")


def ask_again(now: datetime) -> int:
    """Ask about what waits; how many turned out to be accepted. Raises fencing.SendingRefused.

    Ends at the first answer that says that the provider cannot be used now.
    """
    if not waiting(now).exists() or circuit_breaker.is_open(fencing.rise(), now):
        return 0
    provider, accepted = Provider(), 0
    try:
        for row, mail in taken(now):
            outcome = provider.ask(mail)
            if outcome.verdict is Verdict.ACCEPTED:
                accepted += unknown.settle(
                    [row.pk],
                    Delivery.State.ACCEPTED,
                    Delivery.Reason.ASKED_AGAIN,
                    source=DeliveryEvent.Source.SWEEP,
                    now=now,
                )
            elif outcome.verdict is Verdict.UNKNOWN or not outcome.charged:
                break
    finally:
        provider.close()
    if accepted:
        logger.warning("%d lost answers: asked again, the mails are accepted", accepted)
    return accepted


def taken(now: datetime) -> Iterator[tuple[Delivery, Mail]]:
    """Each row that is ours to ask about, and its mail, made as it was made then."""
    for row in submitted(list(waiting(now)[:MOST_LOOKED_AT]))[:MOST_AT_ONCE]:
        reader = reserved(row, now)
        was = picks.parse_picks(row.picks)
        if not (reader and was and row.intent_at):
            continue
        try:
            encoded = as_then(row.edition_id, was.fingerprint)
        except Frame.DoesNotExist:
            continue
        to = Reader(row.pk, reader.email, reader.unsubscribe_token, was.language)
        compose = partial(encoded.compose, to, was.picks, sent_at=row.intent_at)
        parts = partial(letter, encoded, to, was.picks, sent_at=row.intent_at)
        yield row, Mail(row.pk, senders(encoded.sender)(row.pk), to.address, compose, parts)


def submitted(rows: list[Delivery]) -> list[Delivery]:
    """Those that went out by the account that we use today."""
    groups = Submission.objects.filter(
        account=account(), intent_at__in={row.intent_at for row in rows}
    )
    known = {(pk, group.intent_at) for group in groups for pk in group.members}
    return [row for row in rows if (row.pk, row.intent_at) in known]


def reserved(row: Delivery, now: datetime) -> Subscriber | None:
    """The reader, if still subscribed; nobody else asks about the row for a while.

    Consent is looked at under the reader's row lock, as at an intent.
    """
    with transaction.atomic():
        reader = (
            Subscriber.objects.select_for_update(no_key=True)
            .filter(pk=row.subscriber_id or 0, state=Subscriber.State.ACTIVE)
            .first()
        )
        if not (reader and row.intent_at):
            return None
        if Suppression.objects.filter(email_hash=reader.email_hash).exists():
            return None
        wait = max(SHORTEST_WAIT, (now - row.intent_at) / 2)
        still = Delivery.objects.filter(
            pk=row.pk, state=Delivery.State.UNKNOWN, not_before=row.not_before
        )
        return reader if still.update(not_before=now + wait) else None


@lru_cache(maxsize=8)
def as_then(edition_id: int, fingerprint: str) -> EncodedEdition:
    """The edition as it was encoded then. Raises Frame.DoesNotExist."""
    today = load(edition_id).encoded
    if today.fingerprint == fingerprint:
        return today
    edition = Edition.objects.get(pk=edition_id)
    blocks = list(edition.blocks.order_by("position").select_related("paper"))
    return encode(edition, blocks, around=load_frame(edition, fingerprint))


def provider() -> str:
    """The name in anymail://NAME; empty for SMTP."""
    mail = mailer(settings.MAILER_URL)
    return mail.name if isinstance(mail, ProviderApi) else ""


def account() -> str:
    """Provider and a hash of its settings: another account knows none of our keys."""
    name = provider()
    words = sorted(
        f"{key}={value}"
        for key, value in settings.ANYMAIL.items()
        if key.startswith(name.upper())
    )
    digest = hashlib.blake2b(
        "\n".join(words).encode(), digest_size=8, key=settings.SECRET_KEY.encode()[:64]
    )
    return f"{name[:20]}-{digest.hexdigest()}"


def note_submission(members: Sequence[int], now: datetime) -> None:
    """Keep a group in the transaction of its intents, where it may be asked about."""
    if members and (settings.PROVIDER_BATCH or idempotency.usable_for(provider())):
        Submission.objects.create(account=account(), intent_at=now, members=list(members))


def prune_submissions(now: datetime) -> int:
    return Submission.objects.filter(intent_at__lt=now - KEPT_FOR).delete()[0]
