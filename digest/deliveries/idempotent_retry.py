"""Ask a provider with keys again about mails whose answer was lost, after a crash too.

The same key and the same bytes are taken once, so this sends a mail at most once,
whether or not the first request arrived. Only a yes counts; without one the row stays
unknown, and is asked about again later, until the provider forgets its keys.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from digest.deliveries import control, fencing
from digest.deliveries.replay import NothingToShow, rebuild
from digest.endpoints import ProviderApi, mailer
from digest.models import Delivery, DeliveryEvent, Edition, Submission
from digest.throttling import circuit_breaker
from digest.transport import esp
from digest.transport.base import Mail
from digest.transport.esp import Provider
from digest.transport.outcomes import Cause, Verdict
from digest.transport.test_mode import redirected
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
    """Return the unknown rows that may be asked about now, oldest intent first."""
    usable = esp.usable_for(provider())
    if not usable:
        return Delivery.objects.none()
    rows = Delivery.objects.filter(
        is_unknown=True,
        reason__in=ASKABLE,
        not_before__lte=now,
        intent_at__gt=now - usable,
        expires_at__gt=now + esp.MARGIN,
        edition__hold=Edition.Hold.NONE,
    )
    return rows.select_related("edition").order_by("intent_at", "pk")


def ask_again(now: datetime) -> int:
    """Ask about the waiting rows and return how many were accepted.

    Raises fencing.SendingRefused. Ends at the first answer that says that the provider cannot be used now.
    """
    if not waiting(now).exists():
        return 0
    fencing.rise()
    if circuit_breaker.is_open(now):
        return 0
    provider, accepted = Provider(), 0
    try:
        for row, mail in taken(now):
            outcome = provider.ask(redirected(mail) if settings.TEST_MODE_TO else mail)
            if outcome.verdict is Verdict.ACCEPTED:
                accepted += control.settle(
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
    """Yield each row that is ours to ask about, with its mail as it was made then."""
    for row in submitted(list(waiting(now)[:MOST_LOOKED_AT]))[:MOST_AT_ONCE]:
        if reader := reserved(row, now):
            with suppress(NothingToShow):
                yield row, rebuild(row).mail(reader.email, reader.unsubscribe_token)


def submitted(rows: list[Delivery]) -> list[Delivery]:
    """Return the rows that went out by the account that we use today."""
    groups = Submission.objects.filter(
        account=account(), intent_at__in={row.intent_at for row in rows}
    )
    known = {(pk, group.intent_at) for group in groups for pk in group.members}
    return [row for row in rows if (row.pk, row.intent_at) in known]


def reserved(row: Delivery, now: datetime) -> Subscriber | None:
    """Return the reader if still subscribed, and reserve the row for a while.

    Consent is looked at under the reader's row lock: there is no other look.
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


def provider() -> str:
    """Return the name in anymail://NAME; empty for SMTP."""
    mail = mailer(settings.MAILER_URL)
    return mail.name if isinstance(mail, ProviderApi) else ""


def account() -> str:
    """Return the provider and a hash of its settings.

    Another account knows none of our keys.
    """
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
    """Note a group that may be asked about later; call it in the transaction of its intents."""
    if members and (settings.PROVIDER_BATCH or esp.usable_for(provider())):
        Submission.objects.create(account=account(), intent_at=now, members=list(members))


def prune_submissions(now: datetime) -> int:
    return Submission.objects.filter(intent_at__lt=now - KEPT_FOR).delete()[0]
