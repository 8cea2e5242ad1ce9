"""`systemctl` of a test's host: it starts and stops what the unit files say, and no more."""

import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path


def read_unit(path: Path) -> dict[str, list[str]]:
    """Return name → values of a unit file; lines that end with a backslash are joined."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().replace("\\\n", " ").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value.strip())
    return found


def start(host: Path, name: str) -> None:
    unit = read_unit(host / "etc/systemd/system" / f"{name}.service")
    given = dict(
        pair.split("=", 1) for line in unit["Environment"] for pair in shlex.split(line)
    )
    env = {"PATH": "/usr/bin:/bin", "HOME": str(host / "home")} | given
    with open(host / "logs" / f"{name}.log", "ab") as log:
        process = subprocess.Popen(
            shlex.split(unit["ExecStart"][0]),
            cwd=unit["WorkingDirectory"][0],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (host / f"{name}.pid").write_text(str(process.pid))


def stop(host: Path, name: str) -> None:
    path = host / f"{name}.pid"
    with suppress(OSError, ValueError):
        pid = int(path.read_text())
        path.unlink()
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 60
        while time.monotonic() < end and Path(f"/proc/{pid}/status").exists():
            time.sleep(0.05)
        os.killpg(pid, signal.SIGKILL)


def main() -> None:
    host, action, *names = Path(sys.argv[1]), *sys.argv[2:]
    folder = host / "etc/systemd/system"
    names = [name.removesuffix(".service") for name in names if not name.startswith("--")]
    if "nginx" in names:
        pid = host / "nginx.pid"  # `nginx -t` leaves an empty one
        options = ["-s", "reload"] if pid.exists() and pid.read_text() else []
        subprocess.run([host / "bin/nginx", *options], check=True)
        return
    if names in (["papers.target"], ["all"]):
        names = sorted(path.stem for path in folder.glob("papers-*.service"))
    for name in names:
        if action in {"restart", "stop"}:
            stop(host, name)
        if action in {"restart", "enable", "start"}:
            start(host, name)


if __name__ == "__main__":
    main()
