"""`python -m tests.benchmarks NAME [--readers N] [--rounds N]`: run one benchmark, or `all`.

Prints its tables in Markdown and, last, its figures beside what is promised; ends with 1
if a promise is not kept.
"""

import argparse
import signal
import sys
from importlib import import_module
from pathlib import Path

from tests import environment  # noqa: F401  # before Django reads its settings
from tests.benchmarks.figures import Figure, figures_table, write

NAMES = {
    "all": "every one of them, and one table of what is promised and what is measured",
    "whole_path": "plan to last outcome, beside smtp-source",
    "peers": "the tutorial's loop, a decent one and django-newsletter",
    "million": "10,000, 100,000 and 1,000,000 readers: time, CPU, memory",
    "ledger": "bytes of a ledger row by table, index and column, WAL bytes a mail",
    "memory": "what a worker's memory holds, stage by stage",
    "databases": "SQLite beside PostgreSQL, one sender",
    "replies": "one connection to a server with slow replies, beside smtplib",
    "provider": "a provider's HTTP API, beside Anymail's own path",
    "imports": "files of readers taken in by command and by upload, on both databases",
    "sign_up": "a sign-up's latency, states of an address told apart, a flood",
    "inbox": "sign-ups from many networks at a rate that is held: latency, CPU, nothing lost",
    "web": "sign-up and front page while an edition goes out",
    "pages": "the front page and the API for many at once: rate, CPU, bytes",
    "console": "the operator's pages with a million readers, ten million deliveries",
    "servers": "gunicorn and granian: CPU of a page, of each form",
    "stages": "what each step of a mail costs",
    "profile": "where the sender's own time goes, function by function",
    "ranking": "how well it finds what a reader wants on recorded days (PAPERS_DATA)",
    "selecting": "CPU of choosing the papers of a thousand readers, and around it (PAPERS_DATA)",
    "search": "how well and how quickly search finds papers (PAPERS_DATA)",
    "votes": "what votes are worth on recorded days (PAPERS_DATA)",
    "building": "instructions and CPU to make a mail, beside Django's way",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="; ".join(f"{name}: {what}" for name, what in NAMES.items()),
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--readers", type=int)
    parser.add_argument("--deliveries", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--peer-mails", type=int)
    parser.add_argument("--rate", type=int, help="inbox: sign-ups a second")
    parser.add_argument("--minutes", type=float, help="inbox: for how long")
    parser.add_argument("--quick", action="store_true", default=None, help="all: smaller")
    parser.add_argument("--only", nargs="+", choices=NAMES, help="all: these parts")
    parser.add_argument("--figures", type=Path, help="write the figures there, as JSON")
    options = {
        key: value for key, value in vars(parser.parse_args()).items() if value is not None
    }
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left running
    name, file = options.pop("name"), options.pop("figures", None)
    module = import_module(f"tests.benchmarks.{'everything' if name == 'all' else name}")
    try:
        figures: list[Figure] = module.run(**options)
    except KeyboardInterrupt:
        sys.exit("stopped")
    if file:
        write(file, figures)
    elif figures:
        print(figures_table(figures), flush=True)
    sys.exit(any(figure.promised and not figure.met for figure in figures))


if __name__ == "__main__":
    main()
