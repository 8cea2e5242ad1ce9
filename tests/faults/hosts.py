"""A deployment on nine hosts, whose links and hosts fail while readers come due.

Web server, two hosts with a worker and a beat each, by clocks that are minutes apart, Redis,
PgBouncer, a PostgreSQL that streams to a standby, two relays. Readers come due round by round;
as soon as the first has mail a link is cut, slow, deaf in one direction or lossy, or a host is
frozen, killed, moved or replaced by its standby, for some seconds. What the relays kept is
compared with the ledger at the end: it has each mail once, whatever happened. While a fault
lasts that a sign-up crosses, people post the form: see sign_ups.py.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from digest.ops.stack.broker import server_binary, server_command
from tests import postgres
from tests.environment import ROOT
from tests.faults import clocks, network, sign_ups
from tests.faults.figures import Figure, at_least, at_most, nothing_wrong
from tests.faults.invariants import broken
from tests.faults.ledger import OPEN, Ledger, Row
from tests.faults.network import CUT, SOUND, Network, Wire
from tests.faults.outside import lines
from tests.faults.parts import CELERY, Part
from tests.faults.scene import Scene, scene
from tests.faults.sign_ups import People, SignUps

WORKERS = {"worker1": -120.0, "worker2": 180.0}  # seconds by which their clocks are wrong
SENDERS = 2  # on each of them
GROUP = 5
SHARE = 40  # readers who come due in a round
RATE = 6  # mails a second: each sender takes few at once, so that all of them are at work
LASTS = 6.0  # seconds that a fault lasts
TRIES = 3
IN_FLIGHT = 5.0  # seconds in which a mail that is on the line comes to its end
PATIENCE = 90.0  # seconds until all of a round must have ended
FIRST_MAIL = 30.0  # seconds from the end of a fault
QUARANTINED = "quarantined after a restore"
LINKS = [
    ("worker1", "pool"),
    ("worker2", "pool"),
    ("worker1", "redis"),
    ("worker2", "redis"),
    ("worker1", "relay1"),
    ("worker2", "relay2"),
    ("web", "pool"),
    ("pool", "db1"),
    ("db1", "db2"),
]
# A sign-up needs them; the last stands for what wakes the workers, in the short run, too.
CROSSED = ("web", "pool", "db1 frozen", "primary", "redis", "worker1 - redis cut")
WAYS = {
    "cut": (CUT, CUT),
    "slow": (Wire(delay=0.3), Wire(delay=0.3)),
    "deaf there": (CUT, SOUND),
    "deaf back": (SOUND, CUT),
    "lossy": (Wire(loss=0.2), Wire(loss=0.2)),
}
HOSTS = [*WORKERS, "redis", "pool", "db1", "relay1", "web"]


@dataclass
class Round:
    """One fault: seconds from its end to the first mail, if any was left, and to the last."""

    name: str
    first: float | None
    all: float
    unknown: int
    quarantined: int
    missed: int = 0  # mails that left and of which the standby knew nothing
    recorded: int = 0  # outcomes, from a copy of a lost machine's folder
    told: list[str] = field(default_factory=list)
    sign_ups: SignUps | None = None

    @property
    def words(self) -> str:
        first = (
            "nothing was left" if self.first is None else f"first mail {self.first:.1f} s"
        )
        ends = [
            f"{self.unknown} unknown" if self.unknown else "",
            f"{self.recorded} recorded" if self.recorded else "",
            f"{self.quarantined} set aside, {self.missed} of them sent"
            if self.quarantined
            else "",
        ]
        said = f"; {self.sign_ups.words}" if self.sign_ups else ""
        words = [first, f"last {self.all:.1f} s", *ends, *self.told]
        return ", ".join(filter(None, words)) + said


@dataclass
class Server:
    """A PostgreSQL on a host of its own, in a folder whose socket's path is short."""

    net: Network
    host: str
    home: Path
    part: Part | None = None

    @property
    def data(self) -> Path:
        return self.home / "data"

    def command(self, program: str, *words: str) -> list[str]:
        """As nobody, since it refuses to run as root."""
        folder = postgres.installed()
        assert folder
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        return self.net.command(self.host, [*user, str(folder / program), *words])

    def run(self, program: str, *words: str) -> None:
        surroundings = postgres.surroundings(self.home)
        command = self.command(program, *words)
        done = subprocess.run(
            command, cwd=self.home, env=surroundings, capture_output=True, text=True
        )
        assert not done.returncode, f"{program}: {done.stderr[-500:]}"

    def make(self) -> None:
        self.run(
            "initdb", "-D", f"{self.data}", "-U", "postgres", "-A", "trust", "-E", "utf8"
        )
        with open(self.data / "pg_hba.conf", "a") as file:
            file.write(f"host all,replication all {network.NET}.0/24 trust\n")
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(
                "listen_addresses = '*'\nmax_connections = 60\nwal_keep_size = '512MB'\n"
                "wal_receiver_timeout = 5s\nwal_sender_timeout = 5s\n"
                "wal_retrieve_retry_interval = 500ms\ntcp_user_timeout = 5s\n"
                "tcp_keepalives_idle = 3\ntcp_keepalives_interval = 1\n"
            )

    def copy(self, other: "Server") -> None:
        """Become the standby of another."""
        shutil.rmtree(self.data, ignore_errors=True)
        from_there = f"host={self.net.address(other.host)} user=postgres connect_timeout=2"
        self.run(
            "pg_basebackup", "-d", from_there, "-D", f"{self.data}", "-R", "-c", "fast"
        )

    def start(self) -> None:
        words = self.command("postgres", "-D", f"{self.data}", "-k", f"{self.home}")
        env = postgres.surroundings(self.home)
        self.part = Part(self.host, words, env, self.home, death=signal.SIGKILL)
        self.part.start(self.home)
        assert self.part.process
        postgres.wait(self.part.process, self.home)

    @property
    def ledger(self) -> Ledger:
        """By its socket, which no fault of the network concerns."""
        return Ledger(postgres.url(self.home))

    def promote(self) -> None:
        self.run("pg_ctl", "promote", "-D", f"{self.data}", "-w")

    def wait_for(self, standby: "Server") -> None:
        """Until the standby has replayed all that is written by now."""
        (at,) = self.ledger.ask("SELECT pg_current_wal_lsn()::text")[0]
        sql = "SELECT pg_last_wal_replay_lsn() >= ?::pg_lsn"
        came = clocks.until(lambda: standby.ledger.ask(sql, [at])[0][0], 30)
        assert came, "the standby does not follow"


@dataclass
class Bed:
    """The whole of it."""

    net: Network
    folder: Path
    played: Scene
    primary: Server
    standby: Server
    parts: dict[str, list[Part]]
    people: People
    share: int = SHARE
    lasts: float = LASTS
    sign_up_rate: int = sign_ups.RATE
    ids: list[int] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)

    def journal(self) -> list[tuple[str, str]]:
        """When and for whom, of each mail that a relay kept."""
        folders = [self.folder / relay for relay in ("relay1", "relay2")]
        kept = [line for folder in folders for line in lines(folder / "journal.jsonl")]
        return [(line["at"], line["rcpt"][0]) for line in kept]

    def arrived(self) -> list[tuple[float, str]]:
        """Of the digests."""
        return sorted(
            (datetime.fromisoformat(at).timestamp(), address)
            for at, address in self.journal()
            if not address.endswith(sign_ups.AT)
        )

    def to_confirm(self) -> Counter[str]:
        """How many mails to confirm a sign-up arrived, for each who signed up."""
        return Counter(who for _, who in self.journal() if who.endswith(sign_ups.AT))

    def begun(self) -> list[float]:
        """When the hand-over of each digest began, accepted or not."""
        folders = [self.folder / relay for relay in ("relay1", "relay2")]
        some = [line for folder in folders for line in lines(folder / "begun.jsonl")]
        return [line["at"] for line in some if not line["rcpt"].endswith(sign_ups.AT)]

    def release(self, *, later: float = 0) -> list[int]:
        """Let the next readers come due, in so many seconds; return their rows."""
        ids, self.ids = self.ids[: self.share], self.ids[self.share :]
        assert ids, "there are too few readers for so many rounds"
        self.primary.ledger.ask(
            "UPDATE digest_delivery SET due_at = now(),"
            " not_before = now() + make_interval(secs => ?) WHERE id BETWEEN ? AND ?",
            [later, ids[0], ids[-1]],
        )
        return ids

    def open_rows(self, ids: Sequence[int]) -> int:
        marks = ", ".join(f"'{state}'" for state in OPEN)
        sql = f"SELECT count(*) FROM digest_delivery WHERE state IN ({marks})"
        return int(
            self.primary.ledger.ask(f"{sql} AND id BETWEEN ? AND ?", [ids[0], ids[-1]])[0][
                0
            ]
        )

    def sent_but_due(self, ids: Sequence[int]) -> list[int]:
        """Rows whose mail a relay has, and which the database would send."""
        sent = {address for _, address in self.arrived()}
        return [
            row.id
            for row in self.primary.ledger.rows()
            if ids[0] <= row.id <= ids[-1]
            and row.state in ("pending", "claimed")
            and row.address in sent
        ]

    def keep(self) -> None:
        for part in (one for some in self.parts.values() for one in some):
            part.keep()

    def refusals(self) -> int:
        """How often senders have said that they refuse."""
        logs = [self.parts[host][0].log.read_text(errors="replace") for host in WORKERS]
        return sum(log.count("sending is refused") for log in logs)

    def wait_for_mail(self, than: int, seconds: float = 30) -> bool:
        return clocks.until(lambda: len(self.arrived()) > than, seconds)

    def settle(self, ids: Sequence[int]) -> float:
        """Seconds until none of these rows is open. Leases are cut short after a while."""
        began = passed = time.monotonic()
        while self.open_rows(ids) and time.monotonic() < began + PATIENCE:
            time.sleep(0.2)
            self.keep()
            if time.monotonic() > max(passed + 5, began + 20):
                self.primary.ledger.pass_time()
                self.hold()
                passed = time.monotonic()
        return time.monotonic() - began

    def hold(self) -> None:
        """Nobody of later rounds is due yet."""
        if self.ids:
            later = self.primary.ledger.instant(minutes=600)
            self.primary.ledger.ask(
                "UPDATE digest_delivery SET due_at = ?, not_before = ?"
                " WHERE id BETWEEN ? AND ?",
                [later, later, self.ids[0], self.ids[-1]],
            )

    def note(self, name: str, ids: Sequence[int], healed: float, missed: int = 0) -> Round:
        seconds = self.settle(ids)
        left = [at for at, _ in self.arrived() if at > healed]
        sql = "SELECT reason FROM digest_delivery WHERE state = 'unknown' AND id BETWEEN ? AND ?"
        reasons = [why for (why,) in self.primary.ledger.ask(sql, [ids[0], ids[-1]])]
        set_aside = reasons.count(QUARANTINED)
        first = left[0] - healed if left else None
        found = Round(name, first, seconds, len(reasons) - set_aside, set_aside, missed)
        self.rounds.append(found)
        return found

    def suffer(
        self, name: str, begin: Callable[[], object], end: Callable[[], object]
    ) -> None:
        """One round: the fault strikes as soon as the first of it has mail."""
        ids, crossed = self.begin_round(), name.startswith(CROSSED)
        if crossed:
            self.let_people_come()
        begin()
        time.sleep(self.lasts)
        end()
        healed = time.time()
        if crossed:
            self.people.leave()
        found = self.note(name, ids, healed)
        if crossed:
            found.sign_ups = self.signed_up(healed)
        print(f"  {name}: {found.words}", flush=True)

    def let_people_come(self) -> None:
        """As soon as the web server answers, which may just have been started."""
        clocks.until(lambda: "no answer" not in self.readiness())
        self.people.come(self.sign_up_rate)

    def signed_up(self, healed: float, *, asynchronous: bool = False) -> SignUps:
        found = SignUps(self.people.answers(), healed, asynchronous=asynchronous)
        return sign_ups.became(found, self.primary.ledger, self.to_confirm)

    def begin_round(self) -> list[int]:
        """Release readers and wait until the first has mail; return their rows."""
        before, ids = len(self.arrived()), self.release()
        self.wake()
        self.wait_for_mail(before)
        return ids

    def wake(self) -> None:
        """Start what has not been started: the first tick of a beat comes at once."""
        for some in self.parts.values():
            for one in some:
                if one.process is None:
                    one.start()

    def signal(self, host: str, what: signal.Signals) -> None:
        for pid in self.net.processes(host):
            os.kill(pid, what)

    def die(self, host: str) -> None:
        for part in self.parts[host]:
            part.kill()

    def start(self, host: str) -> None:
        for part in self.parts[host]:
            part.start()

    def readiness(self) -> str:
        address = f"http://{self.net.address('web')}:8000/readyz"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError as error:
            return f"no answer: {error}"


# -- the parts ---------------------------------------------------------------------------------


def part(
    net: Network, host: str, words: Sequence[str], env: dict[str, str], home: Path
) -> Part:
    return Part(host, net.command(host, words), env, home)


def pool(net: Network, home: Path, server: Server) -> Part:
    """PgBouncer before that server; it pools by session, as the oldest that knows it."""
    settings = home / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\npostgres = host={net.address(server.host)} user=postgres\n"
        "[pgbouncer]\nlisten_addr = *\nlisten_port = 6432\nauth_type = any\n"
        "unix_socket_dir =\nmax_client_conn = 200\ndefault_pool_size = 40\n"
        "ignore_startup_parameters = extra_float_digits,options\n"
        "server_connect_timeout = 3\nserver_login_retry = 1\nquery_wait_timeout = 10\n"
        "tcp_keepidle = 3\ntcp_keepintvl = 1\ntcp_keepcnt = 3\n"
    )
    settings.chmod(0o644)
    user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    program = shutil.which("pgbouncer") or "pgbouncer"
    return part(net, "pool", [*user, program, "-q", f"{settings}"], dict(os.environ), home)


def redis(net: Network, home: Path, env: dict[str, str]) -> Part:
    words = server_command(server_binary(), socket=home / "redis.sock", folder=home)
    words[words.index("--port") + 1] = "6379"
    more = ["--bind", net.address("redis"), "--protected-mode", "no"]
    return part(net, "redis", [*words, *more], env, home)


def relay(net: Network, host: str, home: Path, env: dict[str, str]) -> Part:
    folder = home / host
    folder.mkdir(exist_ok=True)
    (folder / "pace").write_text("0 0.15")  # a round lasts some seconds
    words = [
        sys.executable,
        "-m",
        "tests.smtp_sink",
        "--folder",
        f"{folder}",
        "--port",
        "25",
    ]
    return part(net, host, [*words, "--host", net.address(host)], env, home)


def worker(net: Network, host: str, home: Path, env: dict[str, str]) -> list[Part]:
    """A worker and a beat on that host, with a STATE_DIR and a clock of its own."""
    state = home / host
    state.mkdir(exist_ok=True)
    own = env | {"STATE_DIR": f"{state}", "PYTHONPATH": f"{ROOT}"}
    how = [
        "worker",
        "--pool",
        "prefork",
        "--concurrency",
        f"{SENDERS}",
        "--loglevel",
        "INFO",
    ]
    made = [
        Part(f"{host} worker", [*CELERY, *how, "--without-mingle"], own, home),
        Part(f"{host} beat", [*CELERY, "beat", "--pidfile="], own, home),
    ]
    shifted = [clocks.by_its_own_clock(one, f"{WORKERS[host]}") for one in made]
    return [Part(one.name, net.command(host, one.command), own, home) for one in shifted]


def web(net: Network, home: Path, env: dict[str, str]) -> Part:
    words = f"-m gunicorn digest.wsgi --preload --bind {net.address('web')}:8000"
    how = "--worker-class gthread --workers 1 --threads 4 --no-control-socket"
    state = home / "web"
    state.mkdir(exist_ok=True)
    own = env | {"STATE_DIR": f"{state}"}
    return part(net, "web", [sys.executable, *words.split(), *how.split()], own, home)


@contextmanager
def running(folder: Path, readers: int) -> Iterator[Bed]:
    with ExitStack() as stack:
        hosts = ["web", *WORKERS, "redis", "pool", "db1", "db2", "relay1", "relay2"]
        net = stack.enter_context(network.network(*hosts))
        folder.mkdir(parents=True, exist_ok=True)
        folder.parent.chmod(0o755)  # PgBouncer reads its settings as nobody
        servers = []
        for host in ("db1", "db2"):
            home = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
            stack.callback(shutil.rmtree, home, ignore_errors=True)
            shutil.chown(home, "nobody", "nogroup")
            servers.append(Server(net, host, home))
        primary, standby = servers
        primary.make()
        primary.start()
        for one in servers:
            stack.callback(kill, one)
        standby.copy(primary)
        standby.start()
        relays = [f"smtp://{net.address(host)}:25" for host in ("relay1", "relay2")]
        env = {
            "SITE_URL": f"http://{net.address('web')}:8000",
            "REDIS_URL": f"redis://{net.address('redis')}:6379/0",
            "MAILER_URL": relays[0],
            "RELAYS": f"second={relays[1]}",
            "SUBMIT_GROUP": f"{GROUP}",
            "SEND_CONNECTIONS": "1",
            "SEND_RATE": f"{RATE}",
        }
        address = f"postgresql://postgres@{net.address('pool')}:6432/postgres"
        played = scene(folder, env, database=address)
        short = Path(tempfile.mkdtemp(prefix="hosts-", dir="/tmp"))
        stack.callback(shutil.rmtree, short, ignore_errors=True)
        short.chmod(0o755)
        every = {
            "pool": [pool(net, short, primary)],
            "redis": [redis(net, short, played.env)],
            **{
                host: [relay(net, host, short, played.env)] for host in ("relay1", "relay2")
            },
            **{host: worker(net, host, short, played.env) for host in WORKERS},
            "web": [web(net, short, played.env)],
        }
        there = net.address("web")
        people = stack.enter_context(sign_ups.people(there, played.env))
        bed = Bed(net, short, played, primary, standby, every, people)
        stack.callback(net.mend)
        for host in every:
            stack.callback(bed.die, host)
        for host in ("pool", "redis", "relay1", "relay2"):
            bed.start(host)
        time.sleep(1)
        played.seed([f"r{number}@example.org" for number in range(readers)], "--plan")
        sql = "SELECT id FROM digest_delivery ORDER BY id"
        bed.ids = [pk for (pk,) in primary.ledger.ask(sql)]
        bed.hold()
        yield bed


# -- the faults --------------------------------------------------------------------------------


def faults(bed: Bed) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """By name: how it begins and how it ends."""
    made: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {}
    for one, other in LINKS:
        for way, (there, back) in WAYS.items():
            begin = partial(bed.net.spoil, one, other, there, back)
            made[f"{one} - {other} {way}"] = (begin, bed.net.mend)
    for host in HOSTS:
        stop, go = signal.SIGSTOP, signal.SIGCONT
        made[f"{host} frozen"] = (
            partial(bed.signal, host, stop),
            partial(bed.signal, host, go),
        )
    for host in (*WORKERS, "pool", "web"):
        made[f"{host} killed"] = (partial(bed.die, host), partial(bed.start, host))
    for host in WORKERS:
        made[f"{host} replaced"] = (partial(replace, bed, host), partial(bed.start, host))
    for host in ("pool", "redis"):
        made[f"{host} gone without a word"] = (
            partial(unplug, bed, host),
            partial(plug, bed, host),
        )
    made["redis moved, empty"] = (partial(replace_redis, bed), partial(bed.start, "redis"))
    made["primary killed"] = (partial(kill, bed.primary), bed.primary.start)
    return made


def replace(bed: Bed, host: str) -> None:
    """The host dies, and a new one has nothing of its disk."""
    bed.die(host)
    shutil.rmtree(bed.folder / host)
    (bed.folder / host).mkdir()


def unplug(bed: Bed, host: str) -> None:
    """Nobody is told that it is gone: what it would say does not arrive."""
    for other in bed.net.hosts:
        bed.net.spoil(host, other, CUT, CUT)
    bed.die(host)


def plug(bed: Bed, host: str) -> None:
    bed.start(host)
    bed.net.mend()


def replace_redis(bed: Bed) -> None:
    bed.die("redis")
    shutil.rmtree(bed.folder / "appendonlydir", ignore_errors=True)


def kill(server: Server) -> None:
    if server.part:
        server.part.kill()


def fail_over(bed: Bed, *, waits: bool, lags: bool) -> None:
    """The primary dies and its standby takes over; with a lag, it lacks the last mails."""
    old, new = bed.primary, bed.standby
    follow(old, new)
    set_standbys(old, "*" if waits else "")
    begun = datetime.now().astimezone()
    before, ids = len(bed.arrived()), bed.release(later=2)
    bed.let_people_come()
    old.wait_for(new)
    if lags:
        bed.net.spoil(old.host, new.host, CUT, CUT)
    bed.wait_for_mail(before + 3)
    bed.people.come(sign_ups.HURRY)  # it is over soon
    kill(old)
    killed = time.time()
    bed.die("pool")
    bed.net.mend()
    new.promote()
    bed.primary, bed.standby = new, old
    missed = len(bed.sent_but_due(ids))
    bed.parts["pool"] = [pool(bed.net, bed.folder, new)]
    bed.start("pool")
    served = healed = time.time()
    bed.people.leave()
    told: list[str] = []
    if not waits:
        told = refused(bed, killed + IN_FLIGHT)
        bed.played.manage("quarantine", "--since", begun.isoformat(), "--unsent")
        healed = time.time()
    kind = "each commit had waited for" if waits else "behind" if lags else "up to date"
    found = bed.note(f"standby promoted, {kind}", ids, healed, missed)
    found.told = [*told, *come_back(bed, old)]
    found.sign_ups = bed.signed_up(served, asynchronous=not waits)
    print(f"  {found.name}: {found.words}", flush=True)


def set_standbys(server: Server, names: str) -> None:
    server.ledger.ask(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    server.ledger.ask("SELECT pg_reload_conf()")
    time.sleep(0.5)


def follow(primary: Server, standby: Server) -> None:
    """What is not the primary's standby becomes it, though it had been the primary itself."""
    if not primary.ledger.ask(
        "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"
    ):
        kill(standby)
        standby.copy(primary)
        standby.start()


def refused(bed: Bed, since: float) -> list[str]:
    """What is wrong while senders should refuse: they and /readyz say so, and begin no mail."""
    wrong, said = [], bed.refusals()
    if not clocks.until(lambda: "sending is refused" in bed.readiness(), 60):
        wrong.append(f"R36 /readyz does not say it: {bed.readiness()}")
    if not clocks.until(lambda: bed.refusals() > said and time.time() > since + 1, 60):
        wrong.append("R36 no sender refuses")
    if late := [at for at in bed.begun() if at > since]:
        wrong.append(f"R36 {len(late)} mails begun before the quarantine")
    return wrong


def come_back(bed: Bed, old: Server) -> list[str]:
    """The old primary comes back as it was: nobody sends from it. Then it follows the new."""
    old.start()
    set_standbys(old, "")  # or it would wait for one with every commit
    sent, wrong = len(bed.arrived()), []
    old.ledger.ask("UPDATE digest_delivery SET not_before = now() WHERE state = 'pending'")
    address = f"postgresql://postgres@{bed.net.address(old.host)}:5432/postgres"
    direct = Scene(bed.folder, bed.played.env | {"DATABASE_URL": address}, old.ledger)
    try:
        direct.manage("deliver")
        wrong.append("R36 the old primary does not refuse")
    except AssertionError as error:
        if "quarantine --since" not in f"{error}":
            wrong.append(f"R36 the old primary: {error}")
    if len(bed.arrived()) != sent:
        wrong.append("R36 mail went out from the old primary")
    kill(old)
    set_standbys(bed.primary, "")
    return wrong


def keep_outcomes(bed: Bed) -> None:
    """A worker is cut off from the database while it sends, keeps its outcomes, and is lost.

    Its folder was copied: the others are told from there what became of its mails.
    """
    for _ in range(TRIES):  # it may have begun nothing at that moment
        ids = bed.begin_round()
        for host in WORKERS:
            bed.net.spoil(host, "pool", CUT, CUT)
        clocks.until(lambda: bool(keepers(bed)), 45)
        found = keepers(bed)
        bed.net.mend()
        if found:
            break
        bed.settle(ids)
    (host,) = found[:1] or WORKERS
    copy = bed.folder / "copied"
    shutil.copytree(bed.folder / host / "outcomes", copy)
    replace(bed, host)
    bed.start(host)
    seen = bed.note(f"{host} lost, its outcomes recorded elsewhere", ids, time.time())
    printed = bed.played.manage("unknown", "--from", f"{copy}").split()
    seen.recorded = int(printed[0])
    seen.unknown -= seen.recorded
    print(f"  {seen.name}: {seen.words}", flush=True)


def keepers(bed: Bed) -> list[str]:
    """The worker hosts that have kept the outcome of a mail that was accepted."""
    return [
        host
        for host in WORKERS
        for path in (bed.folder / host / "outcomes").glob("*.json")
        if '"accepted"' in path.read_text()
    ]


SHORT = ["worker1 - redis cut"]
FAILOVERS = [(True, False), (False, True), (False, False), (False, True)]


def play(bed: Bed, *, short: bool) -> None:
    every = faults(bed)
    for name in SHORT if short else every:
        bed.suffer(name, *every[name])
    if not short:
        keep_outcomes(bed)
    for waits, lags in FAILOVERS[1:2] if short else FAILOVERS:
        fail_over(bed, waits=waits, lags=lags)


def lacking() -> str:
    """Why this part cannot run here; empty if it can."""
    if missing := network.lacking():
        return missing
    if not shutil.which("pgbouncer"):
        return "pgbouncer is not installed: apt-get install pgbouncer"
    folder = postgres.installed()
    if not folder or not (folder / "pg_basebackup").exists():
        return "postgresql is not installed: apt-get install postgresql"
    return ""


def figures(folder: Path, *, short: bool) -> list[Figure]:
    if why := lacking():
        print(f"  hosts: skipped, as {why}", flush=True)
        return []
    count = SHARE * (len(SHORT) + 1 if short else len(LINKS) * len(WAYS) + 35)
    with running(folder / "scene", count) as bed:
        if short:
            bed.share, bed.lasts, bed.sign_up_rate = SHARE // 2, LASTS / 2, 1
        play(bed, short=short)
        mails = bed.to_confirm()
        for one in bed.rounds:
            if one.sign_ups:
                one.sign_ups.count(mails)  # again: a second mail may have come later
        released = set(bed.ids)
        rows = [row for row in bed.primary.ledger.rows() if row.id not in released]
        arrived = [address for _, address in bed.arrived()]
    return judged(bed.rounds, rows, arrived, short=short)


def judged(
    rounds: Sequence[Round], rows: Sequence[Row], arrived: Sequence[str], *, short: bool
) -> list[Figure]:
    """The figures, and what was wrong in a round."""
    unknown, quarantined = (
        [one.unknown for one in rounds],
        [one.quarantined for one in rounds],
    )
    most = len(WORKERS) * SENDERS * GROUP
    readers = [row.address for row in rows]
    bound = sum(unknown) + sum(quarantined)
    wrong = broken(rows, arrived, readers=readers, most_unknown=bound)
    wrong += [f"{one.name}: {words}" for one in rounds for words in one.told]
    firsts = [one.first for one in rounds if one.first is not None]
    people = [one.sign_ups for one in rounds if one.sign_ups]
    accepted = {row.address for row in rows if row.state == "accepted"}
    missed = max(one.missed for one in rounds)
    recorded = sum(one.recorded for one in rounds)
    last = max(one.all for one in rounds)
    return [
        at_least("hosts", "rounds", len(rounds), 2 if short else 60),
        at_most("hosts", "doubles", len(arrived) - len(set(arrived)), 0),
        at_most("hosts", "lost", len(accepted - set(arrived)), 0),
        at_most("hosts", "most unknown in a round", max(unknown), most),
        at_least("hosts", "most sent that a standby lacked", missed, 1),
        *([] if short else [at_least("hosts", "recorded from a copy", recorded, 1)]),
        at_most(
            "hosts",
            "first mail after a fault",
            max(firsts, default=0),
            FIRST_MAIL,
            unit=" s",
        ),
        at_most("hosts", "last mail after a fault", last, PATIENCE, unit=" s"),
        nothing_wrong("hosts", wrong),
        *sign_ups.figures("hosts", people, short=short),
    ]
