"""A shell on a deployment: Python is started and Django loaded once for many commands.

`Shell` is the tests' side. `python -m tests.shell LOG` is the other: each line on stdin is
an order. `{"words": […], "text": "", "output": "", "traced": false, "minutes": 0}` runs
`manage.py …` or `-m module …` in a forked child and is answered by its process id;
`{"wait": pid}` is answered by its wait status when it has ended. A traced child does
nothing until a tracer has attached; one with minutes has a clock that is wrong by as many.
"""

import io
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

FOREVER = 120.0
# What commands load: the checks look at the URLs.
LOADED = ("digest.management.commands.deliver", "digest.urls")


@dataclass
class Shell:
    """A process that runs commands in forked children, also side by side."""

    process: subprocess.Popen[bytes]
    output: Path

    def start(self, *command: str, traced: bool = False, minutes: int = 0) -> int:
        """Begin a command, by a clock that is wrong by `minutes`. Its process id."""
        words = ["manage.py", *command]
        return self.order({"words": words, "traced": traced, "minutes": minutes})

    def wait(self, pid: int) -> int:
        """The end of a run: its exit status, or minus the signal that killed it."""
        return os.waitstatus_to_exitcode(self.order({"wait": pid}))

    def run(self, *command: str, minutes: int = 0) -> int:
        return self.wait(self.start(*command, minutes=minutes))

    def python(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """`manage.py …` or `-m module …` with `text` on its stdin, and what it printed."""
        order = {"words": words, "text": text, "output": str(self.output)}
        status = self.wait(self.order(order))
        printed = [self.output.with_suffix(f".{number}").read_text() for number in (1, 2)]
        return subprocess.CompletedProcess(words, status, *printed)

    def order(self, words: Mapping[str, object]) -> int:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(words).encode() + b"\n")
        return int(self.line())

    def line(self) -> bytes:
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], FOREVER)
        assert ready, "a command does not end"
        line = self.process.stdout.readline()
        assert line, "the shell is gone"
        return line


@contextmanager
def opened(
    tree: Path, env: Mapping[str, str], log: Path, *, python: str = sys.executable
) -> Iterator[Shell]:
    """A shell in this tree and environment; what its commands say goes to `log`."""
    process = subprocess.Popen(
        [python, "-m", "tests.shell", str(log)],
        cwd=tree,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )
    shell = Shell(process, log.with_suffix(".out"))
    try:
        assert shell.line() == b"ready\n", log.read_text()[-2000:]
        yield shell
    finally:
        # With the commands that do not end: they hold its pipes.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def child(order: dict[str, Any]) -> None:
    status = 1
    try:
        while order.get("traced") and not traced():
            time.sleep(0.005)
        time.sleep(0.02 if order.get("traced") else 0)  # attached, but it begins only now
        if order.get("minutes"):
            set_clock(order["minutes"])
        if order.get("output"):
            redirect(Path(order["output"]))
        run(order["words"], order.get("text", ""))
        status = 0
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def traced() -> bool:
    return "TracerPid:\t0\n" not in Path("/proc/self/status").read_text()


def set_clock(minutes: int) -> None:
    import time_machine

    wrong = datetime.now(UTC) + timedelta(minutes=minutes)
    time_machine.travel(wrong, tick=True).start()


def redirect(output: Path) -> None:
    for number in (1, 2):
        with open(output.with_suffix(f".{number}"), "wb") as file:
            os.dup2(file.fileno(), number)


def run(words: list[str], text: str) -> None:
    from django.core.management import execute_from_command_line

    sys.stdin = io.StringIO(text)
    if words[0] != "-m":
        execute_from_command_line(words)
        return
    sys.argv = words[1:]
    runpy.run_module(words[1], run_name="__main__")


def main() -> None:
    answers, log = os.dup(1), os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "digest.settings")
    import django

    django.setup()
    for name in LOADED:
        import_module(name)
    os.write(answers, b"ready\n")
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            os.write(answers, f"{status}\n".encode())
            continue
        pid = os.fork()
        if pid == 0:
            child(order)
        os.write(answers, f"{pid}\n".encode())


if __name__ == "__main__":
    main()
