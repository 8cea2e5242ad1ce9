"""What others report of our domain's mail."""

from datetime import timedelta

from django.db import models


class ReportedCount(models.Model):
    """Mails (DMARC) or sessions (TLS) of one source in one provider's report.

    See feedback/domain_reports.py.
    """

    KEPT = timedelta(days=400)

    class Kind(models.TextChoices):
        DMARC = "dmarc", "DMARC"
        TLS = "tls", "TLS"

    kind = models.CharField(max_length=5, choices=Kind)
    reporter = models.CharField(max_length=100)
    name = models.CharField(max_length=255, help_text="Of the report, by its reporter.")
    day = models.DateField(help_text="On which the reported time ended, UTC.")
    domain = models.CharField(max_length=253, help_text="Of the From address.")
    source = models.CharField(
        max_length=253, help_text="The sending address; of TLS the receiving host."
    )
    passed = models.BooleanField()
    detail = models.CharField(max_length=100, blank=True)
    count = models.PositiveBigIntegerField()

    class Meta:
        verbose_name_plural = "reported counts"
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "reporter", "name", "domain", "source", "passed", "detail"],
                name="reported_once",
            )
        ]
        indexes = [models.Index(fields=["kind", "day"], name="reported_day")]

    def __str__(self) -> str:
        return f"{self.kind} report of {self.day} by {self.reporter}"
