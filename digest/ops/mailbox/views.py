"""The mail catcher's page: the caught mails, newest first.

It exists in the embedded run where SITE_URL is a loopback address.
"""

from collections.abc import Callable, Collection
from functools import wraps

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.csp import CSP
from django.views.decorators.cache import never_cache
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_safe

from digest.ops.mailbox import messages

PAGE_LENGTH = 50
TABS = {"html": "HTML", "text": "Plain text", "source": "Source", "headers": "Headers"}

# Mail is untrusted: no script, no request, inline styles only; also when it is opened
# outside the frame.
MAIL_CSP: dict[str, Collection[str] | str] = {
    "default-src": [CSP.NONE],
    "style-src": [CSP.UNSAFE_INLINE],
    "img-src": ["data:"],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.NONE],
    "frame-ancestors": [CSP.SELF],
    "sandbox": ["allow-popups", "allow-popups-to-escape-sandbox"],
}


def embedded_only[**P](view: Callable[P, HttpResponse]) -> Callable[P, HttpResponse]:
    """Raise Http404 outside the embedded run, as mails contain readers' secret links."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not settings.MAILBOX:
            raise Http404
        return view(*args, **kwargs)

    return guarded


@embedded_only
@require_safe
@never_cache
def mails(request: HttpRequest) -> HttpResponse:
    """List the mails; `?to=` selects those with it in a recipient's address."""
    to = request.GET.get("to", "")[:254]
    found = messages.envelopes(settings.MAILBOX_DIR, to=to)
    page = Paginator(found, PAGE_LENGTH).get_page(request.GET.get("page"))
    shown = [messages.read(settings.MAILBOX_DIR, one.mail_id) for one in page.object_list]
    context = {"page": page, "mails": [mail for mail in shown if mail], "to": to}
    return render(request, "digest/mailbox.html", context)


@embedded_only
@require_safe
@never_cache
def mail(request: HttpRequest, mail_id: str) -> HttpResponse:
    """Show one mail as HTML, text, source or headers; without HTML, text is the default."""
    found = caught(mail_id)
    tab = request.GET.get("tab", "")
    if tab not in TABS:
        tab = "html" if found.html else "text"
    context = {"mail": found, "tab": tab, "tabs": TABS}
    return render(request, "digest/mail.html", context)


@embedded_only
@require_safe
@never_cache
@csp_override(MAIL_CSP)
def mail_html(request: HttpRequest, mail_id: str) -> HttpResponse:
    """Return the HTML part alone, for the frame."""
    return HttpResponse(messages.with_new_tabs(caught(mail_id).html))


def caught(mail_id: str) -> messages.CaughtMail:
    """Return the mail of that id. Raises Http404."""
    found = messages.read(settings.MAILBOX_DIR, mail_id)
    if found is None:
        raise Http404("This mail does not exist. The catcher keeps only the newest mails.")
    return found
