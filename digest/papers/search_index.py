"""Write what search finds papers by, and keep it up to date.

Papers are indexed in the transaction that stores them. Rows that are missing, or were
written by an older version of this code, are indexed by `refresh`, which each fetch calls,
so an archive from before the index, or an update, needs no step of its own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import batched

from django.db import transaction
from django.db.models import Q

from digest import sql
from digest.models import KnownWord, Paper, PaperWords
from digest.papers.topics import assigned
from digest.papers.words import WORD_LENGTH, joinable, plain_words, tokens
from digest.sql import Rows, Statement

VERSION = 1  # greater whenever other words are written: all rows are then written anew
SLICE = 500
PEOPLE_LIMIT = 100_000  # characters; PostgreSQL's vector holds a megabyte
RECURRING = 3  # so often in an abstract: what the paper is about
SHORT_WORD = 9  # up to here, a misspelling is found by dropping a letter on both sides
WORDS = (
    "paper_id",
    "day",
    "topics",
    "version",
    "name",
    "title",
    "people",
    "tags",
    "abstract",
)
KEPT = ", ".join(f"{name} = excluded.{name}" for name in WORDS[1:])
WRITE = Statement(
    postgresql=f"""
INSERT INTO digest_paperwords ({", ".join(WORDS)})
SELECT * FROM unnest(%(paper_id)s::bigint[], %(day)s::date[], %(topics)s::text[],
    %(version)s::smallint[], %(name)s::text[], %(title)s::text[], %(people)s::text[],
    %(tags)s::text[], %(abstract)s::text[])
ON CONFLICT (paper_id) DO UPDATE SET {KEPT}""",  # noqa: S608  names of columns
    sqlite=f"""
INSERT INTO digest_paperwords ({", ".join(WORDS)})
SELECT {", ".join(f"value ->> {place}" for place in range(len(WORDS)))}
FROM json_each(%(rows)s) WHERE true
ON CONFLICT (paper_id) DO UPDATE SET {KEPT}""",  # noqa: S608
)
TAKE_IN = Statement(
    postgresql="""
SELECT gin_clean_pending_list(indexrelid) FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid
    JOIN pg_am ON pg_am.oid = relam AND amname = 'gin'
WHERE pg_has_role(relowner, 'USAGE')
    AND indrelid IN ('digest_paperwords'::regclass, 'digest_knownword'::regclass)""",
    sqlite="SELECT 1",  # its indexes are written at once
)


type Texts = tuple[object, ...]  # all that the words of a paper are made of


def index(
    papers: Sequence[Paper], laid_out: Mapping[Texts, PaperWords] | None = None
) -> None:
    """Write the words of these stored papers, with few statements.

    Words may have been laid out before, for papers of the same texts.
    """
    written = []
    for paper in sorted(papers, key=lambda paper: paper.pk):
        row = (laid_out or {}).get(texts_of(paper)) or words_of(paper)
        written.append([str(paper.pk), *(str(getattr(row, name)) for name in WORDS[1:])])
    if written:
        sql.change(WRITE, rows=Rows(WORDS, written, numbers=("paper_id", "version")))
    learn({word for paper in papers for word in spellings(paper)})
    take_in()


def take_in() -> None:
    """Let PostgreSQL's indexes take in the rows written last, which each search would read.

    Only their owner may ask for it; for another role autovacuum does it later.
    """
    if sql.postgres():
        sql.fetch(TAKE_IN)


def refresh() -> int:
    """Index the papers whose words are missing or old; return their number."""
    stale = Paper.objects.filter(Q(words=None) | ~Q(words__version=VERSION))
    ids = list(stale.order_by("pk").values_list("pk", flat=True))
    for some in batched(ids, SLICE, strict=False):
        with transaction.atomic():
            index(list(Paper.objects.select_for_update().filter(pk__in=sql.among(some))))
    return len(ids)


def lay_out(papers: Iterable[Paper]) -> dict[Texts, PaperWords]:
    """Return the words of papers that need not be stored. Asks no database."""
    return {texts_of(paper): words_of(paper) for paper in papers}


def texts_of(paper: Paper) -> Texts:
    lists = map(tuple, (paper.authors, paper.keywords, paper.categories))
    return (paper.title, paper.abstract, paper.organization, paper.day, *lists)


def words_of(paper: Paper) -> PaperWords:
    """Return the row of a paper, not saved."""
    abstract = tokens(paper.abstract)
    recurring = [word for word, n in Counter(abstract).items() if n >= RECURRING]
    keywords = [str(word) for word in paper.keywords]
    topics = list(assigned(paper))
    name, colon, _ = paper.title.partition(":")
    people = [str(author) for author in paper.authors] + [paper.organization]
    return PaperWords(
        paper_id=paper.pk,
        day=paper.day,
        topics=" ".join(topics),
        version=VERSION,
        name=line(spoken(name)) if colon else "",
        title=title_words(paper.title),
        # A word between two people, so that no phrase spans both of them.
        people=line(tokens(" zz ".join(people)))[:PEOPLE_LIMIT],
        tags=line(
            [*map(topic_word, topics), *tokens(" ; ".join(keywords)), *recurring]
            + joined_words(paper.abstract)
        ),
        abstract=line(abstract),
    )


def title_words(title: str) -> str:
    """Return the words by which the index knows a title."""
    return line(spoken(title))


def spoken(text: str) -> list[str]:
    """Return the words of a title and, after them, neighbours written as one."""
    return tokens(text) + list(
        dict.fromkeys(one for many in joinable(text).values() for one in many)
    )


def joined_words(text: str) -> list[str]:
    """Return the hyphenated words of an abstract, written as one."""
    hyphenated = " ; ".join(part for part in text.split() if "-" in part or "‑" in part)
    found = joinable(hyphenated)
    return list(dict.fromkeys(one for many in found.values() for one in many))


def topic_word(slug: str) -> str:
    """Return the word by which the index knows a topic."""
    return "topic" + slug.replace("-", "")


def line(words: Iterable[str]) -> str:
    return " ".join(words)


# -- spellings ---------------------------------------------------------------------------


def spellings(paper: Paper) -> set[str]:
    """Return the words of a paper that a misspelled word may be corrected to."""
    texts = [paper.title, *paper.authors, paper.organization, *paper.keywords]
    found = plain_words(" ; ".join(map(str, texts)))
    return {word for word in found if len(word) > 3 and not word.isdigit()}


def learn(words: set[str]) -> None:
    """Add the words that are not known yet."""
    if not words:
        return
    known = KnownWord.objects.filter(word__in=sql.among_texts(words))
    new = sorted(words - set(known.values_list("word", flat=True)))
    KnownWord.objects.bulk_create(
        [KnownWord(word=word, grams=line(grams(word))) for word in new],
        ignore_conflicts=True,
    )


def grams(word: str) -> list[str]:
    """Return what a word has in common with its misspellings.

    A short word: itself and with each one letter dropped (two words that differ by one
    letter, or by two in exchange, share one of these). A longer one: its letters in threes.
    """
    word = word[:WORD_LENGTH]
    found = []
    if len(word) <= SHORT_WORD:
        found = [word, *(word[:at] + word[at + 1 :] for at in range(len(word)))]
    if len(word) >= SHORT_WORD - 1:
        padded = f"0{word}0"
        found += ["3" + padded[at : at + 3] for at in range(len(padded) - 2)]
    return list(dict.fromkeys(found))
