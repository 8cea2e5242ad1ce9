"""People: who asked for what and when, and who must never be written to.

An address is stored in its canonical form only (see addresses.py). A Subscriber's
life: pending → active ⇄ paused → unsubscribed; a new sign-up starts it over.
"""

import secrets
from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q


def new_capability() -> str:
    """128 random bits as 22 characters, short enough never to be folded in a header."""
    return secrets.token_urlsafe(16)


class Topic(models.Model):
    """What one can subscribe to. The rows follow the definitions at each migrate."""

    slug = models.SlugField(unique=True, help_text="The name in links and forms.")
    label = models.CharField(max_length=80, help_text="What readers see.")
    group = models.CharField(max_length=80, help_text="The heading it stands under.")
    description = models.CharField(max_length=300, blank=True)
    position = models.PositiveSmallIntegerField(help_text="The order on the form.")

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return self.label


class Schedule(models.Model):
    """A wish for when: zone × hour × days. One row for all readers who wish the same.

    The planner computes one due instant per row instead of one per reader.
    """

    class Cadence(models.TextChoices):
        DAILY = "daily", "Every day"
        WEEKDAYS = "weekdays", "Monday to Friday"
        WEEKLY = "weekly", "Once a week"

    timezone = models.CharField(max_length=64, help_text="An IANA name.")
    send_hour = models.PositiveSmallIntegerField(help_text="Local hour, 0 to 23.")
    cadence = models.CharField(max_length=8, choices=Cadence)
    days = models.PositiveSmallIntegerField(
        help_text="Local weekdays on which to send; bit 0 is Monday."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["timezone", "send_hour", "cadence", "days"], name="schedule_unique"
            ),
            models.CheckConstraint(
                condition=Q(send_hour__lte=23), name="schedule_hour_of_day"
            ),
            models.CheckConstraint(
                condition=Q(days__gte=1, days__lte=127), name="schedule_some_day"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_cadence_display()} {self.send_hour:02}:00 {self.timezone}"


class SubscriberQuerySet(models.QuerySet["Subscriber"]):
    def deliverable(self) -> Self:
        """Active, and not on the suppression list."""
        suppressed = Suppression.objects.filter(email_hash=OuterRef("email_hash"))
        return self.filter(Q(state=Subscriber.State.ACTIVE) & ~Exists(suppressed))


class Subscriber(models.Model):
    """An address and its preferences."""

    class State(models.TextChoices):
        PENDING = "pending", "Waiting for confirmation"
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        UNSUBSCRIBED = "unsubscribed", "Unsubscribed"

    email = models.CharField(max_length=254, unique=True, help_text="Canonical form.")
    email_hash = models.CharField(
        max_length=64, db_index=True, help_text="Keyed hash, as in Suppression."
    )
    state = models.CharField(max_length=12, choices=State, default=State.PENDING)
    schedule = models.ForeignKey(Schedule, on_delete=models.PROTECT)
    topics = models.ManyToManyField(Topic, through="Subscription", blank=True)
    interests = models.TextField(blank=True, help_text="The reader's own words.")
    unsubscribe_token = models.CharField(
        max_length=22,
        unique=True,
        default=new_capability,
        help_text="In every mail; can do nothing but unsubscribe, pause and slow down.",
    )
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    unsubscribed_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(
        db_index=True,
        help_text="Last change of state or schedule: the planner looks at it anew.",
    )

    objects = SubscriberQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["pending", "unsubscribed"])
                | Q(confirmed_at__isnull=False),
                name="subscriber_active_is_confirmed",
            ),
        ]
        indexes = [
            models.Index(
                fields=["schedule"],
                condition=Q(state="active"),
                name="subscriber_active_schedule",
            ),
        ]

    def __str__(self) -> str:
        return f"subscriber {self.pk}"

    @property
    def masked_email(self) -> str:
        """Enough to recognise one's own address, too little to learn another's."""
        local, _, domain = self.email.rpartition("@")
        return f"{local[:1]}…@{domain[:1]}…{domain[domain.rfind('.') :]}"


class Subscription(models.Model):
    """One reader's wish for one topic."""

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE)
    topic = models.ForeignKey(Topic, on_delete=models.CASCADE)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subscriber", "topic"], name="subscription_unique"
            )
        ]

    def __str__(self) -> str:
        return f"subscriber {self.subscriber_id}, topic {self.topic_id}"


class ConsentEvent(models.Model):
    """Proof of what a reader asked for: appended, never changed (GDPR Art. 7(1))."""

    class Kind(models.TextChoices):
        REQUESTED = "requested", "Asked to subscribe"
        CONFIRMED = "confirmed", "Confirmed"
        CHANGED = "changed", "Changed preferences"
        PAUSED = "paused", "Paused"
        RESUMED = "resumed", "Resumed"
        UNSUBSCRIBED = "unsubscribed", "Unsubscribed"
        BLOCKED = "blocked", "Address blocked by its holder"

    subscriber = models.ForeignKey(Subscriber, null=True, on_delete=models.SET_NULL)
    email_hash = models.CharField(max_length=64, db_index=True)
    kind = models.CharField(max_length=12, choices=Kind)
    at = models.DateTimeField()
    wording = models.CharField(max_length=32, help_text="Version of the text shown.")
    source = models.CharField(max_length=200, help_text="Path of the form, or a command.")
    network = models.CharField(
        max_length=43, blank=True, help_text="Truncated: /24 of IPv4, /48 of IPv6."
    )
    detail = models.JSONField(default=dict, blank=True)

    def __str__(self) -> str:
        return f"{self.kind} at {self.at:%Y-%m-%d %H:%M}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("a ConsentEvent is appended, never changed")
        super().save(*args, **kwargs)


class Suppression(models.Model):
    """An address never to be written to, as a keyed hash that outlives the person's row."""

    class Reason(models.TextChoices):
        BLOCKED = "blocked", "Blocked by its holder"
        BOUNCED = "bounced", "Does not exist"
        COMPLAINED = "complained", "Reported as spam"
        MANUAL = "manual", "By an operator"

    email_hash = models.CharField(max_length=64, unique=True)
    reason = models.CharField(max_length=12, choices=Reason)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.reason} {self.email_hash[:8]}"


class Link(models.Model):
    """A capability mailed to an address, for one purpose; only its hash is stored."""

    class Purpose(models.TextChoices):
        CONFIRM = "confirm", "Confirm a subscription"
        PREFERENCES = "preferences", "Change preferences"

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE)
    purpose = models.CharField(max_length=12, choices=Purpose)
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.purpose} link {self.pk}"


class NoticeQuerySet(models.QuerySet["Notice"]):
    def open(self, now: datetime) -> Self:
        """What is to be sent: the index notice_open finds it."""
        return self.filter(state=Notice.State.PENDING, not_before__lte=now)


class Notice(models.Model):
    """A single mail we owe somebody: the outbox that survives a lost Celery message.

    State: pending → submitting → accepted | refused | unknown; a hand-over that
    surely failed goes back to pending. `submitting` is committed before the first
    byte, so a crash can lose the notice (the person asks again) but never double it.
    """

    class Kind(models.TextChoices):
        CONFIRM = "confirm", "Please confirm"
        ALREADY = "already", "You are already subscribed"
        PREFERENCES = "preferences", "Your link to the preferences"

    class State(models.TextChoices):
        PENDING = "pending"
        SUBMITTING = "submitting"
        ACCEPTED = "accepted"
        REFUSED = "refused"
        UNKNOWN = "unknown"

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE)
    kind = models.CharField(max_length=12, choices=Kind)
    mailbox = models.CharField(
        max_length=64,
        db_index=True,
        default="",
        help_text="The address's counting key: quotas look here.",
    )
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    created_at = models.DateTimeField()
    not_before = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    submitted_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=200, blank=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["not_before"], condition=Q(state="pending"), name="notice_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} notice {self.pk}, {self.state}"
