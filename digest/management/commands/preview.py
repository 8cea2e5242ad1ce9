"""`manage.py preview`: write a reader's next mail, or one of every kind, to files."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from digest.deliveries import replay
from digest.deliveries.replay import NothingToShow
from digest.management.base import OperatorCommand, parse_day
from digest.models import Edition
from digest.ops.gallery import gallery
from digest.ops.gallery.mail_lint import lint
from subscribers.addresses import BadAddress, address_hash, canonical
from subscribers.models import Subscriber


class Command(OperatorCommand):
    help = "Write a reader's next mail (.eml, .html, .txt), or one of every kind."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", nargs="?", help="the reader's address")
        parser.add_argument(
            "--day", type=parse_day, help="the edition (default: the newest)"
        )
        parser.add_argument(
            "--out",
            type=Path,
            default=Path(),
            metavar="DIR",
            help="the folder (default: .)",
        )
        parser.add_argument(
            "--gallery", type=Path, metavar="DIR", help="write every kind of mail to DIR"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["gallery"]:
            self.gallery(options["gallery"])
        elif options["email"]:
            self.one(options)
        else:
            raise CommandError("give a reader's address, or --gallery DIR")

    def one(self, options: dict[str, Any]) -> None:
        subscriber = reader(options["email"])
        editions = Edition.objects.of_papers().order_by("-day", "kind")
        if options["day"]:
            editions = editions.filter(day=options["day"])
        edition = editions.first()
        if edition is None:
            raise CommandError("this edition is not published; run `manage.py publish`")
        try:
            content = replay.preview(subscriber, edition, now=timezone.now())
        except NothingToShow as error:
            raise CommandError(str(error)) from None
        for path in gallery.write(options["out"], f"{edition.kind}-{edition.day}", content):
            self.stdout.write(str(path))
        for finding in lint(content, postal_address=settings.POSTAL_ADDRESS):
            self.stderr.write(f"lint: {finding}")

    def gallery(self, folder: Path) -> None:
        shown = gallery.make(folder, now=timezone.now())
        findings = sum(len(one.findings) for one in shown)
        self.stdout.write(f"{len(shown)} mails, {findings} findings: {folder}/index.html")
        if findings:
            raise CommandError("there are lint findings: see the index")


def reader(email: str) -> Subscriber:
    """Return the reader of an address. Raises CommandError."""
    try:
        known = Subscriber.objects.filter(email_hash=address_hash(canonical(email)))
    except BadAddress as error:
        raise CommandError(str(error)) from None
    found = known.first()
    if found is None:
        raise CommandError("no reader has this address")
    return found
