# The daily loop. CI runs `.ci/run`, which does all of this and more.
check:   # style, types and the core's quick tests: a minute on two idle cores
    uv run ruff check . && uv run ruff format --check . && uv run mypy
    uv run pytest -q -m "not gate and not nightly and not slow and not browser" \
        tests/deliveries tests/editions tests/feedback tests/papers tests/ranking \
        tests/subscribers tests/throttling tests/transport tests/test_floor_plan.py
test:    # everything, on both databases: some thirteen minutes
    CI=true python3 manage.py test
coverage: # branches that the SQLite half takes, child processes too
    rm -rf .coverage && mkdir .coverage
    uv run coverage run -m pytest -q -m "not gate and not nightly and not browser"
    uv run coverage combine -q && uv run coverage report --skip-covered
nightly: fuzz coverage # what the suite leaves out or samples, on both databases
    python3 manage.py test -m nightly
    uv run python -m tests.deliveries.schedule_sweep
fuzz:    # the fuzzers, three minutes each: every night
    FUZZ_SECONDS=180 uv run pytest tests/fuzz
    for name in feed page query abstract; do uv run --group fuzz python -m tests.fuzz.guided $name -max_total_time=180 || exit 1; done
docs:    # the documentation as a site, in site/; a broken link fails
    uv run --isolated --only-group docs zensical build --config-file .zensical.toml --strict
up:      # the whole product on this machine
    python3 manage.py up
