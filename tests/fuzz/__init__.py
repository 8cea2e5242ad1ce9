"""Fuzzers: hostile input of each kind, and nothing but a right result or a clear refusal.

A few examples each in the suite; `FUZZ_SECONDS=180 uv run pytest tests/fuzz` looks for
that long with each.
"""

import os
import time
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
EXAMPLES = 500 if SECONDS else 60


def explore[Example](
    examples: SearchStrategy[Example], check: Callable[[Example], object]
) -> None:
    """Check examples for FUZZ_SECONDS, at least EXAMPLES of them; fails with the smallest."""

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(examples)
    def run(example: Example) -> None:
        check(example)

    end = time.monotonic() + SECONDS
    run()
    while time.monotonic() < end:
        run()
