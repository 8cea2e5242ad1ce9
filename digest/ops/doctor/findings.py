"""What doctor reports: findings, each with what is wrong, why it matters and what to set."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"  # mail is refused, lost or sent to spam
    WARNING = "warning"  # mail is less trusted, or will fail later
    INFO = "info"  # worth knowing; nothing has to be done


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that doctor found. `remedy` is the record or line to set, complete."""

    severity: Severity
    code: str  # stable, for scripts
    what: str
    why: str
    remedy: str

    @property
    def is_fault(self) -> bool:
        return self.severity is not Severity.INFO


def error(code: str, what: str, *, why: str, remedy: str) -> Finding:
    return Finding(Severity.ERROR, code, what, why, remedy)


def warning(code: str, what: str, *, why: str, remedy: str) -> Finding:
    return Finding(Severity.WARNING, code, what, why, remedy)


def info(code: str, what: str, *, why: str, remedy: str) -> Finding:
    return Finding(Severity.INFO, code, what, why, remedy)


def worst_first(found: Iterable[Finding]) -> list[Finding]:
    """Return the findings without repetitions, errors first."""
    return sorted(dict.fromkeys(found), key=lambda one: list(Severity).index(one.severity))


def one_line(words: object) -> str:
    return " ".join(f"{words}".split())
