"""The ledger: deliveries, their history, and the leases and submissions of senders."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from digest.logs import RUN_LENGTH
from digest.models.editions import Edition
from subscribers.models import Subscriber


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def ready(self, now: datetime) -> Self:
        """Select pending and due rows without a hold, claimed or not."""
        held = Edition.objects.exclude(hold=Edition.Hold.NONE).values("pk")
        due = self.open_until(now).filter(state=Delivery.State.PENDING)
        return due.exclude(edition__in=held).order_by("not_before")

    def open_until(self, now: datetime) -> Self:
        """Select open rows whose turn has come, in all lanes (index delivery_open)."""
        return self.filter(is_open=True, lane__in=Delivery.Lane.values, not_before__lte=now)

    def of_readers(self, *readers: int) -> Self:
        """Select by reader through the unique pair: a look-up per edition and reader."""
        editions = list(Edition.objects.values_list("pk", flat=True))
        return self.filter(edition__in=editions, subscriber__in=readers)


class Delivery(models.Model):
    """The ledger row: this edition to this subscriber.

    pending → submitting → accepted | refused | unknown, or back to pending after an
    explicit temporary refusal. skipped and expired are final states without a hand-over,
    abandoned is the final state of an unknown. A claim is a Lease that lists pending rows;
    one that runs out leads from submitting only to unknown, as that mail may have been sent.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        # Written by the previous release alone, for a row that one of its leases lists.
        CLAIMED = "claimed"
        SUBMITTING = "submitting"
        ACCEPTED = "accepted"
        REFUSED = "refused"
        UNKNOWN = "unknown"
        SKIPPED = "skipped"
        EXPIRED = "expired"
        ABANDONED = "abandoned"

    class Lane(models.IntegerChoices):
        """A row of a later lane is claimed when none of an earlier one is due."""

        DIGEST = 0
        ANNOUNCEMENT = 1

    class Reason(models.TextChoices):
        """The ledger's own words in `reason`; a transport has others for its outcomes."""

        # skipped: left, complained or was erased between the plan and the intent
        LEFT = "no longer subscribed"
        # skipped: the ranking found nothing for this reader
        NO_PAPER = "no paper of the reader's topics"
        # skipped: a newer edition, named in `reply`, came due at once and goes instead
        SUPERSEDED = "superseded by a newer edition"
        # skipped: the reader was away; the mail of what they missed goes instead
        MISSED = "in the mail of what was missed"
        # skipped: the operator cancelled the edition
        CANCELLED = "edition cancelled"
        # expired: not sent by expires_at, or planned after it
        TOO_LATE = "too late"
        # unknown: the lease of a hand-over ran out; may be asked about by its key
        CRASHED = "crashed in flight"
        # unknown: open at the restore; nobody asks about it but the operator
        QUARANTINED = "quarantined after a restore"
        # pending: waits until its receiving domain's rest is over
        DOMAIN_RESTS = "its domain rests"
        # pending: waits until a relay that serves its domain can be used, or has room
        RELAY_WAITS = "waits for its relay"
        # pending: stands in the line of its domain's rate, before rows without this word
        DOMAIN_LIMIT = "its domain's limit"
        # pending: stands in the line of its relay's rate, the same
        RELAY_LIMIT = "its relay's limit"
        # pending: a person took an unknown for not sent; it may arrive twice
        SENT_AGAIN = "sent again by the operator"
        # accepted, by a person's word on an unknown
        MARKED_SENT = "marked as sent by the operator"
        # accepted or refused, as a report told of an unknown
        REPORTED = "by the provider's report"
        # accepted: an unknown of which the provider said yes when asked by its key
        ASKED_AGAIN = "asked again by its key"
        # abandoned by a person's word
        ABANDONED = "abandoned by the operator"

    # The unique pair below serves look-ups by edition, and by reader (`of_readers`): each
    # plan would write all over an index by reader. There is no database constraint: it would
    # read and lock the reader for each of a million planned rows, and an intent checks the
    # reader again anyway. privacy.forget sets NULL.
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
    lane = models.SmallIntegerField(choices=Lane, default=Lane.DIGEST, db_default=0)
    due_at = models.DateTimeField(help_text="The reader's hour, UTC.")
    not_before = models.DateTimeField(help_text="due_at, or later after a refusal.")
    expires_at = models.DateTimeField(help_text="Too late after this: expired.")
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_token = models.CharField(max_length=22, blank=True, default="")
    picks = models.TextField(
        blank=True, default="", help_text="Papers and reasons: see editions/picks.py."
    )
    reason = models.CharField(max_length=60, blank=True, default="")
    reply = models.CharField(
        max_length=500, blank=True, default="", help_text="The server's own words."
    )
    relay = models.CharField(
        max_length=20,
        blank=True,
        default="",
        db_default="",
        help_text="The short name of the relay of its last intent.",
    )
    intent_at = models.DateTimeField(null=True, blank=True)
    outcome_at = models.DateTimeField(null=True, blank=True)
    # For the indexes: an intent changes neither, so that PostgreSQL updates the row without
    # touching an index (a HOT update).
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
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["edition", "subscriber"], name="delivery_unique"
            )
        ]
        indexes = [
            models.Index(
                fields=["lane", "not_before"],
                condition=Q(is_open=True),
                name="delivery_open",
            ),
            models.Index(
                fields=["expires_at"], condition=Q(is_unknown=True), name="delivery_unknown"
            ),
            # The newest outcome. Without `state`: an intent would write to it.
            models.Index(
                fields=["edition", "outcome_at"],
                condition=Q(outcome_at__isnull=False),
                name="delivery_outcome",
            ),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}, {self.state}"

    @property
    def run(self) -> str:
        """The run that handed it over last, as the logs name it; "" before that."""
        return self.lease_token[:RUN_LENGTH]


class DeliveryEvent(models.Model):
    """One event in the history of a delivery; append-only.

    Written when an outcome would otherwise be overwritten (a refusal before another attempt,
    an unknown, an operator's action), and for each event that a provider reports, in Anymail's
    terms. The final outcome is in the Delivery itself.
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
        verbose_name_plural = "delivery events"
        ordering = ["at", "pk"]
        indexes = [models.Index(fields=["kind", "at"], name="delivery_event_lately")]

    def __str__(self) -> str:
        return f"{self.kind} of delivery {self.delivery_id}"


class Lease(models.Model):
    """A sender's claim on a slice, whose rows it lists; deleted when the slice is done."""

    token = models.CharField(max_length=22, primary_key=True)
    claimed_until = models.DateTimeField(
        null=True,
        help_text="For rows without an intent; empty when they are anybody's again.",
    )
    submitting_until = models.DateTimeField(
        null=True, help_text="For those of the last intents."
    )
    deliveries = models.TextField(help_text="Ids, with commas between them.")

    class Meta:
        verbose_name_plural = "leases"

    def __str__(self) -> str:
        return f"lease until {self.claimed_until}"


class Submission(models.Model):
    """One submit group for a provider with idempotency keys or batches, as intended.

    Written with the intents. It records which account may repeat the request, and which
    deliveries were in a request whose response was lost.
    """

    account = models.CharField(
        max_length=40, help_text="Provider and hash of its settings."
    )
    intent_at = models.DateTimeField(db_index=True, help_text="UTC, as in its deliveries.")
    members = models.JSONField(help_text="Ids of deliveries, in order.")

    class Meta:
        verbose_name_plural = "submissions"

    def __str__(self) -> str:
        return f"{len(self.members)} mails by {self.account}"


class SendingCount(models.Model):
    """How many hand-overs of one minute had this outcome, or were this late.

    Written by each sender every few seconds, so that speed and lateness are known without a
    look at the ledger. See deliveries/throughput.py.
    """

    minute = models.DateTimeField(help_text="UTC.")
    name = models.CharField(max_length=20, help_text="A verdict, or “late SECONDS”.")
    count = models.PositiveIntegerField()

    class Meta:
        verbose_name_plural = "sending counts"
        constraints = [
            models.UniqueConstraint(fields=["minute", "name"], name="sending_count_unique")
        ]

    def __str__(self) -> str:
        return f"{self.name} at {self.minute:%Y-%m-%d %H:%M}: {self.count}"


class StoredCount(models.Model):
    """What a worker counted of a large table, for pages. See deliveries/counts.py."""

    name = models.CharField(max_length=40, primary_key=True)
    counts = models.TextField(help_text="Rows of counts, as JSON.")
    counted_at = models.DateTimeField(help_text="UTC.")

    class Meta:
        verbose_name_plural = "stored counts"

    def __str__(self) -> str:
        return f"{self.name} at {self.counted_at:%Y-%m-%d %H:%M}"
