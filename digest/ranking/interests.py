"""Whose words and names are in which papers: keywords, free interests, authors.

Pure. A Lexicon is made once per edition; what a reader wrote is looked up in it, so the
cost grows with what readers wrote and not with readers × papers.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

WORD = re.compile(r"\w+")
SEPARATOR = re.compile(r"[,;\n]")


def folded(text: str) -> str:
    """Without case and accents: how words and names are compared."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in plain if not unicodedata.combining(char))


def phrases(interests: str) -> list[str]:
    """What a reader wrote in their own words, cut at commas, semicolons and line ends."""
    return [phrase.strip() for phrase in SEPARATOR.split(interests) if phrase.strip()]


class Lexicon:
    """The papers of an edition by word and by author, by position from 0."""

    def __init__(self, texts: Sequence[str], authors: Sequence[Sequence[str]]) -> None:
        self.texts = [f" {' '.join(WORD.findall(folded(text)))} " for text in texts]
        self.authors = authors
        self.known: dict[str, frozenset[int]] = {}

    @cached_property
    def by_word(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = defaultdict(set)
        for position, text in enumerate(self.texts):
            for word in set(text.split()):
                found[word].add(position)
        return found

    @cached_property
    def by_author(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = defaultdict(set)
        for position, names in enumerate(self.authors):
            for name in names:
                found[name_key(name)].add(position)
        return found

    def with_phrase(self, phrase: str) -> frozenset[int]:
        """Papers that hold these words next to each other; a last word may be plural."""
        if phrase not in self.known:
            self.known[phrase] = self.find(WORD.findall(folded(phrase)))
        return self.known[phrase]

    def find(self, words: list[str]) -> frozenset[int]:
        if not words:
            return frozenset()
        *first, last = words
        some = self.by_word.get(last, set()) | self.by_word.get(f"{last}s", set())
        for word in first:
            some = some & self.by_word.get(word, set())
        together = f" {' '.join(words)}"
        return frozenset(
            position
            for position in some
            if f"{together} " in self.texts[position]
            or f"{together}s " in self.texts[position]
        )

    def by(self, names: Iterable[str]) -> set[int]:
        """Papers with one of these authors."""
        found: set[int] = set()
        for name in names:
            found |= self.by_author.get(name_key(name), set())
        return found


def name_key(name: str) -> str:
    return " ".join(WORD.findall(folded(name)))
