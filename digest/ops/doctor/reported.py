"""What providers reported of our domain: mail in our name, and TLS to our servers, that failed."""

from collections.abc import Iterator
from datetime import date

from digest.feedback import domain_reports
from digest.models import ReportedCount
from digest.ops.doctor.findings import Finding, warning

Kind = ReportedCount.Kind
ENOUGH = 20  # mails or sessions: fewer say nothing
MOST_FAILED = 0.02
UNIT = {
    Kind.DMARC: "mails in the name of",
    Kind.TLS: "TLS sessions to the mail servers of",
}
WHY = {
    Kind.DMARC: "Either a sender of yours does not sign, and its mail counts as spam, or"
    " somebody forges your address.",
    Kind.TLS: "Those servers deliver to yours in clear text, or not at all.",
}
REMEDY = {
    Kind.DMARC: "If {source} is yours, let it sign with d={domain}. If all of yours pass and"
    ' it is not: _dmarc.{domain}. TXT "v=DMARC1; p=reject; rua=mailto:postmaster@{domain}"',
    Kind.TLS: "Mend {source}: its certificate, STARTTLS, or its name in the MTA-STS policy.",
}


def failures(domain: str, today: date) -> Iterator[Finding]:
    """Find a share of failures in the reports of the last days that calls for a look."""
    since = today - domain_reports.LATELY
    for kind in Kind:
        passed, failed = domain_reports.totals(kind, since=since, domain=domain)
        if passed + failed < ENOUGH or failed < MOST_FAILED * (passed + failed):
            continue
        (worst,) = domain_reports.sources(kind, since=since, most=1, domain=domain)
        what = (
            f"Providers report that {failed} of {passed + failed} {UNIT[kind]} {domain} failed"
            f" since {since}, {worst.failed} of them of {worst.source} ({worst.details})."
        )
        remedy = REMEDY[kind].format(source=worst.source, domain=domain)
        yield warning(f"{kind}-failures", what, why=WHY[kind], remedy=remedy)
