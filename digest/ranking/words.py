"""Normalize words for ranking, keywords and search: no case, accents or endings.

Pure. Hyphens separate words ("fine-tuning" is "fine" and "tuning"), and a few rules that
treat all words alike cut endings, so that "tune" finds "tuning" and "fine-tuned".
"""

import re
import unicodedata

WORD = re.compile(r"[^\W_]+(?:\+\+|#)?")
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
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in plain if not unicodedata.combining(char))


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
