"""Render a mail as a web page: the same blocks and frame without reader-specific parts."""

from collections.abc import Sequence

from django.utils import translation

from digest.editions import phrases
from digest.editions.blocks import FORMS, forms
from digest.editions.encode import in_html, name_in_html
from digest.editions.frames import page_frame, public_pages
from digest.editions.phrases import MARKS
from digest.editions.reasons import Reason
from digest.models import Block, Edition


def page(
    edition: Edition,
    shown: Sequence[tuple[Block, str, Sequence[Reason]]],
    *,
    language: str,
    headline: str,
    name: str = "",
    preferences: str = "",
) -> str:
    """Return the HTML of (block, label, reasons); the label is that of its topic, or empty.

    With `name`, the name of a mail's page, its reader can vote; a public page has none.
    A page for one reader alone leads to their `preferences`, not to where one asks for them.
    """
    frame = phrases.without_glance(page_frame(edition, language, web=True))
    if preferences:
        frame = frame.replace(f"{public_pages(language)}/preferences/", preferences)
    with translation.override(language):
        papers = "".join(block_html(*one, name) for one in shown)
    for mark, value in [
        (MARKS.count, in_html(headline)),
        (MARKS.more, ""),
        (MARKS.papers, papers),
    ]:
        frame = frame.replace(mark, value)
    return frame


def block_html(block: Block, label: str, reasons: Sequence[Reason], name: str) -> str:
    isolated = [Reason(why, name_in_html(text)) for why, text in reasons]
    why = phrases.reason(label, isolated, shown=in_html)
    form = forms(block.html)[FORMS.index("abstracts")]
    html = (
        phrases.with_votes(form, block.position).replace(MARKS.web, name)
        if name
        else phrases.without_votes(form)
    )
    return phrases.translate_html(html).replace(MARKS.reason, why)


def edition_page(edition: Edition, labels: dict[str, str], *, most: int) -> str:
    """Return the public page of an edition: most upvoted first, each with its best topic.

    In the active language.
    `labels` is topic slug → label.
    """
    blocks: list[Block] = list(edition.blocks.order_by("position")[:most])
    shown = []
    for block in blocks:
        known = [slug for slug in block.topics if slug in labels]
        best = max(known, key=lambda slug: float(block.topics[slug]), default="")
        shown.append((block, labels.get(best, ""), ()))
    return page(
        edition,
        shown,
        language=translation.get_language(),
        headline=phrases.public_headline(len(shown)),
    )
