"""arXiv's query API: papers of chosen categories, and what is known of given ids.

Thank you to arXiv for use of its open access interoperability. Its terms: one connection
and one request every three seconds, over all machines together. The feed is untrusted: it
is counted before it is parsed, and read by namespace, whatever the order. Format:
https://info.arxiv.org/help/api/user-manual.html
"""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, ParseError
from zoneinfo import ZoneInfo

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from django.conf import settings

from digest.papers.download import Refused, SourceError, download, session_until
from digest.papers.records import (
    BadEntry,
    Batch,
    PaperRecord,
    Rejected,
    named,
    parse_entry,
    shown,
)

DEADLINE = 60.0  # seconds for one request
LEASE = timedelta(seconds=90)  # longer than any request
PAUSE = timedelta(seconds=3)  # https://info.arxiv.org/help/api/tou.html
MOST_BYTES = 8 * 2**20  # after decompression; a paper takes some 3 kB
MOST_TAGS = 250_000  # of one feed; at most some 200 bytes of memory each
MOST_PAPERS = 1000  # of one day
MOST_IDS = 100  # of one request
ATOM, OWN = "{http://www.w3.org/2005/Atom}", "{http://arxiv.org/schemas/atom}"
TOTAL = "{http://a9.com/-/spec/opensearch/1.1/}totalResults"
NEW_YORK = ZoneInfo("America/New_York")
DEADLINE_HOUR = 14  # in New York: what is submitted by then is announced that evening
DAY = timedelta(days=1)
MONDAY, FRIDAY, SATURDAY = 0, 4, 5


# -- what is asked ----------------------------------------------------------------


def fetch_day(day: date, *, etag: str = "") -> Batch | None:
    """Return the papers of ARXIV_CATEGORIES that arXiv announced on `day` (UTC).

    None if the feed is still the one that had `etag`. Raises SourceError.
    """
    span = submissions_of(day)
    if span is None:
        return Batch(())
    first, last = (f"{moment:%Y%m%d%H%M}" for moment in span)
    wanted = " OR ".join(f"cat:{code}" for code in settings.ARXIV_CATEGORIES)
    query = {
        "search_query": f"({wanted}) AND submittedDate:[{first} TO {last}]",
        "sortBy": "submittedDate",
        "sortOrder": "descending",
        "max_results": MOST_PAPERS,
    }
    if (feed := _ask(query, etag=etag)) is None:
        return None
    return _batch(feed[0], feed[1])


def fetch_ids(ids: Iterable[str]) -> Batch:
    """Return what arXiv knows of at most MOST_IDS papers. Raises SourceError."""
    wanted = list(ids)[:MOST_IDS]
    feed = _ask({"id_list": ",".join(wanted), "max_results": len(wanted)})
    return _batch(*feed) if feed else Batch(())


def _ask(query: dict[str, object], *, etag: str = "") -> tuple[Element, str] | None:
    """Return the feed and its ETag; None if it has not changed. Raises SourceError."""
    url = f"{settings.ARXIV_URL}/api/query?{urlencode(query)}"
    deadline = time.monotonic() + DEADLINE
    try:
        with session_until(deadline) as session:
            answer = download(session, url, most=MOST_BYTES, deadline=deadline, etag=etag)
    except Refused as refused:
        raise SourceError(f"arXiv refused the request: {_reason(refused.body)}") from None
    return (_feed(answer.body), answer.etag) if answer else None


# -- what is answered -------------------------------------------------------------


def _feed(body: bytes) -> Element:
    """Return the root of the feed. Raises SourceError."""
    # Count before parsing: `<a/>` is 4 bytes here, and far more in memory.
    if body.count(b"<") + body.count(b"=") > MOST_TAGS:
        raise SourceError("arXiv's answer has too many elements")
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise SourceError(f"arXiv's answer is no Atom feed: {shown(str(error))}") from None
    if root.tag != f"{ATOM}feed":
        raise SourceError(f"arXiv's answer is no Atom feed but {shown(root.tag)}")
    return root


def _batch(feed: Element, etag: str) -> Batch:
    records: dict[str, PaperRecord] = {}
    rejected: list[Rejected] = []
    elements = feed.findall(f"{ATOM}entry")
    if not elements and _words(feed, TOTAL) not in {"", "0"}:
        raise SourceError("arXiv's answer is empty, though it has papers")  # now and then
    for number, element in enumerate(elements, 1):
        entry = _entry(element)
        if str(entry["id"]).partition("#")[0].endswith("/api/errors"):
            raise SourceError(f"arXiv refused the request: {shown(entry['summary'])}")
        try:
            record = parse_entry(entry, day=None)
            records.setdefault(record.arxiv_id, record)
        except BadEntry as error:
            rejected.append(Rejected(named(entry, f"entry {number}"), str(error)))
    return Batch(tuple(records.values()), tuple(rejected), etag)


def _entry(element: Element) -> dict[str, object]:
    """Return an entry as parse_entry takes it; cleaned there."""
    published = _words(element, f"{ATOM}published")
    return {
        "id": _words(element, f"{ATOM}id"),
        "title": _words(element, f"{ATOM}title"),
        "summary": _words(element, f"{ATOM}summary"),
        "authors": [
            _words(author, f"{ATOM}name") for author in element.findall(f"{ATOM}author")
        ],
        "publishedAt": published,
        "day": announced(published),
        "arxiv_categories": list(_categories(element)),
        "is_listed": False,
    }


def _categories(element: Element) -> Iterator[str]:
    """Yield the codes, the primary one first; ACM's and MSC's end in parse_entry."""
    for name in (f"{OWN}primary_category", f"{ATOM}category"):
        for category in element.findall(name):
            yield category.get("term", "")


def _words(element: Element, name: str) -> str:
    """Return the text of a child; empty without one."""
    return (element.findtext(name) or "").strip()


def _reason(body: bytes) -> str:
    try:
        entry = _feed(body).find(f"{ATOM}entry")
    except SourceError:
        entry = None
    return shown(_words(entry, f"{ATOM}summary") if entry is not None else "400")


# -- the day that a paper belongs to ----------------------------------------------
# Papers are announced from Sunday to Thursday at 20:00 in New York, which is the next day
# in UTC: https://info.arxiv.org/help/availability.html


def announced(published: str) -> str:
    """Return the UTC day on which a paper submitted then is announced; "" if unreadable."""
    try:
        local = datetime.fromisoformat(published).astimezone(NEW_YORK)
        deadline = local.date() + DAY * (local.hour >= DEADLINE_HOUR)
        while deadline.weekday() >= SATURDAY:
            deadline += DAY
        return (deadline + DAY * (3 if deadline.weekday() == FRIDAY else 1)).isoformat()
    except (ValueError, OverflowError):
        return ""


def submissions_of(day: date) -> tuple[datetime, datetime] | None:
    """Return the first and the last minute (UTC) of what is announced on `day`.

    None for the days on which nothing is announced.
    """
    if day.weekday() >= SATURDAY:
        return None
    end = day - DAY * (3 if day.weekday() == MONDAY else 1)
    start = end - DAY * (3 if end.weekday() == MONDAY else 1)
    first, last = (
        datetime.combine(at, time_of_day(DEADLINE_HOUR), NEW_YORK).astimezone(UTC)
        for at in (start, end)
    )
    return first, last - timedelta(minutes=1)
