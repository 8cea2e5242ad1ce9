"""Lists of the operator's pages: newest first, a page at a time, turned by the last id shown."""

from django.db.models import Model, QuerySet

PAGE_LENGTH = 50  # rows


def row_id(text: str) -> int | None:
    """Return the id that a form or an address names; None if it names none."""
    return int(text) if text.isdecimal() and len(text) < 19 else None


def page_of[M: Model](rows: QuerySet[M], before: str) -> tuple[list[M], int | None]:
    """Return the newest rows that are older than the id `before`, if it is one.

    And the id by which to turn to the next page; None on the last.
    """
    if (last := row_id(before)) is not None:
        rows = rows.filter(pk__lt=last)
    found = list(rows.order_by("-pk")[: PAGE_LENGTH + 1])
    shown = found[:PAGE_LENGTH]
    return shown, shown[-1].pk if len(found) > PAGE_LENGTH else None
