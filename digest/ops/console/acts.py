"""What an operator may do: each act is a POST by somebody who holds its permission.

It is done by the same function as the command of its name, and leaves a LogEntry: who, when,
what.
"""

from collections.abc import Callable
from typing import cast

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractUser
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware

from digest import privacy as digest_privacy
from digest.deliveries import control, ledger
from digest.models import Edition
from digest.ops.doctor import sample_digest
from digest.transport.outcomes import Verdict
from subscribers import address_key, preference_views, privacy, subscriptions
from subscribers.addresses import BadAddress
from subscribers.consent import Origin
from subscribers.models import Subscriber, Suppression
from subscribers.notices import outbox
from subscribers.suppression import NotBarred, lift_bar, suppress
from subscribers.tasks import wake

SHOWN = 50  # of the newest acts on a row


class CannotAct(ValueError):
    """The act was not done; the message tells the operator why."""


# -- editions ------------------------------------------------------------------------------


def pause_edition(request: HttpRequest, edition: Edition) -> str:
    reason = why(request)
    if not control.pause(edition, reason):
        raise CannotAct("The edition is already held.")
    return f"Paused: {reason}"


def resume_edition(request: HttpRequest, edition: Edition) -> str:
    if not control.resume(edition, now=ledger.database_now()):
        raise CannotAct("The edition is not paused.")
    return "Resumed"


def cancel_edition(request: HttpRequest, edition: Edition) -> str:
    if request.POST.get("typed", "").strip() != f"{edition.day}":
        raise CannotAct(f"Not cancelled: type {edition.day} to confirm.")
    reason = why(request)
    count = control.cancel(edition, reason, now=ledger.database_now())
    return f"Cancelled, {count} deliveries skipped: {reason}"


def retry_refused(request: HttpRequest, edition: Edition) -> str:
    try:
        since = parse_datetime(request.POST.get("since", "").strip())
    except ValueError:
        since = None
    if since is None or not is_aware(since):
        raise CannotAct("Enter an instant with its zone, such as 2026-04-17T12:00Z.")
    count = control.retry_refused(edition, since, now=ledger.database_now())
    return f"Refused since {since:%Y-%m-%d %H:%M}Z, pending again: {count}"


def send_test(request: HttpRequest, edition: Edition) -> str:
    """Send the edition to one address, outside the ledger and in no transaction."""
    typed = request.POST.get("address", "").strip()
    try:
        outcome = sample_digest.send(edition, typed, now=ledger.database_now())
    except (BadAddress, sample_digest.NotSent) as error:
        raise CannotAct(f"Not sent: {error}.") from None
    if outcome.verdict in {Verdict.REFUSED, Verdict.RETRY}:
        words = " ".join(filter(None, [outcome.reason, outcome.reply]))
        raise CannotAct(f"Not sent: {words}.")
    return f"Test digest handed over: {outcome.verdict}"


# -- readers -------------------------------------------------------------------------------


def pause_reader(request: HttpRequest, reader: Subscriber) -> str:
    allow(request, "subscribers.change_subscriber")
    if reader.state != Subscriber.State.ACTIVE:
        raise CannotAct("The reader is not active.")
    reason, now = why(request), ledger.database_now()
    subscriptions.pause(reader.pk, origin=origin(request), now=now)
    return f"Paused: {reason}"


def resume_reader(request: HttpRequest, reader: Subscriber) -> str:
    allow(request, "subscribers.change_subscriber")
    if reader.state != Subscriber.State.PAUSED:
        raise CannotAct("The reader is not paused.")
    now = ledger.database_now()
    subscriptions.resume(reader.pk, origin=origin(request), now=now)
    return "Resumed"


def suppress_reader(request: HttpRequest, reader: Subscriber) -> str:
    allow(request, "subscribers.add_suppression")
    reason, now = why(request), ledger.database_now()
    if not suppress(reader.email_hash, Suppression.Reason.MANUAL, now=now):
        raise CannotAct("This address is suppressed already.")
    return f"Suppressed: {reason}"


def lift_reader(request: HttpRequest, reader: Subscriber) -> str:
    allow(request, "subscribers.delete_suppression")
    reason, now = why(request), ledger.database_now()
    try:
        lift_bar(reader.email_hash, reason, origin=origin(request), now=now)
    except NotBarred as error:
        raise CannotAct(f"Not lifted: {error}.") from None
    return f"Suppression lifted: {reason}"


def resend_link(request: HttpRequest, reader: Subscriber) -> str:
    """Mail a pending reader the link to confirm, any other the one to the preferences."""
    allow(request, "subscribers.change_subscriber")
    if outbox.known(reader.pk) is None:
        raise CannotAct("This address is suppressed: nothing may be sent to it.")
    if reader.state == Subscriber.State.UNSUBSCRIBED:
        raise CannotAct("The reader has left; a new sign-up is the way back.")
    outbox.ask_again(reader.pk, now=ledger.database_now())
    wake()
    pending = reader.state == Subscriber.State.PENDING
    return f"Link to {'confirm' if pending else 'the preferences'} asked for"


def erase_reader(request: HttpRequest, reader: Subscriber) -> str:
    allow(request, "subscribers.delete_subscriber")
    if request.POST.get("typed", "").strip().lower() != reader.email.lower():
        raise CannotAct("Not erased: type the reader's address to confirm.")
    try:
        address_key.check()
    except address_key.WrongKey as error:
        raise CannotAct(f"Not erased: {error}") from None
    reason = why(request)
    privacy.erase(reader.pk, now=ledger.database_now())
    return f"Erased: {reason}"


def export(request: HttpRequest, reader: Subscriber) -> HttpResponse:
    """Return all that is known of a reader, as they would get it themselves, and log it."""
    allow(request, "subscribers.change_subscriber")
    note(request, reader, "Exported")
    return preference_views.download(reader, digest_privacy.personal_data)


# -- doing and logging ---------------------------------------------------------------------


type Act[M: Model] = Callable[[HttpRequest, M], str]
EDITION_ACTS: dict[str, Act[Edition]] = {
    "pause": pause_edition,
    "resume": resume_edition,
    "cancel": cancel_edition,
    "retry": retry_refused,
    "test": send_test,
}
READER_ACTS: dict[str, Act[Subscriber]] = {
    "pause": pause_reader,
    "resume": resume_reader,
    "suppress": suppress_reader,
    "lift": lift_reader,
    "resend": resend_link,
    "erase": erase_reader,
}


def act[M: Model](request: HttpRequest, row: M, acts: dict[str, Act[M]]) -> None:
    """Do the act that the form names and log it, or tell why it was not done."""
    chosen = acts.get(request.POST.get("act", ""))
    if chosen is None:
        raise Http404("There is no such act.")
    try:
        done = chosen(request, row)
    except CannotAct as error:
        messages.error(request, str(error))
        return
    note(request, row, done)
    messages.success(request, f"{done}.")


def note(request: HttpRequest, row: Model, done: str) -> None:
    """Log who did what to which row."""
    LogEntry.objects.create(
        user_id=cast("AbstractUser", request.user).pk,
        content_type=ContentType.objects.get_for_model(row),
        object_id=f"{row.pk}",
        object_repr=f"{row}"[:200],
        action_flag=CHANGE,
        change_message=done,
    )


def acts_on(row: Model) -> QuerySet[LogEntry]:
    """Return the newest acts on a row; those done in the admin's own lists as well."""
    kind = ContentType.objects.get_for_model(row)
    found = LogEntry.objects.filter(content_type=kind, object_id=f"{row.pk}")
    return found.select_related("user").order_by("-action_time")[:SHOWN]


def allow(request: HttpRequest, permission: str) -> None:
    """Raise PermissionDenied unless the user has the permission."""
    if not request.user.has_perm(permission):
        raise PermissionDenied


def why(request: HttpRequest) -> str:
    """Return the reason typed in the form. Raises CannotAct without one."""
    reason = request.POST.get("why", "").strip()[:200]
    if not reason:
        raise CannotAct("Enter a reason.")
    return reason


def origin(request: HttpRequest) -> Origin:
    return Origin(f"admin: {request.user.get_username()}"[:200])
