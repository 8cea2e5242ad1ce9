"""Papers from the source, and the days that the source was asked for."""

from django.db import models


class Paper(models.Model):
    """One arXiv paper, latest version seen. All text is cleaned at ingest."""

    arxiv_id = models.CharField(
        max_length=32, unique=True, help_text="Canonical: 2604.01234, no version."
    )
    title = models.TextField()
    abstract = models.TextField()
    summary = models.TextField(
        blank=True, default="", help_text="The source's one sentence, written by a machine."
    )
    authors = models.JSONField(default=list, help_text="Names, in order.")
    author_count = models.PositiveIntegerField(default=0)
    organization = models.CharField(max_length=200, blank=True)
    submitted_at = models.DateTimeField(null=True, blank=True, help_text="arXiv, UTC.")
    day = models.DateField(db_index=True, help_text="The day it was first listed, UTC.")
    upvotes = models.PositiveIntegerField(default=0)
    comments = models.PositiveIntegerField(default=0)
    code_url = models.URLField(max_length=500, blank=True)
    project_url = models.URLField(max_length=500, blank=True)
    keywords = models.JSONField(default=list, blank=True)
    categories = models.JSONField(default=list, blank=True, help_text="arXiv codes.")
    is_sample = models.BooleanField(default=False, help_text="Written for the demo.")
    fetched_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "papers"
        ordering = ["-day", "-upvotes", "arxiv_id"]

    def __str__(self) -> str:
        return self.arxiv_id

    @property
    def abstract_url(self) -> str:
        return f"https://arxiv.org/abs/{self.arxiv_id}"

    @property
    def pdf_url(self) -> str:
        return f"https://arxiv.org/pdf/{self.arxiv_id}"

    @property
    def discussion_url(self) -> str:
        return f"https://huggingface.co/papers/{self.arxiv_id}"


class SourceDay(models.Model):
    """One day that the source was asked for, with its last response or failure.

    See papers/source_days.py.
    """

    day = models.DateField(unique=True)
    answered_at = models.DateTimeField(null=True, help_text="The last whole answer.")
    failed_at = models.DateTimeField(
        null=True, help_text="The first failure since the last answer."
    )
    failure = models.CharField(max_length=200, blank=True, default="")
    alarmed_at = models.DateTimeField(
        null=True, help_text="The ADMINS were told that there are no papers."
    )

    class Meta:
        verbose_name_plural = "source days"

    def __str__(self) -> str:
        return f"source day {self.day}"
