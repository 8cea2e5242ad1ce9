"""Stage by stage: what each step of one mail's way costs, in one process without Celery."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import batched

from tests.benchmarks import world
from tests.benchmarks.machine import describe, table
from tests.benchmarks.sinks import fast_sink

SLICE = 500
GROUP = 100


@dataclass
class Stage:
    """Seconds and statements so far."""

    client: float = 0.0
    database: float = 0.0
    statements: int = 0


class Stages:
    """Counts CPU of this process and of PostgreSQL, and statements, by stage."""

    def __init__(self, here: world.World) -> None:
        self.here = here
        self.found: dict[str, Stage] = defaultdict(Stage)
        self.statements = 0

    def count[**P, R](
        self, execute: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        self.statements += 1
        return execute(*args, **kwargs)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        client, database = time.process_time(), self.here.database_cpu
        statements = self.statements
        yield
        stage = self.found[name]
        stage.client += time.process_time() - client
        stage.database += self.here.database_cpu - database
        stage.statements += self.statements - statements


def run(*, readers: int = 20_000) -> None:
    """Print µs a mail by stage. The database's clock ticks in hundredths of a second."""
    from django.db import connections

    print(describe())
    with world.world(readers) as here, fast_sink() as sink:
        from django.conf import settings

        settings.MAILER_URL = sink.url
        world.forget_deliveries()
        stages = Stages(here)
        with connections["default"].execute_wrapper(stages.count):
            mails = walk(here, stages)
    rows = [
        [name, f"{stage.client / mails * 1e6:,.1f}", f"{stage.database / mails * 1e6:,.1f}",
         f"{stage.statements / mails * 1000:,.1f}"]
        for name, stage in stages.found.items()
    ]  # fmt: skip
    columns = ["stage", "client µs/mail", "PostgreSQL µs/mail", "statements/1,000"]
    print(table(columns, rows))
    print(describe())


def walk(here: world.World, stages: Stages) -> int:
    """Every reader's mail, one stage of a slice after the other; how many mails."""
    from django.utils import timezone

    from digest.deliveries import ledger
    from digest.deliveries.digests import load
    from digest.deliveries.plan import plan_edition
    from digest.deliveries.transport import open_transport

    with stages.stage("load the edition"):
        load(here.edition.pk)
    with stages.stage("plan"):
        planned = plan_edition(here.edition, timezone.now())
    transport = open_transport()
    while True:
        with stages.stage("claim"):
            claimed = ledger.claim(ledger.database_now(), limit=SLICE)
        if not claimed:
            break
        one_slice(here, stages, claimed, transport)
    transport.close()
    return planned


def one_slice(here: world.World, stages: Stages, claimed, transport) -> None:
    from digest.deliveries import ledger
    from digest.deliveries.digests import digests, load
    from digest.deliveries.mail import Mail
    from digest.deliveries.send import prepared

    ready = load(here.edition.pk)
    with stages.stage("read and rank"):
        slice_digests = list(digests(ready, claimed))
    for batch in batched(slice_digests, GROUP, strict=False):
        now = ledger.database_now()
        group = prepared(ready.encoded, batch, now)
        with stages.stage("compose"):
            contents = {pk: mail.compose() for pk, mail in group.mails.items()}
        with stages.stage("intend"):
            intended = ledger.intend(group.rows, group.picks, now=now)
        mails = [
            Mail(pk, mail.sender, mail.recipient, partial(contents.__getitem__, pk))
            for pk, mail in group.mails.items()
            if pk in intended
        ]
        with stages.stage("hand over"):
            outcomes = dict(transport.hand_over(mails))
        with stages.stage("record"):
            ledger.record(outcomes, group.rows, now=now)
