"""A real `manage.py up` in a folder of its own, as a test sees it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlencode

import psutil  # type: ignore[import-untyped]

from tests.environment import ROOT, bare
from tests.ports import free_port
from tests.shell import Shell, opened

OPEN = "Ctrl-C stops all of it."  # the last line of the greeting


class Stack:
    """One run of `up`: start it, ask it, end it, and count what is left of it."""

    def __init__(self, folder: Path, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.port, self.mail_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # TMPDIR: there lies the socket of a Redis whose STATE_DIR has a long path.
        folders = {"STATE_DIR": str(folder), "TMPDIR": str(folder.parent)}
        self.env = bare() | (env or {}) | folders
        self.python, self.root = sys.executable, ROOT
        if "DATABASE_URL" in self.env:  # a deployment is told its address
            self.env["SITE_URL"] = self.url
        self.printed = folder.with_name(f"{folder.name}.printed")
        self.process: subprocess.Popen[bytes] | None = None
        self.shells: dict[str, Shell] = {}
        self.open = ExitStack()

    def up(self, *arguments: str, seconds: float = 90) -> "Stack":
        """Start, and wait until it says that it is open."""
        self.begin(*arguments)
        self.wait_for_line(OPEN, seconds=seconds)
        return self

    def begin(self, *arguments: str) -> None:
        ports = ["--port", str(self.port), "--mail-port", str(self.mail_port)]
        with open(self.printed, "wb") as output:
            self.process = subprocess.Popen(
                [self.python, "manage.py", "up", *ports, *arguments],
                cwd=self.root,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        return self.printed.read_text()

    def wait_for_line(self, text: str, *, seconds: float = 30) -> None:
        until = time.monotonic() + seconds
        while text not in self.output():
            assert self.process and self.process.poll() is None, self.output()
            assert time.monotonic() < until, f"no {text!r} in: {self.output()}"
            time.sleep(0.05)

    def end(self, number: signal.Signals = signal.SIGINT, *, seconds: float = 45) -> int:
        """Send a signal and wait. Returns the exit status."""
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def clean_up(self) -> None:
        self.open.close()
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command in a second shell on the same folder; another for another `env`.

        A shell reads the settings, and with them what `up` says of itself, when it opens.
        """
        name = json.dumps(self.env, sort_keys=True)
        if name not in self.shells:
            log = self.folder.with_name(f"{self.folder.name}.shell-{len(self.shells)}")
            shell = opened(ROOT, self.env, log, python=self.python)
            self.shells[name] = self.open.enter_context(shell)
        return self.shells[name].python("manage.py", *arguments)

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        form: dict[str, str | list[str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], str]:
        """One request, no cookies, redirects not followed: status, headers, body."""
        body = None if form is None else urlencode(form, doseq=True)
        sent = dict(headers or {})
        if body is not None:
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        with closing(
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        ) as connection:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            return answer.status, dict(answer.getheaders()), text

    def ask_or_none(self, path: str) -> int | None:
        """The status of a GET, None while nobody answers."""
        try:
            return self.ask(path)[0]
        except (OSError, http.client.HTTPException):
            return None

    def processes(self) -> dict[int, str]:
        """Every live process of this folder: pid → command line."""
        found = {}
        for process in psutil.process_iter():
            try:
                # Redis writes its title over its environment, but runs in the folder.
                environment, cwd = process.environ(), process.cwd()
                if str(self.folder) in {environment.get("STATE_DIR"), cwd}:
                    found[process.pid] = " ".join(process.cmdline())
            except (psutil.Error, OSError):
                continue  # gone meanwhile, or a zombie
        return found

    def process_of(self, words: str) -> int:
        """The oldest process whose command line has these words."""
        pids = [pid for pid, line in self.processes().items() if words in line]
        assert pids, f"no process {words!r}"
        return min(pids, key=lambda pid: psutil.Process(pid).create_time())

    def wait_until_gone(self, *, seconds: float = 10) -> dict[int, str]:
        """What is still alive after `seconds`; empty as soon as all is gone."""
        until = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < until:
            time.sleep(0.1)
        return left


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
