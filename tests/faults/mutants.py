"""The check of the proof: deliberate bugs, each in a copy, each to be caught.

A scenario plays one fault on a tree and returns which invariants broke. On the tree as
it is each must find nothing, on its mutant something; otherwise it proves nothing.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.environment import ROOT
from tests.faults import adversity, author, outside
from tests.faults.invariants import broken, repeated
from tests.faults.scene import Scene, scene
from tests.shell import Shell

Scenario = Callable[[Path, Path], list[str]]
NOT_COPIED = (".git", ".venv", ".state", ".mypy_cache", ".ruff_cache", "__pycache__")
ONE_BY_ONE = {"SEND_CONNECTIONS": "1", "SUBMIT_GROUP": "1"}


@dataclass(frozen=True)
class Mutant:
    """A bug: in this file, these words instead of those; and what must catch it.

    `beside` are such words of other files, each with its file.
    """

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    scenario: Scenario
    beside: tuple[tuple[str, str, str], ...] = ()

    def patch(self, tree: Path) -> None:
        changes = [(self.file, *change) for change in self.changes]
        for file, words, instead in [*changes, *self.beside]:
            text = (tree / file).read_text()
            if words not in text:
                raise AssertionError(f"{self.name}: {file} has no {words!r} any more")
            (tree / file).write_text(text.replace(words, instead))


def verdict(played: Scene, there: outside.Outside, *, most_unknown: int) -> list[str]:
    wrong = broken(
        played.ledger.rows(),
        there.arrived(),
        readers=played.readers,
        most_unknown=most_unknown,
    )
    return wrong + repeated(there.requests())


def reply_lost(tree: Path, folder: Path) -> list[str]:
    """The server keeps a mail and closes the connection instead of saying so."""
    with outside.smtp(folder / "outside") as there:
        played = scene(folder, there.env, tree=tree)
        played.seed(["ann@example.org", "bob+dot-keep-drop@example.org"])
        with played.sender() as sender:
            sender.run("deliver", "--day", played.day)
            played.drain(sender)
        return verdict(played, there, most_unknown=1)


def killed_after_acceptance(tree: Path, folder: Path) -> list[str]:
    """The sender dies when the server has kept a mail and is about to say so."""
    with outside.smtp(folder / "outside") as there:
        played = scene(folder, there.env, tree=tree)
        played.seed(["ann@example.org", "bob+dot-keep-killx1@example.org"])
        with played.sender() as sender:
            pid = begin(played, there, sender)
            assert sender.wait(pid) < 0, "the sender was not killed"
            played.drain(sender)
        return verdict(played, there, most_unknown=2)


def left_in_the_meantime(tree: Path, folder: Path) -> list[str]:
    """All readers unsubscribe while the first mail of a claimed slice is on its way."""
    with outside.smtp(folder / "outside") as there:
        played = scene(folder, there.env | ONE_BY_ONE, tree=tree)
        played.seed([f"r{number}+dot-wait@example.org" for number in range(3)])
        with played.sender() as sender:
            pid = begin(played, there, sender)
            until = time.monotonic() + 60
            while not (there.folder / "waiting").exists():
                assert time.monotonic() < until, "no mail came"
                time.sleep(0.01)
            played.ledger.ask("UPDATE subscribers_subscriber SET state = 'unsubscribed'")
            (there.folder / "go").touch()
            sender.wait(pid)
            played.drain(sender)
        wrong = verdict(played, there, most_unknown=0)
        if len(there.arrived()) > 1:
            wrong.append("I5 a mail began after the reader's unsubscribe had committed")
        return wrong


def frozen_past_its_lease(tree: Path, folder: Path) -> list[str]:
    """A sender freezes with a mail on its way and two rows claimed; others go on meanwhile.

    One of the two is refused for now in the meantime: it is pending when the first one wakes.
    """
    with outside.smtp(folder / "outside") as there:
        played = scene(folder, there.env | ONE_BY_ONE, tree=tree)
        later = "b+rcpt-450x1@b.example"
        played.seed(["a+dot-waitx1@a.example", later, "c@c.example"])
        wrong = []
        with played.sender() as sender:
            frozen = sender.start("deliver", "--day", played.day)
            until = time.monotonic() + 60
            while not (there.folder / "waiting").exists():
                assert time.monotonic() < until, "no mail came"
                time.sleep(0.01)
            os.kill(frozen, signal.SIGSTOP)
            sender.run("deliver", "--day", played.day)
            if there.arrived():
                wrong.append("R7 a mail went out that a living lease lists")
            played.ledger.pass_time()
            sender.run("deliver", "--day", played.day)
            (there.folder / "go").touch()
            os.kill(frozen, signal.SIGCONT)
            sender.wait(frozen)
            if later in there.arrived():
                wrong.append("R7 R8 a sender sent what was no longer its own, too early")
            played.drain(sender)
        return wrong + verdict(played, there, most_unknown=0)


ILLNESSES = {
    "greeting": "banner:554 5.7.1 no service for your address",
    "sender": "mail:553 5.7.1 sender address not allowed",
    "room": "mail:452 4.3.1 insufficient system storage",
    "relaying": "rcpt:554 5.7.1 Relay access denied",
    "nobody known": "rcpt:550 5.1.1 no such user",
    "content": "dot:550 5.7.60 not permitted to send as this sender",
}


def ill_relay(tree: Path, folder: Path) -> list[str]:
    """A relay refuses us at each stage, whoever the mail is for; then it is well again."""
    wrong = []
    readers = [f"r{number}@d{number % 4}.example" for number in range(12)]
    for name, words in ILLNESSES.items():
        with outside.smtp(folder / name / "outside") as there:
            played = scene(folder / name, there.env, tree=tree)
            played.seed(readers)
            ill = there.folder / "illness"
            ill.write_text(words)
            with played.sender() as sender:
                for _ in range(3):
                    sender.run("deliver", "--day", played.day)
                    sender.run("relay", "resume")
                    played.ledger.ask("UPDATE digest_delivery SET not_before = due_at")
                refused = played.ledger.ask(
                    "SELECT count(*) FROM digest_delivery"
                    " WHERE state = 'refused' OR attempts > 0"
                )
                if refused[0][0]:
                    wrong.append(f"R32 {name}: {refused[0][0]} readers pay for the relay")
                ill.unlink()
                played.drain(sender)
            if not wrong:
                wrong += verdict(played, there, most_unknown=0)
    return wrong


def ill_while_few_are_due(tree: Path, folder: Path) -> list[str]:
    """A relay refuses everybody while one reader after the other comes due; then it is well."""
    with outside.smtp(folder / "outside") as there:
        played = scene(folder, there.env, tree=tree)
        played.seed([f"r{number}@d{number}.example" for number in range(4)], "--plan")
        (there.folder / "illness").write_text(ILLNESSES["nobody known"])
        played.ledger.ask("UPDATE digest_delivery SET not_before = '2999-01-01'")
        with played.sender() as sender:
            for place in range(4):
                played.ledger.ask(
                    "UPDATE digest_delivery SET not_before = due_at WHERE id IN"
                    f" (SELECT id FROM digest_delivery ORDER BY id LIMIT 1 OFFSET {place})"
                )
                sender.run("deliver", "--day", played.day)
                sender.run("relay", "resume")
            charged = played.ledger.ask(
                "SELECT count(*) FROM digest_delivery"
                " WHERE state = 'refused' OR attempts > 0"
            )
            barred = played.ledger.ask("SELECT count(*) FROM subscribers_suppression")
            (there.folder / "illness").unlink()
            played.drain(sender)
        wrong = verdict(played, there, most_unknown=0)
    if charged[0][0] or barred[0][0]:
        wrong.append(
            f"R32 {charged[0][0]} readers pay for the relay, {barred[0][0]} barred"
        )
    return wrong


def ses_reply_lost(tree: Path, folder: Path) -> list[str]:
    """The provider keeps a mail and closes the connection; its own client must not retry."""
    with outside.provider(folder / "outside", "amazon_ses") as there:
        played = scene(folder, there.env, tree=tree)
        played.seed(["ann@example.org", "bob+http-keep-drop@example.org"])
        with played.sender() as sender:
            sender.run("deliver", "--day", played.day)
            played.drain(sender)
        return verdict(played, there, most_unknown=1)


def scanned(tree: Path, folder: Path) -> list[str]:
    """A scanner fetches the confirmation link."""
    played = scene(folder, {}, tree=tree)
    state = played.python("-m", "tests.faults.scanner").split()[-1]
    return [] if state == "pending" else [f"I7 a GET made the reader {state}"]


UNSAFE = (
    ("digest/editions/frames.py", 'return f"=_{secrets.token_hex(16)}"', 'return "daily"'),
    ("digest/editions/mime.py", r'rb"\.|--|From "', r'rb"\.|--=20|From "'),
)


def author_of_an_unsafe_mail(tree: Path, folder: Path) -> list[str]:
    """Mails that papers can break are composed; they must be seen before any goes out."""
    unsafe = copy_of(tree, folder / "unsafe")
    for file, words, instead in UNSAFE:
        Mutant(file, file, ((words, instead),), author.play).patch(unsafe)
    wrong, _ = author.played_by_author(unsafe, folder)
    shutil.rmtree(unsafe)
    return wrong


def begin(played: Scene, there: outside.Outside, sender: Shell) -> int:
    pid = sender.start("deliver", "--day", played.day)
    (there.folder / "victim").write_text(str(pid))
    return pid


LEDGER = "digest/deliveries/ledger.py"
MUTANTS = [
    Mutant(
        "tries again after a lost reply",
        "digest/transport/outcomes.py",
        (
            (
                "        case Phase.AFTER_DOT:\n            return",
                "        case None:\n            return",
            ),
        ),
        reply_lost,
    ),
    Mutant(
        "judges a reply by its code alone",
        "digest/throttling/relay.py",
        (
            (
                "        troubled = self.see(mails, outcomes)\n",
                "        self.see(mails, outcomes)\n"
                "        troubled = {\n"
                "            pk: one for pk, one in outcomes.items() if is_unreachable(one)\n"
                "        }\n",
            ),
        ),
        ill_relay,
    ),
    Mutant(
        "asks not what earlier runs saw refused",
        "digest/throttling/relay.py",
        (("        if self.recalled or was_taken or", "        if True or"),),
        ill_while_few_are_due,
    ),
    Mutant(
        "commits no intent",
        LEDGER,
        (
            ("ELSE 'submitting' END", "ELSE 'pending' END"),
            ("if state == State.SUBMITTING}", "if state == State.PENDING}"),
            (
                "digest_delivery.state = 'submitting' OR",
                "digest_delivery.state = 'pending' OR",
            ),
        ),
        killed_after_acceptance,
        beside=(
            ("digest/deliveries/send.py", "d.state = 'submitting'", "d.state = 'pending'"),
        ),
    ),
    Mutant(
        "takes a dead hand-over for not made",
        LEDGER,
        (
            (
                "state=State.UNKNOWN, reason=Reason.CRASHED",
                "state=State.PENDING, reason=Reason.CRASHED",
            ),
        ),
        killed_after_acceptance,
    ),
    Mutant(
        "claims without a look at leases",
        LEDGER,
        (("WHERE claimed_until IS NOT NULL)", "WHERE 1 = 0)"),),
        frozen_past_its_lease,
    ),
    Mutant(
        "intends without its lease",
        LEDGER,
        (
            (
                "        if not change(EXTEND, until=now + HANDOVER_LEASE, token=token):\n"
                "            return set()\n",
                "        change(EXTEND, until=now + HANDOVER_LEASE, token=token)\n",
            ),
        ),
        frozen_past_its_lease,
    ),
    Mutant(
        "looks at consent when it plans only",
        LEDGER,
        (("OR p.state <> 'active' OR x.id IS NOT NULL", ""),),
        left_in_the_meantime,
        beside=(
            (
                "digest/deliveries/send.py",
                "    AND p.state = 'active' AND NOT EXISTS (\n        SELECT 1 FROM"
                " subscribers_suppression x WHERE x.email_hash = p.email_hash)",
                "",
            ),
        ),
    ),
    Mutant(
        "leaves the retries of SES' client on",
        "digest/settings.py",
        (('"retries": {"total_max_attempts": 1},', ""),),
        ses_reply_lost,
    ),
    Mutant(
        "confirms on GET",
        "subscribers/views.py",
        (
            (
                'if request.method == "POST" and asked != "again":\n            reader',
                'if asked != "again":\n            reader',
            ),
        ),
        scanned,
    ),
    Mutant(
        "raises the mark once a slice",
        "digest/deliveries/send.py",
        (("                fencing.advance(mark)\n", ""),),
        adversity.set_back,
    ),
    Mutant(
        "asks no other machine",
        "digest/deliveries/fencing.py",
        (("if self.client is None or", "if True or"),),
        adversity.set_back_elsewhere,
    ),
    Mutant(
        "looks at consent once a submit group",
        "digest/transport/base.py",
        (("FRESH = 0.2", "FRESH = 1e9"),),
        adversity.turned_slow,
    ),
    Mutant(
        "makes no row for what was superseded",
        "digest/deliveries/plan.py",
        (
            ("elif is_now is Standing.SUPERSEDED and after:", "elif False and after:"),
            (
                "            else:\n                over =",
                "            elif False:\n                over =",
            ),
        ),
        adversity.not_planned_in_time,
    ),
    Mutant(
        "ends at a damaged file",
        "digest/state_files.py",
        (
            (
                '    """Rename a damaged file and log the reason; go on even if that fails."""\n',
                "    raise ValueError(path)\n",
            ),
        ),
        adversity.damaged,
    ),
    Mutant(
        "lets messages expire by beat's clock",
        "digest/settings.py",
        (
            (
                '"schedule": schedule(seconds, nowfun=steady),',
                '"schedule": seconds, "options": {"expires": seconds},',
            ),
        ),
        adversity.clocks_apart,
    ),
    Mutant(
        "has one boundary for all editions", *UNSAFE[0][:1], (UNSAFE[0][1:],), author.play
    ),
    Mutant(
        "encodes no line that begins with dashes",
        *UNSAFE[1][:1],
        (UNSAFE[1][1:],),
        author.play,
    ),
    Mutant(
        "compares no mail with what was meant",
        "digest/deliveries/preflight.py",
        (("    if whole:\n        read_parts(message, sample)\n", ""),),
        author_of_an_unsafe_mail,
    ),
]


def copy_of(tree: Path, folder: Path) -> Path:
    shutil.copytree(tree, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    return folder


def check(folder: Path) -> list[tuple[str, list[str], list[str]]]:
    """Of each mutant: its name, what broke without the bug, what broke with it."""
    found = []
    sound = copy_of(ROOT, folder / "sound")
    for number, mutant in enumerate(MUTANTS):
        tree = copy_of(ROOT, folder / f"mutant-{number}")
        mutant.patch(tree)
        without = mutant.scenario(sound, folder / f"played-{number}-without")
        with_it = mutant.scenario(tree, folder / f"played-{number}-with")
        found.append((mutant.name, without, with_it))
        shutil.rmtree(tree)
    return found
