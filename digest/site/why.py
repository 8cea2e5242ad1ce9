"""Why a reader got a paper, or did not: the page behind the link to their preferences."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy

from digest.deliveries.explain import day_of, explain, named_paper
from digest.editions.picks import parse_picks
from digest.models import Delivery, Edition, folded
from digest.papers.search_query import QUERY_LENGTH
from subscribers.fields import Form
from subscribers.http import preferences_page
from subscribers.models import Subscriber

MOST_MAILS = 30


class WhyForm(Form):
    """A mail and what was typed of a paper; GET only."""

    edition = forms.ChoiceField()  # of the reader's mails
    paper = forms.CharField(
        label=gettext_lazy("arXiv id, link or title"),
        required=False,
        max_length=QUERY_LENGTH,
        error_messages={"max_length": gettext_lazy("That is too long; use the arXiv id.")},
    )

    def __init__(self, data: dict[str, str], *, mails: list[tuple[str, str]]) -> None:
        super().__init__(data)
        self.fields["edition"] = forms.ChoiceField(
            label=gettext_lazy("Mail"), choices=mails
        )


@preferences_page
def why(request: HttpRequest, reader: Subscriber, token: str) -> HttpResponse:
    """Show a mail's papers and those it left out; explain the one asked about."""
    editions = editions_of(reader)
    if not editions:
        return render(request, "digest/nothing_yet.html", {"preferences_token": token})
    names = {f"{edition.kind}-{edition.day}": edition for edition in editions}
    asked = {"edition": next(iter(names))} | request.GET.dict()
    form = WhyForm(asked, mails=[(name, day_of(one)) for name, one in names.items()])
    context: dict[str, object] = {"form": form, "preferences_token": token}
    if form.is_valid():
        edition, typed = names[form.cleaned_data["edition"]], form.cleaned_data["paper"]
        context |= answer(reader, edition, typed)
    return render(
        request, "digest/why.html", context, status=200 if form.is_valid() else 400
    )


def editions_of(reader: Subscriber) -> list[Edition]:
    """Return the editions that had a mail due to a reader, newest first; else any newest."""
    rows = (
        Delivery.objects.of_readers(reader.pk)
        .exclude(edition__kind=Edition.Kind.ANNOUNCEMENT)
        .order_by("-edition__day")
    )
    found = [row.edition for row in rows.select_related("edition")[:MOST_MAILS]]
    if len(found) < MOST_MAILS:
        old = [row.edition for row in folded.of_readers(reader.pk)]
        found += [one for one in old if one.kind != Edition.Kind.ANNOUNCEMENT]
        found = sorted(found, key=lambda one: one.day, reverse=True)[:MOST_MAILS]
    return found or list(Edition.objects.of_papers()[:1])


def answer(reader: Subscriber, edition: Edition, typed: str) -> dict[str, object]:
    """Return what the page shows: the edition's papers, and the explanation or the choice."""
    row = folded.of(edition, reader.pk)
    was = parse_picks(row.picks) if row else None
    order = [pick.position for pick in was.picks] if was else []
    blocks = edition.blocks.order_by("position").select_related("paper")
    papers = {block.position: block.paper for block in blocks.defer("html", "text")}
    found = named_paper(typed, edition) if typed else []
    return {
        "edition": edition,
        "asked": typed,
        "found": found,
        "paper": found[0] if len(found) == 1 else None,
        "explained": explain(reader, edition, found[0]) if len(found) == 1 else None,
        "came": [papers[place] for place in order if place in papers],
        "others": [paper for place, paper in papers.items() if place not in order],
    }
