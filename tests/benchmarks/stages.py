"""Stage by stage: what each step of one mail's way costs, in one process without Celery.

The sender itself runs; its steps are timed from outside. On one connection, so that no
two steps happen at once. A step's time is its own, without the steps within it.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any
from unittest import mock

from tests.benchmarks import world
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import describe, table
from tests.benchmarks.sinks import fast_sink

REST = "everything else"


@dataclass
class Stage:
    """CPU seconds and statements so far."""

    client: float = 0.0
    database: float = 0.0
    statements: int = 0


class Stages:
    """Counts CPU of this process and of PostgreSQL, and statements, by stage."""

    def __init__(self, here: world.World) -> None:
        self.here = here
        self.found: dict[str, Stage] = defaultdict(Stage)
        self.stack = [REST]
        self.database = here.database_cpu
        self.client = time.process_time()

    @contextmanager
    def stage(self, name: str, *, database: bool = True) -> Iterator[None]:
        self.charge(database)
        self.stack.append(name)
        try:
            yield
        finally:
            self.charge(database)
            self.stack.pop()

    def charge(self, database: bool) -> None:
        """What was used since the last time is the present stage's; looking is nobody's."""
        stage = self.found[self.stack[-1]]
        stage.client += time.process_time() - self.client
        if database:
            now = self.here.database_cpu
            stage.database += now - self.database
            self.database = now
        self.client = time.process_time()

    def count(self, execute: Callable[..., Any], *args: Any) -> Any:
        self.found[self.stack[-1]].statements += 1
        return execute(*args)

    def timed(
        self, name: str, function: Callable[..., Any], *, database: bool = True
    ) -> Callable[..., Any]:
        @wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name, database=database):
                found = function(*args, **kwargs)
                return iter(list(found)) if isinstance(found, Iterator) else found

        return inner


def run(*, readers: int = 20_000) -> list[Figure]:
    """Print µs a mail by stage; there is nothing to promise."""
    from django.db import connections

    print(describe())
    with world.world(readers) as here, fast_sink() as sink:
        from django.conf import settings

        settings.MAILER_URL = sink.url
        world.forget_deliveries()
        stages = Stages(here)
        with connections["default"].execute_wrapper(stages.count), watched(stages):
            mails = walk(here, stages)
    everything = Stage(
        sum(stage.client for stage in stages.found.values()),
        sum(stage.database for stage in stages.found.values()),
        sum(stage.statements for stage in stages.found.values()),
    )
    rows = [
        [name, f"{stage.client / mails * 1e6:,.1f}", f"{stage.database / mails * 1e6:,.1f}",
         f"{stage.statements / mails * 1000:,.1f}"]
        for name, stage in [*stages.found.items(), ("all", everything)]
    ]  # fmt: skip
    columns = ["stage", "client µs/mail", "PostgreSQL µs/mail", "statements/1,000"]
    print(table(columns, rows) + "\n")
    return []


@contextmanager
def watched(stages: Stages) -> Iterator[None]:
    """The sender's steps, each a stage while this lasts."""
    from digest.deliveries import ledger, send
    from digest.editions.compose import EncodedEdition
    from digest.transport.smtp import Smtp

    steps = [(ledger, name) for name in ("claim", "intend", "record", "finish")]
    with ExitStack() as stack:
        for owner, name, stage, database in [
            *((owner, name, name, True) for owner, name in steps),
            (ledger, "database_now", "read the clock", True),
            (send, "composed", "load the edition", True),
            (send, "select", "read and rank", True),
            (EncodedEdition, "compose", "compose", False),
            (Smtp, "hand_over", "hand over", False),
        ]:
            step = stages.timed(stage, getattr(owner, name), database=database)
            stack.enter_context(mock.patch.object(owner, name, step))
        yield


def walk(here: world.World, stages: Stages) -> int:
    """Everybody's mail by one sender; how many."""
    from django.utils import timezone

    from digest.deliveries.ledger import DatabaseClock
    from digest.deliveries.plan import plan_edition
    from digest.deliveries.send import send_due
    from digest.ranking.loaded import load

    load.cache_clear()
    with stages.stage("plan"):
        planned = plan_edition(here.edition, timezone.now())
    tally = send_due(DatabaseClock())
    assert tally["accepted"] + tally["skipped"] == planned, tally
    with stages.stage(REST):
        return planned
