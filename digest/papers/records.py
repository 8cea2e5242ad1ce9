"""Parse one entry of the source into a PaperRecord, whatever its shape and quality.

Two shapes are accepted: the daily-papers API's (a nested `paper`) and flat JSON Lines.
Unknown fields are ignored, missing or wrongly typed ones left empty. Only an entry without
arXiv id, title or day is rejected. All text is cleaned here.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime

from digest.papers.latex import with_name
from digest.papers.text import clean_line, clean_text, safe_url
from digest.papers.words import words

FIRST_SECOND, LAST_SECOND = 662_688_000, 4_102_444_800  # 1991, arXiv's first year; 2100
MOST = 2**31 - 1  # the maximum of an integer column
AUTHORS_LIMIT = 5_000
KEYWORDS_LIMIT = 20
SUMMARY_LIMIT = 400
# https://info.arxiv.org/help/arxiv_identifier.html
ARXIV_ID = re.compile(
    r"(?:arxiv:|https?://(?:www\.|export\.)?arxiv\.org/(?:abs|pdf)/)?([0-9]{4}\.[0-9]{4,5}|[a-z][a-z-]{1,15}(?:\.[a-z]{2})?/[0-9]{7})(?:v[0-9]{1,3})?(?:\.pdf)?"
)
# Of a paper whose source tells no arXiv id: the hash of its title's words.
TITLE_ID = re.compile(r"title-[0-9a-f]{16}")
AND = re.compile(r"[,;]|\band\b")  # separates names within one string
CATEGORY = re.compile(r"[a-z-]{2,12}(?:\.[A-Za-z-]{2,12})?")


@dataclass(frozen=True, slots=True)
class PaperRecord:
    """A paper as in one response. Empty, or None, means that the response has no value."""

    arxiv_id: str  # canonical: lower case, no version; or see TITLE_ID
    title: str
    abstract: str
    summary: str  # one sentence, written by a machine
    authors: tuple[str, ...]  # in order, without hidden ones
    author_count: int  # 0 where unknown
    organization: str
    submitted_at: datetime | None  # to arXiv, UTC
    day: date  # on which the source listed it, UTC
    upvotes: int | None
    comments: int | None
    code_url: str
    project_url: str
    keywords: tuple[str, ...]
    categories: tuple[str, ...]  # arXiv codes
    # False if no list of trending papers has it: it is here for a topic that lacks papers.
    is_listed: bool = True


@dataclass(frozen=True, slots=True)
class Rejected:
    """A skipped entry and the reason, both safe to print."""

    which: str
    why: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The entries of a whole day, each paper once, and the response's ETag if it has one."""

    records: tuple[PaperRecord, ...]
    rejected: tuple[Rejected, ...] = ()
    etag: str = ""


class BadEntry(ValueError):
    """The entry cannot become a PaperRecord; the message is the reason."""


type Fields = dict[str, object]


def parse_entry(entry: object, *, day: date | None) -> PaperRecord:
    """Return the record of one entry; `day` applies where the entry names none.

    Raises BadEntry.
    """
    if not isinstance(entry, dict):
        raise BadEntry(f"it is not a JSON object but {shown(entry)}")
    inner = entry.get("paper")
    fields: Fields = entry
    if isinstance(inner, dict):
        # The outer publishedAt is not arXiv's date of publication; the inner one is.
        fields = {**entry, "publishedAt": None} | {
            name: value for name, value in inner.items() if value is not None
        }
    listed_day = _listed_day(entry, fields) or day
    if listed_day is None:
        raise BadEntry("it has no day")
    arxiv_id, title = _arxiv_id(fields.get("id")), _title(fields)
    abstract = with_name(_text(_first(fields, "summary", "abstract")), title)
    authors = tuple(_authors(fields.get("authors")))
    return PaperRecord(
        arxiv_id=arxiv_id,
        title=title,
        abstract=clean_text(abstract),
        summary=clean_line(_text(_first(fields, "ai_summary")), SUMMARY_LIMIT),
        authors=authors,
        author_count=len(authors) or _count(fields.get("author_count")) or 0,
        organization=_organization(_first(fields, "organization")),
        submitted_at=_instant(_first(fields, "publishedAt", "published_at")),
        day=listed_day,
        upvotes=_count(fields.get("upvotes")),
        comments=_count(_first(fields, "numComments", "num_comments")),
        code_url=safe_url(_text(_first(fields, "githubRepo", "github_repo"))),
        project_url=safe_url(_text(_first(fields, "projectPage", "project_page"))),
        keywords=tuple(_words(fields.get("ai_keywords"), 80)[:KEYWORDS_LIMIT]),
        categories=tuple(
            code
            for code in _words(fields.get("arxiv_categories"), 30)
            if CATEGORY.fullmatch(code)
        )[:KEYWORDS_LIMIT],
        is_listed=fields.get("is_listed") is not False,
    )


def _listed_day(entry: Fields, fields: Fields) -> date | None:
    """Return the day; before 2025-03-17 it is the outer, later publishedAt."""
    told = _instant(fields.get("submittedOnDailyAt")) or _instant(fields.get("day"))
    outer, inner = _instant(entry.get("publishedAt")), _instant(fields.get("publishedAt"))
    if not told and outer and inner and outer > inner:
        told = outer
    return told.date() if told else None


def title_id(title: str) -> str:
    """Return the id of a paper of which only the title is known."""
    said = " ".join(words(title)).encode()
    return f"title-{hashlib.blake2b(said, digest_size=8).hexdigest()}"


def named(entry: object, place: str) -> str:
    """Return an entry's name for messages: its place and, if it has one, its id."""
    if isinstance(entry, dict):
        inner = entry.get("paper")
        name = (inner if isinstance(inner, dict) else entry).get("id")
        if isinstance(name, str) and name:
            return f"{place} ({shown(name)})"
    return place


def shown(value: object, limit: int = 60) -> str:
    """Format untrusted data for a message: on one line, escaped, cut."""
    text = ascii(value if not isinstance(value, str) else value[: 2 * limit])
    return text if len(text) <= limit else text[:limit] + "…"


def _first(fields: Fields, *names: str) -> object:
    """Return the value of the first of these fields that has one."""
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _arxiv_id(value: object) -> str:
    if value is None or value == "":
        raise BadEntry("it has no id")
    text = _text(value).strip().lower()
    if TITLE_ID.fullmatch(text):
        return text
    found = ARXIV_ID.fullmatch(text)
    if not found:
        raise BadEntry(f"{shown(value)} is not an arXiv id")
    return found[1]


def _title(fields: Fields) -> str:
    title = clean_line(_text(fields.get("title")))
    if not title:
        raise BadEntry("it has no title")
    return title


def _authors(value: object) -> Iterator[str]:
    if isinstance(value, str):
        value = AND.split(value[: 120 * AUTHORS_LIMIT])
    for author in value[:AUTHORS_LIMIT] if isinstance(value, list) else []:
        name = author
        if isinstance(author, dict):
            name = "" if author.get("hidden") is True else author.get("name")
        if cleaned := clean_line(_text(name), 120):
            yield cleaned


def _organization(value: object) -> str:
    if isinstance(value, dict):
        value = _text(value.get("fullname")) or value.get("name")
    return clean_line(_text(value), 200)


def _words(value: object, limit: int) -> list[str]:
    """Return the cleaned strings of a list, each once."""
    found = value[:200] if isinstance(value, list) else []
    return [
        word for word in dict.fromkeys(clean_line(_text(w), limit) for w in found) if word
    ]


def _count(value: object) -> int | None:
    if isinstance(value, str) and len(value) <= 10 and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= MOST else None


def _instant(value: object) -> datetime | None:
    """Parse an instant; without an offset it is UTC.

    Accepts ISO 8601 (a date too), RFC 5322, or seconds or milliseconds since 1970.
    """
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value / 1000 if value > LAST_SECOND else value
            is_instant = FIRST_SECOND <= seconds <= LAST_SECOND
            return datetime.fromtimestamp(seconds, UTC) if is_instant else None
        text = _text(value)[:100].strip()
        is_iso = text[:4].isdecimal()
        moment = datetime.fromisoformat(text) if is_iso else parsedate_to_datetime(text)
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
