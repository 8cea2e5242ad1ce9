"""`python -m tests`: the suite on SQLite and on PostgreSQL at the same time.

Without arguments all but the long tests, which `-m long` runs; with CI set, these too: beside
short ones they get in each other's way less. Arguments go to pytest.
Where COVERAGE_RCFILE is set, the half on SQLite measures which lines it takes.
PostgreSQL is the server of DATABASE_URL when that is given, else one that is started for the
run. Its report comes when the other has ended. The exit status is the worse of the two.
"""

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from tests.postgres import PostgresError, server

ROOT = Path(__file__).resolve().parent.parent
SHORT = [] if os.environ.get("CI") else ["-m", "not gate and not nightly and not long"]
MEASURE = ["coverage", "run", "-m"]
NO_TESTS = 5  # pytest's status when all that was chosen runs on the other database


# Workers of each half, which run side by side: more than there are cores in all, for many
# tests wait.
CORES = os.cpu_count() or 1
ON_SQLITE, ON_POSTGRES = CORES + 2, CORES  # SQLite has four times as many tests


def suite(database: str, output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """Start one half of the suite."""
    environment = {
        "PYTEST_XDIST_AUTO_NUM_WORKERS": str(ON_POSTGRES if database else ON_SQLITE),
        **os.environ,
        "DATABASE_URL": database,
    }
    measure = [] if database or "COVERAGE_RCFILE" not in os.environ else MEASURE
    command = [sys.executable, "-m", *measure, "pytest", *(sys.argv[1:] or SHORT)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=output, stderr=output
    )


def both(given: str) -> list[int]:
    """The two exit statuses; without PostgreSQL the second is 1, and the reason is said."""
    with ExitStack() as stack:
        output = stack.enter_context(tempfile.TemporaryFile())
        other, lacking = None, ""
        try:
            database = given or stack.enter_context(server())
            other = stack.enter_context(suite(database, output))
        except PostgresError as error:
            lacking = f"error: no PostgreSQL: {error}"
        print("\n== the suite on SQLite ==\n", flush=True)
        with suite("") as first:
            pass
        if other is None:
            print(f"\n{lacking}", file=sys.stderr)
            return [first.returncode, 1]
        other.wait()
        print(f"\n== the suite on {'your' if given else 'an embedded'} PostgreSQL ==\n")
        output.seek(0)
        sys.stdout.flush()
        sys.stdout.buffer.write(output.read())
        sys.stdout.flush()
        return [first.returncode, other.returncode]


def main() -> int:
    given = os.environ.get("DATABASE_URL", "")
    statuses = both(given if given.startswith("postgres") else "")
    if NO_TESTS in statuses and statuses != [NO_TESTS, NO_TESTS]:
        return min(statuses)
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
