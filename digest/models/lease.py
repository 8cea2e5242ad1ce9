"""The lease of a claimed slice."""

from django.db import models


class Lease(models.Model):
    """A slice that a sender has claimed, until its leases end; gone when it is done."""

    token = models.CharField(max_length=22, primary_key=True)
    claimed_until = models.DateTimeField(help_text="For rows without an intent.")
    submitting_until = models.DateTimeField(
        null=True, help_text="For those of the last intents."
    )
    deliveries = models.TextField(help_text="Ids, with commas between them.")

    def __str__(self) -> str:
        return f"lease until {self.claimed_until}"
