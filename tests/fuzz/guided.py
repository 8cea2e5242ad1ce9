"""Fuzz the parsers of feeds, saved pages and queries, led by the branches that each input takes.

`uv run --group fuzz python -m tests.fuzz.guided NAME -max_total_time=60`; other arguments go to
libFuzzer. Ends with 77 at the first uncaught error or slow input, which is left in a file.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

import atheris

from tests.environment import FOLDER

with atheris.instrument_imports(include=["digest.papers"]):
    import django

    django.setup()
    from digest.papers import latex, search_query, summary, text
    from digest.papers.download import SourceError
    from digest.papers.sources import arxiv, saved_page

from tests.make import DAY
from tests.source_server import arxiv_entry, atom

SLOW = 5  # seconds: libFuzzer calls a longer run a hang
TOPICS = [("graphs", "Graph learning")]
PAGE = (
    b"Daily Papers\n\nApr 17\n\n"
    + b"T\n\nA\n\n  \xe2\x80\xa2 9 authors\n\xc2\xb7\nDec 10, 2025 1\n\n"
)


def feed(data: bytes) -> None:
    with suppress(SourceError):
        arxiv._batch(arxiv._feed(data), "")


def page(data: bytes) -> None:
    file = BytesIO(data)
    file.name = "page"
    with suppress(SourceError):
        list(saved_page.read_file(file, DAY))


def query(data: bytes) -> None:
    typed = data.decode(errors="replace")
    asked = search_query.parse(typed, TOPICS)
    assert "".join(part for part, _ in search_query.marked(typed, asked)) == typed
    search_query.snippet(typed, asked)


def abstract(data: bytes) -> None:
    cleaned = text.clean_text(data.decode(errors="replace"))
    assert text.clean_text(cleaned) == cleaned
    latex.mend(cleaned)
    summary.telling_sentence(cleaned)


TARGETS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "feed": (feed, [atom(arxiv_entry(1)[2], arxiv_entry(2)[2])]),
    "page": (page, [PAGE]),
    "query": (query, [b'author:"Yann LeCun" topic:graphs after:2026-03 c++ 2504.05299v2']),
    "abstract": (
        abstract,
        [rb"We use $X^2 \\leq \\infty$ and \\textbf{many} words. We show it."],
    ),
}


def main() -> None:
    name = sys.argv.pop(1)
    check, examples = TARGETS[name]
    for number, example in enumerate(examples):
        check(example)
        (FOLDER / f"{name}-{number}").write_bytes(example)
    atheris.Setup([*sys.argv, f"-timeout={SLOW}", str(FOLDER)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
