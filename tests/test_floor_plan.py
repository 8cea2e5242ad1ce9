"""The floor plan: who may import whom, and that no room becomes a drawer."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environment import ROOT, variables

# A question, not a goal: a file is an idea, none is cut for its length, and what calls each
# other all the time stays together.
MOST_LINES = 600
DRAWERS = {"utils", "helpers", "common", "misc", "core"}


def modules(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "migrations" not in path.parts
    )


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_imports_go_down_the_floor_plan(tmp_path: Path) -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    command = [str(linter) if linter.exists() else str(shutil.which("lint-imports"))]
    done = subprocess.run(
        [*command, "--cache-dir", str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", modules("digest", "subscribers"), ids=name)
def test_module_is_small(path: Path) -> None:
    if path.name == "settings.py":
        return  # one file for all settings, whatever its length
    assert len(path.read_text().splitlines()) < MOST_LINES


# What the state of a field names: its default.
OF_STATES = {"subscribers.models.people"}


def test_no_migration_depends_on_code_that_may_move() -> None:
    """It has to do the same in years: what it needs it holds itself, or another migration."""
    ours = re.compile(
        r"^\s*(?:from|import) ((?:digest|subscribers)[\w.]*)"
        r"|import_module\(\s*\"(?!digest\.migrations\.|subscribers\.migrations\.)([^\"]*)",
        re.MULTILINE,
    )
    found = {
        (one[1] or one[2], name(path))
        for folder in ("digest", "subscribers")
        for path in (ROOT / folder / "migrations").glob("*.py")
        for one in ours.finditer(path.read_text())
    }
    assert [pair for pair in sorted(found) if pair[0] not in OF_STATES] == []
    assert {module for module, _ in found} == OF_STATES


def test_no_module_is_a_drawer_for_leftovers() -> None:
    everything = modules("digest", "subscribers", "tests")
    assert [name(path) for path in everything if path.stem in DRAWERS] == []


def test_env_example_lists_every_variable_that_the_settings_read() -> None:
    text = (ROOT / "digest" / "settings.py").read_text()
    read = set(re.findall(r"(?:variables\.\w+|key)\(\s*\"([A-Z_]+)\"", text))
    assert "DATABASE_URL" in read
    assert read - {"ANYMAIL_", "ENV_FILE"} <= set(variables())


def test_no_module_asks_the_environment_itself() -> None:
    """Its reader knows the file .env, NAME_FILE and what stands around a value."""
    asks = re.compile(r"\benviron\b(?!\.setdefault\(\"(DJANGO_|OPENBLAS_|CELERY_))|getenv")
    asking = [
        name(path)
        for path in modules("digest", "subscribers")
        if asks.search(path.read_text())
    ]
    assert asking == ["digest/settings.py", "digest/variables.py"]
    lines = (ROOT / "digest" / "settings.py").read_text().splitlines()
    direct = [line.strip() for line in lines if asks.search(line)]
    assert direct == ["variables = Variables(os.environ)", "environ=os.environ,"]
