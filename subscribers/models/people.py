"""People and their preferences.

An address is stored in its canonical form only (see addresses.py). A Subscriber's
life: pending → active ⇄ paused → unsubscribed; a new sign-up starts it over.
"""

import secrets
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext, gettext_lazy

from subscribers import time_zones
from subscribers.addresses import masked

FEWEST_PAPERS, USUAL_PAPERS, MOST_PAPERS = 3, 10, 20


class Length(models.TextChoices):
    """How much of each paper a mail shows."""

    TITLES = "titles", gettext_lazy("Titles only")
    SHORT = "short", gettext_lazy("Titles and a line or two")
    ABSTRACTS = "abstracts", gettext_lazy("Titles and abstracts")


def new_capability() -> str:
    """128 random bits as 22 characters, short enough never to be folded in a header."""
    return secrets.token_urlsafe(16)


class Topic(models.Model):
    """What one can subscribe to. The rows follow the definitions at each migrate.

    The catalogues know label, group and description; as text a topic is its label, translated.
    """

    slug = models.SlugField(unique=True, help_text="The name in links and forms.")
    label = models.CharField(max_length=80, help_text="What readers see.")
    group = models.CharField(max_length=80, help_text="The heading it stands under.")
    description = models.CharField(max_length=300, blank=True)
    position = models.PositiveSmallIntegerField(help_text="The order on the form.")
    column = models.PositiveSmallIntegerField(
        unique=True, editable=False, help_text="Its place in profiles, never given twice."
    )

    class Meta:
        verbose_name_plural = "topics"
        ordering = ["position"]

    def __str__(self) -> str:
        return gettext(self.label)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Give a new topic the next free column."""
        if self.serializable_value("column") is None:
            self.column = next_column()
        super().save(*args, **kwargs)


def next_column() -> int:
    """After all columns so far; the topic with the last one is never deleted."""
    last = Topic.objects.order_by("-column").values_list("column", flat=True).first()
    return 0 if last is None else last + 1


class Schedule(models.Model):
    """A time to send: zone × hour × days. One row is shared by all readers who chose it.

    The planner computes one due instant per row instead of one per reader.
    """

    class Cadence(models.TextChoices):
        DAILY = "daily", gettext_lazy("Every day")
        WEEKDAYS = "weekdays", gettext_lazy("Monday to Friday")
        CHOSEN = "chosen", gettext_lazy("On chosen days")
        WEEKLY = "weekly", gettext_lazy("Once a week")

    timezone = models.CharField(max_length=64, help_text="An IANA name.")
    send_hour = models.PositiveSmallIntegerField(help_text="Local hour, 0 to 23.")
    cadence = models.CharField(max_length=8, choices=Cadence)
    days = models.PositiveSmallIntegerField(
        help_text="Local weekdays on which to send; bit 0 is Monday."
    )

    class Meta:
        verbose_name_plural = "schedules"
        constraints = [
            models.UniqueConstraint(
                fields=["timezone", "send_hour", "cadence", "days"], name="schedule_unique"
            ),
            models.CheckConstraint(
                condition=Q(send_hour__lte=23), name="schedule_hour_of_day"
            ),
            models.CheckConstraint(
                condition=Q(days__gte=1, days__lte=127), name="schedule_some_day"
            ),
        ]

    def __str__(self) -> str:
        """Return days and hour in words of the active language."""
        where = time_zones.in_words(self.timezone)
        hour = f"{self.send_hour:02}:00"
        # Translators: Every day at 07:00 (Berlin time)
        words = gettext("%(days)s at %(hour)s (%(zone)s)")
        return words % {"days": self.when, "hour": hour, "zone": where}

    @property
    def weekdays(self) -> list[int]:
        """The local weekdays, 0 is Monday."""
        return [day for day in range(7) if self.days >> day & 1]

    @property
    def when(self) -> str:
        """The days in words: Every day; Monday, Thursday; Once a week, on Monday.

        In the active language.
        """
        names = ", ".join(str(WEEKDAYS[day]) for day in self.weekdays)
        if self.cadence == self.Cadence.WEEKLY:
            return gettext("Once a week, on %(day)s") % {"day": names}
        if self.cadence == self.Cadence.CHOSEN:
            return names
        return self.get_cadence_display()


class Trending(models.IntegerChoices):
    """Whether a reader wants trending papers that match none of their interests."""

    NEVER = 0, gettext_lazy("Only papers that match my interests")
    TO_FILL_UP = (
        1,
        gettext_lazy("Mostly my interests: a trending paper where little matches"),
    )
    HALF = 2, gettext_lazy("Half my interests, half what is trending")


class Subscriber(models.Model):
    """An address and its preferences."""

    class State(models.TextChoices):
        PENDING = "pending", "Waiting for confirmation"
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        UNSUBSCRIBED = "unsubscribed", "Unsubscribed"

    email = models.CharField(max_length=254, unique=True, help_text="Canonical form.")
    email_hash = models.CharField(
        max_length=64, db_index=True, help_text="Keyed hash, as in Suppression."
    )
    state = models.CharField(max_length=12, choices=State, default=State.PENDING)
    # No index of its own: the plan reads active readers, by subscriber_active_by_schedule.
    schedule = models.ForeignKey(Schedule, on_delete=models.PROTECT, db_index=False)
    topics = models.ManyToManyField(Topic, through="Subscription", blank=True)
    interests = models.TextField(blank=True, help_text="The reader's own words.")
    keywords = models.JSONField(default=list, blank=True, help_text="Words to look for.")
    watched_authors = models.JSONField(default=list, blank=True, help_text="Names.")
    muted_authors = models.JSONField(default=list, blank=True, help_text="Names.")
    watched_institutions = models.JSONField(default=list, blank=True, help_text="Names.")
    muted_institutions = models.JSONField(default=list, blank=True, help_text="Names.")
    searches = models.JSONField(
        default=list, blank=True, help_text="As typed into the search box."
    )
    trending = models.PositiveSmallIntegerField(
        choices=Trending,
        default=Trending.NEVER,
        help_text="Papers that are trending and match no interest.",
    )
    most_papers = models.PositiveSmallIntegerField(
        default=USUAL_PAPERS,
        validators=[MinValueValidator(FEWEST_PAPERS), MaxValueValidator(MOST_PAPERS)],
        help_text="How many papers a digest holds at most.",
    )
    wants_missed = models.BooleanField(
        default=False,
        db_default=False,  # the previous release names no such column in its INSERTs
        help_text="After a pause, one mail of the best that was missed.",
    )
    language = models.CharField(
        max_length=8, default="en", help_text="Of the mail's own words: settings.LANGUAGES."
    )
    length = models.CharField(
        max_length=9, choices=Length, default=Length.SHORT, help_text="Of a digest."
    )
    profile = models.BinaryField(
        default=b"",
        blank=True,
        help_text="Topics chosen and voted for: see preferences.py.",
    )
    directions = models.BinaryField(
        null=True,
        blank=True,
        default=b"",
        help_text="Written interests and likes as vectors; null: to be computed.",
    )
    paused_until = models.DateField(
        null=True, blank=True, help_text="Local date from which mail comes again."
    )
    unsubscribe_token = models.CharField(
        max_length=22,
        unique=True,
        default=new_capability,
        help_text="In every mail; can do nothing but unsubscribe, pause and slow down.",
    )
    feed_token = models.CharField(
        max_length=22,
        unique=True,
        null=True,
        blank=True,
        help_text="Reads the reader's own feed, and nothing else; null: there is none.",
    )
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    unsubscribed_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(
        db_index=True,
        help_text="Last change of state or schedule: the planner looks at it anew.",
    )

    class Meta:
        verbose_name_plural = "subscribers"
        permissions = [("export_subscriber", "Can download all data of a subscriber")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["pending", "unsubscribed"])
                | Q(confirmed_at__isnull=False),
                name="subscriber_active_is_confirmed",
            ),
            models.CheckConstraint(
                condition=Q(most_papers__gte=FEWEST_PAPERS, most_papers__lte=MOST_PAPERS),
                name="subscriber_most_papers",
            ),
        ]
        indexes = [
            # With the id, as the plan asks for ranges of it.
            models.Index(
                fields=["schedule", "id"],
                condition=Q(state="active"),
                name="subscriber_active_by_schedule",
            ),
            models.Index(
                fields=["schedule"],
                condition=Q(state="active", wants_missed=True),
                name="subscriber_wants_missed",
            ),
            models.Index(
                fields=["id"],
                condition=Q(directions__isnull=True),
                name="subscriber_to_compute",
            ),
            # For the operator's lists. Active readers are most and need none; with them SQLite
            # would plan editions by it.
            models.Index(
                fields=["state", "-id"],
                condition=~Q(state="active"),
                name="subscriber_by_state",
            ),
        ]

    def __str__(self) -> str:
        return f"subscriber {self.pk}"

    @property
    def masked_email(self) -> str:
        return masked(self.email)


class Subscription(models.Model):
    """One reader's choice of one topic."""

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE)
    topic = models.ForeignKey(Topic, on_delete=models.CASCADE, db_index=False)

    class Meta:
        verbose_name_plural = "subscriptions"
        indexes = [
            models.Index(fields=["topic", "-subscriber"], name="subscription_by_topic")
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["subscriber", "topic"], name="subscription_unique"
            )
        ]

    def __str__(self) -> str:
        return f"subscriber {self.subscriber_id}, topic {self.topic_id}"
