"""The rows of a file of readers, as spreadsheets and other tools write it.

CSV with a head line, separated by comma, semicolon, tab or bar, in UTF-8, UTF-16 with or without
its mark, or the Windows encoding of western Europe; or JSON Lines.
"""

import codecs
import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from subscribers.import_tools import Tool, tool_of
from subscribers.tables import unquoted

JSON_LINES = {".jsonl", ".ndjson", ".json"}
SEPARATORS = ",;\t|"
SAME = {  # other tools' names of our columns
    "e_mail": "email",
    "email_address": "email",
    "e_mail_address": "email",
    "mail": "email",
    "status": "state",
}
MOST_BREAKS = 50  # lines of a head line's quoted names
ZIPPED = b"PK\x03\x04"  # as an archive begins, and a spreadsheet (.xlsx, .ods)
MULTIBYTE = re.compile(rb"[\xc2-\xf4][\x80-\xbf]")
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # of the whole process; a field is a text


class BadFile(Exception):
    """The file cannot be read any further; the message names file, line and column."""


@dataclass(frozen=True)
class Row:
    """One row by column name; `wrong` says why it cannot be used."""

    line: int
    values: dict[str, object]
    wrong: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a file that an operator looks at."""

    theirs: str  # its name, as name_of gives it
    ours: str  # what it is taken for; empty: left out
    sample: str = ""  # its value in the first row
    by_tool: bool = False  # the tool whose export it is gives it a meaning
    is_read: bool = False  # it is read where nobody says anything


@dataclass(frozen=True)
class Look:
    """A file's columns, and the tool whose export it is."""

    columns: list[Column]
    tool: str = ""

    def named(self, chosen: Mapping[str, str]) -> dict[str, str]:
        """Return `ImportFile.named` for what an operator chose, by their names."""
        return {
            one.theirs: chosen[one.theirs]
            for one in self.columns
            if chosen[one.theirs] != one.theirs and (chosen[one.theirs] or one.is_read)
        }


@dataclass
class ImportFile:
    """A file, and what is to be said of it once its rows were read."""

    path: Path
    known: frozenset[str]
    raw: bytes | None = None  # its content, where it is no file of this machine
    named: Mapping[str, str] = field(default_factory=dict)  # their name of a column: ours
    encoding: str = "utf-8"
    tool: Tool | None = None  # whose export it is
    ignored: dict[str, None] = field(default_factory=dict)  # in the order of the file

    def rows(self) -> Iterator[Row]:
        """Yield each row once. Raises BadFile, after the rows that come before the fault."""
        text, fault = self.decoded(self.content())
        try:
            yield from self.json_rows(text) if self.is_json else self.csv_rows(text)
        except BadFile:
            if not fault:
                raise
        if fault:
            raise fault

    @property
    def is_json(self) -> bool:
        return self.path.suffix.lower() in JSON_LINES

    def content(self) -> bytes:
        """Return the whole file. Raises BadFile."""
        try:
            raw = self.path.read_bytes() if self.raw is None else self.raw
        except OSError as error:
            raise BadFile(f"cannot read {self.path}: {error.strerror}") from None
        if raw.startswith(ZIPPED):
            words = "unpack an archive and import its files; save a spreadsheet as CSV"
            raise BadFile(f"{self.path} is a ZIP file: {words}")
        return raw

    def look(self) -> Look:
        """Return the columns with what each is taken for, whether or not one is the address.

        Raises BadFile.
        """
        text, _ = self.decoded(self.content())
        names, cells = self.first_json(text) if self.is_json else self.first_rows(text)
        tool = tool_of(names)
        reads = tool.reads if tool else frozenset()
        samples = dict(zip(names, [*cells, *[""] * len(names)], strict=False))
        found = {name: name if name in self.known | reads else "" for name in names if name}
        if not {"email", "email_hash"} & set(found):
            guess = next((name for name in found if "@" in samples[name]), None)
            found |= {guess: "email"} if guess else {}
        return Look(
            [
                Column(
                    name,
                    self.named.get(name, ours),
                    samples[name][:100],
                    by_tool=name in reads,
                    is_read=name in self.known | reads,
                )
                for name, ours in found.items()
            ],
            tool.name if tool else "",
        )

    def first_json(self, text: str) -> tuple[list[str], list[str]]:
        """Return the names and values of the first object. Raises BadFile."""
        for line, one in enumerate(text.split("\n"), start=1):
            if one.strip():
                try:
                    values = dict(json.loads(one))
                except (RecursionError, TypeError, ValueError):
                    raise self.fault(line, "no JSON object") from None
                return [name_of(f"{name}") for name in values], list(
                    map(str, values.values())
                )
        raise self.fault(1, "it is empty")

    def first_rows(self, text: str) -> tuple[list[str], list[str]]:
        """Return the columns' names by the separator that makes most of them, and a row."""
        plain = replace(self, named={}, known=frozenset())
        _, start, line, choice = plain.head_line(text)
        heads = {each: plain.names_in(line, each) for each in choice}
        separator = max(heads, key=lambda each: len(heads[each]))
        rest = io.StringIO(text, newline="")
        for _ in range(start):
            rest.readline()
        try:
            cells = next(csv.reader(rest, delimiter=separator), [])
        except csv.Error:
            cells = []
        return heads[separator], [unquoted(cell) for cell in cells]

    def decoded(self, raw: bytes) -> tuple[str, BadFile | None]:
        """Return the text, up to the line of a byte that fits no encoding, and that fault."""
        self.encoding = encoding_of(raw)
        try:
            return raw.decode(self.encoding), None
        except UnicodeDecodeError as error:
            # `start` does not count a mark of UTF-8 at the beginning.
            mark = len(codecs.BOM_UTF8) if raw[:3] == codecs.BOM_UTF8 else 0
            before = raw[: error.start + mark].decode(self.encoding)
            whole, _, begun = before.rpartition("\n")
            line, column = whole.count("\n") + bool(whole) + 1, len(begun) + 1
            encoding = self.encoding.removesuffix("-sig").upper()
            words = f"a byte that is not {encoding}"
            return whole + "\n", self.fault(line, f"column {column}: {words}")

    def csv_rows(self, text: str) -> Iterator[Row]:
        start, separator, head = self.head(text)
        # strict: a quote that never ends would swallow all rows after it.
        lines = io.StringIO(text, newline="")
        for _ in range(start):
            lines.readline()
        reader = csv.reader(lines, delimiter=separator, strict=True)
        while True:
            line = start + reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise self.fault(line, f"its quotes do not fit: {error}") from None
            if cells is None:
                return
            if any(cell.strip() for cell in cells):
                yield self.read(row_of(line, head, cells))

    def head(self, text: str) -> tuple[int, str, list[str]]:
        """Return how many lines the head takes, the separator and the columns' names."""
        number, last, line, choice = self.head_line(text)
        return last, *self.columns(number, line, choice)

    def head_line(self, text: str) -> tuple[int, int, str, str]:
        """Return the head's first and last line, its text, and the separators to choose from."""
        choice = SEPARATORS
        lines = enumerate(io.StringIO(text, newline=""), start=1)
        for number, line in lines:
            if named := re.fullmatch(r'"?sep=(.)"?\s*', line, re.IGNORECASE):
                choice = named[1]
            elif line.strip():
                last = number
                # A quoted name may have line breaks in it, as spreadsheets wrap them.
                while line.count('"') % 2 and last - number < MOST_BREAKS:
                    last, more = next(lines, (last + MOST_BREAKS, ""))
                    line += more
                if line.count('"') % 2:
                    raise self.fault(number, "a quote of its column names never ends")
                return number, last, line, choice
        raise self.fault(1, "it has no line that names the columns")

    def columns(self, number: int, line: str, separators: str) -> tuple[str, list[str]]:
        """Return the separator that fits the head line, and the columns' names."""
        heads = {each: self.names_in(line, each) for each in separators}
        fitting = [each for each in heads if {"email", "email_hash"} & set(heads[each])]
        if not fitting:
            words = (
                "it must name the columns, one of them email (--column email=NAME, or in the "
                "browser choose email for one under “Imported as”)"
            )
            raise self.fault(number, words)
        separator = max(fitting, key=lambda each: len(heads[each]))
        names = heads[separator]
        for column, name in enumerate(names, start=1):
            if name in self.known and name in names[: column - 1]:
                raise self.fault(number, f"column {column}: a second column {name}")
        self.note(names)
        return separator, names

    def json_rows(self, text: str) -> Iterator[Row]:
        if re.match(r"\s*\[\s*\{", text):
            raise self.fault(1, "write one JSON object a line (JSON Lines), not an array")
        for line, one in enumerate(text.split("\n"), start=1):
            if not one.strip():
                continue
            try:
                found = json.loads(one)
            except RecursionError:
                yield Row(line, {}, "nested too deeply")
            except ValueError as error:
                column = f"column {error.colno}: " if hasattr(error, "colno") else ""
                yield Row(line, {}, f"{column}no JSON")
            else:
                if not isinstance(found, dict):
                    yield Row(line, {}, "no JSON object")
                    continue
                values = {self.ours(name): value for name, value in found.items()}
                self.note(list(values))
                yield self.read(Row(line, values))

    def note(self, names: list[str]) -> None:
        """Keep whose columns these are, and those that nobody reads."""
        self.tool = self.tool or tool_of(names)
        known = self.known | (self.tool.reads if self.tool else frozenset())
        self.ignored |= dict.fromkeys(n for n in names if n and n not in known)

    def read(self, row: Row) -> Row:
        """Return a row of another tool's export in our words."""
        if self.tool is None or row.wrong:
            return row
        return Row(row.line, self.tool.read(row.values))

    def names_in(self, line: str, separator: str) -> list[str]:
        try:
            cells = next(csv.reader(io.StringIO(line, newline=""), delimiter=separator), [])
        except csv.Error:
            return []
        return [self.ours(name) for name in cells]

    def ours(self, column: str) -> str:
        name = name_of(column)
        return self.named.get(name, name)

    def fault(self, line: int, words: str) -> BadFile:
        return BadFile(f"{self.path}, line {line}: {words}")


def encoding_of(raw: bytes) -> str:
    """Return the encoding by its mark; without one UTF-8, or Windows-1252 as Excel saves.

    A file that holds UTF-8 letters and one bad byte is damaged UTF-8: to read it as
    anything else would garble every name in it.
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if raw[1:2] == b"\0" != raw[:1]:  # the first letter tells, where there is no mark
        return "utf-16-le"
    if raw[:1] == b"\0" != raw[1:2]:
        return "utf-16-be"
    try:
        raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "utf-8-sig" if MULTIBYTE.search(raw) else "cp1252"
    return "utf-8-sig"


def name_of(column: str) -> str:
    """Return our name of a column, whatever its case, blanks and hyphens."""
    plain = re.sub(r"[\W_]+", "_", unquoted(column.strip())).strip("_").lower()
    return SAME.get(plain, plain)


def row_of(line: int, head: list[str], cells: list[str]) -> Row:
    if any(cell.strip() for cell in cells[len(head) :]):
        return Row(line, {}, f"column {len(head) + 1}: more fields than columns")
    pairs = zip(head, cells, strict=False)
    return Row(line, {name: unquoted(cell) for name, cell in pairs if cell.strip()})
