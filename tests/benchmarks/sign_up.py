"""The sign-up under fire: `uv run python -m tests.benchmarks sign_up`.

A real web server (gunicorn as in production) on PostgreSQL and Redis, asked over HTTP:
1. latency of POST /subscribe/ at a steady 100 requests a second;
2. whether the latency tells states of an address apart: six states × 200 requests,
   shuffled, each pair of samples compared by a two-sample Kolmogorov-Smirnov test;
3. 10,000 sign-ups for one mailbox in 500 spellings: how many mails they bring.
"""

import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from itertools import combinations
from pathlib import Path

from tests import embedded_redis, postgres
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import describe
from tests.environment import DEPLOYMENT, KEYS, ROOT, bare
from tests.ports import free_port, wait_until_it_answers
from tests.subscribers.flood import spellings

# What compose.yaml starts.
SERVER = "-m gunicorn digest.wsgi --preload --worker-class gthread --workers 2 --threads 4"
STATES = ["new", "pending", "active", "unsubscribed", "suppressed", "quota"]
PREPARE = """
from datetime import timedelta
from django.utils import timezone
from subscribers import requests
from subscribers.addresses import address_hash, counting_key
from subscribers.models import Notice, Subscriber, Suppression
from tests.make import reader
for number in range(200):
    for state in ("pending", "active", "unsubscribed"):
        reader(f"{state}{number}@example.org", state=state)
    Suppression.objects.create(email_hash=address_hash(f"suppressed{number}@example.org"),
        reason="blocked", at=timezone.now())
    quota = reader(f"quota{number}@example.org", state="pending")
    for _ in range(3):
        Notice.objects.create(subscriber=quota, kind="confirm", state="accepted",
            mailbox=counting_key(quota.email), created_at=timezone.now(), not_before=timezone.now())
"""
WORK_OFF = """
from datetime import timedelta
from django.utils import timezone
from subscribers import requests
from subscribers.addresses import counting_key
from subscribers.models import Notice
now = timezone.now() + timedelta(minutes=MINUTES)
while requests.handle_open(now=now): pass
print(Notice.objects.filter(mailbox=counting_key("annsmith@example.org")).count())
"""


def manage(code: str, env: dict[str, str]) -> str:
    command = [sys.executable, "manage.py", "shell", "-v0", "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=env, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def post(port: int, email: str) -> float:
    """Seconds that one sign-up takes."""
    body = urllib.parse.urlencode({"email": email, "timezone": "UTC", "send_hour": "7"})
    head = {"Content-Type": "application/x-www-form-urlencoded"}
    started = time.perf_counter()
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/subscribe/", body, head)
    status = connection.getresponse().status
    connection.close()
    assert status == 303, status
    return time.perf_counter() - started


def steady(port: int, *, rate: int, seconds: float) -> list[float]:
    """Latencies of requests that begin when they should, however slow the others are."""
    count = int(rate * seconds)
    begin = time.perf_counter() + 0.2

    def one(number: int) -> float:
        due = begin + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        post(port, f"steady{number}@example.org")
        return time.perf_counter() - due

    with ThreadPoolExecutor(32) as pool:
        return sorted(pool.map(one, range(count)))


def by_state(port: int, *, each: int) -> dict[str, list[float]]:
    asked = [(state, number) for state in STATES for number in range(each)]
    random.shuffle(asked)
    took: dict[str, list[float]] = {state: [] for state in STATES}
    for state, number in asked:
        took[state].append(post(port, f"{state}{number}@example.org"))
    return took


def same_source(a: Sequence[float], b: Sequence[float]) -> float:
    """p of the two-sample Kolmogorov-Smirnov test (asymptotic, Numerical Recipes 14.3)."""
    points = sorted({*a, *b})
    a, b = sorted(a), sorted(b)
    i = j = 0
    distance = 0.0
    for point in points:
        while i < len(a) and a[i] <= point:
            i += 1
        while j < len(b) and b[j] <= point:
            j += 1
        distance = max(distance, abs(i / len(a) - j / len(b)))
    root = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    x = (root + 0.12 + 0.11 / root) * distance
    total = 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, total)) if x > 0.2 else 1.0


def flood(port: int, count: int) -> None:
    names = list(spellings(500))
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: post(port, names[number % 500]), range(count)))


def least_p(port: int) -> float:
    """The chance that latency tells no two states apart, corrected for the number of pairs.

    Bonferroni: of 15 pairs of equal states the least p is below 0.01 in one run of seven.
    """
    samples = by_state(port, each=200)
    pairs = {
        pair: same_source(samples[pair[0]], samples[pair[1]])
        for pair in combinations(STATES, 2)
    }
    worst = min(pairs, key=lambda pair: pairs[pair])
    print(f"least p {pairs[worst]:.4f} ({' and '.join(worst)}) of {len(pairs)} pairs")
    return min(1.0, pairs[worst] * len(pairs))


def measure(port: int, env: dict[str, str], *, seconds: float, posts: int) -> list[Figure]:
    steady(port, rate=20, seconds=2)  # templates are compiled, connections opened
    took = [1000 * one for one in steady(port, rate=100, seconds=seconds)]
    late = took[int(len(took) * 0.99)]
    print(f"{len(took)} posts: half within {statistics.median(took):.1f} ms")
    manage(PREPARE, env)
    least = least_p(port)
    manage(WORK_OFF.replace("MINUTES", "20"), env)
    flood(port, posts)
    # An hour later, when the domain's share is not used up by what came before.
    mails = int(manage(WORK_OFF.replace("MINUTES", "90"), env))
    return [
        Figure("Sign-up POST at 100 a second, 99th percentile, ms", [late], at_most=50),
        Figure("Six states of an address, least p, corrected", [least], at_least=0.01),
        Figure(f"{posts:,} sign-ups for one mailbox, mails", [mails], at_most=3),
    ]


def run(*, seconds: float = 20, posts: int = 10_000) -> list[Figure]:
    """Print and return the figures."""
    print(describe())
    with (
        tempfile.TemporaryDirectory(prefix="dp-") as name,
        postgres.server() as database,
        embedded_redis.server(Path(name)) as (broker, _),
    ):
        folder, port = Path(name), free_port()
        env = bare() | DEPLOYMENT | KEYS
        env |= {"DATABASE_URL": database, "REDIS_URL": broker}
        env |= {"STATE_DIR": name, "STATIC_ROOT": str(folder / "static")}
        for step in (["migrate"], ["collectstatic", "--no-input"]):
            command = [sys.executable, "manage.py", *step, "-v0"]
            subprocess.run(command, cwd=ROOT, env=env, check=True)
        env["SITE_URL"] = f"http://127.0.0.1:{port}"
        web = [sys.executable, *SERVER.split(), "--bind", f"127.0.0.1:{port}"]
        with subprocess.Popen(web, cwd=ROOT, env=env, stderr=subprocess.DEVNULL) as process:
            try:
                wait_for_web(port)
                return measure(port, env, seconds=seconds, posts=posts)
            finally:
                process.terminate()
                process.wait(30)


def wait_for_web(port: int) -> None:
    wait_until_it_answers(port)
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/subscribe/done/")
        assert connection.getresponse().status == 200
