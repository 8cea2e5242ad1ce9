"""Normalize words for keywords, search and ranking, so that spellings compare equal.

Pure. Keywords and search fold case, accents, plurals and hyphens ("fine-tuning" is "fine"
and "tuning", joined "finetuning"). The ranking cuts verb endings as well, so that "tune" is
near "tuned"; a keyword does not, or "reasoning" would be found in "for this reason".
"""

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

WORD = re.compile(r"[^\W_]+(?:\+\+|#)?")
BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
HYPHENS = frozenset("-\u2010\u2011\u2013\u2212")
LONGER_WORD = 3
WORD_LENGTH = 40  # of a word in the index
SIGNS = {"++": "plusplus", "#": "sharp"}  # c++ and c#: a database drops signs
# Words that say nothing of a paper's subject, in English prose and in abstracts.
PROSE = (
    "a about across again all also among an and any are as at be been between both but by"
    " can could do does each first for from further had has have how however i in into is"
    " it its itself just many may me more most much my new no not now of on one only or"
    " other our out over own same several show since so some still such than that the"
    " their them then there these they this those through to too two under up us very via"
    " was we well were what when where whether which while who why will with within"
    " without work would you your"
)
ABSTRACTS = (
    "achieve approach based demonstrate existing introduce make making method paper"
    " present propose proposed recent result results significantly state-of-the-art study"
    " use used using"
)
STOP_WORDS = frozenset(f"{PROSE} {ABSTRACTS}".split())


def folded(text: str) -> str:
    """Return the text without case and accents."""
    if text.isascii():  # most text; a tenth of the time
        return text.lower()
    return BEYOND_ASCII.sub(without_accents, text.casefold())


def without_accents(found: re.Match[str]) -> str:
    plain = unicodedata.normalize("NFKD", found[0])
    return "".join([char for char in plain if not unicodedata.combining(char)])


def words(text: str) -> list[str]:
    """Return the text's words in their order, folded and singular."""
    return [singular(word) for word in WORD.findall(folded(text))]


@lru_cache(maxsize=65_536)  # the words of some hundred papers recur
def singular(word: str) -> str:
    """Return what a folded word and its plural have in common.

    It is not always a word: "policy" and "policies" give "polici".
    """
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if len(word) > 4 and word.endswith("e") and word[-2] in "sxzh":
        return word[:-1]
    if len(word) > 3 and word.endswith("ie"):
        return word[:-1]
    if len(word) > 3 and word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}i"
    return word


def joined(text: str) -> set[str]:
    """Return neighbouring words of the text written as one, as in `words`.

    Any two with a hyphen between them, and two longer words: "fine tuning" gives
    "finetuning", "a gent" gives nothing.
    """
    found = list(WORD.finditer(plain := folded(text)))
    return {
        singular(first[0]) + singular(second[0])
        for first, second in pairwise(found)
        if (between := plain[first.end() : second.start()]) in HYPHENS
        or (between == " " and min(len(first[0]), len(second[0])) >= LONGER_WORD)
    }


def tokens(text: str) -> list[str]:
    """Return the words as the index has them: folded, singular, letters and digits only."""
    return [token(word) for word in WORD.findall(folded(text))]


@lru_cache(maxsize=65_536)  # the words of some hundred papers recur
def token(word: str) -> str:
    """Return a folded word as `tokens` does."""
    return singular(spelled(word)[:WORD_LENGTH])


def plain_words(text: str) -> list[str]:
    """Return the folded words, capped, with the signs of c++ and c# in letters."""
    return [spelled(word)[:WORD_LENGTH] for word in WORD.findall(folded(text))]


def spelled(word: str) -> str:
    if word.isalnum():  # nearly all words
        return word
    for sign, name in SIGNS.items():
        word = word.replace(sign, name)
    return word


def joinable(text: str) -> dict[str, tuple[str, ...]]:
    """Return word → what it and a neighbour give when written as one.

    "fine-tuning" and "fine tuning" both give "finetuning", for both of their words.
    """
    plain = folded(text)
    found: dict[str, tuple[str, ...]] = {}
    matches = list(WORD.finditer(plain))
    for first, second in zip(matches, matches[1:], strict=False):
        gap = plain[first.end() : second.start()]
        long_enough = min(len(first[0]), len(second[0])) >= LONGER_WORD
        if gap in HYPHENS or (gap == " " and long_enough):
            # Folding may take a second turn.
            whole = token(folded(first[0])), token(folded(second[0]))
            for word in whole:
                found[word] = (*found.get(word, ()), "".join(whole)[:WORD_LENGTH])
    return found


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return a folded word without plural, -ing, -ed and a last -e."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 5 and word.endswith("ing"):
        word = word[:-3]
    elif len(word) > 4 and word.endswith("ed"):
        word = word[:-2]
    elif len(word) > 4 and word.endswith("es") and word[-3] in "sxzh":
        return word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    if len(word) > 4 and word.endswith("e"):
        word = word[:-1]
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
        word = word[:-1]
    return word


def stems(text: str) -> list[str]:
    """Return the text's words in their order, stemmed; no stop words, numbers or letters."""
    return [
        stem(word)
        for word in WORD.findall(folded(text))
        if len(word) > 1 and not word.isdigit() and word not in STOP_WORDS
    ]
