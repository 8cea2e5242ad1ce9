"""Small files in STATE_DIR: what is damaged is set aside, and every process starts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from digest import state_files
from tests.damage import DAMAGE
from tests.environment import ROOT, bare

NAMES = ["up.json", "secret_key.txt", "address_key.txt"]
SETTINGS = "from digest import settings; print(settings.SECRET_KEY, settings.SITE_URL)"


def in_a_new_process(state: Path) -> subprocess.CompletedProcess[str]:
    env = bare() | {"STATE_DIR": str(state)}
    return subprocess.run(
        [sys.executable, "-c", SETTINGS], cwd=ROOT, env=env, capture_output=True, text=True
    )


@pytest.mark.parametrize("turn", range(0, len(DAMAGE), len(NAMES)))
def test_r31_settings_start_with_all_kinds_of_damage(turn, tmp_path):
    """Each file with another kind at a time; what becomes of a file is read below."""
    state = tmp_path / "state"
    state.mkdir()
    for place, name in enumerate(NAMES):
        (state / name).write_text("x" * 66)
        DAMAGE[(turn + place) % len(DAMAGE)](state / name)
    done = in_a_new_process(state)
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        assert f"{name} is damaged and was set aside" in done.stderr
        assert len(list(state.glob(f"{name}.damaged-*"))) == 1
    assert not (state / "up.json").exists()
    assert in_a_new_process(state).stdout == done.stdout, "another key each time"


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda one: one.__name__)
def test_r31_a_key_is_made_anew_and_only_the_sound_one_stays(damage, tmp_path):
    path = tmp_path / "secret_key.txt"
    first = state_files.read_or_make_key(path)
    assert state_files.read_or_make_key(path) == first
    assert oct(path.stat().st_mode)[-3:] == "600"
    damage(path)
    second = state_files.read_or_make_key(path)
    assert second != first and len(second) == 67
    assert state_files.read_or_make_key(path) == second


def test_a_newline_that_an_editor_has_added_is_no_damage(tmp_path):
    path = tmp_path / "secret_key.txt"
    key = state_files.read_or_make_key(path)
    path.write_text(key + "\n")
    assert state_files.read_or_make_key(path) == key


@pytest.mark.parametrize("value", [{"site_url": 5}, ["site_url"], 7, "text"])
def test_r31_a_note_that_is_no_object_of_strings_is_set_aside(value, tmp_path):
    path = tmp_path / "up.json"
    path.write_text(json.dumps(value))
    assert state_files.read_strings(path) == {}
    assert not path.exists()
