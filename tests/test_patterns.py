"""Every regular expression is linear, or bounded, on the worst text made for it.

The patterns are collected from the source of both packages, whatever room they are in.
For each of them texts are built from its own parse tree: what leads to a part, then that
part's own alternatives and their beginnings repeated, then an end that does not match.
The clock counts CPU time of this thread, so a busy machine changes nothing, and a pattern
that would run for ever is interrupted by a timer of CPU time.
"""

import ast
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import islice, product
from typing import Any

import pytest

from tests.environment import ROOT
from tests.test_floor_plan import modules

ANCHORED = {"match", "fullmatch"}  # all the others begin at each place of the text
CALLS = ANCHORED | {"compile", "search", "sub", "subn", "split", "findall", "finditer"}
FLAGS = {"flags", "I", "IGNORECASE", "A", "ASCII", "M", "MULTILINE", "S", "DOTALL"}
FLAGS |= {"X", "VERBOSE"}
# Patterns put together from a local variable: what each of them is in operation, by the
# file and the function of `re`.
LINT = "digest/ops/gallery/mail_lint.py"
BUILT: dict[tuple[str, str], Callable[[], list[Any]]] = {
    ("digest/papers/topics.py", "compile"): lambda: [
        import_module("digest.papers.topics")._pattern(alternatives)
        for topic in import_module("digest.papers.topics").definitions()
        for alternatives in (topic.strong, topic.weak)
    ],
    (LINT, "fullmatch"): lambda: [
        *import_module("digest.ops.gallery.mail_lint").SHAPES.values(),
        r'text/html; charset="?utf-8"?',
    ],
    (LINT, "split"): lambda: [rb"(?:^|\r\n)--a-boundary(?:--)?\r\n"],
}

PALETTE = "a1A \n_.-:;,/\\{}$\"'<>=@éα×\u0301字\x00"
ENDS = ["\x00", "\n", "ab\x00", " >", "@ "]
TEXTS = 6  # examples of one part
TINY, SHORT, LONG = 400, 2_000, 8_000  # characters
CEILING = 0.2  # seconds of CPU for the tiny text: a linear pattern takes a millisecond
FLOOR = 0.002  # a long text below this is not compared with the short one
GROWTH = 8  # for four times the text: linear is 4, quadratic 16


# ── collecting ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Used:
    """A pattern, where it stands, and whether it is only ever tried at the beginning."""

    place: str
    pattern: re.Pattern[Any]
    is_anchored: bool = False


def files() -> Iterator[str]:
    """The files that may hold a pattern. They are parsed where they are looked at."""
    for path in modules("digest", "subscribers"):
        source = path.read_text(encoding="utf-8")
        if "re." in source or "regex" in source:
            yield str(path.relative_to(ROOT))


def of_file(name: str) -> Iterator[Used]:
    """The patterns of calls of `re`, and of path converters' and validators' `regex`."""
    source = (ROOT / name).read_text(encoding="utf-8")
    names = vars(import_module(name.removesuffix(".py").replace("/", ".")))
    for statement in ast.walk(ast.parse(source)):
        for node in ast.iter_child_nodes(statement):
            if not (found := pattern_of(node)):
                continue
            place = f"{name}:{node.lineno}"  # type: ignore[attr-defined]
            used_by = uses(node, statement, source)
            try:
                pattern, flags = (evaluated(part, names) if part else 0 for part in found)
            except NameError:
                key = name, called(node)
                assert key in BUILT, f"{place}: a pattern made of a local variable"
                for built in BUILT[key]():
                    yield Used(place, re.compile(built), used_by <= ANCHORED)
            else:
                yield Used(place, re.compile(pattern, flags), used_by <= ANCHORED)


def uses(node: ast.AST, statement: ast.AST, source: str) -> set[str]:
    """The methods by which a pattern is used, in its own file."""
    if isinstance(node, ast.Assign):
        return {"fullmatch"}  # Django anchors what a path converter matches
    if called(node) != "compile":
        return {called(node)}
    if not isinstance(statement, ast.Assign):
        return {"search"}
    name = re.escape(ast.unparse(statement.targets[0]))
    return set(re.findall(rf"\b{name}\.(\w+)\(", source)) or {"search"}


def called(node: ast.AST) -> str:
    """The function of `re` that `node` calls, else empty."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return ""
    of_re = ast.unparse(node.func.value) == "re" and node.func.attr in CALLS
    return node.func.attr if of_re else ""


def pattern_of(node: ast.AST) -> tuple[ast.expr, ast.expr | None] | None:
    """The expressions of a pattern and its flags, if `node` makes one."""
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "regex":
        return node.value, None
    if not (called(node) and isinstance(node, ast.Call)):
        return None
    values = [*node.args[1:], *(word.value for word in node.keywords)]
    return node.args[0], next((value for value in values if is_flags(value)), None)


def is_flags(value: ast.expr) -> bool:
    attributes = {node.attr for node in ast.walk(value) if isinstance(node, ast.Attribute)}
    return bool(attributes) and attributes <= FLAGS


def evaluated(value: ast.expr, names: dict[str, Any]) -> Any:
    return eval(compile(ast.Expression(value), "pattern", "eval"), names)


# ── building texts ─────────────────────────────────────────────────────────────────────


def texts(items: Any, state: Any) -> list[str]:
    """A few short texts that a sequence of parsed items matches, roughly."""
    parts = [of_item(item, state) or [""] for item in items]
    chosen = ["".join(choice) for choice in islice(product(*parts), TEXTS)]
    longest = max(map(len, parts), default=1)  # each alternative of each part at least once
    chosen += ["".join(part[n % len(part)] for part in parts) for n in range(longest)]
    return list(dict.fromkeys(chosen))


def of_item(item: Any, state: Any) -> list[str]:
    kind, value = str(item[0]), item[1]
    if kind in {"LITERAL", "NOT_LITERAL", "ANY", "IN"}:
        return characters(item, state)
    if kind == "BRANCH":
        return [text for branch in value[1] for text in texts(branch, state)[:2]]
    if kind == "SUBPATTERN":
        return texts(value[-1], state)
    if kind == "ATOMIC_GROUP":
        return texts(value, state)
    if kind.endswith("REPEAT"):
        return [text * max(value[0], 1) for text in texts(value[2], state)]
    return [""]  # anchors, looks around, references


def characters(item: Any, state: Any) -> list[str]:
    """Some characters of a class: of the palette, and the first that it names itself."""
    from re import _compiler, _parser  # type: ignore[attr-defined]

    one = _compiler.compile(_parser.SubPattern(state, [item]))
    named = [chr(value) for value in numbers(item)]
    binary = isinstance(state.str, bytes)
    palette = [c for c in [*named[:3], *PALETTE] if not binary or c <= "\xff"]
    return [c for c in palette if one.match(c.encode("latin-1") if binary else c)][:TEXTS]


def numbers(value: Any) -> Iterator[int]:
    """The code points that stand in a parsed item."""
    if isinstance(value, int) and not hasattr(value, "name"):
        yield value
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from numbers(inner)


def attacks(items: Any, state: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """(prefix, unit): each part's own texts, and beginnings of them, to be repeated."""
    for number, item in enumerate(items):
        for text in of_item(item, state):
            yield before, text
            yield before, text[:-1]
            yield before, text + text[:1]
        for inner in inside(item):
            yield from attacks(inner, state, before)
        head = texts(items[number : number + 1], state)
        before += next(iter(head), "")
    for text in texts(items, state):
        yield "", text
        yield from (("", text[:end]) for end in range(1, min(len(text), 8)))


def inside(item: Any) -> list[Any]:
    kind, value = str(item[0]), item[1]
    if kind == "BRANCH":
        return list(value[1])
    if kind == "ATOMIC_GROUP":
        return [value]
    if kind == "SUBPATTERN" or kind.endswith("REPEAT") or kind.startswith("ASSERT"):
        return [value[-1]]
    return []


def hostile(pattern: re.Pattern[Any], limit: int = 30) -> list[tuple[str, str]]:
    _parser = import_module("re._parser")  # what it is typed as depends on the stubs
    tree = _parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    found = dict.fromkeys(pair for pair in attacks(tree, tree.state) if pair[1])
    return list(found)[:: max(1, len(found) // limit)]


# ── timing ─────────────────────────────────────────────────────────────────────────────


class TooLong(BaseException):
    """The timer's: nothing catches it by accident."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def cost(used: Used, text: str | bytes, runs: int = 1) -> float:
    """Seconds of CPU to look for the pattern everywhere, and to match all of the text."""

    def once() -> float:
        start = time.thread_time()
        used.pattern.fullmatch(text)
        if not used.is_anchored:
            for _ in used.pattern.finditer(text):
                pass
        return time.thread_time() - start

    return min(once() for _ in range(runs))


def grown(used: Used, prefix: str, unit: str, end: str, size: int) -> Any:
    text = prefix + unit * (size // len(unit)) + end
    is_binary = isinstance(used.pattern.pattern, bytes)
    return text.encode("latin-1", "replace") if is_binary else text


def growth(used: Used, prefix: str, unit: str, end: str) -> float:
    """How many times longer four times the text takes; 0 if both are quick."""
    short, long = (grown(used, prefix, unit, end, size) for size in (SHORT, LONG))
    found = 0.0
    for runs in (1, 3, 5):  # noise only adds: what looks quadratic is measured again
        if (slow := cost(used, long, runs)) < FLOOR:
            return 0
        found = slow / cost(used, short, runs)
        if found < GROWTH:
            break
    return found


def faults(used: Used) -> Iterator[str]:
    """What was measured on each text whose time grows faster than the text."""
    for number, (prefix, unit) in enumerate(hostile(used.pattern)):
        case = f"{prefix!r} + {unit!r} * n + "
        try:
            with at_most(CEILING):
                for end in ENDS:
                    cost(used, grown(used, prefix, unit, end, TINY))
        except TooLong:
            yield f"{case}{end!r}: more than {CEILING} s for {TINY} characters"
            continue
        end = ENDS[number % len(ENDS)]
        if (times := growth(used, prefix, unit, end)) >= GROWTH:
            yield f"{case}{end!r}: {times:.1f} times for 4 times the text"


@pytest.mark.parametrize("name", list(files()))
def test_s31_a_pattern_takes_time_linear_in_a_hostile_text(name: str) -> None:
    for used in of_file(name):
        assert next(faults(used), "") == "", used.place


@pytest.mark.parametrize(
    "known",
    [
        r"(?:α|[^\W_A-Za-z])+",  # two readings of one letter
        r"(?:a|a)*b",
        r"(a+)+$",
        r"(?:log|[a-z])+!",
        r"^(\w+\s?)*$",
        r"<head\b[^>]*>",  # begins again at each place
        r".*@",
        r"\s+$",
        rb"(?:x|[w-z])+y",
        r"(\d+)*:(\d*)*,",
    ],
)
def test_a_known_bad_pattern_is_seen(known: str | bytes) -> None:
    assert next(faults(Used("", re.compile(known))), "")
