"""Follow the deployment guide on a fresh Debian that boots with systemd, and time it.

    sudo -E uv run python -m tests.deploy.fresh_debian [--root FOLDER]

By hand or by night: it needs root, `debootstrap`, `systemd-nspawn` (of systemd-container), `ip`
and `iptables`, and Debian's packages and PyPI on the network. Nothing stands in for a program of the host: every block of
docs/deploy.md is pasted as it stands, with a mail server and a source of papers of the
operator's own. The guide's names lead to this machine, and its certificates come from an
authority that the host trusts. Ends with 1 when anything fails or takes longer than wanted.
"""

import argparse
import os
import re
import shlex
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import requests
import trustme

from tests.deploy.host import BLOCK, on_terminal, until
from tests.environment import ROOT
from tests.sink import Sink, in_thread
from tests.source_server import entry, running

GUIDE = (ROOT / "docs/deploy.md").read_text()
SITE, RELAY, READER = "papers.example.org", "mail.example.org", "ann@example.org"
SITE_URL, HERE, CODE = f"https://{SITE}", "127.0.0.1", "/srv/papers"
UNITS = [f"papers-{name}" for name in ("web", "worker", "beat")]
PROGRAMS = ("debootstrap", "systemd-nspawn", "ip", "iptables", "nsenter")
NETWORK, HOST_END = "daily-papers", "papers0"  # its ports are not this machine's
WITHIN = 15 * 60  # seconds from the first command to the first digest
EXPOSURE = 3.0  # of 10, by `systemd-analyze security`; systemd itself says OK below 5
ANSWERS = {
    "Username": "ada",
    "Email address:": "ada@example.org",
    "Password:": "a-long-pass-phrase",
    "Password (again):": "a-long-pass-phrase",
}
BOOT = """
if ! mountpoint -q /sys/fs/cgroup || [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
fi
mkdir -p /sys/fs/cgroup/daily-papers
echo $$ >/sys/fs/cgroup/daily-papers/cgroup.procs
exec systemd-nspawn --quiet --boot --directory "$1" --machine daily-papers --register=no \\
    --keep-unit --network-namespace-path=/run/netns/daily-papers --resolv-conf=copy-host \\
    --console=passive
"""


class Machine:
    """A booted Debian in a folder; `run` is a command of its root."""

    def __init__(self, root: Path, process: "subprocess.Popen[bytes]") -> None:
        self.root = root
        self.process = process

    def inside(self, *command: str) -> list[str]:
        (leader,) = psutil.Process(self.process.pid).children()
        env = ["HOME=/root", "LANG=C.UTF-8", "TERM=dumb", "UV_SYSTEM_CERTS=1"]
        env.append("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        enter = ["nsenter", "-t", str(leader.pid), "-m", "-u", "-i", "-p", "-n", "-C", "-r"]
        return [*enter, "-w", "env", "-i", *env, *command]

    def run(self, *command: str) -> str:
        """Return what the command prints. Raises AssertionError when it fails."""
        done = subprocess.run(self.inside(*command), capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def is_up(self) -> bool:
        try:
            done = subprocess.run(
                self.inside("systemctl", "is-system-running"),
                capture_output=True,
                text=True,
            )
        except ValueError:  # its first process is not there yet
            return False
        return done.stdout.strip() in {"running", "degraded"}


def make_root(root: Path, suite: str) -> None:
    """Bootstrap a minimal Debian that boots, with the authorities this machine trusts."""
    packages = "--include=ca-certificates,dbus,systemd,systemd-sysv"
    command = ["debootstrap", "--variant=minbase", packages, suite, str(root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def prepare(root: Path, authority: trustme.CA) -> None:
    """Give the host its names, certificates and a repository to clone."""
    trusted = root / "usr/local/share/ca-certificates"
    for path in Path("/usr/local/share/ca-certificates").glob("*.crt"):
        shutil.copy(path, trusted)
    authority.cert_pem.write_to_path(trusted / "trial.crt")
    subprocess.run(
        ["chroot", root, "update-ca-certificates"], check=True, capture_output=True
    )
    issued = authority.issue_cert(SITE, HERE)  # the trial asks by the address
    live = root / "etc/letsencrypt/live" / SITE
    live.mkdir(parents=True, exist_ok=True)
    issued.private_key_pem.write_to_path(live / "privkey.pem")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    (live / "fullchain.pem").write_bytes(chain)
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost {SITE} {RELAY}\n")
    (root / "etc/hostname").write_text("papers\n")
    subprocess.run(
        ["git", "clone", "--quiet", "--bare", ROOT, root / "root/repository.git"],
        check=True,
    )


@contextmanager
def network() -> Iterator[None]:
    """Put this thread, and what it starts, into a network of its own that leads out by NAT."""
    inside = ["ip", "-n", NETWORK]
    rule = ["POSTROUTING", "-s", "10.77.1.0/24", "-j", "MASQUERADE"]
    forward = Path("/proc/sys/net/ipv4/ip_forward")
    forwarded = forward.read_text()
    ours = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        for line in (
            ["ip", "netns", "add", NETWORK],
            [
                "ip",
                "link",
                "add",
                HOST_END,
                "type",
                "veth",
                "peer",
                "net0",
                "netns",
                NETWORK,
            ],
            ["ip", "address", "add", "10.77.1.1/24", "dev", HOST_END],
            ["ip", "link", "set", HOST_END, "up"],
            [*inside, "address", "add", "10.77.1.2/24", "dev", "net0"],
            [*inside, "link", "set", "net0", "up"],
            [*inside, "link", "set", "lo", "up"],
            [*inside, "route", "add", "default", "via", "10.77.1.1"],
            ["iptables", "-t", "nat", "-A", *rule],
        ):
            subprocess.run(line, check=True)
        forward.write_text("1")
        os.setns(os.open(f"/run/netns/{NETWORK}", os.O_RDONLY), os.CLONE_NEWNET)
        yield
    finally:
        os.setns(ours, os.CLONE_NEWNET)
        subprocess.run(["iptables", "-t", "nat", "-D", *rule])
        subprocess.run(["ip", "link", "delete", HOST_END])
        subprocess.run(["ip", "netns", "delete", NETWORK])
        forward.write_text(forwarded)


@contextmanager
def booted(root: Path) -> Iterator[Machine]:
    with open(root.with_name(f"{root.name}.console"), "wb") as console:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-ec", BOOT, "boot", str(root)],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
        )
        machine = Machine(root, process)
        try:
            until(machine.is_up, seconds=60, what=lambda: f"{root} does not boot")
            yield machine
        finally:
            process.terminate()  # powers it off
            process.wait(60)


def follow(machine: Machine, page: str, words: dict[str, str]) -> str:
    """Paste each block of the page into one shell of root, and print what each took."""
    lines = ["set -euo pipefail", "cd"]
    for block in BLOCK.findall(page):
        for here, there in words.items():
            block = block.replace(here, there)
        first = block.splitlines()[0]
        lines += [f"printf '== %4d s  %s\\n' $SECONDS {shlex.quote(first)}", block]
        if "useradd" in block:  # the guide's sentence: clone this repository
            lines.append(f"git clone --quiet /root/repository.git {CODE}")
    (machine.root / "root/guide.sh").write_text("\n".join(lines))
    command = machine.inside("bash", "/root/guide.sh")
    status, said = on_terminal(
        command, env=dict(os.environ), cwd=ROOT, answers=ANSWERS, show=True
    )
    assert status == 0, "a block failed"
    return said


def sign_up(sink: Sink, certificate: Path) -> None:
    """Sign up, confirm and wait for the digest, all over TLS by the site's name."""
    with requests.Session() as browser:
        browser.trust_env = False
        browser.verify = str(certificate)
        browser.headers.update({"Host": SITE, "Referer": f"{SITE_URL}/"})
        front = browser.get(f"https://{HERE}/")
        assert front.ok and "An Invented Paper" in front.text, front.text
        stamp = re.search(r'name="started"[^>]*value="([^"]+)"', front.text)
        form = {"email": READER, "timezone": "UTC", "cadence": "daily"}
        # An hour that has just come: one of many hours ago would be too late for today.
        form |= {"send_hour": str(datetime.now(UTC).hour)}
        form |= {"topics": "graphs", "started": stamp[1] if stamp else ""}
        assert browser.post(f"https://{HERE}/subscribe/", data=form).ok
        until(lambda: sink.to(READER), seconds=60, what=lambda: "no mail to confirm")
        body = sink.to(READER)[0].message.get_body(("plain",))
        assert body
        link = re.search(rf"{SITE_URL}(/confirm/[\w-]+/)", body.get_content())
        assert link and browser.post(f"https://{HERE}{link[1]}").ok
    until(lambda: len(sink.to(READER)) == 3, seconds=90, what=lambda: "no digest")


def hardening(machine: Machine) -> None:
    """Check that the units run, confined as they say; print systemd's own judgement."""
    units = [f"/etc/systemd/system/{unit}.service" for unit in UNITS]
    machine.run("systemd-analyze", "verify", *units, "/etc/systemd/system/papers.target")
    for unit in UNITS:
        shown = machine.run("systemctl", "show", unit)
        now = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        assert (now["ActiveState"], now["NRestarts"]) == ("active", "0"), shown
        pid = (machine.run("systemctl", "show", "-P", "MainPID", unit)).strip()
        status = machine.run("cat", f"/proc/{pid}/status")
        for line in ("NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"):
            assert line in status, f"{unit}: {line} is not in {status}"
        into = machine.inside("nsenter", "-t", pid, "-m", "touch", f"{CODE}/x", "/etc/x")
        tried = subprocess.run(into, capture_output=True, text=True)
        assert tried.stderr.count("Read-only file system") == 2, tried.stderr
        judged = machine.run("systemd-analyze", "security", "--no-pager", unit)
        line = judged.splitlines()[-1]
        print(unit, line.encode("ascii", "ignore").decode().strip())
        assert float(re.findall(r"\d+\.\d+", line)[0]) < EXPOSURE


def trial(root: Path) -> None:
    authority = trustme.CA()
    prepare(root, authority)
    certificate = root / "usr/local/share/ca-certificates/trial.crt"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(RELAY).configure_cert(tls)
    today = datetime.now(UTC).date()
    with ExitStack() as stack:
        stack.enter_context(network())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        sink = stack.enter_context(in_thread(Path(folder), tls=tls))
        source = stack.enter_context(running())
        for day in (today - timedelta(days=1), today):
            source.days[f"{day}"] = [entry(number, day=f"{day}") for number in range(1, 8)]
        machine = stack.enter_context(booted(root))
        words = {
            f"user:password@{RELAY}:587": f"papers:secret@{RELAY}:{sink.port}",
            "ADMINS=you@example.org": f"ADMINS=you@example.org\nSOURCE_URL={source.url}",
        }
        begun = time.monotonic()
        setting_up, later = GUIDE.split("## Backups and updates")
        said = follow(machine, setting_up, words)
        assert "Superuser created successfully" in said
        assert re.search(r"^ready\r?$", said, re.MULTILINE), said
        sign_up(sink, certificate)
        took = time.monotonic() - begun
        print(f"first command to first digest: {took:.0f} s")
        logins = (Path(folder) / "logins").read_bytes()
        assert b"papers\0secret" in logins, "no AUTH"
        hardening(machine)
        follow(machine, later, {})
        hardening(machine)
        assert took < WITHIN


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.fresh_debian")
    parser.add_argument("--root", type=Path, help="a fresh Debian that is there already")
    parser.add_argument("--suite", default="trixie", help="which Debian to make otherwise")
    options = parser.parse_args()
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        parser.error(f"install {', '.join(missing)} first")
    with tempfile.TemporaryDirectory() as folder:
        root = options.root or Path(folder) / "debian"
        if not options.root:
            make_root(root, options.suite)
        trial(root)


if __name__ == "__main__":
    main()
