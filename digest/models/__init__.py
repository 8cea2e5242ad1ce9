"""Papers, what was published of them each day, and who got it.

Delivery is the ledger: one row per edition and reader, and the database is the queue.
"""

from datetime import date, datetime
from typing import Self

from django.db import models
from django.db.models import Q

from digest.models.heartbeat import Heartbeat as Heartbeat
from digest.models.high_water import HighWater as HighWater
from digest.models.lease import Lease as Lease
from digest.models.pace import Bucket as Bucket
from digest.models.pace import DomainRest as DomainRest
from digest.models.pace import WarmUpDay as WarmUpDay
from digest.models.submission import Submission as Submission
from digest.models.votes import Vote as Vote
from subscribers.models import Subscriber


class Paper(models.Model):
    """One arXiv paper, latest version seen. All text is cleaned at ingest."""

    arxiv_id = models.CharField(
        max_length=32, unique=True, help_text="Canonical: 2604.01234, no version."
    )
    title = models.TextField()
    abstract = models.TextField()
    authors = models.JSONField(default=list, help_text="Names, in order.")
    author_count = models.PositiveIntegerField(default=0)
    organization = models.CharField(max_length=200, blank=True)
    submitted_at = models.DateTimeField(null=True, blank=True, help_text="arXiv, UTC.")
    day = models.DateField(db_index=True, help_text="The day it was first listed, UTC.")
    upvotes = models.PositiveIntegerField(default=0)
    comments = models.PositiveIntegerField(default=0)
    code_url = models.URLField(max_length=500, blank=True)
    project_url = models.URLField(max_length=500, blank=True)
    keywords = models.JSONField(default=list, blank=True)
    categories = models.JSONField(default=list, blank=True, help_text="arXiv codes.")
    is_sample = models.BooleanField(default=False, help_text="Written for the demo.")
    fetched_at = models.DateTimeField()

    class Meta:
        ordering = ["-day", "-upvotes", "arxiv_id"]

    def __str__(self) -> str:
        return self.arxiv_id

    @property
    def abstract_url(self) -> str:
        return f"https://arxiv.org/abs/{self.arxiv_id}"

    @property
    def pdf_url(self) -> str:
        return f"https://arxiv.org/pdf/{self.arxiv_id}"

    @property
    def discussion_url(self) -> str:
        return f"https://huggingface.co/papers/{self.arxiv_id}"


class Edition(models.Model):
    """What was published for one day (or for the week that ends on it); frozen."""

    class Kind(models.TextChoices):
        DAILY = "daily", "Daily"
        WEEKLY = "weekly", "Weekly"

    class Hold(models.TextChoices):
        NONE = "", "Goes out"
        PAUSED = "paused", "Paused"
        CANCELLED = "cancelled", "Cancelled"

    kind = models.CharField(max_length=6, choices=Kind, default=Kind.DAILY)
    day = models.DateField()
    published_at = models.DateTimeField()
    planned_until = models.DateTimeField(
        null=True, blank=True, help_text="Due instants up to here have their rows."
    )
    hold = models.CharField(
        max_length=9, choices=Hold, blank=True, default="", help_text="Stops hand-overs."
    )
    hold_reason = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        ordering = ["-day"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "day"], name="edition_unique")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.day}"


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
    """What stood around the blocks in mails of an edition: headers, words, labels.

    A row for each state of templates and settings that mails were made with. With the
    blocks and a delivery's picks it makes those mails again.
    """

    edition = models.ForeignKey(Edition, on_delete=models.CASCADE, related_name="frames")
    fingerprint = models.CharField(max_length=12, help_text="Hash of the data.")
    data = models.TextField(help_text="JSON: see editions/frames.py.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["edition", "fingerprint"], name="frame_unique")
        ]

    def __str__(self) -> str:
        return f"frame {self.fingerprint} of edition {self.edition_id}"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def ready(self, now: datetime) -> Self:
        """Pending, due and not held: the index delivery_open finds them, oldest first."""
        held = Edition.objects.exclude(hold=Edition.Hold.NONE).values("pk")
        due = self.filter(is_open=True, state=Delivery.State.PENDING, not_before__lte=now)
        return due.exclude(edition__in=held).order_by("not_before")

    def of_day(self, day: date) -> Self:
        return self.filter(edition__day=day)

    def of_readers(self, *readers: int) -> Self:
        """By the unique pair's index, a look for each edition and reader."""
        editions = list(Edition.objects.values_list("pk", flat=True))
        return self.filter(edition__in=editions, subscriber__in=readers)


class Delivery(models.Model):
    """The ledger row: this edition to this subscriber.

    pending → claimed → submitting → accepted | refused | unknown, or back to pending
    after an explicit no. skipped and expired are the ends without a hand-over,
    abandoned the end of an unknown. A Lease that runs out leads from claimed back to
    pending, but from submitting to unknown only: that mail may have gone.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        CLAIMED = "claimed"
        SUBMITTING = "submitting"
        ACCEPTED = "accepted"
        REFUSED = "refused"
        UNKNOWN = "unknown"
        SKIPPED = "skipped"
        EXPIRED = "expired"
        ABANDONED = "abandoned"

    # The unique pair below serves look-ups by edition, and by reader (`of_readers`): an
    # index by reader would be touched all over by each plan. No database constraint on
    # either: it would read and lock both for each of a million rows that a plan makes,
    # and an intent looks at the reader again anyhow. personal.forget sets NULL.
    edition = models.ForeignKey(
        Edition, on_delete=models.PROTECT, db_index=False, db_constraint=False
    )
    subscriber = models.ForeignKey(
        Subscriber,
        null=True,
        on_delete=models.DO_NOTHING,
        db_index=False,
        db_constraint=False,
    )
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    due_at = models.DateTimeField(help_text="The reader's hour, UTC.")
    not_before = models.DateTimeField(help_text="due_at, or later after a refusal.")
    expires_at = models.DateTimeField(help_text="Too late after this: expired.")
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_token = models.CharField(max_length=22, blank=True, default="")
    picks = models.CharField(
        max_length=400, blank=True, default="", help_text="Block positions, in order."
    )
    reason = models.CharField(max_length=60, blank=True, default="")
    reply = models.CharField(
        max_length=500, blank=True, default="", help_text="The server's own words."
    )
    intent_at = models.DateTimeField(null=True, blank=True)
    outcome_at = models.DateTimeField(null=True, blank=True)
    # For the indexes: a claim and an intent leave both as they are, so that PostgreSQL
    # writes the row anew beside itself and no index at all (a HOT update).
    is_open = models.GeneratedField(
        expression=Q(state__in=["pending", "claimed", "submitting"]),  # type: ignore[arg-type]
        output_field=models.BooleanField(),
        db_persist=True,
    )
    is_unknown = models.GeneratedField(
        expression=Q(state="unknown"),  # type: ignore[arg-type]
        output_field=models.BooleanField(),
        db_persist=True,
    )

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["edition", "subscriber"], name="delivery_unique"
            )
        ]
        indexes = [
            models.Index(
                fields=["not_before"], condition=Q(is_open=True), name="delivery_open"
            ),
            models.Index(
                fields=["expires_at"], condition=Q(is_unknown=True), name="delivery_unknown"
            ),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}, {self.state}"


class DeliveryEvent(models.Model):
    """What happened around a delivery, appended and never changed: its history.

    Written when an outcome would otherwise be overwritten (a refusal before another
    attempt, an unknown, an operator's hand), and for each event a provider reports, in
    Anymail's words. The outcome that stands is in the Delivery itself.
    """

    class Source(models.TextChoices):
        SENDER = "sender"
        SWEEP = "sweep"
        OPERATOR = "operator"
        PROVIDER = "provider"

    delivery = models.ForeignKey(
        Delivery, null=True, on_delete=models.CASCADE, related_name="events"
    )
    email_hash = models.CharField(max_length=64, blank=True, default="", db_index=True)
    at = models.DateTimeField(help_text="UTC.")
    source = models.CharField(max_length=8, choices=Source)
    kind = models.CharField(
        max_length=20, help_text="The state that it led to, or Anymail's EventType."
    )
    reason = models.CharField(max_length=60, blank=True, default="")
    reply = models.CharField(max_length=500, blank=True, default="")
    message_id = models.CharField(
        max_length=200, blank=True, default="", help_text="The provider's own, if it says."
    )
    event_key = models.CharField(
        max_length=64,
        null=True,
        unique=True,
        help_text="A provider's event counts once, however often it is reported.",
    )

    class Meta:
        ordering = ["at", "pk"]
        indexes = [models.Index(fields=["kind", "at"], name="delivery_event_lately")]

    def __str__(self) -> str:
        return f"{self.kind} of delivery {self.delivery_id}"
