"""Find the row that a record means where a source tells no arXiv id.

Such a paper has the id of its title, and takes its arXiv id as soon as a source tells one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from django.db import transaction

from digest.models import Paper, PaperWords
from digest.papers import search_index
from digest.papers.records import TITLE_ID, PaperRecord


def known_by_title(records: Iterable[PaperRecord]) -> list[PaperRecord]:
    """Give records without an arXiv id the one of the stored paper of the same title.

    They add nothing but counts then: the page rounds dates, and is no list of that day.
    """
    records = list(records)
    titles = {
        record.arxiv_id: search_index.title_words(record.title)
        for record in records
        if TITLE_ID.fullmatch(record.arxiv_id)
    }
    found = PaperWords.objects.filter(title__in=set(titles.values()))
    rows = found.exclude(paper__arxiv_id__startswith="title-").order_by("-paper_id")
    known = {
        title: (arxiv_id, day)
        for title, arxiv_id, day in rows.values_list(
            "title", "paper__arxiv_id", "paper__day"
        )
    }
    return [
        replace(record, arxiv_id=row[0], day=row[1], submitted_at=None)
        if (row := known.get(titles.get(record.arxiv_id, "")))
        else record
        for record in records
    ]


@transaction.atomic
def take_arxiv_ids(told: Mapping[str, str]) -> None:
    """Give stored papers without an arXiv id, by that of their title, the one now told."""
    rows = list(
        Paper.objects.filter(arxiv_id__in=list(told)).select_for_update().order_by("pk")
    )
    taken = Paper.objects.filter(arxiv_id__in=list(told.values()))
    known = set(taken.values_list("arxiv_id", flat=True))
    for row in rows:
        row.arxiv_id = told[row.arxiv_id]
    new = [row for row in rows if row.arxiv_id not in known]
    Paper.objects.bulk_update(new, ["arxiv_id"])
