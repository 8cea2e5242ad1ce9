"""The settings as they are read with some variables, in this process and beside Django's."""

import os
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.environment import KEYS, ROOT, bare

SETTINGS = str(ROOT / "digest" / "settings.py")
# A deployment's variables, none of them wrong.
GIVEN = KEYS | {
    "DATABASE_URL": "postgresql://papers:hush@db.example.org:5433/papers",
    "REDIS_URL": "redis://redis.example.org:6380/2",
    "SITE_URL": "https://papers.example.org",
    "MAILER_URL": "smtps://ann:hush@mail.example.org",
    "FROM_EMAIL": "Daily Papers <papers@papers.example.org>",
    "POSTAL_ADDRESS": "Sample Street 1, 12345 Sample Town",
}


def settings(environ: Mapping[str, str], *, state: Path | None = None) -> dict[str, Any]:
    """Read the settings in an environment of these variables only.

    Raises ImproperlyConfigured.
    """
    alone = {name: value for name, value in bare().items() if name != "SOURCE_URL"}
    folder = {"STATE_DIR": str(state)} if state else {}
    with patch.dict(os.environ, {**alone, **folder, **environ}, clear=True):
        return runpy.run_path(SETTINGS)


def env_file(folder: Path, values: Mapping[str, str]) -> str:
    """Write a file of NAME=value lines. Return its path."""
    path = folder / "variables.env"
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return str(path)
