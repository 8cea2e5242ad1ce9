"""People who post the sign-up form at a small steady rate while hosts fail.

They are a process of their own, `python -m tests.faults.sign_ups HOST`, which knows the site's
secret: its forms have a stamp and a proof of work. It reads how many shall come a second, a line
each; after an empty line they go on until one who has come since is taken, and it prints what
each was answered. Whether that was true is read from the database and the relays' journals.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from urllib.parse import urlencode

from tests.environment import ROOT
from tests.faults import clocks
from tests.faults.figures import Figure, at_least, at_most
from tests.faults.ledger import Ledger

RATE, HURRY = 2, 20  # a second
STEP = 0.02  # seconds until a new rate holds
PATIENCE = 60.0  # seconds until a person, or the proxy before the site, goes away
PORT = 8000
AT = "@sign-ups.example.org"
TAKEN, REFUSED, BROKEN = "taken", "refused", "broken"
HONEST = {TAKEN, REFUSED, BROKEN}
SAYS = b"What you sent was saved completely or not at all"
SLOWEST = 10.0  # seconds: five, or as long as the web server is frozen
FIRST = 30.0  # seconds from the end of a fault
MAIL = 60.0  # seconds until those who were taken must have mail


@dataclass(frozen=True)
class Visit:
    """What one person was answered, and after how many seconds; `at` is a Unix time."""

    address: str
    at: float
    took: float
    answer: str


@dataclass
class SignUps:
    """What became of those who came in one round.

    `kept` are the addresses that the database knows, `mails` counts what the relays kept for
    each. With an asynchronous standby the last commits may be lost, and people with them.
    """

    visits: list[Visit]
    healed: float
    kept: set[str] = field(default_factory=set)
    mails: Counter[str] = field(default_factory=Counter)
    asynchronous: bool = False

    def answered(self, answer: str) -> set[str]:
        return {one.address for one in self.visits if one.answer == answer}

    def count(self, mails: Counter[str]) -> None:
        """Take over how many came to each of this round's people."""
        ours = {one.address for one in self.visits}
        self.mails = Counter({address: mails[address] for address in ours & mails.keys()})

    @property
    def lost(self) -> set[str]:
        return self.answered(TAKEN) - self.kept

    @property
    def without_mail(self) -> set[str]:
        known = self.answered(TAKEN) & self.kept
        return set() if self.asynchronous else known - set(self.mails)

    @property
    def twice(self) -> set[str]:
        return {address for address, mails in self.mails.items() if mails > 1}

    @property
    def odd(self) -> list[str]:
        return [one.answer for one in self.visits if one.answer not in HONEST]

    @property
    def slowest(self) -> float:
        return max((one.took for one in self.visits), default=0)

    @property
    def first(self) -> float:
        """Seconds from the end of the fault until one who came after it was taken."""
        since = [one for one in self.visits if one.at >= self.healed]
        taken = [one.at + one.took for one in since if one.answer == TAKEN]
        return min(taken, default=self.healed + PATIENCE) - self.healed

    @property
    def words(self) -> str:
        said = Counter(one.answer for one in self.visits)
        return ", ".join(
            [
                f"{len(self.visits)} sign-ups: {said.pop(TAKEN, 0)} taken",
                *(f"{number} {answer}" for answer, number in sorted(said.items())),
                f"{len(self.lost)} lost",
                *([f"{len(self.without_mail)} without mail"] if self.without_mail else []),
                f"{len(self.twice)} mailed twice",
                f"first taken {self.first:.1f} s",
                f"slowest {self.slowest:.1f} s",
            ]
        )


def figures(part: str, rounds: Sequence[SignUps], *, short: bool) -> list[Figure]:
    """What is promised of them."""
    sure = [one for one in rounds if not one.asynchronous]
    posted = sum(len(one.visits) for one in rounds)
    unmailed = sum(len(one.without_mail) for one in rounds)
    odd = sum(len(one.odd) for one in rounds)
    slowest = max(one.slowest for one in rounds)
    first = max(one.first for one in rounds)
    return [
        at_least(part, "sign-ups posted", posted, 5 if short else 300),
        at_most(part, "sign-ups lost", sum(len(one.lost) for one in sure), 0),
        at_most(part, "sign-ups mailed twice", sum(len(one.twice) for one in sure), 0),
        at_most(part, "sign-ups without their mail", unmailed, 0),
        at_most(part, "sign-ups answered neither yes nor no", odd, 0),
        at_most(part, "slowest answer to a sign-up", slowest, SLOWEST, unit=" s"),
        at_most(part, "first sign-up after a fault", first, FIRST, unit=" s"),
    ]


def known(ledger: Ledger) -> set[str]:
    """Who waits in the inbox, or was handled and is to confirm."""
    sql = "SELECT email FROM subscribers_request UNION SELECT email FROM subscribers_subscriber"
    return {address for (address,) in ledger.ask(sql) if address.endswith(AT)}


def pass_time(ledger: Ledger) -> None:
    """As if all waits of requests and of single mails were over, by whatever clock."""
    past = [ledger.instant(minutes=-600)]
    ledger.ask(
        "UPDATE subscribers_request SET not_before = ? WHERE handled_at IS NULL", past
    )
    ledger.ask("UPDATE subscribers_notice SET not_before = ? WHERE state = 'pending'", past)


def became(found: SignUps, ledger: Ledger, mails: Callable[[], Counter[str]]) -> SignUps:
    """Fill in what became of them, once each who was taken has mail or a minute is over.

    Where people may be lost their mails are not waited for.
    """

    def all_have_mail() -> bool:
        pass_time(ledger)
        found.kept = known(ledger)
        found.count(mails())
        return not found.without_mail

    clocks.until(all_have_mail, 0 if found.asynchronous else MAIL)
    return found


# -- the people --------------------------------------------------------------------------------


@dataclass
class People:
    """The process of them, as the harness sees it."""

    process: subprocess.Popen[str]

    def come(self, rate: int) -> None:
        self.tell(f"{rate}")

    def leave(self) -> None:
        """As soon as one who comes from now on is taken; the harness goes on meanwhile."""
        self.tell("")

    def tell(self, word: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def answers(self) -> list[Visit]:
        """Wait until the last has been answered."""
        assert self.process.stdout
        return [Visit(**one) for one in json.loads(self.process.stdout.readline())]


@contextmanager
def people(host: str, env: dict[str, str]) -> Iterator[People]:
    words = [sys.executable, "-m", __name__, host]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, text=True
    ) as made:
        try:
            yield People(made)
        finally:
            made.kill()


class Crowd:
    """One round of them, each a thread that waits for its answer."""

    def __init__(
        self, rate: int, post: Callable[[str], str], numbers: Iterator[int]
    ) -> None:
        self.rate, self.post, self.numbers = rate, post, numbers
        self.over = threading.Event()
        self.visits: list[Visit] = []
        self.threads: list[threading.Thread] = []
        self.gate = threading.Thread(target=self.come, daemon=True)
        self.gate.start()

    def come(self) -> None:
        last = 0.0
        while not self.over.wait(STEP):
            if time.monotonic() < last + 1 / self.rate:
                continue
            last = time.monotonic()
            address = f"visitor{next(self.numbers)}{AT}"
            thread = threading.Thread(target=self.visit, args=[address], daemon=True)
            self.threads.append(thread)
            thread.start()

    def visit(self, address: str) -> None:
        at, began = time.time(), time.monotonic()
        answer = self.post(address)
        self.visits.append(Visit(address, at, time.monotonic() - began, answer))

    def leave(self) -> list[Visit]:
        healed = time.time()

        def served() -> bool:
            return any(
                one.at >= healed and one.answer == TAKEN for one in list(self.visits)
            )

        clocks.until(served, PATIENCE)
        self.over.set()
        for thread in (self.gate, *self.threads):
            thread.join()
        return self.visits


def main(host: str) -> None:
    import django

    django.setup()
    from subscribers import rate_limits
    from tests.benchmarks.inbox import proof

    stamp, key, numbers = rate_limits.stamp(), rate_limits.proof_key(), count()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}

    def post(address: str) -> str:
        form = {"email": address, "topics": "graphs", "opened": stamp, "proof": proof(key)}
        try:
            with closing(http.client.HTTPConnection(host, PORT, timeout=PATIENCE)) as site:
                site.request("POST", "/subscribe/", urlencode(form), kind)
                answer = site.getresponse()
                status, body = answer.status, answer.read()
        except TimeoutError:
            return "not answered"
        except (OSError, http.client.HTTPException):
            return BROKEN
        if status == 303:
            return TAKEN
        return REFUSED if status >= 500 and SAYS in body else f"answered {status}"

    while first := sys.stdin.readline():
        crowd = Crowd(int(first), post, numbers)
        while rate := sys.stdin.readline().strip():
            crowd.rate = int(rate)
        print(json.dumps([asdict(one) for one in crowd.leave()]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
