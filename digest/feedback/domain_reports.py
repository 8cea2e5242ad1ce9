"""What mailbox providers report of our domain: DMARC (RFC 9990, 7489) and TLS (RFC 8460).

Anybody may mail us a report, so it is hostile: what is unpacked of a mail is bounded, and so
are the values that a parser builds of it; its numbers are shown to operators and steer nothing.
"""

import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from ipaddress import ip_address
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import iterparse
from django.db.models import Q, QuerySet, Sum

from digest.feedback import hostile_mail
from digest.models import ReportedCount

MOST_BYTES = 20 * 1024 * 1024  # of a mail or file
MOST_UNPACKED = 5 * 1024 * 1024  # of a mail or file, all reports together
MOST_VALUES = 200_000  # elements or JSON values of a report, hundreds of bytes each
MOST_REPORTS = 20  # in a mail or archive
MOST_ROWS = 5_000  # of a report, after equal ones were added up
MOST_COUNT = 10**12
# Of the ways in which a zip archive packs, those of which zipfile unpacks no more than asked.
BOUNDED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
BEFORE = b"\xef\xbb\xbf \t\r\n"  # a byte order mark and the like
LATELY = timedelta(days=30)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Kind = ReportedCount.Kind


class NotAReport(ValueError):
    """The bytes are no report; the message says why."""


@dataclass(frozen=True)
class Head:
    """Of which report a count is: its name is its reporter's own."""

    kind: Kind
    reporter: str
    name: str
    day: date  # on which the reported time ended


type Row = tuple[str, str, bool, str]  # domain, source, passed, detail


@dataclass(frozen=True)
class Report:
    head: Head
    counts: Counter[Row]


# -- unpacking -------------------------------------------------------------------------------


class Room:
    """How much may still be unpacked of a mail or file."""

    def __init__(self) -> None:
        self.left = MOST_UNPACKED

    def take(self, content: bytes) -> bytes:
        """Return the content, of which at most a byte too many was unpacked. Raises NotAReport."""
        self.left -= len(content)
        if self.left < 0:
            raise NotAReport(f"unpacked it has more than {MOST_UNPACKED:,} bytes")
        return content


def read(raw: bytes) -> list[Report]:
    """Return the reports in a file or mail. Raises NotAReport, whatever a parser raises."""
    found: list[Report] = []
    room = Room()
    try:
        for packed in parts(raw):
            for content in unpacked(packed, room):
                found += report(content)
    except NotAReport:
        raise
    except Exception as error:
        words = f"it cannot be read: {type(error).__name__} {error}"
        raise NotAReport(words) from None
    if not found:
        raise NotAReport("there is no report in it")
    return found


def parts(raw: bytes) -> Iterator[bytes]:
    """Give the attachments of a mail, or the file itself."""
    if len(raw) > MOST_BYTES:
        raise NotAReport(f"it has more than {MOST_BYTES:,} bytes")
    if raw.lstrip(BEFORE)[:1] in {b"<", b"{"} or raw[:2] in {b"\x1f\x8b", b"PK"}:
        yield raw
        return
    mail = hostile_mail.parsed(raw, hostile_mail.Mail)
    for number, part in enumerate(mail.walk()):
        if number > MOST_REPORTS:
            return
        content = part.get_payload(decode=True)
        kinds = {part.get_content_maintype(), part.get_content_subtype()}
        if isinstance(content, bytes) and kinds & {"application", "xml", "json"}:
            yield content


def unpacked(packed: bytes, room: Room) -> Iterator[bytes]:
    """Give the files in one attachment: itself, or what gzip or a zip archive has in it.

    An archive in an archive is left out.
    """
    if packed[:2] == b"PK":
        with zipfile.ZipFile(BytesIO(packed)) as archive:
            for member in archive.infolist()[:MOST_REPORTS]:
                if member.compress_type not in BOUNDED:
                    raise NotAReport("its archive is packed in a way that is not read")
                with archive.open(member) as file:
                    content = room.take(file.read(room.left + 1))
                if content[:2] != b"PK":
                    yield from unpacked(content, room)
    elif packed[:2] == b"\x1f\x8b":
        yield room.take(zlib.decompressobj(wbits=31).decompress(packed, room.left + 1))
    else:
        yield packed


def report(content: bytes) -> Iterator[Report]:
    """Give the report that XML or JSON is; nothing for anything else."""
    content = content.lstrip(BEFORE)
    if content[:1] == b"<":
        yield dmarc(content)
    elif content[:1] == b"{":
        yield tls(content)


# -- DMARC -----------------------------------------------------------------------------------


def dmarc(content: bytes) -> Report:
    """Read an aggregate report, record by record, whatever its namespace."""
    counts, head, seen = Counter[Row](), dict[str, str](), 0
    for event, element in iterparse(BytesIO(content), events=["start", "end"]):
        if event == "start":
            if (seen := seen + 1) > MOST_VALUES:
                raise NotAReport(f"it has more than {MOST_VALUES:,} elements")
        elif plain(element) == "report_metadata":
            head = texts(element)
        elif plain(element) == "record":
            record = texts(element)
            add(counts, dmarc_row(record), number(record["count"]))
            element.clear()
    return build_report(
        Kind.DMARC, head.get("org_name"), head.get("report_id"), head.get("end"), counts
    )


def dmarc_row(found: dict[str, str]) -> Row:
    """Return what one record says: whether a mail passed, and by which of the two."""
    source = f"{ip_address(found['source_ip'])}"
    dkim, spf = (
        result(found.get(name, "")) for name in ("evaluated dkim", "evaluated spf")
    )
    done = found.get("disposition", "none").lower()
    words = f"DKIM {dkim}, SPF {spf}"
    if done in {"quarantine", "reject"}:
        words += f", {done}"
    return found["header_from"].lower(), source, "pass" in {dkim, spf}, words


def result(word: str) -> str:
    return "pass" if word.lower() == "pass" else "fail"


def texts(element: Element, found: dict[str, str] | None = None) -> dict[str, str]:
    """Return tag → first text of all within; what policy_evaluated says is named so."""
    found = {} if found is None else found
    for child in element:
        evaluated = plain(element) == "policy_evaluated"
        name = (
            f"evaluated {plain(child)}"
            if evaluated and plain(child) in {"dkim", "spf"}
            else plain(child)
        )
        if len(child):
            texts(child, found)
        else:
            found.setdefault(name, (child.text or "").strip())
    return found


def plain(element: Element) -> str:
    return element.tag.rpartition("}")[2]


# -- TLS -------------------------------------------------------------------------------------


def tls(content: bytes) -> Report:
    """Read a report of how TLS to our mail servers went."""
    if sum(map(content.count, (b"{", b"[", b","))) > MOST_VALUES:
        raise NotAReport(f"it has more than {MOST_VALUES:,} values")
    counts, found = Counter[Row](), json.loads(content)
    for one in found["policies"]:
        tls_policy(one, counts)
    end = datetime.fromisoformat(found["date-range"]["end-datetime"]).astimezone(UTC)
    names = found["organization-name"], found["report-id"]
    return build_report(Kind.TLS, *names, f"{end.timestamp():.0f}", counts)


def tls_policy(found: dict[str, Any], counts: Counter[Row]) -> None:
    """Count the sessions of one policy: those that failed by the server and the reason."""
    domain = f"{found['policy']['policy-domain']}".lower()
    hosts = found["policy"].get("mx-host") or []
    host = hosts if isinstance(hosts, str) else ", ".join(f"{one}" for one in hosts[:3])
    summary = found["summary"]
    add(
        counts,
        (domain, host or domain, True, ""),
        number(summary["total-successful-session-count"]),
    )
    failed = number(summary["total-failure-session-count"])
    for one in found.get("failure-details") or []:
        source = f"{one.get('receiving-mx-hostname') or host or domain}"
        count = number(one["failed-session-count"])
        add(counts, (domain, source, False, f"{one['result-type']}"), count)
        failed -= count
    add(counts, (domain, host or domain, False, "no reason given"), max(failed, 0))


# -- what both have ----------------------------------------------------------------------------


def number(value: object) -> int:
    """Return a count. Raises ValueError."""
    found = int(f"{value}"[:20])
    if not 0 <= found <= MOST_COUNT:
        raise ValueError(f"{found} is no count")
    return found


def add(counts: Counter[Row], row: Row, count: int) -> None:
    """Add to the counts. Raises ValueError for too many rows."""
    domain, source, passed, detail = row
    cut = (safe(domain, 253), safe(source, 253), passed, safe(detail, 100))
    if count:
        counts[cut] += count
    if len(counts) > MOST_ROWS:
        raise ValueError(f"it has more than {MOST_ROWS:,} different rows")


def build_report(
    kind: Kind, reporter: object, name: object, end: object, counts: Counter[Row]
) -> Report:
    """Return the report. Raises NotAReport without a reporter, a name or a sensible time."""
    if not (isinstance(reporter, str) and isinstance(name, str) and reporter and name):
        raise NotAReport("it does not say whose report it is")
    try:
        day = (EPOCH + timedelta(seconds=int(f"{end}"[:20]))).date()
    except (ValueError, OverflowError):
        raise NotAReport("it does not say of which time it is") from None
    return Report(Head(kind, safe(reporter, 100), safe(name, 255), day), counts)


def safe(words: str, most: int) -> str:
    """Return words that any database takes: no NUL, no half of a surrogate pair."""
    return "".join(one for one in words[: 2 * most] if one.isprintable())[:most]


# -- storing and summing up --------------------------------------------------------------------


def store(reports: Sequence[Report], *, now: datetime) -> int:
    """Store the counts of reports that are new. Returns how many rows; a second time none."""
    fresh = [
        one
        for one in reports
        if not ReportedCount.objects.filter(
            kind=one.head.kind, reporter=one.head.reporter, name=one.head.name
        ).exists()
    ]
    rows = [
        ReportedCount(
            kind=one.head.kind,
            reporter=one.head.reporter,
            name=one.head.name,
            day=min(one.head.day, now.date()),
            domain=domain,
            source=source,
            passed=passed,
            detail=detail,
            count=count,
        )
        for one in fresh
        for (domain, source, passed, detail), count in one.counts.items()
    ]
    ReportedCount.objects.bulk_create(rows, batch_size=500, ignore_conflicts=True)
    return len(rows)


@dataclass(frozen=True)
class Source:
    """What was reported of one source: mails or sessions that passed, and that failed."""

    domain: str
    source: str
    passed: int
    failed: int
    details: str


def counted(kind: Kind, since: date, domain: str) -> QuerySet[ReportedCount]:
    rows = ReportedCount.objects.filter(kind=kind, day__gte=since).order_by()
    return rows.filter(domain=domain) if domain else rows


GOOD = Sum("count", filter=Q(passed=True), default=0)
BAD = Sum("count", filter=Q(passed=False), default=0)


def totals(kind: Kind, *, since: date, domain: str) -> tuple[int, int]:
    """Return how many passed and how many failed."""
    rows = counted(kind, since, domain).values_list("passed")
    found = dict(rows.annotate(total=Sum("count")))
    return found.get(True, 0), found.get(False, 0)


def sources(kind: Kind, *, since: date, most: int, domain: str = "") -> list[Source]:
    """Return the sources by how much failed, worst first; two statements."""
    rows = counted(kind, since, domain)
    summed = rows.values_list("domain", "source").annotate(good=GOOD, bad=BAD)
    named = list(summed.order_by("-bad", "-good", "source")[:most])
    words: dict[tuple[str, str], list[str]] = {}
    shown = rows.filter(source__in=[source for _, source, *_ in named]).exclude(detail="")
    by_count = shown.values_list("domain", "source", "detail").annotate(all=Sum("count"))
    for domain_of, source, detail, _ in by_count.order_by("passed", "-all"):
        words.setdefault((domain_of, source), []).append(detail)
    return [
        Source(name, source, good, bad, "; ".join(words.get((name, source), [])[:3]))
        for name, source, good, bad in named
    ]
