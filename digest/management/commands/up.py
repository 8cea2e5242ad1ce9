"""`manage.py up`: run all of Daily Papers on this machine with one command."""

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from digest.ops.stack.up import UpError, up


def port_number(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 65535:
        raise ArgumentTypeError(f"{text!r:.60} is not a port, from 1 to 65535")
    return number


class Command(BaseCommand):
    help = (
        "Bring up everything: database, Redis, web server, worker, scheduler, mail "
        "catcher and today's papers. Ctrl-C stops all of it."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port",
            type=port_number,
            default=8000,
            help="port of the web server (default: 8000)",
        )
        parser.add_argument(
            "--mail-port",
            type=port_number,
            default=2525,
            help="port of the mail catcher (default: 2525)",
        )
        parser.add_argument(
            "--from",
            dest="papers",
            type=Path,
            metavar="FILE",
            help="take the papers from FILE (a JSON array, JSON Lines or a saved page)",
        )
        parser.add_argument(
            "--demo",
            action="store_true",
            help="invent 200 readers and send them the last digests, into the mailbox",
        )

    def handle(
        self,
        *,
        port: int,
        mail_port: int,
        papers: Path | None,
        demo: bool,
        **options: object,
    ) -> None:
        def say(line: str) -> None:
            self.stdout.write(line)
            self.stdout.flush()

        try:
            up(port=port, mail_port=mail_port, papers=papers, demo=demo, say=say)
        except UpError as error:
            raise CommandError(str(error)) from None
