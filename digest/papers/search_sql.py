"""The statements of search: FTS5 on SQLite, text search vectors on PostgreSQL.

Both are asked with the same terms. Tokens hold letters and digits only (search_query), so
that they can stand in a full-text expression; it is a parameter all the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import BigIntegerField
from django.db.models.expressions import RawSQL

from digest import sql
from digest.papers.search_query import Query, Term

# What a word is worth by where it stands. A title is short, an abstract is not.
NAME, TITLE, PEOPLE, TAGS, ABSTRACT = WORTH = (10.0, 6.0, 5.0, 3.0, 1.0)
IN_A_ROW = 6.0  # for each word of a query that stands in a title or name as it was typed
WHOLE_TITLE = 6.0  # for the share of a title that was asked for
PLACES = ("title", "main", "all")  # where all terms have to be, from the narrowest on
COUNTED = 3_000  # papers; beyond this a word, or a query, is a common one
# PostgreSQL reads each row that it ranks, or in which it looks for words in a row: of a
# common word's papers it ranks the newest, and of those with all words it reads the newest.
RANKED = 500
READ = 10_000
# Where no paper has all words: the newest papers of each word are looked at, and so many of them
# are ranked, those with the rarest words.
LOOSE_READ = 350
LOOSE_RANKED = 150
PLACE_WORTH = {
    "name_vector": NAME,
    "title_vector": TITLE,
    "people_vector": PEOPLE,
    "tags_vector": TAGS,
}
TABLE = {True: "digest_paperwords", False: "digest_paperwords_fts"}  # by postgres()
COLUMNS = {
    "title": "{name title} : ",
    "main": "{name title people tags} : ",
    "all": "",
    "people": "people : ",
    "tags": "tags : ",
}


class Row(NamedTuple):
    """One hit; a greater score fits better, on a scale of its own for each query."""

    paper_id: int
    day: date
    topics: str
    score: float


@contextmanager
def by_index() -> Iterator[None]:
    """Let PostgreSQL find rows by its indexes, whatever the planner thinks, in this block.

    It takes a match for cheap, but without the index each row's long vector has to be
    fetched: 100,000 of them take seconds.
    """
    if not sql.postgres():
        yield
        return
    with transaction.atomic():
        rows("SELECT set_config('enable_seqscan', 'off', true)", [])
        yield


def rows(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def expression(term: Term) -> str:
    """Return the term as a full-text expression of this database."""
    if sql.postgres():
        whole = " <-> ".join(f"'{word}'" + ":*" * term.is_prefix for word in term.words)
        return f"({' | '.join([f'({whole})', *(f"'{one}'" for one in term.others)])})"
    whole = f'"{" ".join(term.words)}"' + "*" * term.is_prefix
    return f"({' OR '.join([whole, *(f'"{one}"' for one in term.others)])})"


def every(expressions: Iterable[str]) -> str:
    return (" & " if sql.postgres() else " AND ").join(expressions)


def anyone(expressions: Iterable[str]) -> str:
    return (" | " if sql.postgres() else " OR ").join(expressions)


def matching(query: Query, topic_words: Sequence[str], limit: int) -> list[Row]:
    """Return the best rows that have all of the query's terms, best first.

    Where most papers have them, as with "model", titles are asked first and abstracts last,
    until there are enough rows: to rank them all would take long for nothing.
    """
    inside = days(query)
    if not (query.terms or query.authors or topic_words):
        where = f"WHERE {inside[0]}" if inside[0] else ""
        return typed(
            rows(
                "SELECT paper_id, day, topics, 1.0 FROM digest_paperwords"
                f" {where} ORDER BY day DESC LIMIT %s",
                [*inside[1], limit],
            )
        )

    def ranked(place: str) -> list[Row]:
        asked = conditions(query, topic_words, place)
        if sql.postgres():
            return typed(postgresql(query, asked, inside, limit))
        return favoured(query, typed(sqlite(asked, inside, limit)), limit)

    # PostgreSQL ranks the newest only, so that a rare query need not be counted first.
    found = ranked("all") if sql.postgres() else []
    if sql.postgres() and len(found) < min(limit, RANKED):
        return found
    if not query.terms or count(conditions(query, topic_words, "all")) < COUNTED:
        return found or ranked("all")
    for place in PLACES:
        found = ranked(place)
        if len(found) >= limit:
            break
    return found


def conditions(query: Query, topic_words: Sequence[str], place: str) -> dict[str, str]:
    """Return place → the full-text expression of what has to be there."""
    told = {
        place: [*map(expression, query.terms)],
        "people": [*map(expression, query.authors)],
        "tags": [f"'{word}'" if sql.postgres() else f'"{word}"' for word in topic_words],
    }
    return {place: every(texts) for place, texts in told.items() if texts}


def count(asked: dict[str, str]) -> int:
    """Return how many papers meet these conditions, COUNTED at most."""
    where, values = condition(asked)
    statement = f"SELECT 1 FROM {TABLE[sql.postgres()]} WHERE {where} LIMIT {COUNTED}"
    ((number,),) = rows(f"SELECT count(*) FROM ({statement}) AS found", values)
    return int(number)


def condition(asked: dict[str, str]) -> tuple[str, list[str]]:
    """Return the conditions as SQL, and its parameters."""
    if sql.postgres():
        where = " AND ".join(f"{place}_vector @@ %s::tsquery" for place in asked)
        texts = list(asked.values())
        if not any(" <-> " in text for text in texts):
            return where, texts
        apart = [text.replace(" <-> ", " & ") for text in texts]
        return f"{newest(where, READ)} AND {where}", [*apart, *texts]
    match = every(f"{COLUMNS[place]}({text})" for place, text in asked.items())
    return "digest_paperwords_fts MATCH %s", [match]


def newest(where: str, most: int) -> str:
    """Return the condition that a row is among the newest that meet another one.

    An index of days would lead to them row by row, each to be fetched: so none is named.
    """
    return (
        "paper_id = ANY(ARRAY(SELECT paper_id FROM digest_paperwords"
        f" WHERE {where} ORDER BY day + 0 DESC LIMIT {most}))"
    )


def days(query: Query) -> tuple[str, list[date]]:
    """Return the condition on the day and its parameters; empty without one."""
    day = "day + 0" if sql.postgres() and (query.terms or query.authors) else "day"
    bounds = {f"{day} >= %s": query.after, f"{day} < %s": query.before}
    told = {text: day for text, day in bounds.items() if day}
    return " AND ".join(told), list(told.values())


def typed(found: Iterable[tuple[Any, ...]]) -> list[Row]:
    """Return the rows with real dates; SQLite keeps them as text."""
    return [
        Row(
            pk,
            day if isinstance(day, date) else date.fromisoformat(day),
            topics,
            float(score),
        )
        for pk, day, topics, score in found
    ]


def in_a_row(query: Query) -> Term | None:
    return Term(query.run) if len(query.run) > 1 else None


# -- SQLite ------------------------------------------------------------------------------


BM25 = f"-bm25(digest_paperwords_fts, {', '.join(map(str, WORTH))})"


def sqlite(
    asked: dict[str, str], inside: tuple[str, list[date]], limit: int
) -> list[tuple[Any, ...]]:
    """Return rows by bm25. Without a condition on the day only the best are joined."""
    where, values = condition(asked)
    of_day, bounds = inside
    if of_day:
        return rows(
            f"SELECT paper_id, day, topics, {BM25} FROM digest_paperwords_fts"
            " JOIN digest_paperwords ON paper_id = digest_paperwords_fts.rowid"
            f" WHERE {where} AND {of_day} ORDER BY 4 DESC LIMIT %s",
            [*values, *bounds, limit],
        )
    return rows(
        "SELECT paper_id, day, topics, score FROM ("
        f" SELECT rowid AS row, {BM25} AS score FROM digest_paperwords_fts"
        f" WHERE {where} ORDER BY score DESC LIMIT %s"
        ") JOIN digest_paperwords ON paper_id = row ORDER BY score DESC",
        [*values, limit],
    )


def favoured(query: Query, found: list[Row], limit: int) -> list[Row]:
    """Return the rows with half as much again for all words in a row in title or name."""
    term = in_a_row(query)
    if not term or len(found) < 2:
        return found
    whole = rows(
        "SELECT rowid FROM digest_paperwords_fts WHERE digest_paperwords_fts MATCH %s"
        " ORDER BY rowid DESC LIMIT %s",
        [f"{{name title people}} : {expression(term)}", limit],
    )
    ids = {pk for (pk,) in whole}
    return [
        row._replace(score=row.score * (1 + 0.5 * (row.paper_id in ids))) for row in found
    ]


# -- PostgreSQL --------------------------------------------------------------------------


def postgresql(
    query: Query, asked: dict[str, str], inside: tuple[str, list[date]], limit: int
) -> list[tuple[Any, ...]]:
    """Return rows by the places of each term, all of them in a row, and a whole title."""
    score, values = [str(ABSTRACT * len(query.terms))], []
    for term in query.terms:
        text, texts = worth(expression(term))
        score.append(text)
        values += texts
    if whole := in_a_row(query):
        score.append(
            f"{IN_A_ROW * len(whole.words)} * (title_vector @@ %s::tsquery"
            " OR people_vector @@ %s::tsquery)::int"
        )
        values += [expression(whole)] * 2
    score.append(
        f"{WHOLE_TITLE * len(query.run)} / greatest(length(title_vector), {len(query.run)}, 1)"
    )
    where, parameters = condition(asked)
    where += f" AND {inside[0]}" * bool(inside[0])
    ranked = f"SELECT * FROM digest_paperwords WHERE {newest(where, RANKED)}"
    return rows(
        f"SELECT paper_id, day, topics, {' + '.join(score)} FROM {in_memory(ranked)}"
        " ORDER BY 4 DESC, day DESC LIMIT %s",
        [*values, *parameters, *inside[1], limit],
    )


def in_memory(some: str, *more: str) -> str:
    """Return rows of paper words, and more of their columns, with copies of short vectors.

    A stored vector is fetched from its place anew by each condition, and takes longer than
    the condition: of five words that would be twenty times a row. Adding nothing copies it.
    """
    copies = [f"{vector} || ''::tsvector AS {vector}" for vector in PLACE_WORTH]
    columns = ", ".join(["paper_id", "day", "topics", *more, *copies])
    return f"(SELECT {columns} FROM ({some}) AS stored OFFSET 0) AS held"


def worth(text: str) -> tuple[str, list[str]]:
    """Return what a term adds to a score beside its worth in an abstract, and parameters."""
    parts = [
        f"{value} * ({vector} @@ %s::tsquery)::int::float8"
        for vector, value in PLACE_WORTH.items()
    ]
    return f"({' + '.join(parts)})", [text] * len(parts)


def postgresql_with_most(
    weights: dict[Term, float], at_least: int, limit: int
) -> list[tuple[Any, ...]]:
    """Return the rows with most of the terms by places, of those with the rarest terms."""
    texts = {expression(term): weight for term, weight in weights.items()}
    each = [
        f"(SELECT paper_id, {ABSTRACT * weight} AS base FROM digest_paperwords"
        f" WHERE all_vector @@ %s::tsquery ORDER BY day + 0 DESC LIMIT {LOOSE_READ})"
        for weight in texts.values()
    ]
    best = (
        f"SELECT paper_id, sum(base) AS base FROM ({' UNION ALL '.join(each)}) AS each_term"
        f" GROUP BY paper_id HAVING count(*) >= %s ORDER BY 2 DESC, 1 DESC LIMIT {LOOSE_RANKED}"
    )
    score, values = ["base"], []
    for text, weight in texts.items():
        places, parameters = worth(text)
        score.append(f"{weight} * {places}")
        values += parameters
    stored = f"SELECT * FROM ({best}) AS best JOIN digest_paperwords USING (paper_id)"
    return rows(
        f"SELECT paper_id, day, topics, {' + '.join(score)} FROM {in_memory(stored, 'base')}"
        " ORDER BY 4 DESC, day DESC LIMIT %s",
        [*values, *texts, at_least, limit],
    )


def tagged(word: str) -> RawSQL:
    """Return the papers among whose tags is a word, for filter(pk__in=…)."""
    where, values = condition({"tags": f"'{word}'" if sql.postgres() else f'"{word}"'})
    key = "paper_id" if sql.postgres() else "rowid"
    statement = f"SELECT {key} FROM {TABLE[sql.postgres()]} WHERE {where}"
    return RawSQL(statement, values, BigIntegerField())  # noqa: S611  named above, or tokens


# -- words one by one --------------------------------------------------------------------


def counts(terms: Sequence[Term]) -> list[int]:
    """Return how many papers have each term, COUNTED at most."""
    if not terms:
        return []
    asked = [condition({"all": expression(term)}) for term in terms]
    each = [
        f"(SELECT count(*) FROM (SELECT 1 FROM {TABLE[sql.postgres()]} WHERE {where}"
        f" LIMIT {COUNTED}) AS found)"
        for where, _ in asked
    ]
    (found,) = rows(
        f"SELECT {', '.join(each)}", [value for _, values in asked for value in values]
    )
    return list(found)


def with_most(weights: dict[Term, float], *, at_least: int, limit: int) -> list[Row]:
    """Return the best rows that have at least so many of the terms, by their weights."""
    if sql.postgres():
        return typed(postgresql_with_most(weights, at_least, limit))
    each = (  # bm25 weighs a term by how rare it is
        f"SELECT rowid AS row, {BM25} AS score FROM digest_paperwords_fts"
        " WHERE digest_paperwords_fts MATCH %s"
    )
    return typed(
        rows(
            "SELECT paper_id, day, topics, score FROM (SELECT row, sum(score) AS score FROM ("
            f" {' UNION ALL '.join([each] * len(weights))}) AS each_term GROUP BY row"
            " HAVING count(*) >= %s ORDER BY 2 DESC LIMIT %s) AS best"
            " JOIN digest_paperwords ON paper_id = row ORDER BY score DESC, day DESC",
            [*map(expression, weights), at_least, limit],
        )
    )


def similar_words(grams: Sequence[str], limit: int = 60) -> list[str]:
    """Return known words that share most of these grams."""
    if sql.postgres():
        match = anyone(f"'{gram}'" for gram in grams)
        statement = (
            "SELECT word FROM digest_knownword, (SELECT %s::tsquery AS asked) AS query"
            " WHERE grams_vector @@ asked ORDER BY ts_rank(grams_vector, asked, 2) DESC LIMIT %s"
        )
    else:
        match = anyone(f'"{gram}"' for gram in grams)
        statement = (
            "SELECT word FROM (SELECT rowid AS row FROM digest_knownword_fts"
            " WHERE digest_knownword_fts MATCH %s ORDER BY rank LIMIT %s)"
            " JOIN digest_knownword ON id = row"
        )
    return [word for (word,) in rows(statement, [match, limit])]
