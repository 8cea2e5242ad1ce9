"""A machine with nothing but Python: `python3 manage.py` makes its own environment.

The PATH holds one program, `python3`, and the copy of the tree has no `.venv`. Only uv's
cache of downloads is this machine's, so that a test does not download everything again.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environment import NOWHERE, ROOT, bare
from tests.stack import Stack

pytestmark = pytest.mark.embedded
# As a system's Python is where the packages for virtual environments are not installed.
WITHOUT_ENSUREPIP = """
import importlib.machinery, sys
class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == "ensurepip" else super().find_spec(name, path, target)
sys.meta_path = [f for f in sys.meta_path if f is not importlib.machinery.PathFinder] + [Finder]
"""
AS_OLD = "import sys; sys.version_info = (3, 11, 2, 'final', 0)"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A clean copy of the files that git knows."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in listed.split("\n")[:-1]:
        if not name.startswith("tests/") or name == "tests/__init__.py":
            (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "tree" / name)
    (tmp_path / "tree/tests/__main__.py").write_text(
        "import pytest; print('pytest is here')"
    )
    return tmp_path / "tree"


def machine(folder: Path) -> dict[str, str]:
    """The environment of a user with one program on the PATH, `python3`."""
    path = folder / "bin"
    path.mkdir(exist_ok=True)
    if not (path / "python3").exists():
        (path / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    cache = Path(os.environ.get("UV_CACHE_DIR", Path.home() / ".cache" / "uv"))
    left_out = ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "DAILY_PAPERS_ENVIRONMENT")
    kept = {name: text for name, text in bare().items() if name not in left_out}
    return kept | {"PATH": str(path), "HOME": str(folder), "UV_CACHE_DIR": str(cache)}


def manage(
    tree: Path, env: dict[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    command = [f"{env['PATH']}/python3", "manage.py", *words]
    return subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True)


def has(tree: Path, package: str) -> bool:
    return any((tree / ".venv").glob(f"lib/python3*/site-packages/{package}/__init__.py"))


def test_c31_up_doctor_and_test_install_what_they_need_and_leave_each_other_s(
    tree: Path, tmp_path: Path
) -> None:
    env = machine(tmp_path)
    stack = Stack(tmp_path / "state", env)
    stack.python, stack.root = str(tmp_path / "bin" / "python3"), tree
    (tmp_path / "state").mkdir()
    try:
        stack.up(seconds=240)
        assert stack.ask("/")[0] == 200
        assert "Installing the packages into .venv, once." in stack.output()
        assert not has(tree, "pytest") and not has(tree, "mypy") and has(tree, "aiosmtpd")
        assert stack.end() == 0
    finally:
        stack.clean_up()
    where_there_are_settings_the_doctor_has_what_it_needs(tree, tmp_path, env)
    done = manage(tree, env, "test")
    assert "pytest is here" in done.stdout, done.stderr
    assert has(tree, "pytest") and has(tree, "aiosmtpd")
    again = manage(tree, env, "test")
    assert (again.stdout, again.stderr) == ("pytest is here\n", "")
    (tree / ".venv" / ".embedded-installed").unlink()  # as after a new lock file
    assert manage(tree, env, "up", "--help").returncode == 0
    assert has(tree, "pytest"), "up removed what test had installed"


def where_there_are_settings_the_doctor_has_what_it_needs(
    tree: Path, tmp_path: Path, env: dict[str, str]
) -> None:
    assert has(tree, "aiosmtpd") and not has(tree, "checkdmarc")
    (tree / ".env").write_text("SITE_URL=https://papers.example.org\n")
    env = env | {"ENV_FILE": str(tree / ".env")}
    offline = env | {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty")}
    done = manage(tree, offline, "up", "--help")
    assert done.returncode == 0 and not has(tree, "checkdmarc"), done.stderr
    assert done.stderr.splitlines()[-1].startswith("warning: for `doctor`, the packages")
    assert manage(tree, env, "up", "--help").returncode == 0
    assert has(tree, "checkdmarc") and has(tree, "aiosmtpd") and not has(tree, "pytest")
    (tree / ".env").unlink()


@pytest.mark.parametrize(
    ("broken", "site", "words"),
    [
        ({}, AS_OLD, ["3.12 or newer", "this is 3.11"]),
        ({}, WITHOUT_ENSUREPIP, ["virtual environments", "python3-venv"]),
        (
            {
                "PIP_INDEX_URL": f"http://{NOWHERE}",
                "PIP_RETRIES": "0",
                "PIP_FIND_LINKS": "",
            },
            "",
            ["uv could not be installed", "network", "PIP_INDEX_URL"],
        ),
    ],
    ids=["old Python", "no ensurepip", "no network"],
)
def test_c31_what_is_missing_is_one_line_that_says_what_to_install(
    tree: Path, tmp_path: Path, broken: dict[str, str], site: str, words: list[str]
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(site)
    env = machine(tmp_path) | broken | {"PYTHONPATH": str(tmp_path / "site")}
    done = manage(tree, env, "up")
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: "), done.stderr
    assert all(word in line for word in words)
    assert "Traceback" not in done.stderr
    assert not (tree / ".venv").exists()


def test_c31_a_lock_that_cannot_be_downloaded_is_one_line(
    tree: Path, tmp_path: Path
) -> None:
    uv = shutil.which("uv")
    if not uv:
        pytest.skip("uv is not on the PATH")
    env = machine(tmp_path) | {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "cache")}
    (tmp_path / "bin" / "uv").symlink_to(uv)
    done = manage(tree, env, "up")
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: the packages could not be installed (")
    assert "network" in line


# An installer that is stopped half-way: a Python, and a package without its first file.
HALF = """#!{python}
import pathlib, signal, sys
venv = pathlib.Path(".venv")
(venv / "bin").mkdir(parents=True)
(venv / "bin/python").symlink_to("{python}")
(venv / "pyvenv.cfg").write_text("home = {home}\\n")
version = "python%d.%d" % sys.version_info[:2]
for package in ("django", "celery", "altcha"):
    (venv / "lib" / version / "site-packages" / package).mkdir(parents=True)
print("half of it", file=sys.stderr, flush=True)
signal.pause()
"""


def test_an_installation_that_is_stopped_begins_anew(tree: Path, tmp_path: Path) -> None:
    env = machine(tmp_path)
    python = Path(sys.base_prefix) / "bin" / "python3"
    uv = tmp_path / "bin" / "uv"
    uv.write_text(HALF.format(python=python, home=python.parent))
    uv.chmod(0o700)
    ready, told = os.openpty()  # in a terminal it shows what the installer says
    with subprocess.Popen(
        [f"{env['PATH']}/python3", "manage.py", "check"],
        cwd=tree,
        env=env,
        stderr=told,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        os.close(told)
        said = b""
        while b"half of it" not in said:
            said += os.read(ready, 4096)
        assert (tree / ".venv").exists()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 1
    said += os.read(ready, 4096)
    os.close(ready)
    assert b"begins anew" in said and b"Traceback" not in said
    assert not (tree / ".venv").exists()


def test_an_environment_that_was_left_half_way_is_one_line(
    tree: Path, tmp_path: Path
) -> None:
    env = machine(tmp_path)
    python = Path(sys.base_prefix) / "bin" / "python3"
    script = HALF.format(python=python, home=python.parent).replace("signal.pause()", "")
    subprocess.run([python, "-c", script], cwd=tree, check=True, capture_output=True)
    done = manage(tree, env, "check")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "remove that folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1
