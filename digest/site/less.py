"""Less of what brought a paper: the changes of preferences that its vote page offers.

Each candidate follows from the mail alone: the paper's topics and authors, and the keyword,
watched name or search that the mail named as the reason. What a reader has chosen of them
decides which are offered; a change names its candidate, so that nothing else can be dropped
or put back.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from math import inf
from typing import NamedTuple

from django.utils.translation import gettext, gettext_lazy

from digest.editions import reasons
from digest.editions.reasons import Why
from digest.ranking.votes import Picked
from subscribers.fields import LONGEST_LINE, MOST_LINES, MOST_SEARCHES, plain
from subscribers.models import Topic, Trending
from subscribers.preferences import Preferences
from subscribers.preferences_form import LONGEST_SEARCH

MOST_AUTHORS = 30
# A kind of candidate → the list of the reader's that it is dropped from.
LISTS = {
    "topic": "topics",
    "keyword": "keywords",
    "watched": "watched_authors",
    "institution": "watched_institutions",
    "search": "searches",
}
# The most that each list holds in the form; any number of topics can be chosen.
MOST = dict.fromkeys(LISTS, MOST_LINES) | {"search": MOST_SEARCHES, "topic": inf}
KINDS = {
    Why.KEYWORD: "keyword",
    Why.AUTHOR: "watched",
    Why.INSTITUTION: "institution",
    Why.SEARCH: "search",
}
# What a button says, and what is said once it is done.
WORDS = {
    "topic": (
        gettext_lazy("Drop the topic “%(name)s”"),
        gettext_lazy("The topic “%(name)s” is dropped."),
    ),
    "keyword": (
        gettext_lazy("Drop the word “%(name)s”"),
        gettext_lazy("The word “%(name)s” is dropped."),
    ),
    "watched": (
        gettext_lazy("Stop watching %(name)s"),
        gettext_lazy("You no longer watch %(name)s."),
    ),
    "institution": (
        gettext_lazy("Stop watching %(name)s"),
        gettext_lazy("You no longer watch %(name)s."),
    ),
    "search": (
        gettext_lazy("Drop the search “%(name)s”"),
        gettext_lazy("The search “%(name)s” is dropped."),
    ),
    "trending": (
        gettext_lazy("Only papers that match my interests"),
        gettext_lazy("Papers that are only trending are left out."),
    ),
    "author": (
        gettext_lazy("Leave out %(name)s"),
        gettext_lazy("Papers by %(name)s are left out."),
    ),
}


class Candidate(NamedTuple):
    """What there can be less of; `value` is what the reader's list holds."""

    kind: str
    value: str
    name: str  # as shown

    @property
    def key(self) -> str:
        """Return its name in forms and addresses."""
        return f"{self.kind}:{self.value}"

    @property
    def offer(self) -> str:
        return str(WORDS[self.kind][0]) % {"name": self.name}

    @property
    def done(self) -> str:
        return str(WORDS[self.kind][1]) % {"name": self.name}


def candidates(pick: Picked) -> Iterator[Candidate]:
    """Yield all that there can be less of, whatever the reader has chosen."""
    labels = Topic.objects.filter(slug__in=pick.topics).values_list("slug", "label")
    yield from (Candidate("topic", slug, gettext(label)) for slug, label in labels)
    for why, name in pick.reasons:
        if why in KINDS:
            yield Candidate(KINDS[why], name, name)
        elif why == Why.TRENDING:
            for trending in (Trending.TO_FILL_UP, Trending.HALF):
                yield Candidate("trending", str(int(trending)), "")
    for name in pick.paper.authors[:MOST_AUTHORS]:
        if len(name) <= LONGEST_LINE:
            yield Candidate("author", name, name)


def named(pick: Picked, key: str) -> Candidate | None:
    """Return the candidate that a form or an address names; None for any other."""
    kind, _, value = key.partition(":")
    for one in candidates(pick):
        if one.key == key:
            return one
        if one.kind == kind == "search" and is_whole(value, one.name):
            return one._replace(value=value)
    return None


def is_whole(search: str, name: str) -> bool:
    """Return whether this is a search that a mail calls by that name, which may be cut."""
    fits = len(search) <= LONGEST_SEARCH and search == plain(search)
    return fits and same(reasons.named(Why.SEARCH, search).name, name)


def as_kept(one: Candidate, preferences: Preferences) -> Iterator[Candidate]:
    """Yield the candidate with the reader's whole search: a reason cuts a long one.

    Where several begin alike, each is one, by its whole name.
    """
    searches = preferences.searches if one.kind == "search" else ()
    whole = [search for search in searches if is_whole(search, one.name)]
    for search in whole:
        yield Candidate(one.kind, search, search if len(whole) > 1 else one.name)
    if not whole:
        yield one


def offered(pick: Picked, preferences: Preferences) -> Sequence[Candidate]:
    """Return the candidates that would change something.

    A reader's only topic is none of them: without any they would get what is trending.
    """
    kept = chain.from_iterable(as_kept(one, preferences) for one in candidates(pick))
    found = [one for one in kept if not is_dropped(preferences, one)]
    if len(preferences.topics) > 1 or preferences.has_interests:
        return found
    return [one for one in found if one.kind != "topic"]


def drop(preferences: Preferences, less: Candidate) -> Preferences:
    """Return the preferences with less of that; the same where it changes nothing."""
    match less.kind:
        case "author":
            return with_author(preferences, less.value)
        case "trending":
            asked = preferences.trending == int(less.value)
            return replace(preferences, trending=Trending.NEVER) if asked else preferences
    kept = [one for one in listed(preferences, less) if not same(one, less.value)]
    return with_list(preferences, less, kept)


def is_dropped(preferences: Preferences, less: Candidate) -> bool:
    """Return whether there is less of that already."""
    return drop(preferences, less) == preferences


def with_author(preferences: Preferences, name: str) -> Preferences:
    """Return the preferences without an author's papers, unless the author is watched."""
    muted, watched = preferences.muted_authors, preferences.watched_authors
    if any(same(one, name) for one in (*muted, *watched)) or len(muted) >= MOST_LINES:
        return preferences
    return replace(preferences, muted_authors=(*muted, name))


def put_back(preferences: Preferences, less: Candidate) -> Preferences:
    """Return the preferences as before the drop, but for the order of a list."""
    match less.kind:
        case "author":
            muted = [one for one in preferences.muted_authors if not same(one, less.value)]
            return replace(preferences, muted_authors=tuple(muted))
        case "trending":
            return replace(preferences, trending=Trending(int(less.value)))
    had = listed(preferences, less)
    if any(same(one, less.value) for one in had) or len(had) >= MOST[less.kind]:
        return preferences
    return with_list(preferences, less, [*had, less.value])


def listed(preferences: Preferences, less: Candidate) -> Sequence[str]:
    """Return the list of the reader's that the candidate stands in, or does not."""
    found: tuple[str, ...] = getattr(preferences, LISTS[less.kind])
    return found


def with_list(
    preferences: Preferences, less: Candidate, values: Iterable[str]
) -> Preferences:
    return replace(preferences, **{LISTS[less.kind]: tuple(values)})  # type: ignore[arg-type]


def same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
