"""A flood from one network at a real stack, and an honest sign-up meanwhile."""

import http.client
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlencode

import pytest

from subscribers import rate_limits
from tests.sink import Sink
from tests.stack import Stack
from tests.subscribers.test_abuse import solved

pytestmark = pytest.mark.embedded
FLOOD, ANN, BOB = "203.0.114.7", "198.51.101.9", "198.51.103.9"
SECONDS, THREADS = 6, 6
FORM = {"topics": "graphs", "timezone": "UTC", "send_hour": "9", "cadence": "daily"}


def sign_up(stack: Stack, email: str, network: str, **more: str) -> tuple[int, float]:
    """Return the status and the seconds that the answer took."""
    head = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Forwarded-For": network,
    }
    body = urlencode(FORM | {"email": email} | more)
    began = time.monotonic()
    with closing(
        http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
    ) as connection:
        connection.request("POST", "/subscribe/", body, head)
        answer = connection.getresponse()
        answer.read()
    return answer.status, time.monotonic() - began


def test_s32_an_honest_sign_up_is_served_in_seconds_under_a_flood(
    stacks: Callable[..., Stack], sink: Sink
) -> None:
    stack = stacks(MAILER_URL=sink.url, BEHIND_PROXY="true").up()
    over = threading.Event()
    answers: list[tuple[int, float]] = []

    def flood(number: int) -> None:
        sent = 0
        while not over.is_set():
            sent += 1
            answers.append(sign_up(stack, f"f{number}-{sent}@example.com", FLOOD))

    threads = [threading.Thread(target=flood, args=[n]) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(SECONDS)
        waited = {}
        challenge = stack.ask("/subscribe/challenge/")[2]
        for email, network, proof in [
            ("ann@example.org", ANN, solved(challenge)),
            ("bob@example.org", BOB, ""),
        ]:
            began = time.monotonic()
            assert sign_up(stack, email, network, proof=proof)[0] == 303
            while not sink.to(email) and time.monotonic() < began + 30:
                time.sleep(0.05)
            waited[email] = time.monotonic() - began
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in answers} == {303}
    with closing(sqlite3.connect(stack.folder / "db.sqlite3")) as database:
        count = "SELECT count(*) FROM subscribers_request WHERE network = '203.0.114.0/24'"
        ((stored,),) = database.execute(count)
    took = [1000 * seconds for _, seconds in answers]
    first, rest = took[: rate_limits.PER_NETWORK], took[rate_limits.PER_NETWORK :]
    print(
        f"{len(answers)} posts, {stored} stored; "
        f"stored {statistics.median(first):.1f} ms, refused {statistics.median(rest):.1f} ms;",
        *(f"{email} after {seconds:.1f} s" for email, seconds in waited.items()),
    )
    assert stored <= rate_limits.PER_NETWORK + THREADS
    assert max(waited.values()) < 10
