"""`python -m tests.configuration`: docs/configuration.md, made anew from the settings.

The words and the example of each variable are those of .env.example. Its type and default
are recorded while the settings are read, and what they say of a missing or a wrong value is
what they raise. A test compares the page with this, so it cannot become stale.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.core.exceptions import ImproperlyConfigured

from digest.variables import Variables
from tests.configured import GIVEN, settings
from tests.environment import ROOT
from tests.test_settings import WRONG

PAGE = ROOT / "docs" / "configuration.md"
INTRODUCTION = """\
# Configuration

All variables of Daily Papers, {count}. `python3 manage.py up` needs none. A deployment is what
has `DATABASE_URL`; it must be given those marked **(!)** too.

Set them in the environment, or in the file `.env` beside `manage.py`; the environment wins.
For any variable `NAME`, `NAME_FILE` names a file that contains the value, as secrets of
containers are. Blanks and quotes around a value do not count, and an empty value is none. In a
URL, percent-encode special characters of user and password: / is %2F, ? is %3F, # is %23, @ is
%40, % is %25.

A missing or wrong value ends every program at its start with the one line that is quoted here;
no secret is repeated in it. So does a name in `.env` that is nearly one of these (TESTMODE_TO)
while that one is not set; in the environment, `check` warns of it. `manage.py check --deploy` finds what can be read
but is unwise: weak keys, clear text, a public site without a mail server.

This page is made by `uv run python -m tests.configuration` from `.env.example` and the
settings themselves.
"""
TYPES = {
    "flag": "`true` or `false`",
    "whole": "a whole number from {least} to {most}",
    "number": "a number from {least:.0f} to {most:.0f}",
    "day": "a date",
    "several": "one or more, separated by commas",
    "codes": "one or more, separated by commas",
    "mailbox": "one address, with or without a name",
    "mailboxes": "one or more addresses, separated by commas",
    "rates": "one or more, separated by commas",
    "folder": "a path; a relative one is below the folder of `manage.py`",
    "path": "the path of a page",
}


@dataclass
class Entry:
    """A variable in .env.example."""

    name: str
    example: str
    words: str
    required: bool  # marked (!)


@dataclass
class Reading:
    """How the settings read their variables, by name: method, default, bounds."""

    methods: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, object] = field(default_factory=dict)
    bounds: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def sections() -> Iterator[tuple[str, list[Entry]]]:
    """Yield the sections of .env.example: title, entries."""
    text = (ROOT / ".env.example").read_text()
    parts = re.split(r"^# -- ([^:-]+).*$", text, flags=re.MULTILINE)
    yield "This machine", list(entries(parts[0]))
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        yield title.strip().capitalize(), list(entries(body))


def entries(text: str) -> Iterator[Entry]:
    """Yield the variables of one section; the comment lines before each are its words."""
    words: list[str] = []
    for line in text.splitlines():
        if found := re.fullmatch(r"# ([A-Z][A-Z_]+)=(.*)", line):
            said = " ".join(words)
            yield Entry(found[1], found[2], said.replace("(!) ", ""), "(!)" in said)
            words = []
        elif line.startswith("# "):
            words.append(line.removeprefix("# "))
        else:
            words = []


@contextmanager
def recorded() -> Iterator[Reading]:
    """Record how each variable is read; methods call each other, so one may be read twice."""
    reading = Reading()
    with ExitStack() as stack:
        for method in (*TYPES, "text"):
            spy = spied(getattr(Variables, method), reading)
            stack.enter_context(patch.object(Variables, method, spy))
        yield reading


def spied(method: Any, reading: Reading) -> Any:
    @wraps(method)
    def spy(self: Variables, name: str, *args: Any, **named: Any) -> Any:
        bound = signature(method).bind(self, name, *args, **named)
        bound.apply_defaults()
        default = bound.arguments.get("default", "")
        if default != "" or name not in reading.defaults:
            reading.defaults[name] = default
        reading.methods.setdefault(name, method.__name__)
        reading.bounds.setdefault(name, bound.arguments)
        return method(self, name, *args, **named)

    return spy


def refusal(environ: Mapping[str, str], state: Path) -> str:
    """Return the settings' line about these variables; empty if they take them."""
    try:
        settings(environ, state=state)
    except ImproperlyConfigured as refused:
        return str(refused)
    return ""


def page() -> str:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder).resolve()
        with recorded() as embedded:
            settings({}, state=state)
        with recorded() as deployed:
            settings(GIVEN, state=state)
        lines, count = [], 0
        for title, variables in sections():
            lines.append(f"\n## {title}\n")
            for entry in variables:
                lines.append(f"\n### {entry.name}\n")
                lines.append(described(entry, embedded, deployed, state))
                count += 1
    return INTRODUCTION.format(count=count) + "".join(lines)


def described(entry: Entry, embedded: Reading, deployed: Reading, state: Path) -> str:
    """Return the lines below a variable's heading."""
    name, facts = entry.name, []
    without = {one: value for one, value in GIVEN.items() if one != name}
    missing = refusal(without, state)
    if kind := TYPES.get(embedded.methods[name]):
        facts.append(f"Value: {kind.format(**embedded.bounds[name])}")
    here = shown(embedded.defaults[name], state)
    there = shown(deployed.defaults[name], state)
    if missing:
        facts.append(f"Default with `up`: {here}")
    elif here == there:
        facts.append(f"Default: {here}")
    else:
        facts.append(f"Default: {here} with `up`, {there} in the examples' deployment")
    if entry.example and f"`{entry.example}`" != here:
        facts.append(f"Example: `{entry.example}`")
    if missing:
        facts.append(f"Missing: `{missing}`")
    if values := WRONG.get(name):
        facts.append(f"Wrong: `{refusal(without | {name: values[0]}, state)}`")
    mark = "**(!)** " if missing else ""
    return f"\n{mark}{marked(entry.words)}\n\n" + "".join(f"- {one}\n" for one in facts)


def marked(words: str) -> str:
    """Mark URLs and names of variables as code, where they are not yet."""
    code = r"`[^`]+`|\b[a-z]+://[^\s,;)]+|\b[A-Z]+(?:_[A-Z…]+)+"
    return re.sub(code, lambda found: f"`{found[0].strip('`')}`", words)


def shown(value: object, state: Path) -> str:
    """Return a default as the page shows it, alike on every machine."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Path):
        value = str(value).replace(str(state), "STATE_DIR").replace(f"{ROOT}/", "")
    if isinstance(value, float):
        value = f"{value:g}"
    return f"`{value}`" if value not in {"", None} else "none"


if __name__ == "__main__":
    PAGE.write_text(page())
