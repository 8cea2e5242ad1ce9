"""`python -m tests.benchmarks NAME [--readers N] [--rounds N]`: run one benchmark."""

import argparse
from importlib import import_module

NAMES = {
    "whole_path": "plan to last outcome, beside smtp-source",
    "peers": "the tutorial's loop, a decent one and django-newsletter",
    "building": "instructions and CPU to make a mail, beside Django's way",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="; ".join(f"{name}: {what}" for name, what in NAMES.items()),
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--readers", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--peer-mails", type=int)
    options = vars(parser.parse_args())
    module = import_module(f"tests.benchmarks.{options.pop('name')}")
    module.run(**{name: value for name, value in options.items() if value is not None})


if __name__ == "__main__":
    main()
