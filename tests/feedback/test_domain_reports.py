"""DMARC and TLS reports about our domain, as providers send them and as nobody should."""

import gzip
import io
import json
import re
import tracemalloc
import zipfile
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse

from digest.feedback import domain_reports
from digest.feedback.domain_reports import MOST_ROWS, NotAReport, read, sources, store
from digest.models import Act, ReportedCount
from digest.ops.doctor import reported
from digest.tasks import drop_old

NOW = datetime(2026, 4, 18, 6, tzinfo=UTC)
DAY = date(2026, 4, 17)
END = int(datetime(2026, 4, 17, 23, 59, 59, tzinfo=UTC).timestamp())
DMARC, TLS = ReportedCount.Kind.DMARC, ReportedCount.Kind.TLS
ROW = """<record><row><source_ip>{ip}</source_ip><count>{count}</count><policy_evaluated>
<disposition>{done}</disposition><dkim>{dkim}</dkim><spf>{spf}</spf><reason><type>other</type>
<comment>x</comment></reason></policy_evaluated></row><identifiers><envelope_from>b.example.org
</envelope_from><header_from>Example.org</header_from></identifiers><auth_results><dkim><domain>
other.example</domain><result>fail</result></dkim><spf><domain>b.example.org</domain><result>
neutral</result></spf></auth_results></record>"""
# The roots of RFC 7489 (mostly written without a namespace), of drafts, and of RFC 9990.
ROOTS = [
    "<feedback>",
    '<feedback xmlns="http://dmarc.org/dmarc-xml/0.1">',
    '<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">',
]
PREFIXED = '<feedback xmlns:ns="urn:x">'


def row(ip="192.0.2.1", count="3", dkim="pass", spf="fail", done="none") -> str:
    return ROW.format(ip=ip, count=count, dkim=dkim, spf=spf, done=done)


def dmarc(*rows: str, root: str = ROOTS[0], name: str = "r1", end: object = END) -> bytes:
    return f"""<?xml version="1.0"?>{root}<report_metadata><org_name>google.com</org_name>
<email>x@google.com</email><report_id>{name}</report_id><date_range><begin>1</begin>
<end>{end}</end></date_range></report_metadata><policy_published><domain>example.org</domain>
<p>none</p></policy_published>{"".join(rows or [row()])}</feedback>""".encode()


def tls(**changes: object) -> bytes:
    told = {
        "organization-name": "Company-X",
        "date-range": {
            "start-datetime": "2026-04-17T00:00:00Z",
            "end-datetime": "2026-04-17T23:59:59Z",
        },
        "contact-info": "sts-reporting@company-x.example",
        "report-id": "5065427c",
        "policies": [
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-string": ["version: STSv1"],
                    "policy-domain": "example.org",
                    "mx-host": ["*.mail.example.org"],
                },
                "summary": {
                    "total-successful-session-count": 5326,
                    "total-failure-session-count": 303,
                },
                "failure-details": [
                    {
                        "result-type": "certificate-expired",
                        "receiving-mx-hostname": "mx1.mail.example.org",
                        "failed-session-count": 100,
                    },
                    {
                        "result-type": "starttls-not-supported",
                        "receiving-mx-hostname": "mx2.mail.example.org",
                        "failed-session-count": 200,
                    },
                ],
            }
        ],
    }
    return json.dumps(told | changes).encode()


def zipped(
    *contents: bytes, how: int = zipfile.ZIP_DEFLATED, name: str = "report"
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{name}{number}.xml", content)
    return file.getvalue()


def mailed(content: bytes, kind: str = "application/gzip") -> bytes:
    message = EmailMessage()
    message["From"], message["Subject"] = "noreply@google.com", "Report domain: example.org"
    message.set_content("This is a report.")
    main, _, sub = kind.partition("/")
    message.add_attachment(content, maintype=main, subtype=sub, filename="report.xml.gz")
    return message.as_bytes()


def counts(raw: bytes) -> dict[domain_reports.Row, int]:
    return dict(sum((one.counts for one in read(raw)), start=type(read(raw)[0].counts)()))


# -- reading ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "prefixed"), [(root, False) for root in ROOTS] + [(PREFIXED, True)]
)
def test_a_dmarc_report_is_read_whatever_its_namespace(root, prefixed) -> None:
    content = dmarc(root=root)
    if prefixed:
        content = re.sub(rb"<(/?)(\w)", rb"<\1ns:\2", content)
    (one,) = read(content)
    assert one.head == domain_reports.Head(DMARC, "google.com", "r1", DAY)
    assert dict(one.counts) == {
        ("example.org", "192.0.2.1", True, "DKIM pass, SPF fail"): 3
    }


@pytest.mark.parametrize(
    ("fields", "passed", "words"),
    [
        ({"dkim": "pass", "spf": "pass"}, True, "DKIM pass, SPF pass"),
        ({"dkim": "fail", "spf": "pass"}, True, "DKIM fail, SPF pass"),
        ({"dkim": "fail", "spf": "fail"}, False, "DKIM fail, SPF fail"),
        (
            {"dkim": "", "spf": "softfail", "done": "reject"},
            False,
            "DKIM fail, SPF fail, reject",
        ),
        ({"dkim": "PASS", "done": "none"}, True, "DKIM pass, SPF fail"),
    ],
)
def test_what_counts_is_the_evaluated_result(fields, passed, words) -> None:
    """DKIM and SPF of auth_results may be another domain's."""
    assert counts(dmarc(row(**fields))) == {("example.org", "192.0.2.1", passed, words): 3}


def test_equal_rows_are_added_up() -> None:
    content = dmarc(row(count="3"), row(count="4"), row(ip="2001:DB8::1", count="0"))
    assert list(counts(content).values()) == [7]


def test_a_tls_report_is_counted_by_server_and_reason() -> None:
    (one,) = read(tls())
    assert one.head == domain_reports.Head(TLS, "Company-X", "5065427c", DAY)
    assert dict(one.counts) == {
        ("example.org", "*.mail.example.org", True, ""): 5326,
        ("example.org", "mx1.mail.example.org", False, "certificate-expired"): 100,
        ("example.org", "mx2.mail.example.org", False, "starttls-not-supported"): 200,
        ("example.org", "*.mail.example.org", False, "no reason given"): 3,
    }


@pytest.mark.parametrize(
    "raw",
    [
        dmarc(),
        b"\xef\xbb\xbf\n " + dmarc(),
        gzip.compress(dmarc()),
        zipped(dmarc()),
        mailed(gzip.compress(dmarc())),
        mailed(zipped(dmarc()), "application/zip"),
        mailed(dmarc(), "text/xml"),
        mailed(gzip.compress(dmarc()), "application/octet-stream"),
        mailed(gzip.compress(tls()), "application/tlsrpt+gzip"),
        mailed(tls(), "application/tlsrpt+json"),
        tls(),
        gzip.compress(tls()),
    ],
)
def test_each_way_of_packing_is_unpacked(raw) -> None:
    assert len(read(raw)) == 1


def test_an_archive_may_have_several_reports() -> None:
    assert len(read(zipped(dmarc(), gzip.compress(dmarc(name="r2"))))) == 2


BOMB = b'<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;&x;">]><feedback>&z;</feedback>'
FILE = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><feedback>&x;</feedback>'


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0",
        b"<",
        b"{",
        b"PK",
        b"PK\x03\x04 nonsense",
        b"\x1f\x8b",
        b"From: a\n\nNo attachment.",
        BOMB,
        FILE,
        dmarc()[:-20],
        dmarc(row(ip="no address")),
        dmarc(row(count="-1")),
        dmarc(row(count="1e9")),
        dmarc(row(count="9" * 30)),
        dmarc(end="soon"),
        dmarc(end="9" * 30),
        dmarc(name=""),
        dmarc().replace(b"header_from", b"header_to"),
        b"<feedback>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</feedback>",
        dmarc(b"<record>".decode() + "<a>" * 5000 + "</a>" * 5000 + "</record>"),
        dmarc(*(row(ip=f"10.0.{n // 250}.{n % 250}") for n in range(MOST_ROWS + 1))),
        b'{"policies": 3}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        tls(policies=[{}]),
        tls(**{"report-id": None}),
        tls(**{"date-range": {"end-datetime": "soon"}}),
        zipped(zipped(dmarc())),
        b"<?xml version='1.0' encoding='foo'?>" + dmarc()[21:],
        tls(**{"date-range": {"end-datetime": "0001-01-01T00:00:00+14:00"}}),
        tls(**{"date-range": {"end-datetime": "9999-12-31T23:59:59-14:00"}}),
        zipped(dmarc(), name="ü").replace("ü".encode(), b"\xff\xfe"),
        zipped(dmarc(), how=zipfile.ZIP_LZMA).replace(b"\x5d\x00\x00", b"\xff\xff\xff"),
        b"Content-Type: message/rfc822\n\n" * 3000 + b"x",
    ],
)
def test_what_is_no_report_is_refused_in_one_line(raw) -> None:
    with pytest.raises(NotAReport) as refused:
        read(raw)
    assert len(f"{refused.value}") < 300 and "\n" not in f"{refused.value}"


@pytest.mark.parametrize(
    "pack", [gzip.compress, zipped, lambda raw: mailed(gzip.compress(raw))]
)
def test_a_bomb_is_not_unpacked(pack, monkeypatch) -> None:
    monkeypatch.setattr(domain_reports, "MOST_UNPACKED", 100_000)
    with pytest.raises(NotAReport, match="more than 100,000"):
        read(pack(b"<feedback>" + b" " * 1_000_000))


@pytest.mark.parametrize(
    "content",
    [
        b"<feedback>" + b"<a>" * 800_000,
        b"<feedback>" + b"<a/>" * 800_000,
        b'{"policies":[' + b"[]," * 1_200_000,
        b"[{}," * 10,
    ],
    ids=["nested", "side by side", "JSON", "no report"],
)
def test_no_report_of_a_few_bytes_takes_much_memory(content) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(NotAReport):
            read(gzip.compress(content))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 60_000_000


def test_all_attachments_of_a_mail_share_what_may_be_unpacked(monkeypatch) -> None:
    monkeypatch.setattr(domain_reports, "MOST_UNPACKED", 2 * len(dmarc()))
    assert len(read(zipped(dmarc(), dmarc(name="r2")))) == 2
    with pytest.raises(NotAReport, match="more than"):
        read(zipped(dmarc(), dmarc(name="r2"), dmarc(name="r3")))


# -- storing ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_report_counts_once_however_often_it_comes() -> None:
    assert store(read(dmarc()), now=NOW) == 1
    assert store(read(dmarc()), now=NOW) == 0
    assert store(read(dmarc(row(count="9"))), now=NOW) == 0  # the same report, altered
    assert store(read(dmarc(name="r2")), now=NOW) == 1
    assert ReportedCount.objects.count() == 2


@pytest.mark.django_db
def test_hostile_words_are_stored_as_any_database_takes_them() -> None:
    told = tls(**{"organization-name": "a\0b\ud800c", "report-id": "x" * 5000})
    assert store(read(told), now=NOW)
    assert set(ReportedCount.objects.values_list("reporter", flat=True)) == {"abc"}


@pytest.mark.django_db
def test_sources_are_summed_worst_first(django_assert_num_queries) -> None:
    store(read(dmarc(row(count="500"), row(ip="192.0.2.9", count="2"))), now=NOW)
    bad = row(ip="198.51.100.1", dkim="fail", count="40", done="reject")
    store(read(dmarc(bad, row(count="5"), name="r2")), now=NOW)
    with django_assert_num_queries(2):
        found = sources(DMARC, since=DAY, most=2)
    assert [(one.source, one.passed, one.failed) for one in found] == [
        ("198.51.100.1", 0, 40),
        ("192.0.2.1", 505, 0),
    ]
    assert found[0].details == "DKIM fail, SPF fail, reject"
    assert sources(DMARC, since=DAY + timedelta(days=1), most=9) == []


@pytest.mark.django_db
def test_counts_end_after_their_time() -> None:
    store(read(dmarc()), now=NOW)
    drop_old()
    assert ReportedCount.objects.exists()
    old = datetime.now(UTC) - ReportedCount.KEPT - timedelta(days=1)
    ReportedCount.objects.update(day=old.date())
    drop_old()
    assert not ReportedCount.objects.exists()


# -- the command, the page and doctor ----------------------------------------------------------


@pytest.mark.django_db
def test_the_command_reads_a_file_and_a_mail(tmp_path, monkeypatch, capsys) -> None:
    file = tmp_path / "report.xml.gz"
    file.write_bytes(gzip.compress(dmarc()))
    call_command("reports", str(file))
    mail = io.TextIOWrapper(io.BytesIO(mailed(gzip.compress(tls()))))
    monkeypatch.setattr("sys.stdin", mail)
    call_command("reports", json=True)
    said = capsys.readouterr().out.splitlines()
    assert said == ["1 reports read, 1 new counts", '{"reports": 1, "new_counts": 4}']


@pytest.mark.django_db
def test_the_command_fails_for_a_file_and_not_for_a_mail(tmp_path, monkeypatch) -> None:
    """A mail server would tell a forged sender so."""
    file = tmp_path / "x"
    file.write_bytes(b"nonsense")
    for wrong in (file, tmp_path / "missing", tmp_path):
        with pytest.raises(CommandError):
            call_command("reports", str(wrong))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"From: spam\n\nBuy!")))
    call_command("reports")


@pytest.mark.django_db
def test_the_page_shows_both_kinds(admin_client) -> None:
    empty = admin_client.get(reverse("console_reports")).text
    assert "No DMARC report" in empty and "No TLS report" in empty
    now = datetime.now(UTC)
    end = int(now.timestamp())
    store(read(dmarc(row(ip="192.0.2.77", dkim="fail"), end=end)), now=now)
    fresh = {"date-range": {"end-datetime": now.isoformat()}}
    store(read(tls(**fresh).replace(b"certificate-expired", b"<script>")), now=now)
    page = admin_client.get(reverse("console_reports")).text
    assert (
        "192.0.2.77" in page and "mx2.mail.example.org" in page and "<script>" not in page
    )


@pytest.mark.django_db
def test_the_page_takes_a_report_as_a_file_or_as_its_mail(admin_client) -> None:
    there = reverse("console_reports")
    end = int(datetime.now(UTC).timestamp())

    def upload(content: bytes) -> str:
        file = SimpleUploadedFile("report.eml", content)
        page = admin_client.post(there, {"act": "upload", "file": file}, follow=True)
        return str(page.text)

    first = dmarc(row(ip="192.0.2.77", dkim="fail"), end=end)
    second = mailed(gzip.compress(dmarc(row(ip="192.0.2.78"), name="r2", end=end)))
    assert "192.0.2.77" in upload(first) and "192.0.2.78" in upload(second)
    assert "This is no report" in upload(b"From: spam\n\nBuy!")
    assert "Choose a file" in admin_client.post(there, {"act": "upload"}, follow=True).text
    details = list(Act.objects.order_by("pk").values_list("what", "detail"))
    assert details == [("upload", "Reports read: 1, new counts: 1")] * 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("passed", "failed", "found"),
    [(1000, 0, []), (1000, 10, []), (5, 4, []), (900, 100, ["dmarc-failures"])],
)
def test_doctor_tells_who_fails_in_our_name(passed, failed, found) -> None:
    bad = row(ip="198.51.100.1", dkim="fail", count=f"{failed}")
    store(read(dmarc(row(count=f"{passed}"), bad)), now=NOW)
    said = list(reported.failures("example.org", NOW.date()))
    assert [one.code for one in said] == found
    assert all("198.51.100.1" in one.what for one in said)
    assert list(reported.failures("another.example", NOW.date())) == []
