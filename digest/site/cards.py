"""Cards: papers as the pages show them, with byline, links and topics.

To render a page's cards is most of its work, so each is kept, apart from its votes, which
change all day: it is rendered again when another of its stored values has changed.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext

from digest.models import Paper, PaperWords
from digest.papers.summary import LONGEST, first_sentences, telling_sentence
from subscribers.models import Topic

NAMES_SHOWN = 3
KEPT = 1_000  # cards in the memory of each process, some 6 kB each
FLEETING = {"upvotes", "fetched_at"}
COLUMNS = [
    column.attname
    for column in Paper._meta.concrete_fields
    if column.attname not in FLEETING
]


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

    # Parts of the card as safe HTML: templates take five times as long for lists of links.

    @property
    def hidden_title(self) -> SafeString:
        """The title that tells a list's like-named links apart, for who cannot see them."""
        title = self.paper.title
        return format_html(
            '<span class="visually-hidden">: <span lang="en">{}</span></span>', title
        )

    @property
    def byline_links(self) -> SafeString:
        """The first authors, how many more there are, and the organization."""
        names = [(reverse("author", args=[name]), name) for name in self.first_authors]
        links = format_html_join(", ", '<a href="{}">{}</a>', names)
        told = {"n": self.more_authors}
        more = ""
        if names and self.more_authors:
            more = ", " + ngettext("%(n)s more", "%(n)s more", self.more_authors) % told
        elif self.more_authors:
            more = ngettext("%(n)s author", "%(n)s authors", self.more_authors) % told
        people = format_html('<span lang="en">{}</span>{}', links, more)
        if not (name := self.paper.organization):
            return people
        return format_html(
            '{}{}<span lang="en"><a href="{}">{}</a></span>',
            people,
            " · " * bool(self.author_count),
            reverse("organization", args=[name]),
            name,
        )

    @property
    def topic_items(self) -> SafeString:
        topics = [(reverse("topic", args=[one.slug]), str(one)) for one in self.topics]
        return format_html_join("", '<li><a href="{}">{}</a></li>', topics)

    @property
    def link_items(self) -> SafeString:
        title = self.hidden_title
        return format_html_join(
            "\n      ",
            '<li><a href="{}" rel="noopener nofollow">{}{}</a></li>',
            [(url, words, title) for words, url in self.links],
        )

    @property
    def with_day(self) -> str:
        """The card without its votes as safe HTML in the active language, with its day."""
        return self.html(show_day=True)

    @property
    def without_day(self) -> str:
        return self.html(show_day=False)

    def html(self, *, show_day: bool) -> str:
        stored = [getattr(self.paper, name) for name in COLUMNS]
        topics = [(topic.slug, str(topic)) for topic in self.topics]
        seen = repr((get_language(), show_day, stored, topics)).encode()
        return rendered(Shown(hashlib.blake2b(seen).digest(), self, show_day))


@dataclass(frozen=True)
class Shown:
    """A card that is compared by the hash of all that is shown of it."""

    fingerprint: bytes
    card: Card = field(compare=False)
    show_day: bool = field(compare=False)


@lru_cache(maxsize=KEPT)
def rendered(shown: Shown) -> str:
    context = {"card": shown.card, "show_day": shown.show_day}
    return render_to_string("digest/_paper.html", context)


def is_web_address(url: str) -> bool:
    """Return True for http and https with a host; these fields come from strangers."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def cards(papers: Sequence[Paper], topics: Iterable[Topic]) -> list[Card]:
    """Return the papers with their topics, in the given order. One query."""
    by_slug = {topic.slug: topic for topic in topics}
    told = PaperWords.objects.filter(paper__in=papers).values_list("paper_id", "topics")
    slugs = {pk: each.split() for pk, each in told}
    return [
        Card(
            paper, tuple(by_slug[one] for one in slugs.get(paper.pk, ()) if one in by_slug)
        )
        for paper in papers
    ]
