"""Sending limits shared by all senders: token buckets, warm-up, back-off."""

from datetime import datetime

from django.db import models


class Bucket(models.Model):
    """A token bucket. See throttling/rate.py."""

    name = models.CharField(max_length=270, primary_key=True)
    full_at = models.DateTimeField(help_text="It fills until then.")

    class Meta:
        verbose_name_plural = "buckets"

    def __str__(self) -> str:
        return f"bucket {self.name}"


class WarmUpDay(models.Model):
    """The number of mails handed over on one day of the warm-up, to keep its cap."""

    day = models.DateField(primary_key=True, help_text="UTC.")
    handed_over = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name_plural = "warm-up days"
        ordering = ["-day"]

    def __str__(self) -> str:
        return f"warm-up on {self.day}"


class BackOff(models.Model):
    """The provider, or a receiving domain, that fails or puts us off, and until when it rests.

    See throttling/circuit_breaker.py.
    """

    PROVIDER = "*"  # stands for every domain; a domain's row has its name

    name = models.CharField(max_length=255, primary_key=True)
    failures = models.PositiveIntegerField(
        default=0,
        help_text="How often in a row the provider could not be used; of a domain, the "
        "hand-overs that it put off less those that it answered.",
    )
    rests = models.PositiveSmallIntegerField(default=0, help_text="How many, in a row.")
    resting_until = models.DateTimeField(null=True, blank=True)
    cause = models.CharField(
        max_length=500, blank=True, default="", help_text="Why, in the provider's words."
    )
    alarmed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the operator was last told so."
    )
    changed_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "back-offs"
        ordering = ["name"]

    def __str__(self) -> str:
        return f"back-off of {self.name}"

    def rests_at(self, now: datetime) -> bool:
        return self.resting_until is not None and self.resting_until > now
