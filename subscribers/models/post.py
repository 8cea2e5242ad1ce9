"""What goes in and out: requests at the forms, single mails we owe, links in them.

And the browsers that need no link.
"""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.expressions import RawSQL

from subscribers.models.people import new_capability


class Link(models.Model):
    """A capability mailed to an address, for one purpose; only its hash is stored."""

    class Purpose(models.TextChoices):
        CONFIRM = "confirm", "Confirm a subscription"
        PREFERENCES = "preferences", "Change preferences"
        ADDRESS = "address", "Confirm a new address"
        DATA = "data", "Download or erase everything"

    subscriber = models.ForeignKey("subscribers.Subscriber", on_delete=models.CASCADE)
    purpose = models.CharField(max_length=12, choices=Purpose)
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    email = models.CharField(
        max_length=254, blank=True, default="", help_text="The new address, canonical."
    )
    preferences = models.JSONField(
        default=dict, blank=True, help_text="What a link to confirm confirms."
    )

    class Meta:
        verbose_name_plural = "links"

    def __str__(self) -> str:
        return f"{self.purpose} link {self.pk}"


class Browser(models.Model):
    """A browser that opens its reader's preferences by a cookie; only its hash is stored."""

    subscriber = models.ForeignKey("subscribers.Subscriber", on_delete=models.CASCADE)
    secret_hash = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=40, blank=True, help_text="Like Firefox, Android.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "browsers"

    def __str__(self) -> str:
        return f"browser {self.pk} of subscriber {self.subscriber_id}"


class NoticeQuerySet(models.QuerySet["Notice"]):
    def open(self, now: datetime) -> Self:
        """Return the notices that are due; the index notice_open finds them."""
        return self.filter(state=Notice.State.PENDING, not_before__lte=now)

    def not_accepted(self) -> Self:
        """Return those that are due or failed, by the index notice_not_accepted.

        With its condition in the SQL's text: PostgreSQL's plan for a prepared statement, which
        serves all parameters, cannot take an index that has a condition on one of them.
        """
        sql = "subscribers_notice.state <> 'accepted'"
        return self.filter(RawSQL(sql, [], models.BooleanField()))  # noqa: S611


class Notice(models.Model):
    """A single mail we owe somebody: the outbox that survives a lost Celery message.

    State: pending → submitting → accepted | refused | unknown; a hand-over that
    surely failed goes back to pending. `submitting` is committed before the first
    byte, so a crash can lose the notice (the person asks again) but never double it.
    """

    class Kind(models.TextChoices):
        CONFIRM = "confirm", "Please confirm"
        REMINDER = "reminder", "Please confirm, a day later"
        WELCOME = "welcome", "You are subscribed"
        ALREADY = "already", "You are already subscribed"
        PREFERENCES = "preferences", "Your link to the preferences"
        DATA = "data", "Your link to your data"
        ADDRESS = "address", "Please confirm the new address"
        MOVED = "moved", "Mail goes to another address from now on"

    class State(models.TextChoices):
        PENDING = "pending"
        SUBMITTING = "submitting"
        ACCEPTED = "accepted"
        REFUSED = "refused"
        UNKNOWN = "unknown"

    subscriber = models.ForeignKey("subscribers.Subscriber", on_delete=models.CASCADE)
    kind = models.CharField(max_length=12, choices=Kind)
    email = models.CharField(
        max_length=254,
        blank=True,
        default="",
        help_text="Where to, if not to the subscriber's address.",
    )
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
    preferences = models.JSONField(
        default=dict, blank=True, help_text="What a mail to confirm asks about."
    )

    objects = NoticeQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "notices"
        indexes = [
            models.Index(
                fields=["not_before"], condition=Q(state="pending"), name="notice_open"
            ),
            models.Index(
                fields=["-id"], condition=~Q(state="accepted"), name="notice_not_accepted"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} notice {self.pk}, {self.state}"


class OutgoingEvent(models.Model):
    """An event for the operator's own systems, or a post about an edition: the outbox.

    It holds nothing of a reader but their id. See webhooks.py.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        SENT = "sent"
        # too often without a yes; or a post without an answer, which is not repeated
        GIVEN_UP = "given up"

    key = models.CharField(
        max_length=60, unique=True, default=new_capability, help_text="Its webhook-id."
    )
    kind = models.CharField(max_length=30)
    to = models.CharField(
        max_length=12, blank=True, default="", help_text="Of a post: its place."
    )
    subscriber = models.BigIntegerField(null=True, help_text="An id; may be erased.")
    data = models.JSONField(default=dict)
    at = models.DateTimeField(help_text="UTC.")
    state = models.CharField(max_length=8, choices=State, default=State.PENDING)
    not_before = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    reply = models.CharField(max_length=200, blank=True, default="")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "outgoing events"
        indexes = [
            models.Index(
                fields=["not_before"],
                condition=Q(state="pending"),
                name="outgoing_event_open",
            ),
            models.Index(
                fields=["ended_at"],
                condition=Q(ended_at__isnull=False),
                name="outgoing_event_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}, {self.state}"


class RequestQuerySet(models.QuerySet["Request"]):
    def open(self, now: datetime) -> Self:
        """Return the requests that are to be handled; the index request_open finds them."""
        return self.filter(handled_at=None, not_before__lte=now)

    def done(self, since: datetime) -> Self:
        """Return what was handled and not refused, by the index request_handled."""
        return self.filter(outcome="done", handled_at__gt=since)


class Request(models.Model):
    """What somebody asked for at a form: the inbox, looked at after the answer.

    The answer takes one INSERT whatever we know of the address. Once handled, the row
    holds nothing of the person any more and counts for the quotas (see rate_limits.py).
    """

    class Kind(models.TextChoices):
        SIGN_UP = "sign_up", "To subscribe"
        LINK = "link", "For a link to the preferences"
        DATA = "data", "For a link to one's data"
        ADDRESS = "address", "For mail at another address"

    kind = models.CharField(max_length=8, choices=Kind)
    email = models.CharField(max_length=254, blank=True, help_text="Canonical form.")
    subscriber = models.ForeignKey(
        "subscribers.Subscriber", null=True, blank=True, on_delete=models.CASCADE
    )
    preferences = models.JSONField(default=dict, blank=True)
    source = models.CharField(max_length=200)
    wording = models.CharField(max_length=32, blank=True)
    network = models.CharField(max_length=43, blank=True)
    domain = models.CharField(max_length=64, help_text="Keyed hash of the target's domain.")
    trapped = models.BooleanField(
        default=False, help_text="Filled in what people can't see."
    )
    proof = models.CharField(
        max_length=64,
        null=True,
        unique=True,
        help_text="Of the solved challenge, which counts once.",
    )
    at = models.DateTimeField(db_index=True)
    not_before = models.DateTimeField()
    handled_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=12, blank=True)

    objects = RequestQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "requests"
        indexes = [
            models.Index(
                fields=["not_before"],
                condition=Q(handled_at__isnull=True),
                name="request_open",
            ),
            models.Index(
                fields=["not_before"],
                condition=Q(handled_at__isnull=True, proof__isnull=False),
                name="request_open_proved",
            ),
            models.Index(
                fields=["handled_at"],
                condition=Q(handled_at__isnull=False),
                name="request_handled",
            ),
            models.Index(fields=["network", "at"], name="request_network"),
            models.Index(fields=["domain", "at"], name="request_domain"),
        ]

    def __str__(self) -> str:
        return f"request {self.pk} {self.kind}"
