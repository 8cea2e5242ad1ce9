"""`manage.py up` with a deployment's own PostgreSQL, Redis and mail server."""

import signal

import pytest

from tests.environment import POSTGRES
from tests.stack import Stack


@pytest.mark.skipif(not POSTGRES, reason="needs a PostgreSQL: `python -m tests`")
def test_uses_what_is_given_and_starts_only_the_rest(stack: Stack) -> None:
    stack.up()
    running = " ".join(stack.processes().values())
    assert "digest.wsgi" in running
    assert "--concurrency 2" in running
    assert "catcher" not in running
    assert "unixsocket" not in running
    status, _, page = stack.ask("/")
    assert status == 200
    assert "static/site." in page
    assert stack.end(signal.SIGINT) == 0
    assert stack.wait_until_gone() == {}
