"""Rows as CSV that no spreadsheet takes for a formula."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: object) -> str:
    """Return a value as text, with an apostrophe before what begins like a formula."""
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False)
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(FORMULA) else text


def unquoted(text: str) -> str:
    """Return a cell that `cell` wrote without its apostrophe."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def as_csv(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Return the rows as CSV (RFC 4180) with a head line."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([cell(row.get(column)) for column in columns] for row in rows)
    return out.getvalue()
