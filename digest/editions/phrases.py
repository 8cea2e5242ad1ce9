"""Phrases: the mail's own words in the reader's language. Paper text is not translated.

A block serves every language: in place of words it holds phrases, each a name and a
number between two marks, which are translated when the block is encoded.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext, ngettext


@dataclass(frozen=True, slots=True)
class Marks:
    """Open places in rendered text: Unicode noncharacters, reserved for such use.

    Cleaned text holds none of them, and text that reaches a template is stripped of them.
    """

    reason: str = "\ufdd0"
    token: str = "\ufdd1"  # noqa: S105
    count: str = "\ufdd2"
    papers: str = "\ufdd3"
    ahead: str = "\ufdd4"
    web: str = "\ufdd5"
    more: str = "\ufdd6"
    vote: str = "\ufdd7"  # around text for readers who can vote
    place: str = "\ufdda"


MARKS = Marks()
WITHOUT_MARKS = dict.fromkeys(range(0xFDD0, 0xFDF0))
VOTE = re.compile("\ufdd7([^\ufdd7]*)\ufdd7")
PHRASE = re.compile("\ufdd8([a-z]+):([0-9]+)\ufdd9")


def languages() -> list[str]:
    """Return the languages with a complete catalogue: the codes of settings.LANGUAGES."""
    return [code for code, _ in settings.LANGUAGES]


def phrase(name: str, number: int = 0) -> str:
    """Return the mark of an untranslated phrase. Raises KeyError for an unknown name."""
    PHRASES[name]
    return f"\ufdd8{name}:{number}\ufdd9"


def translate(text: str) -> str:
    """Return the text with its phrases in the active language."""
    return PHRASE.sub(lambda found: PHRASES[found[1]](int(found[2])), text)


def translate_html(html: str) -> str:
    """Return the HTML with its phrases in the active language, each unbreakable."""
    return PHRASE.sub(lambda found: translate(found[0]).replace(" ", "\u00a0"), html)


def with_votes(text: str, position: int) -> str:
    """Return a block's text with its link to vote; the mail's name stays a mark."""
    return VOTE.sub(r"\1", text).replace(MARKS.place, str(position))


def without_votes(text: str) -> str:
    return VOTE.sub("", text)


def authors(number: int) -> str:
    return ngettext("%(n)d author", "%(n)d authors", number) % {"n": number}


def further(number: int) -> str:
    return ngettext("and %(n)d more", "and %(n)d more", number) % {"n": number}


def discussion(comments: int) -> str:
    if not comments:
        return gettext("Discussion")
    words = ngettext("Discussion (%(n)d comment)", "Discussion (%(n)d comments)", comments)
    return words % {"n": comments}


PHRASES: dict[str, Callable[[int], str]] = {
    "authors": authors,
    "further": further,
    "discussion": discussion,
    "unknown": lambda _: gettext("Authors not known"),
    "code": lambda _: gettext("Code"),
    "project": lambda _: gettext("Project"),
    "web": lambda _: gettext("On the web"),
    "vote": lambda _: gettext("More or less like this"),
}


def headline(count: int) -> str:
    """Return the headline of a mail."""
    return ngettext("%(n)d paper for you", "%(n)d papers for you", count) % {"n": count}


def public_headline(count: int) -> str:
    """Return the headline of a page that belongs to no reader."""
    return ngettext("%(n)d paper", "%(n)d papers", count) % {"n": count}


def reason(label: str, upvotes: int) -> str:
    """Return why a reader gets a paper; an empty label means that it is trending.

    A topic's label is not translated; every other label is in the catalogue.
    """
    return reason_label(label) + upvotes_suffix(upvotes)


def reason_label(label: str) -> str:
    """Return the first half of a reason, which papers share."""
    return gettext(label or "Trending")


def upvotes_suffix(upvotes: int) -> str:
    """Return the second half of a reason, which is specific to the paper."""
    votes = ngettext("%(n)d upvote", "%(n)d upvotes", upvotes) % {"n": upvotes}
    return f", {votes}"


def subject_tail(more: int) -> str:
    """Return the words of the subject after the best pick's title."""
    if not more:
        return ""
    return " " + ngettext("and %(n)d more paper", "and %(n)d more papers", more) % {
        "n": more
    }


def left_out_notice(count: int) -> str:
    """Return the words about the papers for which the mail had no room."""
    words = ngettext(
        "%(n)d more paper of yours had no room in this mail:",
        "%(n)d more papers of yours had no room in this mail:",
        count,
    )
    return words % {"n": count}


def ahead() -> str:
    return gettext("Also inside")


def nothing_ahead() -> str:
    return gettext("Nothing else fits your topics this time.")
