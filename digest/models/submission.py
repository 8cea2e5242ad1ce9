from django.db import models


class Submission(models.Model):
    """One submit group to a provider that has keys or takes groups, as it was intended.

    Written with the intents. Says by which account a mail may be asked for again, and
    who was in a request whose answer was lost.
    """

    account = models.CharField(
        max_length=40, help_text="Provider and hash of its settings."
    )
    intent_at = models.DateTimeField(db_index=True, help_text="UTC, as in its deliveries.")
    members = models.JSONField(help_text="Ids of deliveries, in order.")

    def __str__(self) -> str:
        return f"{len(self.members)} mails by {self.account}"
