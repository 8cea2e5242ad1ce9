"""`python -m tests.benchmarks NAME [--readers N] [--rounds N]`: run one benchmark."""

import argparse
import shutil
import signal
from importlib import import_module

from tests.environment import FOLDER

NAMES = {
    "whole_path": "plan to last outcome, beside smtp-source",
    "peers": "the tutorial's loop, a decent one and django-newsletter",
    "replies": "one connection to a server with slow replies, beside smtplib",
    "provider": "a provider's HTTP API, beside Anymail's own path",
    "web": "sign-up and front page while an edition goes out",
    "stages": "what each step of a mail costs",
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
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left running
    module = import_module(f"tests.benchmarks.{options.pop('name')}")
    try:
        module.run(**{name: value for name, value in options.items() if value is not None})
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)


if __name__ == "__main__":
    main()
