"""Cards: papers as the pages show them, with byline, links and topics.

A list of them is most of a page's work, so its HTML is joined here: a template takes six
times as long. Only what `escape` returned, and our own words, may stand between tags.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from html import escape
from urllib.parse import urlsplit

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext

from digest.models import Paper, PaperWords
from digest.papers.summary import LONGEST, first_sentences, telling_sentence
from subscribers.models import Topic

NAMES_SHOWN = 3


@dataclass(frozen=True)
class Card:
    """One paper and its topics, best first."""

    paper: Paper
    topics: tuple[Topic, ...]

    @property
    def author_count(self) -> int:
        return max(self.paper.author_count, len(self.paper.authors))

    @property
    def first_authors(self) -> list[str]:
        """The authors that a list names; the page of the paper names all."""
        return [str(name) for name in self.paper.authors[:NAMES_SHOWN]]

    @property
    def more_authors(self) -> int:
        return self.author_count - len(self.first_authors)

    @property
    def byline(self) -> str:
        """The organization if known, or the first authors, as text; may be empty."""
        names = self.first_authors
        if self.paper.organization or not names:
            return str(self.paper.organization)
        if self.more_authors:
            more = ngettext("and %(n)d more", "and %(n)d more", self.more_authors)
            return f"{', '.join(names)} {more % {'n': self.more_authors}}"
        *first, last = names
        return f"{', '.join(first)} {gettext('and')} {last}" if first else last

    @property
    def said(self) -> str:
        """One line on the paper: its source's summary, or a sentence of its abstract."""
        words = self.paper.summary or telling_sentence(self.paper.abstract)
        return first_sentences(words, LONGEST)

    @property
    def links(self) -> list[tuple[str, str]]:
        """(words, URL) pairs of links to other sites; a sample paper has none."""
        if self.paper.is_sample:
            return []
        found = [
            ("arXiv", self.paper.abstract_url),
            ("PDF", self.paper.pdf_url),
            (gettext("Code"), self.paper.code_url),
            (gettext("Project"), self.paper.project_url),
            (gettext("Discussion"), self.paper.discussion_url),
        ]
        return [(words, url) for words, url in found if is_web_address(url)]

    # Parts of the card as safe HTML in the active language.

    @property
    def votes(self) -> SafeString:
        """The votes; where it is from if it has none; empty if nobody told their number."""
        if not self.paper.is_listed:
            return SafeString(gettext("from arXiv"))
        if not self.paper.has_votes:
            return SafeString()
        n = self.paper.upvotes
        words = ngettext("<b>%(n)s</b> upvote", "<b>%(n)s</b> upvotes", n)
        return SafeString(words % {"n": n})

    @property
    def hidden_title(self) -> str:
        """The title that tells a list's like-named links apart, for who cannot see them."""
        title = escape(self.paper.title)
        return f'<span class="visually-hidden">: <span lang="en">{title}</span></span>'

    @property
    def byline_links(self) -> str:
        """The first authors, how many more there are, and the organization."""
        names = [link("author", name, name) for name in self.first_authors]
        told = {"n": self.more_authors}
        more = ""
        if names and self.more_authors:
            more = ", " + ngettext("%(n)s more", "%(n)s more", self.more_authors) % told
        elif self.more_authors:
            more = ngettext("%(n)s author", "%(n)s authors", self.more_authors) % told
        people = f'<span lang="en">{", ".join(names)}</span>{more}'
        if not (name := self.paper.organization):
            return people
        separator = " · " if self.author_count else ""
        organization = link("organization", name, name)
        return f'{people}{separator}<span lang="en">{organization}</span>'

    @property
    def topic_items(self) -> SafeString:
        links = (link("topic", topic.slug, str(topic)) for topic in self.topics)
        return SafeString("".join(f"<li>{each}</li>" for each in links))

    @property
    def link_items(self) -> SafeString:
        title = self.hidden_title
        return SafeString(
            "".join(
                f'<li><a href="{escape(url)}" rel="noopener nofollow">{words}{title}</a></li>'
                for words, url in self.links
            )
        )

    @property
    def save_item(self) -> SafeString:
        """The button that site.js shows; it keeps the list in the browser."""
        return SafeString(
            f'<li><button class="button-text save" type="button" aria-pressed="false" '
            f'data-paper="{escape(self.paper.arxiv_id)}" hidden>'
            f"<span>{gettext('Save')}</span>{self.hidden_title}</button></li>"
        )

    @property
    def remove_item(self) -> str:
        """The button of a reader's own list; the page has the form."""
        return (
            f'<li><button class="button-text" form="remove-form" name="action" '
            f'value="{escape(self.paper.arxiv_id)}">'
            f"{gettext('Remove')}{self.hidden_title}</button></li>"
        )

    def item(self, *, show_day: bool, removes: bool) -> str:
        """Return the paper as an item of a list."""
        paper, language = self.paper, get_language()
        title, sample, said, byline = link("paper", paper.arxiv_id, paper.title), "", "", ""
        if paper.is_sample:
            sample = f' <span class="tag" lang="{language}">{gettext("sample")}</span>'
        if sentence := self.said:
            hint = f' <span class="hint" lang="{language}">{gettext("(AI summary)")}</span>'
            said = (
                f'<p class="said" lang="en" dir="auto">{escape(sentence)}'
                f"{hint if paper.summary else ''}</p>"
            )
        if self.author_count or paper.organization:
            byline = f'<p class="byline" dir="auto">{self.byline_links}</p>'
        about: str = self.topic_items
        if paper.comments:
            told = {"n": paper.comments}
            words = ngettext("%(n)s comment", "%(n)s comments", paper.comments) % told
            about = f"<li>{words}</li>{about}"
        if show_day:
            about = f"<li>{day_link(paper.day, language)}</li>{about}"
        return f"""<li class="paper" id="paper-{escape(paper.arxiv_id)}">
<p class="votes">{self.votes}</p>
<div>
<h3 lang="en" dir="auto">{title}{sample}</h3>
{said}{byline}
{f'<ul class="meta">{about}</ul>' if about else ""}
<div class="actions">
<details class="abstract">
<summary>{gettext("Abstract")}{self.hidden_title}</summary>
<p lang="en" dir="auto">{escape(paper.abstract)}</p>
</details>
<ul>{self.link_items}{self.remove_item if removes else self.save_item}</ul>
</div>
</div>
</li>
"""


class Cards(list[Card]):
    """Cards in the order of their list, which is safe HTML in the active language."""

    @property
    def of_one_day(self) -> SafeString:
        return self.html()

    @property
    def with_days(self) -> SafeString:
        return self.html(show_day=True)

    @property
    def to_remove(self) -> SafeString:
        return self.html(show_day=True, removes=True)

    def html(self, *, show_day: bool = False, removes: bool = False) -> SafeString:
        items = [card.item(show_day=show_day, removes=removes) for card in self]
        return SafeString(f'<ol class="papers">\n{"".join(items)}</ol>')


def link(page: str, name: str, words: str) -> str:
    """Return a link to a page of this site that is named by one text."""
    return f'<a href="{address(page, name, get_language())}">{escape(words)}</a>'


@lru_cache(maxsize=10_000)
def address(page: str, name: str, language: str | None) -> str:
    return escape(reverse(page, args=[name]))


@lru_cache
def day_link(day: date, language: str | None) -> str:
    words = date_format(day, gettext("j M Y"))
    url = reverse("day", args=[day])
    return f'<a href="{url}"><time datetime="{day.isoformat()}">{words}</time></a>'


def is_web_address(url: str) -> bool:
    """Return True for http and https with a host; these fields come from strangers."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def cards(papers: Sequence[Paper], topics: Iterable[Topic]) -> Cards:
    """Return the papers with their topics, in the given order. One query."""
    by_slug = {topic.slug: topic for topic in topics}
    told = PaperWords.objects.filter(paper__in=papers).values_list("paper_id", "topics")
    slugs = {pk: each.split() for pk, each in told}
    return Cards(
        Card(
            paper, tuple(by_slug[one] for one in slugs.get(paper.pk, ()) if one in by_slug)
        )
        for paper in papers
    )
