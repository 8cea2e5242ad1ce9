"""Look up readers' keywords, free interests and authors in the papers of an edition.

Pure. A Lexicon is built once per edition, so the cost grows with the readers' words and
not with readers × papers.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate, repeat

from digest.papers.words import WORD, folded, joined, words

SEPARATOR = re.compile(r"[;,](?!\d)|(?<!\d)[;,]")  # not that of 3,000
# Spaces; a longer piece of text is a sentence, which no paper contains word for word.
LONGEST_PHRASE = 8
LONGEST_ITEM = 4  # words; a line of such short pieces is a list, each piece an interest
# A piece that begins so goes on with what stands before the comma; in English and German.
OPENING = (
    "about above across after against also as at based before between but by during e.g. especially"
    " even for from i.e. ideally in including instead into just like mainly mostly namely of"
    " off on only onto out over particularly plus preferably rather since such than through"
    " to towards under using via with within without yet"
    " aber als am auch auf aus bei besonders das der die durch für gegen im mit nach nur ohne"
    " sowie über um unter vom von vor wie z.b. zu zum zur zwischen"
)
# A piece with such a word is part of a sentence.
CLAUSE = (
    "am are be because been can cannot could do does don't how i i'm if is it its my not our"
    " should so that their them they this those was we were what when where whether which"
    " while who whose why will would you your"
    " dass ich ist kann können mein meine nicht sich sind warum weil welche wenn wir"
)
# A piece of nothing but these says how the others are.
QUALITY = (
    "accurate and better big cheap cheaper consistent deep efficient fast faster free good"
    " honest interpretable large larger lightweight local long longer new novel or private"
    " real reliable robust safe safer scalable short simple simpler small smaller tiny"
    " trustworthy und oder"
)
CLAUSES, QUALITIES = frozenset(CLAUSE.split()), frozenset(QUALITY.split())
OPENINGS = CLAUSES.union(OPENING.split())
JOINING = re.compile(r"^(?:and|or|und|oder|&)\s+", re.IGNORECASE)
REST = frozenset(("", "etc", "etc.", "usw", "usw.", "...", "…"))
# From here on a line says what is not wanted; not in the middle of a phrase ("learning without
# labels", "not only").
NOT_WANTED = re.compile(
    r"\b(?:except|excluding|außer|ausser)\b"
    r"|(?:^|,\s*|\b(?:and|but|und|aber)\s+)(?:not|no|nicht|kein(?:e[mnrs]?)?)\b"
    r"(?!-| only\b| just\b| nur\b)"
    r"|(?:^|\b(?:but|aber)\s+)(?:without|ohne)\b",
    re.IGNORECASE,
)
EVERYTHING = frozenset(
    (
        "all",
        "alle",
        "alles",
        "anything",
        "everything",
        "paper",
        "papers",
        "topics",
        "themen",
    )
)
NOUNS_IN_LY = frozenset(("anomaly", "assembly", "family", "supply"))


def written(interests: str) -> list[str]:
    """Return the interests in what a reader wrote: a line each, or the items of a list."""
    found: list[str] = []
    for line in interests.splitlines():
        items = pieces(line)
        listed = len(items) < 2 or all(map(is_item, items))
        found += items if listed else [line.strip()]
    return found


def wanted(interest: str) -> tuple[str, str]:
    """Return an interest up to what is not wanted, and that; papers near to both would come.

    "Everything except robots" names nothing that is wanted.
    """
    found = NOT_WANTED.search(interest)
    if found is None:
        return interest, ""
    before = interest[: found.start()].strip(" ,;")
    named = not EVERYTHING.issuperset(before.lower().split())
    return before if named else "", interest[found.start() :].strip(" ,;")


def phrases(interests: str) -> list[str]:
    """Return what a paper may have word for word: lines, and the pieces between commas.

    A piece that only goes on with another ("over minutes") is none.
    """
    if "," not in interests and ";" not in interests:
        return [line for each in interests.splitlines() if (line := each.strip())]
    lines = map(pieces, interests.splitlines())
    return [
        one for some in lines for one in some if len(some) < 2 or not goes_on(folds(one))
    ]


def pieces(line: str) -> list[str]:
    """Split a line at commas and semicolons; no piece is empty, nor "etc."."""
    if "," not in line and ";" not in line:
        return [line.strip()] if line.strip() else []
    found = [JOINING.sub("", piece.strip()) for piece in SEPARATOR.split(line)]
    return [piece for piece in found if piece.lower() not in REST]


def is_item(piece: str) -> bool:
    """Return True if a piece is an interest of its own: a keyword, a short noun phrase."""
    each = folds(piece)
    return len(each) <= LONGEST_ITEM and CLAUSES.isdisjoint(each) and not goes_on(each)


def goes_on(each: Sequence[str]) -> bool:
    """Return True if the words of a piece only make sense with what stands before them."""
    adverb = len(each) == 1 and each[0].endswith("ly") and each[0] not in NOUNS_IN_LY
    # "consistent over minutes", "robust against noise"
    in_which = each[0] in QUALITIES and each[1:2] and each[1] in OPENINGS
    return bool(adverb or each[0] in OPENINGS or QUALITIES.issuperset(each) or in_which)


def folds(piece: str) -> list[str]:
    """Return a piece's words in lower case, but "IT" and the like as they are."""
    return [
        word if len(word) > 1 and word.isupper() else word.lower() for word in piece.split()
    ]


class Lexicon:
    """An index of an edition's papers, as positions from 0, by word and by author.

    Where few phrases are asked for, it costs less to look through the texts: not `indexed`.
    """

    def __init__(
        self,
        texts: Sequence[str],
        authors: Sequence[Sequence[str]],
        institutions: Sequence[str] = (),
        *,
        indexed: bool = True,
    ) -> None:
        self.texts = texts
        self.authors = authors
        self.indexed = indexed
        self.institutions = [f" {name_key(name)} " for name in institutions]
        self.vocabularies: dict[int, frozenset[str]] = {}
        self.known: dict[str, frozenset[int]] = {}
        self.found: dict[str, frozenset[int]] = {}

    @cached_property
    def letters(self) -> list[tuple[str, frozenset[int]]]:
        """The words of each text without spaces, and where a word begins or the text ends."""
        found = []
        for text in self.texts:
            each = words(text)
            starts = accumulate((len(word) for word in each), initial=0)
            found.append(("".join(each), frozenset(starts)))
        return found

    @cached_property
    def by_word(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = defaultdict(set)
        for position, text in enumerate(self.texts):
            for word in {*words(text), *joined(text)}:
                found[word].add(position)
        return found

    @cached_property
    def author_keys(self) -> list[dict[str, str]]:
        """For each paper, the key of an author's name → the name as the paper has it."""
        return [
            {name_key(name): name for name in reversed(names)} for names in self.authors
        ]

    @cached_property
    def by_author(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = defaultdict(set)
        for position, keys in enumerate(self.author_keys):
            for key in keys:
                found[key].add(position)
        return found

    def with_phrase(self, phrase: str) -> frozenset[int]:
        """Return the papers with these words in sequence, however they are hyphenated."""
        if (known := self.known.get(phrase)) is not None:
            return known
        if phrase.count(" ") > LONGEST_PHRASE:
            return frozenset()
        if not self.indexed:
            return self.look_through(words(phrase))
        self.known[phrase] = found = self.find(words(phrase))
        return found

    def find(self, wanted: list[str]) -> frozenset[int]:
        if not wanted:
            return frozenset()
        some: set[int] = set()
        for spelling in spellings(wanted):
            some |= self.with_all(spelling)
        together = "".join(wanted)
        return frozenset(
            place for place in some if contains(*self.letters[place], together)
        )

    def look_through(self, wanted: list[str]) -> frozenset[int]:
        """Return what `find` does, without the index."""
        together = "".join(wanted)
        some = [
            place
            for place, each in enumerate(self.letters)
            if wanted and contains(*each, together)
        ]
        return frozenset(place for place in some if self.has(place, wanted))

    def has(self, place: int, wanted: list[str]) -> bool:
        if place not in self.vocabularies:
            text = self.texts[place]
            self.vocabularies[place] = frozenset({*words(text), *joined(text)})
        known = self.vocabularies[place]
        return any(known.issuperset(spelling) for spelling in spellings(wanted))

    def with_all(self, wanted: list[str]) -> set[int]:
        some: set[int] = self.by_word.get(wanted[0], set())
        for word in wanted[1:]:
            if not some:
                break
            some = some & self.by_word.get(word, set())
        return some

    def by(self, names: Iterable[str]) -> set[int]:
        """Return the papers with one of these authors."""
        return set().union(*self.by_each(names))

    def by_each(self, names: Iterable[str]) -> list[set[int]]:
        """Return the papers by each of these authors."""
        return list(map(self.by_author.get, map(name_key, names), repeat(set())))

    def author_of(self, position: int, names: Iterable[str]) -> str:
        """Return which author of a paper is one of `names`, as the paper has it."""
        wanted = {name_key(name) for name in names}
        found = self.author_keys[position]
        return next((name for key, name in reversed(found.items()) if key in wanted), "")

    def from_institution(self, name: str) -> frozenset[int]:
        """Return the papers from an institution with all these words in sequence."""
        if (known := self.found.get(name)) is not None:
            return known
        key = f" {name_key(name)} "
        found = frozenset(
            position
            for position, institution in enumerate(self.institutions)
            if key.strip() and key in institution
        )
        if self.indexed:
            self.found[name] = found
        return found

    def from_each(self, names: Iterable[str]) -> list[frozenset[int]]:
        return list(map(self.from_institution, names))


@lru_cache(maxsize=50_000)
def name_key(name: str) -> str:
    return " ".join(WORD.findall(folded(name)))


def spellings(wanted: list[str]) -> Iterator[list[str]]:
    """Yield the words, and the same with any two neighbours written as one."""
    yield wanted
    for place in range(len(wanted) - 1):
        pair = "".join(wanted[place : place + 2])
        yield [*wanted[:place], pair, *wanted[place + 2 :]]


def contains(letters: str, starts: frozenset[int], wanted: str) -> bool:
    """Return True if `wanted` is there as whole words."""
    place = letters.find(wanted)
    while place >= 0:
        if place in starts and place + len(wanted) in starts:
            return True
        place = letters.find(wanted, place + 1)
    return False
