"""A stand-in for a fresh Debian host, on which the deployment guide is followed to the letter.

What belongs to the machine's root (packages, users, owners, units) is taken over by programs
of these names that stand first on the PATH: `systemctl` starts the units' own command lines.
PostgreSQL, Redis, nginx, curl, Python and the mail server are real. Paths and ports of the
host become ones of the test.
"""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests import postgres
from tests.environment import ROOT, bare

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOTHING = "#!/bin/sh\n"
RUN_AS = '#!/bin/bash\nshift 3\nexec "$@"\n'  # runuser -u USER -- COMMAND
FOLDER = '#!/bin/bash\nexec mkdir -p "${@: -1}"\n'
PATIENCE = 240.0  # seconds without a word until a block counts as stuck


@dataclass
class Host:
    """`words` replaces text of the guide and of the files in deploy/, in order."""

    folder: Path
    database: str  # its folder of sockets
    words: dict[str, str]
    answers: dict[str, str] = field(default_factory=dict)  # prompt → what is typed

    def prepare(self) -> None:
        """Lay out the tree as a clone has it, and the programs of a host."""
        tree = self.folder / "srv/papers"
        listed = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for name in listed:
            if not name.startswith(("tests/", "docs/")):
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, tree / name)
        for path in (tree / "deploy").rglob("*"):
            if path.is_file():
                path.write_text(self.translate(path.read_text()))
        for name in ("etc/systemd/system", "etc/nginx/sites-available", "logs"):
            (self.folder / name).mkdir(parents=True)
        for name in ("etc/nginx/sites-enabled", "var/lib", "var/backups", "home", "bin"):
            (self.folder / name).mkdir(parents=True)
        programs = dict.fromkeys(("apt-get", "useradd", "chown", "git"), NOTHING)
        programs |= {"runuser": RUN_AS, "install": FOLDER}
        systemctl = f"{sys.executable} {Path(__file__).with_name('systemctl.py')}"
        programs["systemctl"] = f'#!/bin/sh\nexec {systemctl} "{self.folder}" "$@"\n'
        main = self.folder / "etc/nginx/nginx.conf"
        main.write_text(NGINX.format(folder=self.folder))
        nginx = f"{shutil.which('nginx')} -c {main} -e {self.folder}/logs/nginx.log"
        programs["nginx"] = f'#!/bin/sh\nexec {nginx} "$@"\n'
        for name, text in programs.items():
            (self.folder / "bin" / name).write_text(text)
            (self.folder / "bin" / name).chmod(0o755)

    def translate(self, text: str) -> str:
        for here, there in self.words.items():
            text = text.replace(here, there)
        return text

    @property
    def env(self) -> dict[str, str]:
        left_out = ("ENV_FILE", "SOURCE_URL", "VIRTUAL_ENV", "DJANGO_SETTINGS_MODULE")
        kept = {name: text for name, text in bare().items() if name not in left_out}
        path = f"{self.folder}/bin:{postgres.binaries()}:{Path(sys.base_prefix) / 'bin'}"
        cache = os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv"))
        return kept | {
            "PATH": f"{path}:{os.environ['PATH']}",
            "HOME": str(self.folder / "home"),
            "UV_CACHE_DIR": cache,
            "PGHOST": self.database,
            "PGUSER": "postgres",
        }

    def follow(self, page: str) -> str:
        """Run every block of the page in one shell, on a terminal. Returns what was printed.

        Raises AssertionError with it when a command fails.
        """
        script = "set -euo pipefail\n" + "".join(BLOCK.findall(page))
        (self.folder / "guide.sh").write_text(self.translate(script))
        command = ["bash", str(self.folder / "guide.sh")]
        status, said = on_terminal(
            command, env=self.env, cwd=self.folder / "home", answers=self.answers
        )
        assert status == 0, said
        return said

    def stop(self) -> None:
        subprocess.run([self.folder / "bin/systemctl", "stop", "all"], env=self.env)
        with suppress(OSError, ValueError):
            os.kill(int((self.folder / "nginx.pid").read_text()), signal.SIGTERM)

    def log(self) -> str:
        """What the units have said; for a failed test."""
        return "\n".join(path.read_text()[-3000:] for path in self.folder.glob("logs/*"))


def on_terminal(
    command: list[str],
    *,
    env: dict[str, str],
    cwd: Path,
    answers: dict[str, str],
    show: bool = False,
) -> tuple[int, str]:
    """Run the command on a terminal. Returns its status and what was printed.

    `answers` are prompts and what is typed then; `show` prints it as it comes. Raises AssertionError when nothing is said
    for too long.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        os.execvpe(command[0], command, env)
    said = attend(terminal, answers, show=show)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def attend(terminal: int, answers: dict[str, str], *, show: bool) -> str:
    """Read the terminal until it ends, and type the answers to its prompts."""
    said, seen = "", 0
    while select.select([terminal], [], [], PATIENCE)[0]:
        try:
            piece = os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # the last process has ended
            return said
        said += piece
        if show:
            print(piece, end="", flush=True)
        for prompt, answer in answers.items():
            if prompt in said[seen:]:
                os.write(terminal, f"{answer}\n".encode())
                seen = len(said)
    raise AssertionError(f"stuck after: {said}")


def until(true: Callable[[], object], *, seconds: float, what: Callable[[], str]) -> None:
    """Wait until `true()` is something. Raises AssertionError that says `what()`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what()
        time.sleep(0.2)


NGINX = """
pid {folder}/nginx.pid;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    client_body_temp_path {folder}/home/body;
    proxy_temp_path {folder}/home/proxy;
    fastcgi_temp_path {folder}/home/fastcgi;
    uwsgi_temp_path {folder}/home/uwsgi;
    scgi_temp_path {folder}/home/scgi;
    include {folder}/etc/nginx/sites-enabled/*;
}}
"""
