"""Editions of published papers, their blocks and their frames; announcements."""

import hashlib
from datetime import date, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from digest.models.papers import Paper
from subscribers.models import Topic


class EditionQuerySet(models.QuerySet["Edition"]):
    def of_papers(self) -> Self:
        """Leave announcements out."""
        return self.exclude(kind=Edition.Kind.ANNOUNCEMENT)


class Edition(models.Model):
    """The papers published for one day, or for the days that end on it; frozen.

    Or an announcement that was started, and so has no papers.
    """

    class Kind(models.TextChoices):
        DAILY = "daily", "Daily"
        WEEKLY = "weekly", "Weekly"
        MISSED = "missed", "Missed"  # instead of a daily, for readers who were away
        ANNOUNCEMENT = "announcement", "Announcement"  # the operator's own words

    class Hold(models.TextChoices):
        NONE = "", "Goes out"
        PAUSED = "paused", "Paused"
        CANCELLED = "cancelled", "Cancelled"

    kind = models.CharField(max_length=12, choices=Kind, default=Kind.DAILY)
    day = models.DateField()
    published_at = models.DateTimeField()
    variant = models.CharField(
        max_length=20,
        blank=True,
        default="",
        db_default="",
        help_text="The ranking that is interleaved with the usual one, as published.",
    )
    has_few = models.BooleanField(
        default=False, help_text="Far fewer papers than usual: its mails say so."
    )
    planned_until = models.DateTimeField(
        null=True, blank=True, help_text="Due instants up to here have their rows."
    )
    checked_at = models.DateTimeField(
        null=True, blank=True, help_text="The preflight check has looked at its mails."
    )
    resumed_at = models.DateTimeField(
        null=True, blank=True, help_text="By the operator: alarms let it go out since."
    )
    folded_at = models.DateTimeField(
        null=True, blank=True, help_text="Its deliveries are folded since: no row is made."
    )
    hold = models.CharField(
        max_length=9, choices=Hold, blank=True, default="", help_text="Stops hand-overs."
    )
    hold_reason = models.CharField(max_length=200, blank=True, default="")

    objects = EditionQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "editions"
        ordering = ["-day"]
        permissions = [("test_edition", "Can send a test of an edition")]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "day"],
                condition=~Q(kind="announcement"),
                name="edition_unique",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.day}"

    @property
    def first_day(self) -> date:
        return first_day(self.kind, self.day)

    @property
    def named(self) -> dict[str, object]:
        """What an event says of it."""
        return {"edition": self.pk, "kind": self.kind, "day": f"{self.day}"}


# How many days an edition of papers covers: a day of its own is the last.
DAYS: dict[str, int] = {
    Edition.Kind.DAILY: 1,
    Edition.Kind.WEEKLY: 7,
    Edition.Kind.MISSED: 14,
}


def first_day(kind: str, day: date) -> date:
    """Return the first day of the edition of this kind that ends on `day`."""
    return day - timedelta(days=DAYS.get(kind, 1) - 1)


class Announcement(models.Model):
    """What the operator writes to readers. A draft until it is started: then it is frozen.

    Its edition is made by the start and carries the holds; its deliveries are the ledger's.
    """

    subject = models.CharField(max_length=100)
    title = models.CharField(max_length=200, help_text="The heading of the mail.")
    body = models.TextField(max_length=20_000)
    is_markdown = models.BooleanField(
        "Markdown", default=True, help_text="Without it, plain text."
    )
    language = models.CharField(
        max_length=7,
        choices=settings.LANGUAGES,
        default=settings.LANGUAGE_CODE,
        help_text="The language it is written in.",
    )
    # -- the audience: all active readers, or those for whom both of these hold
    topic = models.ForeignKey(
        Topic,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        help_text="Only for readers who chose it.",
    )
    for_language = models.BooleanField("Only for readers of that language", default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    edition = models.OneToOneField(
        Edition, null=True, editable=False, on_delete=models.PROTECT
    )

    class Meta:
        verbose_name_plural = "announcements"
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.title

    @property
    def version(self) -> str:
        """A hash of text and audience: what was looked at is what is started."""
        parts = (
            self.subject,
            self.title,
            self.body,
            self.is_markdown,
            self.language,
            self.topic_id,
            self.for_language,
        )
        return hashlib.blake2b(repr(parts).encode(), digest_size=6).hexdigest()


class Block(models.Model):
    """One paper's ready-made HTML and text inside an edition, as published."""

    edition = models.ForeignKey(Edition, on_delete=models.CASCADE, related_name="blocks")
    paper = models.ForeignKey(Paper, on_delete=models.PROTECT, related_name="blocks")
    position = models.PositiveSmallIntegerField(help_text="Best first, from 0.")
    title = models.TextField()
    upvotes = models.PositiveIntegerField()
    topics = models.JSONField(help_text="Topic slug → weight, 0 to 1.")
    html = models.TextField()
    text = models.TextField()

    class Meta:
        verbose_name_plural = "blocks"
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["edition", "paper"], name="block_unique"),
            models.UniqueConstraint(
                fields=["edition", "position"], name="block_position_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"block {self.position} of edition {self.edition_id}"


class Frame(models.Model):
    """Everything around the blocks in the mails of an edition: headers, words, labels.

    There is a row for each state of templates and settings that mails were made with. With
    the blocks and a delivery's picks it rebuilds those mails.
    """

    edition = models.ForeignKey(Edition, on_delete=models.CASCADE, related_name="frames")
    fingerprint = models.CharField(max_length=12, help_text="Hash of the data.")
    data = models.TextField(help_text="JSON: see editions/frames.py.")

    class Meta:
        verbose_name_plural = "frames"
        constraints = [
            models.UniqueConstraint(fields=["edition", "fingerprint"], name="frame_unique")
        ]

    def __str__(self) -> str:
        return f"frame {self.fingerprint} of edition {self.edition_id}"
