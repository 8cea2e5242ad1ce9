"""State of this installation: its database's age, the loops that run, what it has learnt."""

from django.db import models

from subscribers.models import new_capability


class Fence(models.Model):
    """One row that says which database this is: a number that only grows, and where it is.

    See deliveries/fencing.py.
    """

    identity = models.CharField(
        max_length=22,
        default=new_capability,
        help_text="Tells a copy from another database.",
    )
    count = models.PositiveBigIntegerField(default=0)
    site_url = models.CharField(max_length=200, blank=True, default="")
    place = models.CharField(
        max_length=100,
        blank=True,
        default="",
        help_text="PostgreSQL's server, timeline, database and table; another is a restore.",
    )

    is_replicated = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Each commit there waits for a standby, which then lacks nothing.",
    )

    # The fingerprint of the database's ADDRESS_KEY; fencing.rise() reads it with the row.
    known_key: str | None = None
    # What Redis remembered of this database, read before its number was raised.
    witnessed = 0

    class Meta:
        verbose_name_plural = "fences"

    def __str__(self) -> str:
        return f"fence at {self.count}"


class Heartbeat(models.Model):
    """The last run of one of the workers' loops.

    See deliveries/heartbeats.py; /readyz reads it.
    """

    loop = models.CharField(max_length=8, unique=True)
    at = models.DateTimeField(help_text="UTC, by the database's clock.")
    cause = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text="Why no run has succeeded since.",
    )
    begun_at = models.DateTimeField(null=True, help_text="The same, of its last turn.")
    worker_skew = models.FloatField(
        default=0, help_text="Seconds by which the worker's clock was ahead of it."
    )
    beat_skew = models.FloatField(
        default=0, help_text="The same of beat's, less the time that its message waited."
    )

    class Meta:
        verbose_name_plural = "heartbeats"

    def __str__(self) -> str:
        return f"heartbeat of {self.loop}"


class StoredProjection(models.Model):
    """A projection for the ranking that was fitted to this installation's papers.

    The row of the shipped one has no content. See ranking/projections.py.
    """

    version = models.CharField(max_length=8, unique=True, help_text="Hash of its matrix.")
    fitted_at = models.DateTimeField(help_text="UTC.")
    adopted_at = models.DateTimeField(
        null=True, help_text="It ranks from then on, until a later one does."
    )
    papers = models.PositiveIntegerField(default=0, help_text="It was fitted to so many.")
    topics_found = models.FloatField(
        default=0, help_text="How surely topics' names find their papers: mean AUC."
    )
    content = models.BinaryField(default=b"", help_text="As vectors.py writes it.")
    refreshed_to = models.PositiveBigIntegerField(
        default=0, help_text="Readers up to this id have directions by it."
    )

    class Meta:
        verbose_name_plural = "stored projections"

    def __str__(self) -> str:
        return f"projection {self.version}"


class Experiment(models.Model):
    """A variant of the ranking that was, or is, interleaved with the usual one."""

    variant = models.CharField(
        max_length=20, help_text="A name in ranking/interleaving.py."
    )
    started_at = models.DateTimeField(help_text="UTC.")
    ended_at = models.DateTimeField(null=True, help_text="UTC; null: it runs.")

    class Meta:
        verbose_name_plural = "experiments"

    def __str__(self) -> str:
        return f"{self.variant} since {self.started_at:%Y-%m-%d}"
