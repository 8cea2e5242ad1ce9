"""Proof of consent, and who must never be written to: both outlive the person's row."""

from typing import Any

from django.db import models
from django.db.models import Q


class Appended[M: models.Model](models.QuerySet[M]):
    """Rows are read and appended; whoever may do more than that says how."""

    def update(self, **kwargs: Any) -> int:
        raise TypeError(f"a {self.model.__name__} is appended, never changed")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise TypeError(f"a {self.model.__name__} is appended, never deleted")


class ConsentEvents(Appended["ConsentEvent"]):
    """Receipts; consent.py alone seals and blanks them."""


class ConsentEvent(models.Model):
    """Proof of what a reader asked for: appended, never changed (GDPR Art. 7(1)).

    A sealed event is a link of a hash chain (see consent.py). An erasure blanks what is
    personal, salt included, and leaves the hashes: the chain still holds.
    """

    class Kind(models.TextChoices):
        REQUESTED = "requested", "Asked to subscribe"
        CONFIRMED = "confirmed", "Confirmed"
        CHANGED = "changed", "Changed preferences"
        PAUSED = "paused", "Paused"
        RESUMED = "resumed", "Resumed"
        UNSUBSCRIBED = "unsubscribed", "Unsubscribed"
        BLOCKED = "blocked", "Address blocked by its holder"
        MOVED = "moved", "Changed the address"
        IMPORTED = "imported", "Imported with a stated legal source"
        LIFTED = "lifted", "A bar was lifted by an operator"
        ERASED = "erased", "Erased"

    subscriber = models.ForeignKey(
        "subscribers.Subscriber", null=True, on_delete=models.SET_NULL
    )
    email_hash = models.CharField(max_length=64, db_index=True)
    kind = models.CharField(max_length=12, choices=Kind)
    at = models.DateTimeField()
    wording = models.CharField(max_length=32, help_text="Version of the text shown.")
    source = models.CharField(max_length=200, help_text="Path of the form, or a command.")
    network = models.CharField(
        max_length=43, blank=True, help_text="Truncated: /24 of IPv4, /48 of IPv6."
    )
    detail = models.JSONField(default=dict, blank=True)
    salt = models.CharField(
        max_length=22, blank=True, default="", help_text="A mark, once blanked."
    )
    content_hash = models.CharField(max_length=64, blank=True, default="")
    number = models.PositiveBigIntegerField(
        null=True, unique=True, help_text="Its place in the chain, once sealed."
    )
    seal = models.CharField(
        max_length=64,
        blank=True,
        default="",
        help_text="Keyed hash of the seal before it and of its content.",
    )

    objects = ConsentEvents.as_manager()

    class Meta:
        verbose_name_plural = "consent events"
        indexes = [
            models.Index(
                fields=["at", "kind"],
                condition=Q(kind__in=["confirmed", "unsubscribed"]),
                name="consent_event_lately",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.at:%Y-%m-%d %H:%M}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("a ConsentEvent is appended, never changed")
        super().save(*args, **kwargs)


class Suppression(models.Model):
    """An address never to be written to, as a keyed hash that outlives the person's row."""

    class Reason(models.TextChoices):
        LEFT = "left", "Unsubscribed: a new confirmation lifts it"
        BLOCKED = "blocked", "Blocked by its holder"
        BOUNCED = "bounced", "Does not exist"
        COMPLAINED = "complained", "Reported as spam"
        MANUAL = "manual", "By an operator"

    email_hash = models.CharField(max_length=64, unique=True)
    reason = models.CharField(max_length=12, choices=Reason)
    at = models.DateTimeField()
    taken_from = models.CharField(
        max_length=200, blank=True, default="", db_default="", help_text="By which import."
    )

    class Meta:
        verbose_name_plural = "suppressions"

    def __str__(self) -> str:
        return f"{self.reason} {self.email_hash[:8]}"
