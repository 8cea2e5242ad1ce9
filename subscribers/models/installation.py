"""What this installation knows of itself: the key with which it stands for addresses."""

from django.db import models


class AddressKey(models.Model):
    """One row: a fingerprint of the ADDRESS_KEY that made every hash in this database.

    See address_key.py.
    """

    fingerprint = models.CharField(max_length=64)

    class Meta:
        verbose_name_plural = "address keys"

    def __str__(self) -> str:
        return f"key {self.fingerprint[:8]}"
