"""That the workers run."""

from django.db import models


class Heartbeat(models.Model):
    """One row for each loop of the workers, written each time it runs.

    See deliveries/heartbeats.py; /readyz looks at it.
    """

    loop = models.CharField(max_length=8, unique=True)
    at = models.DateTimeField(help_text="UTC, by the database's clock.")

    def __str__(self) -> str:
        return f"heartbeat of {self.loop}"
