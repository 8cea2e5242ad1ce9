"""What an operator does with an announcement: look at it, send it to themselves, start it.

From its start on it is an edition like any other: planned, paused, sent and counted by the
same code and the same ledger.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from django.conf import settings
from django.db import transaction

from digest.deliveries.planned_rows import count_audience
from digest.deliveries.preflight import ANY_INSTANT
from digest.editions.compose import EncodedEdition, Reader
from digest.editions.encode import encode
from digest.editions.frames import frame_content
from digest.editions.phrases import languages
from digest.models import Announcement, Edition
from digest.ops.doctor import sample_digest
from digest.ops.gallery.mail_lint import lint
from digest.transport.outcomes import Outcome

ADDRESS = "reader@example.org"


class CannotStart(ValueError):
    """The announcement was not started; the message says why."""


def encoded(announcement: Announcement, now: datetime) -> EncodedEdition:
    """Encode a draft, or what was started, with today's templates; store nothing."""
    edition = announcement.edition or Edition(
        pk=0, kind=Edition.Kind.ANNOUNCEMENT, day=now.date(), published_at=now
    )
    edition.announcement = announcement
    return encode(edition, [], around=frame_content(edition, topics=[]))


def preview(announcement: Announcement, *, language: str, now: datetime) -> bytes:
    """Return the mail as a reader of this language would get it; its links are nobody's."""
    made = encoded(announcement, now)
    return made.compose(nobody(ADDRESS, language), [], sent_at=now)


def nobody(address: str, language: str) -> Reader:
    return Reader(sample_digest.NO_DELIVERY, address, sample_digest.NOBODYS_TOKEN, language)


def findings(announcement: Announcement, *, now: datetime) -> list[str]:
    """Return what is wrong with its mail, in any language; empty for a correct one."""
    return list(dict.fromkeys(every_finding(encoded(announcement, now))))


def every_finding(made: EncodedEdition) -> Iterator[str]:
    for language in languages():
        mail = made.compose(nobody(ADDRESS, language), [], sent_at=ANY_INSTANT)
        yield from lint(mail, postal_address=settings.POSTAL_ADDRESS)


def send_test(announcement: Announcement, address: str, *, now: datetime) -> Outcome:
    """Hand it over to one address, marked and outside the ledger.

    Raises BadAddress and sample_digest.NotSent.
    """
    made = encoded(announcement, now)
    made = replace(made, subject=f"{sample_digest.MARK}{made.subject}")
    reader = nobody(sample_digest.allowed(address), announcement.language)
    return sample_digest.hand_over(sample_digest.mail(made, reader, [], now=now))


def start(announcement: Announcement, version: str, *, now: datetime) -> Edition:
    """Freeze the draft and let it go out: the next tick plans it. Return its edition.

    `version` is that of the text that was looked at. Raises CannotStart. Of two starts at
    once one wins.
    """
    with transaction.atomic():
        # The row's lock keeps an editor out between the look and the start.
        row = Announcement.objects.select_for_update().get(pk=announcement.pk)
        if row.edition_id:
            raise CannotStart("it was started already")
        if row.version != version:
            raise CannotStart("its text or audience has changed: look at it again")
        if found := findings(row, now=now):
            raise CannotStart("; ".join(found))
        if not count_audience(row):  # later readers do not get it
            raise CannotStart("no reader would get it now: choose other readers")
        row.edition = Edition.objects.create(
            kind=Edition.Kind.ANNOUNCEMENT, day=now.date(), published_at=now
        )
        row.save(update_fields=["edition"])
    return row.edition


def drafts_after_restore() -> str:
    """Return what to say of drafts after a restore of the database; empty if there are none."""
    if not (count := Announcement.objects.filter(edition=None).count()):
        return ""
    return (
        f"{count} announcements are drafts here: one that was started since the backup would "
        "go out again, so look before you start any"
    )


def delete_draft(announcement: Announcement) -> bool:
    """Delete it unless it was started; return whether it went."""
    draft = Announcement.objects.filter(pk=announcement.pk, edition=None)
    return bool(draft.delete()[0])


def audience_name(announcement: Announcement) -> str:
    """Return for whom it is, in words."""
    topic, language = announcement.topic, announcement.get_language_display()
    who = f"readers of {topic.label}" if topic else "all active readers"
    return f"{who} in {language}" if announcement.for_language else who
