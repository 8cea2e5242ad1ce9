"""Wake-ups. Everything to do is in the database; a lost one costs ten seconds."""

import logging
import threading
import time
from collections.abc import Callable

from celery import current_app, shared_task
from django.conf import settings
from django.utils import timezone
from kombu import Connection
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from subscribers import (
    address_key,
    consent,
    import_jobs,
    requests,
    retention,
    subscriptions,
)
from subscribers.notices import send

logger = logging.getLogger(__name__)

BREATH = 0.1  # seconds between two messages, however many forms come in
SOON = 1.0  # seconds that the broker is kept for the next: to connect costs ten messages
TURN = 5  # seconds that one message works at most
TICK = 10  # seconds until beat comes by itself
asked = threading.Event()
starting = threading.Lock()
# One try of a second: beat comes anyway.
AT_ONCE = {
    "socket_connect_timeout": 1,
    "socket_timeout": 1,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
}


@shared_task
def send_notices() -> None:
    """Look at what was asked for at the forms, and send the single mails that are due.

    Go on while there is more, by a new message after a while: ticks and editions have their
    turn between two of them.
    """
    until = time.monotonic() + TURN
    try:
        address_key.check()
    except address_key.WrongKey as wrong:
        logger.error("what was asked for waits: %s", wrong)
        return
    send.sweep(now=timezone.now())
    while handle_and_send():
        if time.monotonic() > until:
            publish()
            return


def handle_and_send() -> bool:
    """Handle a batch and send a batch. Return whether there was anything to do."""
    handled = requests.handle_open(now=timezone.now())
    sent = send.send_open_notices(now=timezone.now())
    return handled + sent > 0


@shared_task
def maintain() -> None:
    """End pauses, send reminders, delete what is past its time, seal receipts."""
    try:
        address_key.check()
    except address_key.WrongKey as wrong:
        logger.error("nothing is ended, reminded or sealed: %s", wrong)
        return
    now = timezone.now()
    subscriptions.resume_due(now)
    retention.remind(now)
    retention.purge(now)
    consent.seal()  # last: after an import it may take as long as a task may


@shared_task
def take_imports(pk: int | None = None, position: int = 0) -> None:
    """Go on with an uploaded file of readers; other tasks have their turn between two of us.

    By beat from wherever it is; else from that place only, so that of the messages that
    follow one another none is left beside those that a beat began.
    """
    place = None if pk is None else (pk, position)
    if left := import_jobs.work(seconds=TURN, place=place):
        wake_imports(*left)


def wake_imports(*place: int) -> None:
    """Ask for take_imports now; without a broker beat's next tick does it."""
    try:
        take_imports.apply_async(args=place, retry=False)
    except (KombuError, RedisError, OSError) as error:
        logger.warning("no broker, a file waits: %s", type(error).__name__)


def wake() -> None:
    """Ask for send_notices now. Returns at once: a thread of its own tells the broker.

    Call it after the transaction has ended.
    """
    asked.set()
    with starting:
        if not any(thread.name == keep_waking.__name__ for thread in threading.enumerate()):
            threading.Thread(
                target=keep_waking, name=keep_waking.__name__, daemon=True
            ).start()


def keep_waking() -> None:
    """Publish one message for all requests since the last; none while only beat can."""
    while asked.wait():
        asked.clear()
        if not publish(again=asked_meanwhile):
            time.sleep(TICK)
            asked.clear()


def asked_meanwhile() -> bool:
    """Take a breath; return whether there is, or soon comes, a new request."""
    time.sleep(BREATH)
    if found := asked.wait(SOON):
        asked.clear()
    return found


def publish(*, again: Callable[[], bool] = lambda: False) -> bool:
    """Wake a worker, in two seconds at most; `again` by the same connection while it says so.

    Return False without a broker: then beat's next tick does it.
    """
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS | AT_ONCE
    try:
        with current_app.connection_for_write(transport_options=options) as connection:
            tell_worker(connection)
            while again():
                tell_worker(connection)
    except (KombuError, RedisError, OSError) as error:
        logger.warning("no broker, mail waits for the next tick: %s", type(error).__name__)
        return False
    return True


def tell_worker(connection: Connection) -> None:
    queue = current_app.amqp.router.route({}, send_notices.name)["queue"]
    if queue(connection.default_channel).queue_declare().message_count:
        return  # one waits already, and will see what is new
    send_notices.apply_async(  # type: ignore[call-arg]  # the stubs lack it
        connection=connection, retry=False
    )
