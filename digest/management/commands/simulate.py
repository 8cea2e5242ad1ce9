"""`manage.py simulate --subscribers N`: measure a day of N readers on this machine."""

import json
import signal
import subprocess
from argparse import SUPPRESS, ArgumentParser
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from digest.management.base import OperatorCommand
from digest.ops.load_test import simulate


class Command(OperatorCommand):
    help = (
        "Fill a scratch database beside yours with N invented readers, send them an "
        "edition through a server that discards it, and print time, memory and sizes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--subscribers", type=int, metavar="N", default=1000, help="(default: 1000)"
        )
        parser.add_argument(
            "--senders",
            type=int,
            default=1 if settings.EMBEDDED else 2,
            help="sender processes (default: two, one on SQLite)",
        )
        # The steps of the command's child processes, in the scratch database.
        parser.add_argument("--step", choices=["fill", "send"], help=SUPPRESS)

    def handle(self, *args: Any, subscribers: int, senders: int, **options: Any) -> None:
        if step := options["step"]:
            done = simulate.fill(subscribers) if step == "fill" else simulate.send()
            self.stdout.write(json.dumps(asdict(done)))
            return
        if subscribers < 1 or senders < 1:
            raise CommandError("--subscribers and --senders must be 1 or more")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            day = simulate.simulate(
                readers=subscribers, senders=senders, say=self.stdout.write
            )
        except simulate.NoRight as error:
            raise CommandError(str(error)) from None
        except subprocess.CalledProcessError:
            raise CommandError("the simulation ended with the error above") from None
        except KeyboardInterrupt:
            raise CommandError("stopped; nothing of the scratch database is left") from None
        self.stdout.write(simulate.table(day))
        if not simulate.consistent(day):
            raise CommandError("sums differ: not every planned row came to its end")
