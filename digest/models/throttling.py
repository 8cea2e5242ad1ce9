"""Sending limits shared by all senders: token buckets, warm-up, resting domains."""

from django.db import models


class Bucket(models.Model):
    """A token bucket for the time that Redis is down. See throttling/token_bucket.py."""

    name = models.CharField(max_length=270, primary_key=True)
    full_at = models.DateTimeField(help_text="It fills until then.")
    in_use_until = models.DateTimeField(
        help_text="Until then senders take from here and don't ask Redis."
    )

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


class DomainRest(models.Model):
    """A receiving domain that defers our mails, and the time until which they wait."""

    domain = models.CharField(max_length=255, primary_key=True)
    failures = models.PositiveIntegerField(
        default=0, help_text="Hand-overs put off by it, less those that it answered."
    )
    rests = models.PositiveSmallIntegerField(default=0, help_text="How many, in a row.")
    resting_until = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "domain rests"
        ordering = ["domain"]

    def __str__(self) -> str:
        return f"rest of {self.domain}"
