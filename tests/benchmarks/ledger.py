"""Where the bytes of a ledger row are, after the product itself has sent editions of it.

Editions lie on top of each other, as in operation, with a vacuum after each: what one leaves
behind the next may use again. Bytes do not depend on how busy the machine is.
"""

import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests import postgres
from tests.benchmarks import machine, world
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import table
from tests.benchmarks.sinks import Sink, fast_sink

if TYPE_CHECKING:
    from digest.models import Edition

# A row's own bytes, and what it takes on the disk with its versions and room for them.
SIZES = """
SELECT 'table', pg_relation_size('digest_delivery')
UNION ALL SELECT indexrelid::regclass::text, pg_relation_size(indexrelid)
FROM pg_index WHERE indrelid = 'digest_delivery'::regclass ORDER BY 2 DESC"""
FOLDED = """
SELECT pg_total_relation_size('digest_foldeddeliveries'),
    pg_total_relation_size('digest_delivery')"""
RELATIONS = """
SELECT pg_relation_filenode(oid), relname FROM pg_class WHERE relkind IN ('r', 'i', 't')"""
# A line of pg_waldump: the record's own bytes, all of them, what it is, of which relation.
RECORD = re.compile(
    r"rmgr: \w+ +len \(rec/tot\): +(\d+)/ +(\d+),.* desc: (\w+)(?:.*?rel \d+/\d+/(\d+))?"
)
UPDATES = """
SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'digest_delivery'"""


def run(*, readers: int = 100_000, rounds: int = 3) -> list[Figure]:
    """Print bytes a row by table, index and column, and WAL bytes a mail, by record."""
    wal, rows = [], 0
    with world.world(readers, mail_size=20_000) as here, fast_sink() as sink:
        for edition in machine.rounds(rounds):
            count, wrote = sent(here, edition_of(here, edition), sink)
            rows += count
            wal.append(wrote.size / count)
            records = [*wrote.by_record(count)]
        sizes = {str(name): int(size) / rows for name, size in asked(SIZES)}
        ((updates, hot),) = asked(UPDATES)
        columns = list(of_columns())
        folding = folded(here, rows)
    print(f"{rows:,} rows of {len(wal)} editions; {hot / updates:.0%} of updates are HOT\n")
    print(table(["part", "bytes a row"], [[k, f"{v:.1f}"] for k, v in sizes.items()]))
    print("\n" + table(["column", "bytes on the average"], columns) + "\n")
    print(table(["WAL of the last edition", "records", "bytes a mail"], records) + "\n")
    print(table(["old deliveries, folded", "each"], folding.rows()) + "\n")
    live = sum(sizes.values())
    return [
        Figure("bytes of a folded delivery", [folding.size], at_most=40),
        Figure("bytes of a ledger row with its indexes", [live], at_most=650),
        Figure("WAL bytes a mail", wal, at_most=1150),
    ]


@dataclass(frozen=True, slots=True)
class Folding:
    """What it takes to fold one delivery, and what it has then. Bytes and CPU microseconds."""

    size: float
    left: float
    client: float
    database: float
    wal: float
    by_reader: float
    by_id: float

    def rows(self) -> list[list[str]]:
        return [
            ["bytes", f"{self.size:.1f}"],
            ["bytes that the ledger still has for it, after a vacuum", f"{self.left:.1f}"],
            ["CPU to fold it, µs: client", f"{self.client:.0f}"],
            ["PostgreSQL", f"{self.database:.0f}"],
            ["WAL bytes", f"{self.wal:.0f}"],
            ["CPU to find those of a reader, ms", f"{self.by_reader * 1000:.1f}"],
            ["one by its id, ms", f"{self.by_id * 1000:.1f}"],
        ]


def folded(here: world.World, rows: int) -> Folding:
    """Fold all of it, months later. Raises AssertionError if something is not folded."""
    from digest.deliveries import ledger, sweep
    from digest.models import folded as archive
    from subscribers.models import Subscriber

    asked("CHECKPOINT")
    before = now()
    client, database = time.process_time(), here.database_cpu
    later = ledger.database_now() + archive.FOLDED_AFTER
    count = sweep.fold_deliveries(later, batches=rows)
    client, database = time.process_time() - client, here.database_cpu - database
    written = Written(before, now()).size
    assert count == rows, f"{count} of {rows} are folded"
    asked("VACUUM (ANALYZE) digest_delivery")
    ((size, left),) = asked(FOLDED)
    reader = Subscriber.objects.order_by("pk").values_list("pk", flat=True)[0]
    looked = [time.process_time()]
    (*_, last) = archive.of_readers(reader)
    looked.append(time.process_time())
    archive.find(last.pk)
    looked.append(time.process_time())
    steps = [end - begin for begin, end in pairwise(looked)]
    cpu = (client / rows * 1e6, database / rows * 1e6)
    return Folding(size / rows, left / rows, *cpu, written / rows, *steps)


def edition_of(here: world.World, number: int) -> "Edition":
    """The edition of that round; each a month before the other, as ids of papers have one."""
    from digest.ops.load_test import fake_data

    if number == 0:
        return here.edition
    day = world.DAY - timedelta(days=31 * number)
    return fake_data.add_edition(day, papers=world.PAPERS, seed=number + 1)


@dataclass(frozen=True, slots=True)
class Written:
    """A stretch of the write-ahead log, from one place to the other."""

    begin: str
    end: str

    @property
    def size(self) -> int:
        ((size,),) = asked(f"SELECT '{self.end}'::pg_lsn - '{self.begin}'")
        return int(size)

    def by_record(self, mails: int, *, least: float = 2.0) -> Iterator[list[str]]:
        """(table or index and record, records and bytes a mail), the most first.

        Images of whole pages, of which the first change after a checkpoint writes one, are
        counted by themselves. What has less than `least` bytes a mail is left out.
        """
        ((folder,),) = asked("SHOW data_directory")
        asked("SELECT pg_switch_wal()")  # so that all of it is in the files
        program = str(postgres.binaries() / "pg_waldump")
        where = ["-p", f"{folder}/pg_wal", "-s", self.begin, "-e", self.end]
        told = subprocess.run([program, *where], check=True, capture_output=True, text=True)
        names = {str(node): name for node, name in asked(RELATIONS)}
        records, sizes = Counter[str](), Counter[str]()
        for found in filter(None, map(RECORD.match, told.stdout.splitlines())):
            whole, own, what, of = int(found[2]), int(found[1]), found[3], found[4]
            name = f"{names.get(of, 'others')} {what}"
            for part, size in ((name, own), (f"{name}, images", whole - own)):
                records[part] += bool(size)
                sizes[part] += size
        for name, size in sizes.most_common():
            if size / mails >= least:
                yield [name, f"{records[name] / mails:.2f}", f"{size / mails:.0f}"]


def now() -> str:
    ((place,),) = asked("SELECT pg_current_wal_lsn()")
    return str(place)


def sent(here: world.World, edition: "Edition", sink: Sink) -> tuple[int, Written]:
    """Plan an edition and let workers send it; how many rows, and the WAL of it."""
    from django.utils import timezone

    from digest.deliveries.plan import plan_edition
    from tests.benchmarks.whole_path import wake_until_end

    with world.celery_workers(sink.url):
        asked("CHECKPOINT")
        before = now()
        count = plan_edition(edition, timezone.now())
        wake_until_end()
        written = Written(before, now())
    asked("VACUUM ANALYZE digest_delivery")
    return count, written


def of_columns() -> Iterator[list[str]]:
    from digest.models import Delivery

    names = [field.column for field in Delivery._meta.concrete_fields if field.column]
    means = ", ".join(f"avg(pg_column_size({name}))" for name in names)
    (found,) = asked(f"SELECT {means}, avg(pg_column_size(d.*)) FROM digest_delivery d")
    for name, mean in zip([*names, "the whole row"], found, strict=True):
        yield [name, f"{mean:.1f}"]


def asked(sql: str) -> list[tuple[Any, ...]]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []
