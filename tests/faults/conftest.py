"""A scratch deployment per test, on the run's kind of database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.environment import POSTGRES
from tests.faults.scene import Scene, scene
from tests.shell import opened

type Play = Callable[..., Scene]


@pytest.fixture
def play(tmp_path, request) -> Iterator[Play]:
    """`play(readers, "--plan", VARIABLE=…)`: a seeded scene in a folder of its own."""
    with ExitStack() as stack:

        def begin(readers: list[str], *options: str, **env: str) -> Scene:
            database = request.getfixturevalue("migrated_database") if POSTGRES else ""
            played = scene(tmp_path / "scene", env, database=database)
            played.shell = stack.enter_context(opened(played.tree, played.env, played.log))
            played.seed(readers, *options)
            return played

        yield begin
