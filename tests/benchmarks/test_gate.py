"""What CI holds on to: a mail, and its whole way, stay far cheaper than the obvious one.

The mail in instructions; its way in CPU time, taken in turns, with a wide margin; a worker's
memory in megabytes.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from digest.deliveries import ledger
from digest.deliveries.plan import plan_edition
from digest.deliveries.send import send_due
from digest.ops.load_test import fake_data, null_smtp
from subscribers.models import Subscriber
from tests.benchmarks import building, tutorial
from tests.benchmarks.building import DAY, djangos, ours
from tests.benchmarks.peers import matching_filler
from tests.benchmarks.world import thicken

READERS = 600
TAUGHT = 12


@pytest.mark.gate
@pytest.mark.embedded
def test_a_mail_takes_a_330th_of_the_instructions_that_templates_and_mime_take(tmp_path):
    """Counted, not timed: the same on any machine, however busy."""
    if not shutil.which("valgrind"):
        reason = "no valgrind found: install valgrind to run this test"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    made = [sys.executable, "-m", "tests.benchmarks.building", "make", str(tmp_path)]
    subprocess.run(made, check=True)
    counts = building.instructions(tmp_path)
    assert counts["djangos"] / counts["ours"] >= 330


@pytest.mark.gate
@pytest.mark.embedded
def test_a_worker_has_at_most_a_tenth_more_memory_than_was_measured_and_no_web_pages():
    """Its peak is the same in each run, to a megabyte; the benchmark says what is promised."""
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks", "memory"])
    assert done.returncode == 0


@pytest.mark.django_db
@pytest.mark.embedded
def test_djangos_mail_is_not_made_larger_to_look_slower():
    edition = fake_data.add_edition(DAY, papers=50)
    assert len(djangos(edition)(1)) < 1.2 * len(ours(edition)(1))


@pytest.mark.django_db(transaction=True)
@pytest.mark.embedded
def test_a_digest_costs_a_small_part_of_what_the_tutorials_task_costs(settings):
    now = datetime.now(UTC)
    fake_data.add_readers(READERS, now=now)
    edition = fake_data.add_edition(now.date() - timedelta(days=2), papers=100)
    filler = matching_filler(edition, thicken(edition, 60_000))
    first, *others = Subscriber.objects.order_by("pk").values_list("pk", flat=True)
    with null_smtp.running() as sink:
        settings.MAILER_URL = f"smtp://127.0.0.1:{sink.port}"
        settings.MAILERS = {
            "default": {
                "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
                "OPTIONS": {"host": "127.0.0.1", "port": sink.port},
            }
        }
        tutorial.send(first, edition.pk, filler)
        theirs = cpu_of(lambda: taught(others[:TAUGHT], edition.pk, filler)) / TAUGHT
        left = Subscriber.objects.filter(pk__in=others[TAUGHT:])
        our = cpu_of(lambda: plan_and_send(edition)) / left.count()
    assert sink.mails == READERS
    # 17 to 50 for so few readers, as the edition is loaded and its canary composed for them.
    assert theirs / our > 10


def taught(people: list[int], edition_id: int, filler: int) -> None:
    for pk in people:
        tutorial.send(pk, edition_id, filler)


def plan_and_send(edition) -> None:
    plan_edition(edition, ledger.database_now())
    send_due(ledger.database_now)


def cpu_of(work: Callable[[], object]) -> float:
    """Seconds of CPU of this thread: the server's are not counted."""
    begin = time.thread_time()
    work()
    return time.thread_time() - begin
