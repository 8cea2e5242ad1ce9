"""The operator's pages on a large database: how long each takes, and how many queries.

PostgreSQL is filled by its own statements, as a million readers and ten million deliveries
made one by one would take an hour. Half of the newest edition still waits, which is when
operators look. Pages are asked for in this process, so that their time is Django's and the
database's alone.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import describe
from tests.benchmarks.world import close_connections
from tests.environment import DEPLOYMENT, KEYS, bare
from tests.postgres import server

if TYPE_CHECKING:
    from django.db.models import Model
    from django.test import Client

HOST = "127.0.0.1"
NOW = datetime.now(UTC)
ONE = "md5('a' || n) || md5('b' || n)"  # a hash of 64 hex digits
TOKEN = "left(md5('t' || n), 22)"
# Rows for each reader, or for each delivery, by what they are.
STATE = """(CASE WHEN n % 50 = 0 THEN 'unsubscribed' WHEN n % 50 = 1 THEN 'paused'
WHEN n % 50 = 2 THEN 'pending' ELSE 'active' END)"""
ENDED = """(CASE WHEN n % 100 = 0 THEN 'refused' WHEN n % 100 = 1 THEN 'skipped'
WHEN n % 100000 = 2 THEN 'unknown' ELSE 'accepted' END)"""
REASON = "(CASE WHEN n % 100 = 0 THEN 'no mailbox' WHEN n % 100 = 1 THEN 'no longer subscribed' ELSE '' END)"
LATELY = "now() - (n % 40) * interval '1 day'"
SINCE = "now() - (n % 1000) * interval '1 day'"  # readers of three years


def run(
    *, readers: int = 1_000_000, deliveries: int = 10_000_000, rounds: int = 20
) -> list[Figure]:
    """Fill a database and time each page."""
    print(describe())
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dp-b-"))
        clean = bare() | KEYS | DEPLOYMENT | {"STATE_DIR": folder}
        clean["DATABASE_URL"] = stack.enter_context(server())
        os.environ.clear()
        os.environ.update(clean, DJANGO_SETTINGS_MODULE="digest.settings")
        begin = time.perf_counter()
        fill(readers, deliveries)
        stack.callback(close_connections)
        took = time.perf_counter() - begin
        print(f"{readers:,} readers and {deliveries:,} deliveries in {took:,.0f} s")
        return list(measured(rounds))


# -- filling ---------------------------------------------------------------------------------


def fill(readers: int, deliveries: int) -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET session_replication_role = replica")
    add_readers(readers)
    add_deliveries(readers, deliveries)
    add_the_rest(readers)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("VACUUM ANALYZE")
    from digest.deliveries import counts

    begin = time.perf_counter()
    counts.refresh(NOW)  # as the worker does every half minute
    print(
        f"what the worker counts anew, if all of it is old: {time.perf_counter() - begin:.1f} s"
    )


def copies(model: "type[Model]", template: "Model", count: int, **columns: str) -> None:
    """Insert `count` copies of a stored row; `columns` are SQL of the number n."""
    from django.db import connection

    names = [
        field.column
        for field in model._meta.concrete_fields
        if field.column and not field.primary_key and not field.generated
    ]
    values = [columns.get(name, f't."{name}"') for name in names]
    table, quoted = model._meta.db_table, ", ".join(f'"{name}"' for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{table}" ({quoted}) SELECT {", ".join(values)}'
            f' FROM "{table}" t, generate_series(1, {count}) n WHERE t.id = {template.pk}'
        )
        cursor.execute(f'DELETE FROM "{table}" WHERE id = {template.pk}')


def add_readers(count: int) -> None:
    from subscribers.models import ConsentEvent, Notice, Schedule, Subscription, Topic
    from tests import make

    zones = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Asia/Kolkata")
    schedules = [make.schedule(zone, hour) for zone in zones for hour in range(24)]
    first = Schedule.objects.order_by("pk").values_list("pk", flat=True)[0]
    topic, several = Topic.objects.order_by("pk")[0], Topic.objects.count()
    one = make.reader("a@example.org", topic.slug)
    link = Subscription.objects.get(subscriber=one)
    notice = Notice.objects.create(
        subscriber=one, kind="confirm", state="accepted", created_at=NOW, not_before=NOW
    )
    receipt = ConsentEvent(
        subscriber=one, email_hash="", kind="confirmed", at=NOW, wording="1", source="/"
    )
    receipt.save()
    at = one.pk  # ids go on from there, one by one
    who = f"{at} + n"
    failed = "(CASE WHEN n % 1000 = 0 THEN 'refused' ELSE 'accepted' END)"
    left = "(CASE WHEN n % 50 = 0 THEN 'unsubscribed' ELSE 'confirmed' END)"
    copies(
        type(one),
        one,
        count,
        email="'r' || n || '@d' || n % 977 || '.example.org'",
        email_hash=ONE,
        unsubscribe_token=TOKEN,
        state=STATE,
        schedule_id=f"{first} + n % {len(schedules)}",
    )
    copies(
        Subscription,
        link,
        count,
        subscriber_id=who,
        topic_id=f"{topic.pk} + n % {several}",
    )
    copies(
        Notice,
        notice,
        count,
        subscriber_id=who,
        mailbox=ONE,
        state=failed,
        created_at=LATELY,
        not_before=LATELY,
    )
    copies(
        ConsentEvent,
        receipt,
        count,
        subscriber_id=who,
        email_hash=ONE,
        kind=left,
        at=SINCE,
    )


def add_deliveries(readers: int, deliveries: int) -> None:
    from digest.models import Delivery, DeliveryEvent
    from subscribers.models import Subscriber
    from tests import make

    first = Subscriber.objects.order_by("pk").values_list("pk", flat=True)[0]
    days = max(deliveries // readers, 1)
    for back in range(days, 0, -1):
        day = (NOW - timedelta(days=back)).date()
        edition = make.edition({make.paper(back, day=day): {"graphs": 1.0}}, day=day)
        row = Delivery.objects.create(
            edition=edition,
            subscriber=None,
            due_at=NOW - timedelta(days=back - 1),
            not_before=NOW - timedelta(days=back - 1),
            expires_at=NOW + timedelta(days=1),
            intent_at=NOW,
            outcome_at=NOW,
        )
        waits = f"(CASE WHEN n % 2 = 0 THEN 'pending' ELSE {ENDED} END)"
        state = ENDED if back > 1 else waits
        copies(
            Delivery,
            row,
            deliveries // days,
            subscriber_id=f"{first - 1} + n",
            state=state,
            reason=REASON,
        )
    newest = Delivery.objects.filter(edition=edition)[0]
    event = DeliveryEvent.objects.create(
        delivery=newest, at=NOW, source="provider", kind="bounced"
    )
    copies(
        DeliveryEvent,
        event,
        readers // 10,
        delivery_id=f"{newest.pk} + n",
        email_hash=ONE,
        kind="(CASE WHEN n % 10 = 0 THEN 'bounced' ELSE 'delivered' END)",
        at="now() - (n % 40) * interval '1 hour'",
        event_key=ONE,
    )


def add_the_rest(readers: int) -> None:
    from digest.models import Act, BackOff, ReportedCount
    from subscribers.models import Suppression

    bar = Suppression.objects.create(email_hash="x", reason="bounced", at=NOW)
    copies(Suppression, bar, readers // 50, email_hash=ONE)
    act = Act(at=NOW, who="ann", what="pause", kind="digest.edition", row="1")
    act.save()
    copies(Act, act, 10_000, row="n::text", at=LATELY)
    day = NOW.date()
    told = ReportedCount.objects.create(
        kind="dmarc", reporter="google.com", name="r", day=day, domain=HOST,
        source="192.0.2.1", passed=True, count=100,
    )  # fmt: skip
    copies(ReportedCount, told, 20_000, name="'r' || n", source="'192.0.2.' || n % 250")
    until = NOW + timedelta(hours=1)
    BackOff.objects.bulk_create(
        BackOff(name=f"d{number}.example", resting_until=until, changed_at=NOW)
        for number in range(500)
    )


# -- measuring -------------------------------------------------------------------------------


def pages() -> dict[str, str]:
    """Return each page's address by its name."""
    from django.urls import reverse

    from digest.models import Edition
    from subscribers.models import Subscriber

    edition = Edition.objects.order_by("-day")[0].pk
    reader = Subscriber.objects.order_by("-pk")[0]
    plain = (
        "today charts editions readers suppressions relays unknown notices imports reports"
    )
    found = {
        name: reverse(f"console_{name}")
        for name in f"{plain} settings audit".split()
        if name != "imports"
    }
    found |= {"edition": reverse("console_edition", args=[edition])}
    found |= {"reader": reverse("console_reader", args=[reader.pk])}
    listed, notices = found["readers"], found["notices"]
    for query in ("state=paused", "topic=rl", "state=pending&topic=rl"):
        found[f"readers, {query}"] = f"{listed}?{query}"
    found["readers, by address"] = f"{listed}?q={reader.email}"
    found["readers, page 2,000"] = f"{listed}?before={reader.pk - 100_000}"
    found["notices, failed"] = f"{notices}?state=failed"
    found["notices, due"] = f"{notices}?state=due"
    return found | {"metrics": reverse("metrics")}


def measured(rounds: int) -> Iterator[Figure]:
    """Yield each page's 95th percentile in ms, and the most queries of any page.

    Where other processes keep the machine busy, the CPU of Django and its database tells more.
    """
    import_module(
        "digest.wsgi"
    )  # as in a web process, the collector passes over what is loaded
    client, most = logged_in(), 0
    backend = backend_pid()
    for name, path in pages().items():
        walls, cpus = [], []
        with counted() as queries:
            get(client, path)
        most = max(most, len(queries))
        for _ in range(rounds):
            begin, used = time.perf_counter(), time.process_time() + cpu_of(backend)
            get(client, path)
            walls.append((time.perf_counter() - begin) * 1000)
            cpus.append((time.process_time() + cpu_of(backend) - used) * 1000)
        late, cpu = (sorted(times)[int(len(times) * 0.95)] for times in (walls, cpus))
        slow = [
            f"{took * 1000:.0f} ms  {sql[:300]}" for took, sql in queries if took > 0.05
        ]
        print(f"{name}: {len(queries)} queries", *slow, sep="\n  ", flush=True)
        limit = {"today": 300, "metrics": 20}.get(name, 150)
        yield Figure(f"{name}, p95 ms", [late], at_most=limit)
        yield Figure(f"{name}, p95 ms of CPU", [cpu])
    yield Figure("queries of a page at most", [most])


def backend_pid() -> int:
    """Return the process of PostgreSQL that serves this one."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that a process has used, to a hundredth."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def logged_in() -> "Client":
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client(headers={"host": HOST})
    client.force_login(User.objects.create_superuser("owner"))
    return client


def get(client: "Client", path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)


@contextmanager
def counted() -> Iterator[list[tuple[float, str]]]:
    """Collect the seconds and the SQL of each query."""
    from django.db import connection

    seen: list[tuple[float, str]] = []

    def note(execute, sql, params, many, context):
        begin = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            seen.append((time.perf_counter() - begin, sql))

    with connection.execute_wrapper(note):
        yield seen
