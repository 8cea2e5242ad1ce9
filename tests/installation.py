"""What an operator installs, `uv sync --locked --no-dev`, made once in a run.

Nothing that only the development group brings is in it. It is loaded once, so that it is
compiled; environments with an extra are copies of it into which uv puts the extra.
"""

import subprocess
from pathlib import Path

from tests.environment import FOLDER, POSTGRES, ROOT, bare, install
from tests.migrated import alone


def environment() -> Path:
    """Return an installation without the development group and without extras."""
    folder = FOLDER / "installed"
    with alone("installed"):
        if not folder.exists():
            sync(folder)
            subprocess.run(
                [folder / "bin" / "python", "manage.py", "check", "-v0"],
                cwd=ROOT,
                env=bare() | {"STATE_DIR": str(FOLDER / "checked")},
                check=True,
            )
    return folder


def sync(folder: Path, *options: str) -> None:
    # On SQLite `up` runs embedded and needs its group; a deployment needs no group at all.
    install(folder, "--no-default-groups" if POSTGRES else "--no-dev", *options)
