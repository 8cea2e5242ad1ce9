"""Look up readers' keywords, free interests and authors in the papers of an edition.

Pure. A Lexicon is built once per edition, so the cost grows with the readers' words and
not with readers × papers.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

WORD = re.compile(r"\w+")
SEPARATOR = re.compile(r"[,;\n]")


def folded(text: str) -> str:
    """Return the text without case and accents, to compare words and names."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in plain if not unicodedata.combining(char))


def phrases(interests: str) -> list[str]:
    """Split a reader's free text at commas, semicolons and line ends."""
    return [phrase.strip() for phrase in SEPARATOR.split(interests) if phrase.strip()]


class Lexicon:
    """An index of an edition's papers, as positions from 0, by word and by author."""

    def __init__(
        self,
        texts: Sequence[str],
        authors: Sequence[Sequence[str]],
        institutions: Sequence[str] = (),
    ) -> None:
        self.texts = [f" {' '.join(WORD.findall(folded(text)))} " for text in texts]
        self.authors = authors
        self.institutions = [f" {name_key(name)} " for name in institutions]
        self.known: dict[str, frozenset[int]] = {}
        self.found: dict[str, frozenset[int]] = {}

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
        """Return the papers with these words in sequence; the last word may be plural."""
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
        """Return the papers with one of these authors."""
        found: set[int] = set()
        for name in names:
            found |= self.by_author.get(name_key(name), set())
        return found

    def author_of(self, position: int, names: Iterable[str]) -> str:
        """Return which author of a paper is one of `names`, as the paper has it."""
        wanted = {name_key(name) for name in names}
        return next(
            (name for name in self.authors[position] if name_key(name) in wanted), ""
        )

    def from_institution(self, name: str) -> frozenset[int]:
        """Return the papers from an institution with all these words in sequence."""
        if name not in self.found:
            key = f" {name_key(name)} "
            self.found[name] = frozenset(
                position
                for position, institution in enumerate(self.institutions)
                if key.strip() and key in institution
            )
        return self.found[name]


def name_key(name: str) -> str:
    return " ".join(WORD.findall(folded(name)))
