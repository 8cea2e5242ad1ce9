"""The read-only admin of papers, editions and deliveries.

Papers and editions change by commands only, as rows edited by hand would no longer match
the mails sent.
"""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django_otp.plugins.otp_totp.models import TOTPDevice

from digest.models import (
    BackOff,
    Block,
    Delivery,
    DeliveryEvent,
    Edition,
    Paper,
    WarmUpDay,
    folded,
)
from subscribers.admin import ToLookAt

# Whoever sees the secret of an app can make its codes.
admin.site.unregister(TOTPDevice)

if TYPE_CHECKING:
    Inline = admin.TabularInline[Model, Model]  # Django's own class takes no parameter
else:
    Inline = admin.TabularInline


class ReadOnly(ToLookAt):
    list_per_page = 50


@admin.register(Paper)
class PaperAdmin(ReadOnly):
    list_display = ["arxiv_id", "title", "day", "upvotes", "comments", "is_sample"]
    list_filter = ["is_sample", "day"]
    search_fields = ["=arxiv_id", "title"]
    date_hierarchy = "day"


@admin.register(Edition)
class EditionAdmin(ReadOnly):
    list_display = ["day", "kind", "published_at", "planned_until", "hold", "hold_reason"]
    list_filter = ["kind", "hold"]
    date_hierarchy = "day"


@admin.register(Block)
class BlockAdmin(ReadOnly):
    list_display = ["edition", "position", "title", "upvotes", "topics"]
    list_filter = ["edition"]
    list_select_related = ["edition"]
    raw_id_fields = ["edition", "paper"]


class HistoryInline(Inline):
    """The history of a delivery, oldest first."""

    model = DeliveryEvent
    fields = ["at", "source", "kind", "reason", "reply", "message_id"]
    readonly_fields = ("at", "source", "kind", "reason", "reply", "message_id")
    extra = 0
    can_delete = False
    verbose_name_plural = "history"

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly):
    list_display = [
        "id",
        "edition",
        "subscriber_id",
        "state",
        "due_at",
        "attempts",
        "reason",
    ]
    list_filter = ["state", "edition"]
    list_select_related = ["edition"]
    raw_id_fields = ["edition", "subscriber"]
    search_fields = ["=id", "=subscriber__id"]
    search_help_text = (
        f"Deliveries older than {folded.FOLDED_AFTER.days} days are folded and not listed here: "
        "the page of the reader shows them, and so does the command delivery."
    )
    exclude = ["lease_token"]
    inlines = [HistoryInline]


@admin.register(BackOff)
class BackOffAdmin(ReadOnly):
    list_display = ["name", "failures", "rests", "resting_until"]


@admin.register(WarmUpDay)
class WarmUpDayAdmin(ReadOnly):
    list_display = ["day", "handed_over"]
