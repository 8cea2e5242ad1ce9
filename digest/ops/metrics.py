"""/metrics for Prometheus: whether mail goes out in time, without any personal data.

Every figure is read from the database, so that each web process tells the same, and by an
index or from a small table: what would have to count the whole ledger is not here. Open to
this machine, and to whoever has METRICS_TOKEN; to others there is no such page.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from digest import front_end, replica
from digest.deliveries import heartbeats, ledger, throughput
from digest.feedback import domain_reports
from digest.models import BackOff, Edition, Heartbeat, ReportedCount
from digest.ops.console import figures
from digest.papers import source_days
from digest.sql import Statement, fetch
from digest.throttling import circuit_breaker
from digest.transport import relays

# Rows are counted up to here: an alarm needs no more, and a million due would take too long.
MOST = 5_000
MANY = 100  # mails in DMARC reports
DMARC_DAYS = timedelta(days=3)  # a report comes a day late
FEW = 3  # reports; a share of fewer says nothing
EDITIONS = 14  # the newest ones, of which something may still go out
# What `ready`, `open` and is_unknown select, each by its index and `most` at most. An
# announcement may wait for hours behind digests, so the oldest is of their lane. SQLite takes
# a partial index by its very words, which {yes} completes.
READY = """FROM digest_delivery WHERE is_open{yes} AND lane IN (%s)
        AND not_before <= %%(now)s AND state = 'pending'
        AND edition_id NOT IN (SELECT id FROM digest_edition WHERE hold <> '')"""
COUNTED = f"""SELECT
    (SELECT not_before {READY % 0} ORDER BY not_before LIMIT 1),
    (SELECT count(*) FROM (SELECT 1 {READY % "0, 1"} LIMIT %(most)s) AS due),
    (SELECT count(*) FROM (SELECT 1 FROM digest_delivery
        WHERE is_unknown{{yes}} LIMIT %(most)s) AS unknown),
    (SELECT count(*) FROM (SELECT 1 FROM subscribers_notice
        WHERE state = 'pending' AND not_before <= %(now)s LIMIT %(most)s) AS notices),
    (SELECT count(*) FROM (SELECT 1 FROM subscribers_request
        WHERE handled_at IS NULL AND not_before <= %(now)s LIMIT %(most)s) AS requests)"""  # noqa: S608
WAITING = Statement(COUNTED.format(yes=""), COUNTED.format(yes=" = 1"))
FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP")


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics in Prometheus' text format. Raises Http404 to a stranger."""
    if not may_read(request):
        raise Http404
    registry = CollectorRegistry()
    registry.register(Figures(ledger.database_now()))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def may_read(request: HttpRequest) -> bool:
    """Return whether the request has the token, or comes from this machine by no proxy.

    Behind a proxy of this machine that we are not told of, everybody would seem to be local.
    """
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if token := settings.METRICS_TOKEN:
        right = constant_time_compare(given.encode(), token.encode())
        if scheme.lower() == "bearer" and right:
            return True
    forwarded = any(request.META.get(name) for name in FORWARDED)
    return not forwarded and front_end.is_loopback(request.META.get("REMOTE_ADDR", ""))


class Figures(Collector):
    """All metrics as of one instant."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def describe(self) -> Iterable[Metric]:
        """Tell the registry nothing before it collects, so that it asks but once."""
        return ()

    def collect(self) -> Iterator[Metric]:
        version = InfoMetricFamily("dailypapers", "The release that runs.")
        version.add_metric([], {"version": settings.RELEASE})
        yield version
        yield from self.sending()
        yield from self.waiting()
        yield from self.editions()
        yield from self.feedback()
        yield from self.machinery()

    def sending(self) -> Iterator[Metric]:
        speed = throughput.lately(self.now)
        yield gauge(
            "mails_per_second", "Mails accepted, last 5 minutes.", speed.mails_a_second
        )
        yield gauges(
            "recent_outcomes", "Hand-overs of the last 5 minutes.", "verdict", speed.counts
        )
        late = {f"{share}": speed.quantile(share) for share in (0.5, 0.99)}
        told = {share: seconds for share, seconds in late.items() if seconds is not None}
        words = "From due to accepted, last 5 minutes; absent while nothing goes out."
        yield gauges("lateness_seconds", words, "quantile", told)

    def waiting(self) -> Iterator[Metric]:
        """Yield what waits, in one statement: as five, Django took longer than the database."""
        ((oldest, *counts),) = fetch(WAITING, now=self.now, most=MOST)
        age = (self.now - ledger.instant(oldest)).total_seconds() if oldest else 0
        yield gauge("oldest_due_seconds", "Age of the digest that waits longest.", age)
        told = {
            "deliveries_due": "Deliveries that wait to be sent.",
            "deliveries_unknown": "Hand-overs whose outcome is not known.",
            "notices_due": "Single mails that wait.",
            "requests_open": "Forms not handled yet.",
        }
        for (name, words), count in zip(told.items(), counts, strict=True):
            yield gauge(name, f"{words} Counted up to {MOST}.", count)

    def editions(self) -> Iterator[Metric]:
        newest = Edition.objects.order_by("-day", "kind").values_list("hold", flat=True)
        holds = list(newest[:EDITIONS])
        counts = {hold.value: holds.count(hold) for hold in Edition.Hold if hold.value}
        yield gauges("editions_held", "Of the newest editions.", "hold", counts)
        silent = source_days.troubles(self.now)
        words = "Reasons why there are no new papers."
        yield gauge("source_troubles", words, len(silent))

    def feedback(self) -> Iterator[Metric]:
        counts = figures.reports(self.now)
        yield gauges("reports", "Providers' reports of the last 24 hours.", "kind", counts)
        accepted = throughput.accepted_since(self.now, hours=24)
        yield gauge("accepted", "Mails accepted in the last 24 hours.", accepted)
        for name, kind in (("bounce_rate", "bounced"), ("complaint_rate", "complained")):
            # Reports may come on a day on which nothing went out.
            share = counts[kind] / accepted if accepted and counts[kind] >= FEW else 0
            yield gauge(name, f"Share that {kind}; 0 below {FEW} reports.", share)
        domain = parseaddr(settings.FROM_EMAIL)[1].rpartition("@")[2].lower()
        since = (self.now - DMARC_DAYS).date()
        good, bad = domain_reports.totals(
            ReportedCount.Kind.DMARC, since=since, domain=domain
        )
        share = bad / (good + bad) if good + bad >= MANY else 0
        words = f"Mails of our domain that failed DMARC, last days; 0 below {MANY}."
        yield gauge("dmarc_failure_rate", words, share)

    def machinery(self) -> Iterator[Metric]:
        columns = ("loop", "at", "begun_at", "worker_skew", "beat_skew")
        rows = list(Heartbeat.objects.values_list(*columns))
        runs = {
            loop: begun_at if loop in heartbeats.BEGINNING else at
            for loop, at, begun_at, *_ in rows
        }
        ages = {loop: (self.now - at).total_seconds() for loop, at in runs.items() if at}
        yield gauges("heartbeat_age_seconds", "Since a loop last ran.", "loop", ages)
        skews = [skew for loop, _, _, *skew in rows if loop == "tick"]
        told = dict(zip(("worker", "beat"), skews[0], strict=True)) if skews else {}
        words = "By which a clock is ahead of the database's."
        yield gauges("clock_skew_seconds", words, "clock", told)
        resting = BackOff.objects.filter(resting_until__gt=self.now)
        keys = {circuit_breaker.key(name): name for name in relays.configured()}
        rest = set(resting.filter(pk__in=keys).values_list("pk", flat=True))
        each = {name: float(key in rest) for key, name in keys.items()}
        words = "1 while nothing is handed to the relay."
        yield gauges("relay_resting", words, "relay", each)
        domains = up_to(resting.exclude(pk__startswith=BackOff.PROVIDER))
        yield gauge("domains_resting", "Domains that put us off.", domains)
        free = shutil.disk_usage(settings.STATE_DIR.parent).free
        yield gauge("state_disk_free_bytes", "Room on the disk of STATE_DIR.", free)
        if replica.is_configured():
            words = "Age of the replica's newest commit; infinite while it is not read."
            yield gauge("replica_lag_seconds", words, replica.lag())


def gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"dailypapers_{name}", words, value=value)


def gauges(name: str, words: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return a metric with a sample for each value of one label."""
    family = GaugeMetricFamily(f"dailypapers_{name}", words, labels=[label])
    for one, value in values.items():
        family.add_metric([one], value)
    return family


def up_to(rows: QuerySet[Any]) -> int:
    """Count the rows, MOST at most, through the index that they are selected by."""
    return rows.order_by()[:MOST].count()
