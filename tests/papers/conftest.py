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


@pytest.fixture
def arxiv(source: Source, settings: Settings) -> Source:
    """The same server as arXiv, which the operator wants two categories of."""
    settings.ARXIV_URL = source.url
    settings.ARXIV_CATEGORIES = ["cs.DC", "cs.SI"]
    return source
