"""`python -m tests`: the whole suite, on SQLite and then on PostgreSQL.

Arguments go to pytest. PostgreSQL is the server of DATABASE_URL when that is given,
else one that is started for the run. The exit status is the worse of the two.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.postgres import PostgresError, server

ROOT = Path(__file__).resolve().parent.parent
NO_TESTS = 5  # pytest's status when all that was chosen runs on the other database


def suite(name: str, database: str) -> int:
    print(f"\n== the suite on {name} ==\n", flush=True)
    environment = {
        # One more than cores: some tests wait for real ticks.
        "PYTEST_XDIST_AUTO_NUM_WORKERS": str((os.cpu_count() or 1) + 1),
        **os.environ,
        "DATABASE_URL": database,
    }
    command = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


def main() -> int:
    given = os.environ.get("DATABASE_URL", "")
    first = suite("SQLite", "")
    try:
        if given.startswith("postgres"):
            second = suite("the PostgreSQL of DATABASE_URL", given)
        else:
            with server() as database:
                second = suite("an embedded PostgreSQL", database)
    except PostgresError as error:
        print(f"error: no PostgreSQL: {error}", file=sys.stderr)
        second = 1
    if NO_TESTS in (first, second) and first != second:
        return min(first, second)
    return max(first, second)


if __name__ == "__main__":
    sys.exit(main())
