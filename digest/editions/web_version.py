"""Render a mail as a web page: the same blocks and frame without reader-specific parts."""

from collections.abc import Sequence

from django.utils import translation

from digest.editions import phrases
from digest.editions.blocks import FORMS, forms
from digest.editions.encode import LENGTHS, in_html, list_item, name_in_html
from digest.editions.frames import page_frame
from digest.editions.phrases import MARKS
from digest.editions.reasons import Reason
from digest.models import Block, Edition
from subscribers.models import Length


def page(
    edition: Edition,
    shown: Sequence[tuple[Block, str, Sequence[Reason]]],
    *,
    language: str,
    headline: str,
    name: str = "",
    length: Length | None = None,
    preferences: str = "",
) -> str:
    """Return the HTML of (block, label, reasons); the label is that of its topic, or empty.

    With `name`, the name of a mail's page, its reader can vote; a public page has none.
    With a `length` it looks like a mail of that length, else all abstracts are shown.
    A known reader is led to their `preferences`; others are offered to subscribe.
    """
    frame = page_frame(edition, language, web=True, preferences=preferences)
    lead, rest = LENGTHS[length or Length.ABSTRACTS]
    with_list = length is not None and length != Length.TITLES and len(shown) > 1
    frame = (phrases.with_glance if with_list else phrases.without_glance)(frame)
    with translation.override(language):
        papers = "".join(
            block_html(*one, name, rest if place else lead)
            for place, one in enumerate(shown)
        )
    for mark, value in [
        (MARKS.count, in_html(headline)),
        (MARKS.ahead, "".join(list_item(block.title) for block, *_ in shown)),
        (MARKS.more, ""),
        (MARKS.papers, papers),
    ]:
        frame = frame.replace(mark, value)
    return frame


def block_html(
    block: Block, label: str, reasons: Sequence[Reason], name: str, form: str
) -> str:
    isolated = [Reason(why, name_in_html(text)) for why, text in reasons]
    why = phrases.reason(label, isolated, shown=in_html)
    html = forms(block.html)[FORMS.index(form)]
    html = (
        phrases.with_votes(html, block.position).replace(MARKS.web, name)
        if name
        else phrases.without_votes(html)
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
