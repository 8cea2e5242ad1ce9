"""What an operator may do: each act is a POST by somebody who holds its permission.

It is done by the same function as the command of its name, and is written to the audit log.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware

from digest import privacy as digest_privacy
from digest.deliveries import control, fencing, ledger
from digest.feedback import domain_reports
from digest.models import Delivery, Edition
from digest.ops import announcements
from digest.ops.doctor import sample_digest
from digest.ops.operators import audit
from digest.ops.paging import PAGE_LENGTH
from digest.throttling import circuit_breaker
from digest.transport import relays
from digest.transport.outcomes import Outcome, Verdict
from subscribers import address_key, preference_views, privacy, subscriptions
from subscribers.addresses import BadAddress
from subscribers.consent import Origin
from subscribers.models import Subscriber, Suppression
from subscribers.notices import outbox
from subscribers.suppression import NotBarred, lift_bar, suppress
from subscribers.tasks import wake

MOST_AT_ONCE = 20_000  # deliveries that a page sets aside; a command takes any number


class SendTest(Protocol):
    """Hands a test over to one address. Raises BadAddress and sample_digest.NotSent."""

    def __call__(self, address: str, /, *, now: datetime) -> Outcome: ...


class Settle(Protocol):
    """Decides on unknown deliveries, and returns how many of them were unknown."""

    def __call__(self, ids: Sequence[int], *, now: datetime) -> int: ...


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
    since = instant(request)
    count = control.retry_refused(edition, since, now=ledger.database_now())
    return f"Refused since {since:%Y-%m-%d %H:%M}Z, pending again: {count}"


def send_test(request: HttpRequest, edition: Edition) -> str:
    return sent_test(request, partial(sample_digest.send, edition))


def sent_test(request: HttpRequest, send: SendTest) -> str:
    """Send a test to the address that was typed, outside the ledger and in no transaction."""
    typed = request.POST.get("address", "").strip()
    try:
        outcome = send(typed, now=ledger.database_now())
    except (BadAddress, sample_digest.NotSent) as error:
        raise CannotAct(f"Not sent: {error}.") from None
    if outcome.verdict in {Verdict.REFUSED, Verdict.RETRY}:
        words = " ".join(filter(None, [outcome.reason, outcome.reply]))
        raise CannotAct(f"Not sent: {words}.")
    return f"Test handed over: {outcome.verdict}"


# -- readers -------------------------------------------------------------------------------


def pause_reader(request: HttpRequest, reader: Subscriber) -> str:
    if reader.state != Subscriber.State.ACTIVE:
        raise CannotAct("The reader is not active.")
    reason, now = why(request), ledger.database_now()
    subscriptions.pause(reader.pk, origin=origin(request), now=now)
    return f"Paused: {reason}"


def resume_reader(request: HttpRequest, reader: Subscriber) -> str:
    if reader.state != Subscriber.State.PAUSED:
        raise CannotAct("The reader is not paused.")
    now = ledger.database_now()
    subscriptions.resume(reader.pk, origin=origin(request), now=now)
    return "Resumed"


def suppress_reader(request: HttpRequest, reader: Subscriber) -> str:
    reason, now = why(request), ledger.database_now()
    if not suppress(reader.email_hash, Suppression.Reason.MANUAL, now=now):
        raise CannotAct("This address is suppressed already.")
    return f"Suppressed: {reason}"


def lift(request: HttpRequest, of: Subscriber | Suppression) -> str:
    """Lift a reader's bar, or one by itself: an import brings some of nobody's address."""
    reason, now = why(request), ledger.database_now()
    try:
        reader = lift_bar(of.email_hash, reason, origin=origin(request), now=now)
    except NotBarred as error:
        raise CannotAct(f"Not lifted: {error}.") from None
    waits = "" if reader else "; mail goes there once its holder has confirmed"
    return f"Suppression lifted{waits}: {reason}"


def resend_link(request: HttpRequest, reader: Subscriber) -> str:
    """Mail a pending reader the link to confirm, any other the one to the preferences."""
    if outbox.known(reader.pk) is None:
        raise CannotAct("This address is suppressed: nothing may be sent to it.")
    if reader.state == Subscriber.State.UNSUBSCRIBED:
        raise CannotAct("The reader has left; a new sign-up is the way back.")
    outbox.ask_again(reader.pk, now=ledger.database_now())
    wake()
    pending = reader.state == Subscriber.State.PENDING
    return f"Link to {'confirm' if pending else 'the preferences'} asked for"


def erase_reader(request: HttpRequest, reader: Subscriber) -> str:
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
    """Return all that is known of a reader, as they would get it themselves."""
    allow(request, "subscribers.export_subscriber")
    audit.record_request(request, "export", reader, detail="Downloaded all data")
    return preference_views.download(reader, digest_privacy.personal_data)


# -- reports of our domain -----------------------------------------------------------------


def take_reports(request: HttpRequest, _: None) -> str:
    """Take in a DMARC or TLS report, as a file or as the mail that brought it."""
    file = request.FILES.get("file")
    if file is None:
        raise CannotAct("Choose a file.")
    try:
        found = domain_reports.read(file.read(domain_reports.MOST_BYTES + 1))
        count = domain_reports.store(found, now=ledger.database_now())
    except domain_reports.NotAReport as error:
        raise CannotAct(f"This is no report: {error}.") from None
    return f"Reports read: {len(found)}, new counts: {count}"


# -- relays, unknown hand-overs, a restored database ------------------------------------------


def end_rest(request: HttpRequest, name: str) -> str:
    """End the rest of the relay or of one domain, so that senders try at once."""
    if not circuit_breaker.end_rest(name):
        raise CannotAct("It does not rest any more.")
    relay = circuit_breaker.relay_of(name)
    return f"Rest ended: {relays.called(relay) if relay else name}"


def settle_unknown(
    request: HttpRequest, ids: Sequence[int], settle: Settle, words: str
) -> str:
    """Decide on the ticked unknown hand-overs; more than one page of them asks for the number."""
    if not ids:
        raise CannotAct("Tick the mails that you decide on.")
    if len(ids) > MOST_AT_ONCE:
        raise CannotAct("Too many for a page: run `manage.py unknown` on the server.")
    if request.POST.get("all") and request.POST.get("shown") != f"{len(ids)}":
        raise CannotAct("Nothing changed: their number is another now. Look again.")
    if len(ids) > PAGE_LENGTH and request.POST.get("typed", "").strip() != f"{len(ids)}":
        raise CannotAct(f"Nothing changed: type {len(ids)}, their number, to confirm.")
    count = settle(ids, now=ledger.database_now())
    if not count:
        raise CannotAct("None of them is unknown any more.")
    return f"{count} unknown deliveries {words}: {', '.join(map(str, ids[:20]))}"


def mark_sent(request: HttpRequest, ids: Sequence[int]) -> str:
    return settle_unknown(request, ids, control.mark_sent, "marked as sent")


def resend(request: HttpRequest, ids: Sequence[int]) -> str:
    return settle_unknown(request, ids, control.resend, "pending again")


def abandon(request: HttpRequest, ids: Sequence[int]) -> str:
    return settle_unknown(request, ids, control.abandon, "abandoned")


def quarantine(request: HttpRequest, ids: Sequence[int]) -> str:
    """Set aside what may have gone out since a backup, and let senders start again."""
    since = instant(request)
    until = instant(request, "until") if request.POST.get("until", "").strip() else None
    if request.POST.get("typed", "").strip() != "quarantine":
        raise CannotAct("Nothing changed: type quarantine to confirm.")
    now = ledger.database_now()
    # What is planned first has a row for each active reader at most and edition.
    readers = Subscriber.objects.filter(state=Subscriber.State.ACTIVE)
    rows = Delivery.objects.filter(is_open=True)
    if sum(some[: MOST_AT_ONCE + 1].count() for some in (readers, rows)) > MOST_AT_ONCE:
        raise CannotAct("Too many for a page: run `manage.py quarantine` on the server.")
    count = control.quarantine(since, until=until, now=now)
    done = f"Quarantine since {since:%Y-%m-%d %H:%M}Z: {count} unknown"
    if drafts := announcements.drafts_after_restore():
        messages.warning(request, f"{drafts}.")
    days = control.unpublished(since, until=until, now=now)
    if days and not request.POST.get("unsent"):
        audit.record_request(request, "quarantine", None, detail=done)
        raise CannotAct(
            f"{count} are unknown now, and senders still refuse: {', '.join(map(str, days))} "
            "may have been sent and would be published and sent again. Publish these days, or "
            "say that they never went out."
        )
    fencing.accept()
    return f"{done}; senders may start"


# -- doing and logging ---------------------------------------------------------------------


type Act[T] = tuple[str, Callable[[HttpRequest, T], str]]  # and its permission
STEER, HELP = "digest.change_edition", "subscribers.change_subscriber"
EDITION_ACTS: dict[str, Act[Edition]] = {
    "pause": (STEER, pause_edition),
    "resume": (STEER, resume_edition),
    "cancel": (STEER, cancel_edition),
    "retry": (STEER, retry_refused),
    "test": ("digest.test_edition", send_test),
}
READER_ACTS: dict[str, Act[Subscriber]] = {
    "pause": (HELP, pause_reader),
    "resume": (HELP, resume_reader),
    "resend": (HELP, resend_link),
    "suppress": ("subscribers.add_suppression", suppress_reader),
    "lift": ("subscribers.delete_suppression", lift),
    "erase": ("subscribers.delete_subscriber", erase_reader),
}
SUPPRESSION_ACTS: dict[str, Act[Suppression]] = {
    "lift": ("subscribers.delete_suppression", lift),
}
REPORT_ACTS: dict[str, Act[None]] = {"upload": (STEER, take_reports)}
RELAY_ACTS: dict[str, Act[str]] = {"end rest": (STEER, end_rest)}
UNKNOWN_ACTS: dict[str, Act[Sequence[int]]] = {
    "mark-sent": (STEER, mark_sent),
    "resend": (STEER, resend),
    "abandon": (STEER, abandon),
    "quarantine": (STEER, quarantine),
}


def act[T](request: HttpRequest, subject: T, acts: dict[str, Act[T]]) -> None:
    """Do the act that the form names and log it, or tell why it was not done."""
    name = request.POST.get("act", "")
    if name not in acts:
        raise Http404("There is no such act.")
    permission, chosen = acts[name]
    allow(request, permission)
    try:
        done = chosen(request, subject)
    except CannotAct as error:
        messages.error(request, str(error))
        return
    row = subject if isinstance(subject, Model) else None
    audit.record_request(request, name, row, detail=done)
    messages.success(request, f"{done}.")


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


def instant(request: HttpRequest, name: str = "since") -> datetime:
    """Return an instant of the form. Raises CannotAct."""
    try:
        since = parse_datetime(request.POST.get(name, "").strip())
        if since and is_aware(since):
            return since.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise CannotAct("Enter an instant with its zone, such as 2026-04-17T12:00Z.")


def origin(request: HttpRequest) -> Origin:
    return Origin(f"admin: {request.user.get_username()}"[:200])
