# The daily loop. CI runs `.ci/run`, which does all of this and more.
check:   # style, types and the quick tests: about a minute
    uv run ruff check . && uv run ruff format --check . && uv run mypy
    uv run pytest -q -m "not gate and not slow and not browser"
test:    # everything, on both databases
    uv run python -m tests
fuzz:    # the fuzzers, three minutes each: every night
    FUZZ_SECONDS=180 uv run pytest tests/fuzz
up:      # the whole product on this machine
    uv run manage.py up
