"""A mail that was handed over, and the pipe by which mail comes back."""

import io
from collections.abc import Callable

import pytest
from django.core.management import call_command

from digest.models import Delivery
from tests import make


@pytest.fixture
def row(db: None) -> Delivery:
    """A mail that was handed over just now."""
    (row,) = make.handed_over()
    return row


@pytest.fixture
def come(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """A mail comes to this address, through the mail server's pipe."""

    def come(came_to: str, text: str) -> str:
        stdin = io.TextIOWrapper(io.BytesIO(text.encode(errors="surrogateescape")))
        monkeypatch.setattr("sys.stdin", stdin)
        printed = io.StringIO()
        call_command("bounce", came_to, stdout=printed)
        return printed.getvalue()

    return come
