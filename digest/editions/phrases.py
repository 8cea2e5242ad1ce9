"""Phrases: the mail's own words in the reader's language. Paper text is not translated.

A block serves every language: in place of words it holds phrases, each a name and a
number between two marks, which are translated when the block is encoded.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from django.conf import settings
from django.utils.formats import date_format
from django.utils.translation import get_language, gettext, ngettext, pgettext

from digest.editions.reasons import Reason, Why
from digest.models import Edition


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
    form: str = "\ufddb"  # between the forms of a block: see blocks.FORMS
    # Around the list of titles: a mail of titles has none, nor has one with a single paper. A
    # frame that was stored with the older mark has it for that paper, too.
    glance: str = "\ufddd"
    older_glance: str = "\ufddc"


MARKS = Marks()
WITHOUT_MARKS = dict.fromkeys(range(0xFDD0, 0xFDF0))
VOTE = re.compile("\ufdd7([^\ufdd7]*)\ufdd7")
GLANCE = re.compile("[\ufddc\ufddd]([^\ufddc\ufddd]*)[\ufddc\ufddd]")
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
    language = get_language()
    return PHRASE.sub(lambda found: translated(found[1], found[2], language), text)


@lru_cache(maxsize=1024)
def translated(name: str, number: str, language: str | None) -> str:
    """Return a phrase in the active language, `language`: an edition says it again and again."""
    return PHRASES[name](int(number))


def translate_html(html: str) -> str:
    """Return the HTML with its phrases in the active language, each unbreakable."""
    language = get_language()
    return PHRASE.sub(
        lambda found: translated(found[1], found[2], language).replace(" ", "\u00a0"), html
    )


def with_votes(text: str, position: int) -> str:
    """Return a block's text with its link to vote; the mail's name stays a mark."""
    return text.replace(MARKS.vote, "").replace(MARKS.place, str(position))


def without_votes(text: str) -> str:
    return VOTE.sub("", text)


def with_glance(frame: str) -> str:
    """Return a frame with its list of titles."""
    return GLANCE.sub(r"\1", frame)


def without_glance(frame: str) -> str:
    return GLANCE.sub("", frame)


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
    "upvotes": lambda number: (
        ngettext("%(n)d upvote", "%(n)d upvotes", number) % {"n": number}
    ),
    "discussion": discussion,
    "unknown": lambda _: gettext("Authors not known"),
    "code": lambda _: gettext("Code"),
    "project": lambda _: gettext("Project"),
    "about": lambda _: gettext("More about it"),
    "ai": lambda _: gettext("(AI summary)"),
    "more": lambda _: gettext("More like this"),
    "less": lambda _: gettext("Less like this"),
    # In blocks that were published with these words.
    "web": lambda _: gettext("On the web"),
    "machine": lambda _: gettext("(summary by machine)"),
    "vote": lambda _: gettext("More or less like this"),
}


def headline(count: int, kind: str = Edition.Kind.DAILY) -> str:
    """Return the headline of a mail of this kind of edition."""
    match kind:
        case Edition.Kind.WEEKLY:
            words = ngettext("Your week: %(n)d paper", "Your week: %(n)d papers", count)
        case Edition.Kind.MISSED:
            words = ngettext(
                "While you were away: %(n)d paper",
                "While you were away: %(n)d papers",
                count,
            )
        case _:
            words = ngettext("%(n)d paper for you", "%(n)d papers for you", count)
    return words % {"n": count}


def public_headline(count: int) -> str:
    """Return the headline of a page that belongs to no reader."""
    return ngettext("%(n)d paper", "%(n)d papers", count) % {"n": count}


REASONS: dict[Why, Callable[[], str]] = {
    Why.AUTHOR: lambda: gettext("By %(name)s"),
    Why.INSTITUTION: lambda: gettext("From %(name)s"),
    Why.KEYWORD: lambda: gettext("Mentions “%(name)s”"),
    Why.WRITTEN: lambda: gettext("Close to what you wrote: “%(name)s”"),
    Why.LIKED: lambda: gettext("Like “%(name)s”, which you liked"),
    Why.NEAREST: lambda: gettext("Among the nearest to what you wrote: “%(name)s”"),
    Why.TRENDING: lambda: gettext("Trending: little today matches your interests"),
    Why.SEARCH: lambda: gettext("Your search “%(name)s”"),
    Why.EXPLORED: lambda: gettext("For a change, outside your interests"),
}


def reason(
    label: str, named: Sequence[Reason] = (), *, shown: Callable[[str], str] = str
) -> str:
    """Return why a reader gets a paper; with no label and no name it is trending.

    `shown` escapes the label. A topic's is in the catalogue as it stands in topics.toml.
    """
    said = [reason_words(REASONS[why](), name) for why, name in named]
    if said and not label:
        return joined_reasons(said, "")
    return joined_reasons(said, shown(gettext(label) if label else gettext("Trending")))


def reason_words(words: str, name: str) -> str:
    """Return the words of a reason of REASONS with what it names."""
    return words.replace("%(name)s", name)


def joined_reasons(said: Sequence[str], label: str) -> str:
    """Return named reasons and a topic's label, which may be empty, in one line."""
    return "; ".join([*said, label] if label else said)


def dates(first: date, last: date) -> tuple[str, str]:
    """Return a day, or the days from first to last: for a headline, and for a subject."""
    # Translators: Django's date format, in a mail's headline
    long = date_format(last, pgettext("date format", "j F Y"))
    # Translators: Django's date format, in a mail's subject
    short_format = pgettext("date format", "j M")
    short = date_format(last, short_format)
    if first == last:
        return long, short
    # Translators: Django's date format, the first of two days in the same month
    same = pgettext("date format", "j") if first.month == last.month else ""
    # Translators: Django's date format, the first of two days, in a headline
    since = date_format(first, same or pgettext("date format", "j F"))
    return f"{since}–{long}", f"{date_format(first, same or short_format)}–{short}"


def left_out_notice(count: int) -> str:
    """Return the words about the papers for which the mail had no room."""
    words = ngettext(
        "%(n)d more paper for you did not fit into this mail:",
        "%(n)d more papers for you did not fit into this mail:",
        count,
    )
    return words % {"n": count}
