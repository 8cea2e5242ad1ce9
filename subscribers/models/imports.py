"""Files of readers that operators uploaded, until a worker has taken them in."""

from typing import Self

from django.db import models


class ImportQuerySet(models.QuerySet["Import"]):
    def working(self) -> Self:
        """Select those that a worker has to go on with, oldest first."""
        return self.filter(state__in=Import.WORKING).order_by("pk")


class Import(models.Model):
    """A file of readers: looked at, tried, and then taken in, slice by slice, by a worker.

    `position` and `tally` change in the transaction that takes a slice in. So whatever dies
    half-way goes on from there, and of two workers at once one finds its slice taken. The
    file itself is deleted at the end. See import_jobs.py.
    """

    class State(models.TextChoices):
        NEW = "new", "Uploaded"  # an operator says which column is which
        CHECKING = "checking", "Being tried"  # all rows are tried and nothing is kept
        CHECKED = "checked", "Tried"  # the report is there; an operator may begin
        IMPORTING = "importing", "Being imported"
        DONE = "done", "Imported"
        FAILED = "failed", "Ended"

    WORKING = (State.CHECKING, State.IMPORTING)

    name = models.CharField(max_length=100, help_text="Of the file, as it was uploaded.")
    content = models.BinaryField(default=b"", help_text="The file, until it is imported.")
    columns = models.JSONField(
        default=dict, help_text="Names of its columns, and which of ours each is."
    )
    legal_source = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.NEW)
    rows = models.PositiveIntegerField(default=0, help_text="As counted when it was tried.")
    position = models.PositiveIntegerField(default=0, help_text="Rows that are done.")
    tally = models.JSONField(default=dict, help_text="Rows by what became of them.")
    notes = models.TextField(
        blank=True, help_text="Why rows were not taken: a line each, without addresses."
    )
    fault = models.CharField(max_length=300, blank=True)
    who = models.CharField(max_length=150, help_text="The account that uploaded it.")
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField(help_text="The last slice, or the last act.")

    objects = ImportQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "imports"
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(state__in=["checking", "importing"]),
                name="import_working",
            )
        ]

    def __str__(self) -> str:
        return f"import {self.pk}, {self.state}"

    @property
    def is_working(self) -> bool:
        return self.state in self.WORKING


class TriedAddress(models.Model):
    """An address that a trial has met, until it ends: the trial itself stores no reader."""

    trial = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="tried")
    email_hash = models.CharField(max_length=64)

    class Meta:
        verbose_name_plural = "tried addresses"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["trial", "email_hash"], name="tried_address_unique"
            )
        ]

    def __str__(self) -> str:
        return f"an address of import {self.trial_id}"
