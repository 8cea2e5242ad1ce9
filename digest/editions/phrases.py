"""The words of the mail's own, in the reader's language. Paper text stays as it is.

A block serves every language: where it says a word of its own it holds a phrase, a name
and a number between two marks, and the phrase is spoken when the block is encoded.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext, ngettext


@dataclass(frozen=True, slots=True)
class Marks:
    """Places left open in rendered text: Unicode noncharacters, reserved for such use.

    Cleaned text holds none of them; what reaches a template is freed of them again.
    """

    reason: str = "\ufdd0"
    token: str = "\ufdd1"  # noqa: S105
    count: str = "\ufdd2"
    papers: str = "\ufdd3"
    ahead: str = "\ufdd4"
    web: str = "\ufdd5"
    more: str = "\ufdd6"
    vote: str = "\ufdd7"  # around what is there only for a reader who can vote
    place: str = "\ufdda"


MARKS = Marks()
WITHOUT_MARKS = dict.fromkeys(range(0xFDD0, 0xFDF0))
VOTE = re.compile("\ufdd7([^\ufdd7]*)\ufdd7")
PHRASE = re.compile("\ufdd8([a-z]+):([0-9]+)\ufdd9")


def languages() -> list[str]:
    """Those with a complete catalogue: the codes of settings.LANGUAGES."""
    return [code for code, _ in settings.LANGUAGES]


def phrase(name: str, number: int = 0) -> str:
    """A phrase, not spoken yet. Raises KeyError if there is none of that name."""
    PHRASES[name]
    return f"\ufdd8{name}:{number}\ufdd9"


def spoken(text: str) -> str:
    """The text with its phrases in the active language."""
    return PHRASE.sub(lambda found: PHRASES[found[1]](int(found[2])), text)


def spoken_html(html: str) -> str:
    """The same, no line breaks within a phrase."""
    return PHRASE.sub(lambda found: spoken(found[0]).replace(" ", "\u00a0"), html)


def with_votes(text: str, position: int) -> str:
    """The block's text with its link to vote; the name of the mail stays open."""
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


def counted(count: int) -> str:
    """The headline."""
    return ngettext("%(n)d paper for you", "%(n)d papers for you", count) % {"n": count}


def papers(count: int) -> str:
    """The headline of a page that is nobody's own."""
    return ngettext("%(n)d paper", "%(n)d papers", count) % {"n": count}


def reason(label: str, upvotes: int) -> str:
    """Why a reader gets a paper; an empty label means that it is trending.

    A topic's label stays as it is; what is no topic is in the catalogue.
    """
    return why(label) + voted(upvotes)


def why(label: str) -> str:
    """The first half of a reason: the same for all papers."""
    return gettext(label or "Trending")


def voted(upvotes: int) -> str:
    """The other half of a reason: the paper's own."""
    votes = ngettext("%(n)d upvote", "%(n)d upvotes", upvotes) % {"n": upvotes}
    return f", {votes}"


def subject_tail(more: int) -> str:
    """What the subject says after the best pick's title."""
    if not more:
        return ""
    return " " + ngettext("and %(n)d more paper", "and %(n)d more papers", more) % {
        "n": more
    }


def left_out(count: int) -> str:
    """Of papers for which a mail had no room."""
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
