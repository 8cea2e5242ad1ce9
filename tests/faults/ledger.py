"""The project's ledger, read by plain SQL: the harness trusts none of its code."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

OPEN = ("pending", "claimed", "submitting")
ROWS = (
    "SELECT s.email, d.state, d.attempts, d.reason, d.edition_id, d.id"
    " FROM digest_delivery d LEFT JOIN subscribers_subscriber s ON s.id = d.subscriber_id"
)


@dataclass(frozen=True)
class Row:
    """One delivery as it stands."""

    address: str
    state: str
    attempts: int
    reason: str
    edition: int
    id: int


@dataclass(frozen=True)
class Ledger:
    """A database: a file of SQLite, or the address of one on PostgreSQL."""

    place: Path | str

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        if isinstance(self.place, Path):
            with closing(sqlite3.connect(self.place, timeout=60)) as connection:
                rows = connection.execute(sql, values).fetchall()
                connection.commit()
                return rows
        with psycopg.connect(self.place, autocommit=True) as server:
            cursor = server.execute(sql.replace("?", "%s").encode(), values)
            return cursor.fetchall() if cursor.description else []

    def rows(self) -> list[Row]:
        return [Row(address or "", *rest) for address, *rest in self.ask(ROWS)]

    def open_rows(self) -> int:
        marks = ", ".join(f"'{state}'" for state in OPEN)
        sql = f"SELECT count(*) FROM digest_delivery WHERE state IN ({marks})"
        return int(self.ask(sql)[0][0])

    def pass_time(self) -> None:
        """As if all leases had run out and all waits were over."""
        past = [self.instant(minutes=-600)]
        for until in ("claimed_until", "submitting_until"):
            over = f"{until} = ? WHERE {until} IS NOT NULL"
            self.ask(f"UPDATE digest_lease SET {over}", past)
        waiting = "not_before = ? WHERE state = 'pending'"
        self.ask(f"UPDATE digest_delivery SET {waiting}", past)

    def instant(self, *, minutes: int) -> str:
        """In so many minutes from now, as the database writes it."""
        at = datetime.now(UTC) + timedelta(minutes=minutes)
        return f"{at:%Y-%m-%d %H:%M:%S}" + (
            "" if isinstance(self.place, Path) else "+00:00"
        )

    def integrity(self) -> str:
        if isinstance(self.place, Path):
            return str(self.ask("PRAGMA integrity_check")[0][0])
        return "ok"
