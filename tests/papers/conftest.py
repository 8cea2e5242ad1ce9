"""The paper source of these tests, and the optional recorded data."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from tests.source_server import Source, running


@pytest.fixture
def source(settings: Settings) -> Iterator[Source]:
    """A running paper source that SOURCE_URL points to."""
    with running() as server:
        settings.SOURCE_URL = server.url
        yield server


@pytest.fixture
def data_folder() -> Path:
    """The folder that PAPERS_DATA names; without it the test is skipped."""
    folder = os.environ.get("PAPERS_DATA")
    if not folder:
        pytest.skip("set PAPERS_DATA to the folder of recorded papers to run this")
    return Path(folder)
