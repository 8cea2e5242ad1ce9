"""The paper source of these tests."""

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from tests.source_server import Source, running


@pytest.fixture
def source(settings: Settings) -> Iterator[Source]:
    """A running paper source that SOURCE_URL points to."""
    with running() as server:
        settings.SOURCE_URL = server.url
        yield server
