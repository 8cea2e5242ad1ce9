"""Readers' votes on papers, and the papers they keep."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy

from subscribers.models import Subscriber


class Vote(models.Model):
    """A reader's vote on a paper of one of their digests: more, or less, like this.

    Deleted with the reader's row. See ranking/votes.py for the effect of votes.
    """

    class Value(models.IntegerChoices):
        MORE = 1, gettext_lazy("More like this")
        LESS = -1, gettext_lazy("Less like this")

    # The unique pair below serves look-ups by reader.
    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, db_index=False)
    paper = models.ForeignKey("digest.Paper", on_delete=models.CASCADE)
    value = models.SmallIntegerField(choices=Value)
    at = models.DateTimeField(help_text="UTC, of the last word.")

    class Meta:
        verbose_name_plural = "votes"
        constraints = [
            models.UniqueConstraint(fields=["subscriber", "paper"], name="vote_unique"),
            models.CheckConstraint(
                condition=Q(value__in=[1, -1]), name="vote_more_or_less"
            ),
        ]

    def __str__(self) -> str:
        return f"vote {self.value:+} on paper {self.paper_id}"


class SavedPaper(models.Model):
    """A paper in the list that a reader keeps behind the link to their preferences.

    Deleted with the reader's row. A list without an account is kept in the browser, site.js.
    """

    # The unique pair below serves look-ups by reader.
    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, db_index=False)
    paper = models.ForeignKey("digest.Paper", on_delete=models.CASCADE)
    at = models.DateTimeField(help_text="UTC, when it came into this list.")

    class Meta:
        verbose_name_plural = "saved papers"
        constraints = [
            models.UniqueConstraint(
                fields=["subscriber", "paper"], name="saved_paper_unique"
            )
        ]

    def __str__(self) -> str:
        return f"saved paper {self.paper_id}"
