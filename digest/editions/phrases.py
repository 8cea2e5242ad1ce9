"""Phrases: the mail's own words in the reader's language. Paper text is not translated.

A block serves every language: in place of words it holds phrases, each a name and a
number between two marks, which are translated when the block is encoded.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext, ngettext

from digest.editions.reasons import Reason, Why


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


REASONS: dict[Why, Callable[[], str]] = {
    Why.AUTHOR: lambda: gettext("By %(name)s"),
    Why.INSTITUTION: lambda: gettext("From %(name)s"),
    Why.KEYWORD: lambda: gettext("Mentions “%(name)s”"),
    Why.WRITTEN: lambda: gettext("Close to what you wrote: “%(name)s”"),
    Why.LIKED: lambda: gettext("Like “%(name)s”, which you liked"),
    Why.NEAREST: lambda: gettext("The nearest today to what you wrote: “%(name)s”"),
    Why.TRENDING: lambda: gettext("Trending: little today matches your interests"),
    Why.EXPLORED: lambda: gettext("For a change, outside your interests"),
}


def reason(label: str, upvotes: int, named: Sequence[Reason] = ()) -> str:
    """Return why a reader gets a paper; with no label and no name it is trending.

    A topic's label is not translated; every other label is in the catalogue.
    """
    return reasons(label, named) + upvotes_suffix(upvotes)


def reasons(label: str, named: Sequence[Reason]) -> str:
    """Return the first half of a reason: what is named, and the label."""
    said = [reason_words(REASONS[why](), name) for why, name in named]
    label = reason_label(label) if label or not said else ""
    return joined_reasons(said, label)


def reason_words(words: str, name: str) -> str:
    """Return the words of a reason of REASONS with what it names."""
    return words.replace("%(name)s", name)


def joined_reasons(said: Sequence[str], label: str) -> str:
    """Return named reasons and a topic's label, which may be empty, in one line."""
    return "; ".join([*said, label] if label else said)


def reason_label(label: str) -> str:
    """Return the label of a topic, or that of a trending paper."""
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
