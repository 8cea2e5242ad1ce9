"""The operator's pages of announcements: write, look, test, start."""

from functools import partial
from typing import Any

from django import forms
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.csp import CSP
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_http_methods, require_safe

from digest.deliveries import ledger
from digest.deliveries.planned_rows import count_audience
from digest.editions import announcement as words
from digest.models import Announcement
from digest.ops import announcements
from digest.ops.console import acts, figures
from digest.ops.console.acts import CannotAct
from digest.ops.console.readers_mail import part_of
from digest.ops.console.views import see_editions
from digest.ops.mailbox.views import MAIL_CSP
from digest.ops.operators import audit
from digest.ops.paging import PAGE_LENGTH

WRITE = "digest.change_announcement"
NOT_CHANGED = "Not saved: it was started, so it cannot be changed any more."
CHANGED_MEANWHILE = (
    "Not saved: the draft was changed meanwhile, in another tab or by another operator. What "
    "you typed is below; save again to replace the other text, or open the page anew to see it."
)


class AnnouncementForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Announcement
        fields = (
            "subject",
            "title",
            "body",
            "is_markdown",
            "language",
            "topic",
            "for_language",
        )
        widgets = {"body": forms.Textarea(attrs={"rows": 14})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["topic"].empty_label = "All topics"  # type: ignore[attr-defined]

    def clean_subject(self) -> str:
        return self.one_line("subject")

    def clean_title(self) -> str:
        return self.one_line("title")

    def one_line(self, name: str) -> str:
        line = words.clean(self.cleaned_data[name])
        if not line:
            raise forms.ValidationError("Enter text that can be seen.")
        return line

    def clean_body(self) -> str:
        body = words.clean(self.cleaned_data["body"], lines=True)
        if not body.strip():
            raise forms.ValidationError("Enter text that can be seen.")
        words.check(body)
        return body


@see_editions
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """List the newest announcements with their counts."""
    newest = list(Announcement.objects.select_related("edition", "topic")[:PAGE_LENGTH])
    counted = figures.of_editions(one.edition for one in newest if one.edition)
    by_edition = {one.edition.pk: one for one in counted}
    context = {
        "announcements": [(one, by_edition.get(one.edition_id or 0)) for one in newest],
        "may_write": request.user.has_perm(WRITE),
    }
    return render(request, "console/announcements.html", context)


@see_editions
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Write an announcement; it stays a draft."""
    acts.allow(request, WRITE)
    form = AnnouncementForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = form.save()
        audit.record_request(request, "write", made, detail=f"Wrote “{made.subject}”")
        return redirect("console_announcement", pk=made.pk)
    context = {"form": form, "may_write": True}
    return render(request, "console/announcement.html", context)


@see_editions
@require_http_methods(["GET", "HEAD", "POST"])
def announcement(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one: a draft with its form; POST does what its button says."""
    known = Announcement.objects.select_related("edition", "topic")
    found = get_object_or_404(known, pk=pk)
    form = None
    if request.method == "POST":
        if request.POST.get("act") != "save":
            acts.act(request, found, ACTS)
            if not Announcement.objects.filter(pk=pk).exists():
                return redirect("console_announcements")
            return redirect("console_announcement", pk=pk)
        acts.allow(request, WRITE)
        form = AnnouncementForm(request.POST, instance=known.get(pk=pk))
        looked_at = request.POST.get("version", "")
        if form.is_valid() and saved(form, looked_at):
            audit.record_request(request, "save", found, detail="Changed the draft")
            return redirect("console_announcement", pk=pk)
    user, now = request.user, ledger.database_now()
    edition = found.edition
    context = {
        "announcement": found,
        "form": form or (None if edition else AnnouncementForm(instance=found)),
        "audience": announcements.audience_name(found),
        "count": None if edition else count_audience(found),
        "findings": [] if edition else announcements.findings(found, now=now),
        "figures": figures.of_editions([edition])[0] if edition else None,
        "may_write": user.has_perm(WRITE) and not edition,
        "may_test": user.has_perm("digest.test_edition"),
        "may_start": user.has_perm(acts.STEER) and not edition,
        "acts": audit.acts_on(found),
    }
    return render(request, "console/announcement.html", context)


def saved(form: AnnouncementForm, looked_at: str) -> bool:
    """Write the form's fields to a draft, unless it was started or changed meanwhile.

    `looked_at` is the version that the form was filled from. A repeated save changes nothing.
    """
    drafts = Announcement.objects.filter(pk=form.instance.pk, edition=None)
    with transaction.atomic():
        # The row's lock keeps a second editor out between the look and the write.
        draft = drafts.select_for_update().first()
        if draft is None:
            form.add_error(None, NOT_CHANGED)
        elif draft.version not in {looked_at, form.instance.version}:
            form.add_error(None, CHANGED_MEANWHILE)
        else:
            drafts.update(**form.cleaned_data)
    return form.is_valid()


@see_editions
@require_safe
@csp_override(MAIL_CSP | {"frame-ancestors": [CSP.NONE]})
def preview(request: HttpRequest, pk: int, part: str) -> HttpResponse:
    """Show the mail's HTML or its text, as a reader of its language would see it."""
    if part not in {"html", "plain"}:
        raise Http404("There is no such part.")
    found = get_object_or_404(Announcement.objects.select_related("edition"), pk=pk)
    now = ledger.database_now()
    mail = announcements.preview(found, language=found.language, now=now)
    kind = "text/html" if part == "html" else "text/plain"
    return HttpResponse(part_of(mail, part), content_type=f"{kind}; charset=utf-8")


# -- acts --------------------------------------------------------------------------------


def send_test(request: HttpRequest, found: Announcement) -> str:
    return acts.sent_test(request, partial(announcements.send_test, found))


def start(request: HttpRequest, found: Announcement) -> str:
    if words.clean(request.POST.get("typed", "")) != found.subject:
        raise CannotAct("Not started: type the subject to confirm.")
    count, version = count_audience(found), request.POST.get("version", "")
    try:
        announcements.start(found, version, now=ledger.database_now())
    except announcements.CannotStart as error:
        raise CannotAct(f"Not started: {error}.") from None
    return f"Started for {count} readers"


def delete(request: HttpRequest, found: Announcement) -> str:
    if not announcements.delete_draft(found):
        raise CannotAct("Not deleted: what readers got is kept.")
    return f"Deleted the draft “{found.subject}”"


ACTS: dict[str, acts.Act[Announcement]] = {
    "test": ("digest.test_edition", send_test),
    "start": (acts.STEER, start),
    "delete": (WRITE, delete),
}
