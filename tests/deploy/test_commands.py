"""The same commands start the processes, whoever starts them.

The units' commands are run by the guide's test; these are theirs word for word, but for the
address to listen on and what only a container needs.
"""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import yaml
from django.db import connections

from tests.deploy.systemctl import read_unit
from tests.environment import DEPLOYMENT, KEYS, ROOT, bare
from tests.web_server import STARTS_WITHIN, database_url

PROCESSES = ("web", "worker", "beat")
OTHERWISE = re.compile(r" (--bind|--worker-tmp-dir) \S+")
COLLECT = "python manage.py collectstatic --no-input -v 0 && "  # the guide and the image do before
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def plain(command: str) -> str:
    """The command without path, address and a container's own options."""
    words = shlex.split(OTHERWISE.sub("", command))
    return " ".join([Path(words[0]).name, *words[1:]])


def of_units(process: str) -> str:
    unit = read_unit(ROOT / f"deploy/systemd/papers-{process}.service")
    return plain(unit["ExecStart"][0])


def of_procfile(process: str) -> str:
    found = re.search(rf"^{process}: (.*)$", (ROOT / "Procfile").read_text(), re.MULTILINE)
    assert found
    return plain(found[1].removeprefix(COLLECT))


def of_compose(process: str) -> str:
    if command := COMPOSE[process].get("command"):
        return plain(command)
    image = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    found = re.search(r"^CMD (\[.*\])$", image, re.MULTILINE)
    assert found
    return plain(shlex.join(json.loads(found[1])))


def test_c32_units_procfile_and_compose_start_the_same() -> None:
    started = [
        [way(one) for one in PROCESSES] for way in (of_units, of_procfile, of_compose)
    ]
    assert started[0] == started[1] == started[2]
    assert started[0][2] == "celery -A digest beat --pidfile="


@pytest.mark.embedded
@pytest.mark.django_db(transaction=True)
def test_c32_a_platform_s_web_process_finds_the_site_s_own_files(tmp_path: Path) -> None:
    """`release` runs on a disk of its own there, which is thrown away."""
    found = re.search(r"^web: (.*)$", (ROOT / "Procfile").read_text(), re.MULTILINE)
    assert found
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = bare() | DEPLOYMENT | KEYS
    env |= {"DATABASE_URL": database_url(), "STATE_DIR": str(tmp_path), "PORT": str(port)}
    env |= {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}"}
    env |= {"SITE_URL": f"http://127.0.0.1:{port}"}
    env.pop("STATIC_ROOT", None)
    with subprocess.Popen(
        found[1], shell=True, cwd=ROOT, env=env, start_new_session=True
    ) as web:
        try:
            page = answer(web, f"http://127.0.0.1:{port}/").text
            names = re.findall(r'"(/static/[^"]+\.(?:css|js|svg))"', page)
            assert names
            for name in names:
                assert requests.get(f"http://127.0.0.1:{port}{name}", timeout=30).ok, name
        finally:
            os.killpg(web.pid, signal.SIGTERM)
            web.wait(60)
            connections.close_all()


def answer(process: subprocess.Popen[bytes], url: str) -> requests.Response:
    """The first answer of a server that is starting."""
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        try:
            return requests.get(url, timeout=30)
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError(f"no answer; the process ended with {process.poll()}")


def test_compose_keeps_our_containers_small_and_their_state() -> None:
    for name in (*PROCESSES, "migrate"):
        service = COMPOSE[name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert "state:/var/lib/papers" in service["volumes"]
    assert "STATE_DIR=/var/lib/papers" in (ROOT / "Dockerfile").read_text()
    assert "USER papers" in (ROOT / "Dockerfile").read_text()
    assert [name for name, service in COMPOSE.items() if "ports" in service] == ["caddy"]
