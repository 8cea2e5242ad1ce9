"""What becomes of a small file: each kind of damage that a disk, a crash or a hand does."""

from collections.abc import Callable
from pathlib import Path


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2])


def of_another_kind(path: Path) -> None:
    path.write_text("[]")


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


def nested(path: Path) -> None:
    path.write_text("[" * 100_000)


def a_folder(path: Path) -> None:
    """Unreadable for everybody, root too."""
    path.unlink(missing_ok=True)
    path.mkdir()


def null(path: Path) -> None:
    path.write_text("null")


DAMAGE: list[Callable[[Path], None]] = [
    emptied,
    cut_off,
    of_another_kind,
    binary,
    nested,
    a_folder,
    null,
]
