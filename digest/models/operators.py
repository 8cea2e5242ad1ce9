"""What operators did, and their recovery codes."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models

from subscribers.models import Appended

OWNER = "owner"  # the group; a superuser is one, too


def owners() -> models.QuerySet[User]:
    """Return the accounts that may do everything."""
    accounts = User.objects.filter(is_active=True, is_staff=True)
    every = models.Q(is_superuser=True) | models.Q(groups__name=OWNER)
    return accounts.filter(every).distinct()


class Acts(Appended["Act"]):
    """Acts are read and appended, and deleted as a whole once they are old."""

    def prune(self, before: datetime) -> int:
        """Delete what was done before that instant. Returns how many rows."""
        old = Act.objects.filter(at__lt=before)
        return models.QuerySet.delete(old)[0]


class Act(models.Model):
    """What an operator did: appended, never changed. It outlives the account and the row."""

    KEPT = timedelta(days=365)

    at = models.DateTimeField(db_index=True)
    who = models.CharField(max_length=200, help_text="An account, or a command's user.")
    what = models.CharField(max_length=40)
    kind = models.CharField(
        max_length=60, blank=True, help_text="Of the row: digest.edition and the like."
    )
    row = models.CharField(max_length=60, blank=True, help_text="Its id.")
    detail = models.CharField(max_length=500, blank=True)
    network = models.CharField(
        max_length=43, blank=True, help_text="Truncated: /24 of IPv4, /48 of IPv6."
    )

    objects = Acts.as_manager()

    class Meta:
        verbose_name_plural = "acts"
        indexes = [
            models.Index(fields=["kind", "row", "-id"], name="act_on_row"),
            models.Index(fields=["what", "at"], name="act_what"),
        ]

    def __str__(self) -> str:
        return f"{self.what} at {self.at:%Y-%m-%d %H:%M}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("an Act is appended, never changed")
        super().save(*args, **kwargs)


class RecoveryCode(models.Model):
    """One way into an account without its second factor; it works once."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recovery_codes"
    )
    code_hash = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "recovery codes"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "code_hash"], name="recovery_code_unique"
            )
        ]

    def __str__(self) -> str:
        return f"recovery code {self.pk}"
