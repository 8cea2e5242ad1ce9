#!/usr/bin/env python3
"""Daily Papers' command line: `python3 manage.py help` lists the commands.

Any Python 3.12 or newer may start it. Where that Python lacks the packages, they are
installed from uv.lock into `.venv` beside this file, and the command runs there: `test` with
the development group, all others without it, and with the extra `doctor` where there are
settings of a deployment. uv does the work; without one on the PATH, it is
installed into `.venv` too.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
# Three of the lock's packages: a Python that has them all was set up for us.
PACKAGES = ("django", "celery", "altcha")
DEVELOPMENT = ("pytest", "xdist")
OLDEST = (3, 12)


def main() -> None:
    test = sys.argv[1:2] == ["test"]
    if not has(*PACKAGES, *(DEVELOPMENT if test else ())):
        run_in_environment(test=test)
    if test:
        os.execv(sys.executable, [sys.executable, "-m", "tests", *sys.argv[2:]])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "digest.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import Error

    try:
        if sys.argv[1:] in (["version"], ["--version"]):
            print(settings.RELEASE)
        else:
            execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"error: {error}")
    except Error as error:  # in Django's own commands; ours say it by themselves
        from digest.management.base import database_trouble

        sys.exit(f"error: {database_trouble(error)}")


def has(*packages: str) -> bool:
    """Return whether all are there; a folder without its __init__.py was left half-way."""
    found = map(importlib.util.find_spec, packages)
    return all(spec and spec.origin for spec in found)


def run_in_environment(*, test: bool) -> None:
    """Replace this process by the same command in `.venv`, which is made or completed first."""
    python = VENV / "bin" / "python"
    group = "dev" if test else "embedded"
    stamp = VENV / f".{group}-installed"
    extras = extras_wanted()
    needed = hashlib.sha256((ROOT / "uv.lock").read_bytes()).hexdigest()
    lock = needed + "".join(extras)
    # A deployment's own environment is used as it is: only `up` and `test` complete one.
    complete = test or sys.argv[1:2] == ["up"] or not python.exists()
    installed = stamp.read_text() if stamp.exists() else ""
    if complete and installed != lock:
        is_new = not VENV.exists()
        try:
            wrong = install(group, extras)
        except KeyboardInterrupt:
            if is_new:  # the next start would take half of it for a deployment's own
                shutil.rmtree(VENV, ignore_errors=True)
            sys.exit("\nStopped. The installation begins anew at the next start.")
        if not wrong:
            stamp.write_text(lock)
        elif installed != needed:
            sys.exit(f"error: {wrong}")
        else:  # only an extra is missing; the next start tries again
            print(f"warning: for `doctor`, {wrong}. All else runs.", file=sys.stderr)
    if os.environ.get("DAILY_PAPERS_ENVIRONMENT") == str(VENV):  # we come from here
        sys.exit(f"error: {VENV} lacks packages: remove that folder and try again")
    os.environ["DAILY_PAPERS_ENVIRONMENT"] = str(VENV)
    os.execv(python, [str(python), *sys.argv])


def extras_wanted() -> list[str]:
    """Return the extras to install: a deployment, which has settings, can ask its doctor."""
    settings = Path(os.environ.get("ENV_FILE") or ROOT / ".env")
    given = settings.is_file() or os.environ.get("DATABASE_URL")
    return ["--extra", "doctor"] if given else []


def install(group: str, extras: list[str]) -> str:
    """Install what `group` needs from uv.lock; return what went wrong, in one line.

    Nothing that another group needs is removed.
    """
    ours = VENV / "bin" / "uv"
    uv = shutil.which("uv") or (str(ours) if ours.exists() else "")
    if not uv:
        check_python()
    if not sys.stderr.isatty():
        print("Installing the packages into .venv, once.", file=sys.stderr, flush=True)
    show("getting ready")
    if not uv:
        install_uv()
    groups = ["--no-dev", "--group", group] if group != "dev" else []
    command = [uv or str(ours), "sync", "--locked", "--inexact", *groups, *extras]
    env = {name: text for name, text in os.environ.items() if name != "VIRTUAL_ENV"}
    # Byte code is made once here instead of by several processes at the first start.
    env |= {"UV_PROJECT_ENVIRONMENT": str(VENV), "UV_COMPILE_BYTECODE": "1"}
    said = []
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            for line in process.stderr or ():
                said.append(line.strip())
                show(said[-1])
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    show("")
    if not process.returncode:
        return ""
    return failure("the packages could not be installed", said, "UV_DEFAULT_INDEX")


def check_python() -> None:
    """Exit with one line unless this Python can make an environment for us by itself."""
    if sys.version_info < OLDEST:
        version = ".".join(map(str, sys.version_info[:2]))
        sys.exit(
            f"error: Daily Papers needs Python 3.12 or newer, and this is {version}. Install "
            "one and start with it, or install uv (https://docs.astral.sh/uv/), which brings it"
        )
    if not has("venv", "ensurepip"):
        sys.exit(
            "error: this Python cannot make virtual environments: install them (on Debian and "
            "Ubuntu: `apt install python3-venv`), or uv (https://docs.astral.sh/uv/)"
        )


def install_uv() -> None:
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "uv>=0.9,<1"]
    pip.append("--disable-pip-version-check")
    for command in ([sys.executable, "-m", "venv", str(VENV)], pip):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(VENV, ignore_errors=True)
            said = (done.stderr or done.stdout).strip().splitlines()
            wrong = failure("uv could not be installed", said, "PIP_INDEX_URL")
            sys.exit(f"error: {wrong}")


def failure(what: str, said: list[str], index: str) -> str:
    """Return the one line for an installer that failed after it `said` these lines."""
    fault = next((line for line in said if line.lower().startswith("error")), "")
    causes = [
        line for line in said if line.startswith("cause: ")
    ]  # the last is the deepest
    why = "; ".join([fault, *causes[-1:]]) if fault else " ".join(said[-1:])
    return (
        f"{what} ({why or 'no reason given'}). Is there a network? Behind a proxy or a "
        f"mirror, set HTTPS_PROXY or {index}, and SSL_CERT_FILE if it has a certificate of its own"
    )


def show(step: str) -> None:
    """Show what the installation does: in a terminal, on one line that is written over."""
    if sys.stderr.isatty():
        line = f"Installing the packages into .venv, once: {step}"[:78] if step else ""
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # before a command knows what to do about it
        sys.exit(130)
