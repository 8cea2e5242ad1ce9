"""Wake-ups. Everything to do is in the database; a lost one costs ten seconds."""

import logging

from celery import current_app, shared_task
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from subscribers import consent, inbox, mail, pauses, retention

logger = logging.getLogger(__name__)

# One try of a second: the person at the form waits for it, and beat comes anyway.
AT_ONCE = {
    "socket_connect_timeout": 1,
    "socket_timeout": 1,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
}


@shared_task
def send_notices() -> None:
    """Look at what was asked for at the forms, and send the single mails that are due."""
    now = timezone.now()
    inbox.handle_open(now=now)
    mail.sweep(now=now)
    mail.send_open_notices(now=now)


@shared_task
def keep_house() -> None:
    """End pauses, remind, seal receipts, let go of what is past its time."""
    now = timezone.now()
    pauses.resume_due(now)
    retention.remind(now)
    consent.seal()
    retention.purge(now)


def wake() -> None:
    """Ask for send_notices now; with a dead broker, leave it to beat's next tick.

    Takes about two seconds at most. Call it after the transaction has ended.
    """
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS | AT_ONCE
    try:
        with current_app.connection_for_write(transport_options=options) as connection:
            send_notices.apply_async(  # type: ignore[call-arg]  # the stubs lack it
                connection=connection, retry=False
            )
    except (KombuError, RedisError, OSError) as error:
        logger.warning("no broker, mail waits for the next tick: %s", type(error).__name__)
