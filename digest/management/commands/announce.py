"""`manage.py announce [new|ID]`: write to readers once, outside of their digests."""

import json
import sys
from argparse import ArgumentParser, FileType
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from digest.deliveries import control, ledger
from digest.deliveries.planned_rows import count_audience
from digest.management.base import OperatorCommand, add_json
from digest.models import Announcement
from digest.ops import announcements
from digest.ops.console.announcements import AnnouncementForm
from digest.ops.doctor.sample_digest import NotSent
from digest.ops.gallery import gallery
from digest.ops.operators import audit
from digest.transport.outcomes import Verdict
from subscribers.addresses import BadAddress
from subscribers.models import Topic

ACTIONS = ["preview", "test", "start", "pause", "resume", "cancel", "delete"]


class Command(OperatorCommand):
    help = (
        "List announcements; write one (new), or show, preview, test, start, pause, resume,"
        " cancel or delete the one of an ID."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("which", nargs="?", help="an ID, or `new`")
        parser.add_argument(
            "action", nargs="?", choices=ACTIONS, help="without it, show the announcement"
        )
        parser.add_argument("--subject", help="new: the subject of the mail")
        parser.add_argument("--title", help="the heading; without it, the subject")
        parser.add_argument("--body", type=FileType(), help="a file, or - for stdin")
        parser.add_argument("--plain", action="store_true", help="plain text, no Markdown")
        parser.add_argument("--topic", help="only for readers of this topic")
        parser.add_argument("--language", default="en", help="it is written in this one")
        parser.add_argument(
            "--for-language", action="store_true", help="only for readers of that language"
        )
        parser.add_argument("--to", help="test: the address")
        parser.add_argument("--out", type=Path, default=Path(), help="preview: the folder")
        parser.add_argument(
            "--reason", default="by the operator", help="pause, cancel: kept with it"
        )
        parser.add_argument("--yes", action="store_true", help="start, cancel unasked")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        which, action = options["which"], options["action"]
        if which is None:
            self.show(list(Announcement.objects.select_related("edition")), options)
            return
        one = self.write(options) if which == "new" else found(which)
        if action:
            getattr(self, action)(one, options)
        left = Announcement.objects.filter(pk=one.pk).select_related("edition")
        if action != "delete":
            self.show(list(left), options)

    def show(self, shown: list[Announcement], options: dict[str, Any]) -> None:
        rows = [described(one) for one in shown]
        if options["json"]:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            counts = ", ".join(f"{n} {state}" for state, n in row["states"].items() if n)
            self.stdout.write(
                f"{row['id']:5} {row['state']:9} {counts or row['audience']}: {row['subject']}"
            )
        if not rows:
            self.stdout.write(
                "no announcement yet: write one with `manage.py announce new`"
            )

    def write(self, options: dict[str, Any]) -> Announcement:
        topic = None
        if options["topic"]:
            topic = Topic.objects.filter(slug=options["topic"]).first()
            if topic is None:
                raise CommandError(f"there is no topic {options['topic']!r}")
        form = AnnouncementForm(
            {
                "subject": options["subject"],
                "title": options["title"] or options["subject"],
                "body": options["body"].read() if options["body"] else "",
                "is_markdown": not options["plain"],
                "language": options["language"],
                "topic": topic.pk if topic else None,
                "for_language": options["for_language"],
            }
        )
        if not form.is_valid():
            name, errors = next(iter(form.errors.items()))
            raise CommandError(f"--{name}: {errors[0]}")
        one: Announcement = form.save()
        audit.record_command("write", one, detail=f"Wrote “{one.subject}”")
        return one

    def preview(self, one: Announcement, options: dict[str, Any]) -> None:
        now = ledger.database_now()
        mail = announcements.preview(one, language=one.language, now=now)
        for path in gallery.write(options["out"], f"announcement-{one.pk}", mail):
            self.stderr.write(str(path))
        for finding in announcements.findings(one, now=now):
            self.stderr.write(f"lint: {finding}")

    def test(self, one: Announcement, options: dict[str, Any]) -> None:
        try:
            outcome = announcements.send_test(
                one, options["to"] or "", now=ledger.database_now()
            )
        except (BadAddress, NotSent) as error:
            raise CommandError(f"not sent: {error}") from None
        audit.record_command("test", one, detail=f"Test: {outcome.verdict}")
        words = f"{outcome.reason} {outcome.reply}".strip()
        self.stderr.write(f"test handed over: {outcome.verdict} {words}".strip())
        if outcome.verdict is not Verdict.ACCEPTED:
            raise CommandError("the test was not accepted")

    def start(self, one: Announcement, options: dict[str, Any]) -> None:
        version, count = one.version, count_audience(one)
        if not options["yes"]:
            self.ask(f"{count} readers will get “{one.subject}”.", f"{one.pk}")
        try:
            announcements.start(one, version, now=ledger.database_now())
        except announcements.CannotStart as error:
            raise CommandError(f"not started: {error}") from None
        audit.record_command("start", one, detail=f"Started for {count} readers")

    def pause(self, one: Announcement, options: dict[str, Any]) -> None:
        if not one.edition or not control.pause(one.edition, options["reason"]):
            raise CommandError("it is not going out")
        audit.record_command("pause", one.edition, detail=options["reason"])

    def resume(self, one: Announcement, options: dict[str, Any]) -> None:
        if not one.edition or not control.resume(one.edition, now=ledger.database_now()):
            raise CommandError("it is not paused")
        audit.record_command("resume", one.edition)

    def cancel(self, one: Announcement, options: dict[str, Any]) -> None:
        if not one.edition:
            raise CommandError("it was not started; `delete` removes a draft")
        if not options["yes"]:
            self.ask("It goes to no more readers and cannot be resumed.", f"{one.pk}")
        control.cancel(one.edition, options["reason"], now=ledger.database_now())
        audit.record_command("cancel", one.edition, detail=options["reason"])

    def delete(self, one: Announcement, options: dict[str, Any]) -> None:
        if not announcements.delete_draft(one):
            raise CommandError("it was started: what readers got is kept")
        audit.record_command("delete", one, detail=f"Deleted the draft “{one.subject}”")

    def ask(self, what: str, typed: str) -> None:
        self.stderr.write(f"{what} Type {typed} to go on:")
        if sys.stdin.readline().strip() != typed:
            raise CommandError("nothing was done (use --yes to do it without asking)")


def found(which: str) -> Announcement:
    known = Announcement.objects.select_related("edition")
    one = known.filter(pk=int(which)).first() if which.isdecimal() else None
    if one is None:
        raise CommandError(f"there is no announcement {which!r:.40}")
    return one


def described(one: Announcement) -> dict[str, Any]:
    """Return an announcement with its counts, for people and programs."""
    edition = one.edition
    return {
        "id": one.pk,
        "subject": one.subject,
        "state": (edition.hold or "started") if edition else "draft",
        "audience": announcements.audience_name(one),
        "states": control.account(edition).states if edition else {},
    }
