"""Small files in STATE_DIR: a damaged one is set aside with a log line.

Damaged means empty, cut off, binary, of another version, unreadable, or not a regular file.
This module imports no settings, as settings.py uses it.
"""

import json
import logging
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

# Beside the file, where an operator finds it; no program reads a file of this name.
ASIDE = ".damaged"
NEW_KEY = "a new key is made, so put the old one back if there is a backup of it"
# The form of secrets.token_urlsafe(50); a shorter key was cut off.
KEY = re.compile(r"[\w-]{67}", re.ASCII)


def set_aside(path: Path, why: str) -> None:
    """Rename a damaged file and log the reason; go on even if that fails."""
    try:
        path.replace(path.with_name(f"{path.name}{ASIDE}-{secrets.token_hex(4)}"))
    except FileNotFoundError:
        return  # another process has just renamed it
    except OSError as error:
        logger.error("%s is damaged and cannot be set aside: %s", path, error)
        return
    logger.error("%s is damaged and was set aside: %s", path, why)


def read_strings(path: Path) -> dict[str, str]:
    """Return a JSON object of strings; an empty one when there is none or it is damaged."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        set_aside(path, type(error).__name__)
        return {}
    if isinstance(found, dict) and all(isinstance(one, str) for one in found.values()):
        return found
    set_aside(path, "not an object of strings")
    return {}


def read_or_make_key(path: Path) -> str:
    """Return the key in the file; make a new one if it is missing or damaged.

    Raises OSError when the folder is not writable.
    """
    with suppress(FileNotFoundError):
        if key := read_key(path):
            return key
    create(path, secrets.token_urlsafe(50))  # if another process was faster, use its key
    return read_key(path) or read_or_make_key(path)


def create(path: Path, content: str) -> bool:
    """Create the file, complete before its name appears; return False if it exists.

    A crash leaves no partial file. Raises OSError when the folder is not writable.
    """
    if path.exists():
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with open(draft, "x", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def read_key(path: Path) -> str | None:
    """Return the key; None after a damaged file was set aside. Raises FileNotFoundError."""
    try:
        key = path.read_text().strip()
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        set_aside(path, f"{type(error).__name__}; {NEW_KEY}")
        return None
    if KEY.fullmatch(key):
        return key
    set_aside(path, f"not a key of ours; {NEW_KEY}")
    return None
