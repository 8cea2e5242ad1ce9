"""A scratch deployment per test, on the run's kind of database."""

from collections.abc import Callable

import pytest

from tests.environment import POSTGRES
from tests.faults.scene import Scene, scene

type Play = Callable[..., Scene]


@pytest.fixture
def play(tmp_path, request) -> Play:
    """`play(readers, "--plan", VARIABLE=…)`: a seeded scene in a folder of its own."""

    def begin(readers: list[str], *options: str, **env: str) -> Scene:
        database = request.getfixturevalue("empty_database") if POSTGRES else ""
        played = scene(tmp_path / "scene", env, database=database)
        played.seed(readers, *options)
        return played

    return begin
