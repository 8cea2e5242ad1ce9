"""The same commands start the processes, whoever starts them.

The units' commands are run by the guide's test; these are theirs word for word, but for the
address to listen on and what only a container needs.
"""

import json
import re
import shlex
from pathlib import Path

import yaml

from tests.deploy.systemctl import read_unit
from tests.environment import ROOT

PROCESSES = ("web", "worker", "beat")
OTHERWISE = re.compile(r" (--bind|--worker-tmp-dir) \S+")
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
    return plain(found[1])


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


def test_compose_keeps_our_containers_small_and_their_state() -> None:
    for name in (*PROCESSES, "migrate"):
        service = COMPOSE[name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert "state:/var/lib/papers" in service["volumes"]
    assert "STATE_DIR=/var/lib/papers" in (ROOT / "Dockerfile").read_text()
    assert "USER papers" in (ROOT / "Dockerfile").read_text()
    assert [name for name, service in COMPOSE.items() if "ports" in service] == ["caddy"]
