"""One line that says what a paper is about: its source's summary, or its own best sentence.

Nothing is invented: a sentence of the abstract is taken as it stands. Pure.
"""

import re
from functools import lru_cache

from digest.papers.text import cut

MORE = "\u00a0…"
# After these marks a sentence ends if a capital, a digit or a bracket follows; scripts
# without spaces have marks of their own.
END = re.compile(r"[.!?。！？؟۔।](?:(?<=[。！？؟۔।])|(?= [^\W\d_a-z]| [0-9(]))")
ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|et al|vs|cf|Fig|Eq|Sec|approx|resp|w\.r\.t)|\b[A-Z])\.\Z"
)
LONGEST = 280  # characters of a sentence that still is one line's worth
SHORTEST = 40

# What authors write when they say what they did, the surest words first; of sentences in
# small letters, as to ignore their case takes a search twice the time.
OFFERS = re.compile(
    r"\b(?:we|this (?:paper|work|study|report|survey|article)) "
    r"(?:\w+ly |also |then |first |therefore |thus )?"
    r"(?:introduces?|proposes?|presents?|develops?|designs?|builds?|creates?|releases?|"
    r"describes?|offers?|formali[sz]es?|construct|establish|contribute|curate|train)\b"
)
STUDIES = re.compile(
    r"\b(?:we|this (?:paper|work|study|report|survey|article)) "
    r"(?:\w+ly |also |then |first |therefore |thus )?"
    r"(?:stud(?:y|ies)|investigates?|explores?|examines?|analy[sz]es?|asks?|address(?:es)?|"
    r"reviews?|shows?|demonstrates?|finds?|proves?|argues?|report|revisit|rethink|evaluate)\b"
)
# What comes before or beside the point.
BESIDE = re.compile(
    r"(?:however|recent|despite|while|although|existing|current|prior|previous|traditional|"
    r"the code|our code|code|project page|experiments|extensive|additionally|furthermore|"
    r"moreover|for example|specifically)\b"
)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text on one line."""
    found, start = [], 0
    for match in END.finditer(text):
        if not ABBREVIATION.search(text[max(0, match.end() - 8) : match.end()]):
            found.append(text[start : match.end()].strip())
            start = match.end()
    return [one for one in [*found, text[start:].strip()] if one]


def first_sentences(text: str, length: int) -> str:
    """Cut after the last sentence that ends within `length` characters, else at a word."""
    if len(text) <= length:
        return text
    found = END.finditer(text[: length + 2])
    ends = [match.end() for match in found if match.end() <= length]
    if ends and ends[-1] > length // 3:
        return text[: ends[-1]] + MORE
    head, space, _ = text[:length].rpartition(" ")
    return (head if len(head) > length // 2 and space else cut(text, length)[:-1]) + MORE


@lru_cache(maxsize=1_000)
def telling_sentence(abstract: str) -> str:
    """Return the sentence that says best what the paper offers; empty without an abstract."""
    best, most = "", float("-inf")
    for place, sentence in enumerate(sentences(abstract)):
        if (points := _points(place, sentence)) > most:
            best, most = sentence, points
    return best


def _points(place: int, sentence: str) -> float:
    points, small = -0.15 * place, sentence.lower()
    speaks = "we " in small or "this " in small
    if speaks and OFFERS.search(small):
        points += 3
    elif speaks and STUDIES.search(small):
        points += 1.5
    elif place == 0:
        points += 1
    if BESIDE.match(small) or "://" in small or "github" in small:
        points -= 1.5
    if not SHORTEST <= len(sentence) <= LONGEST:
        points -= 1
    return points
