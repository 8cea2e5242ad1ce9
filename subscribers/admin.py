"""The operator's view: to look, to suppress and to lift a bar.

Readers change themselves.
"""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from subscribers.addresses import BadAddress, address_hash, canonical
from subscribers.consent import Origin
from subscribers.forms import AddressField
from subscribers.models import ConsentEvent, Notice, Subscriber, Suppression, Topic
from subscribers.suppression import NotBarred, is_suppressed, lift_bar

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Model]  # Django's own classes take no parameter
    SuppressionModelForm = forms.ModelForm[Suppression]
else:
    ModelAdmin = admin.ModelAdmin
    SuppressionModelForm = forms.ModelForm


class ToLookAt(ModelAdmin):
    """Nothing can be added, changed or deleted here."""

    show_full_result_count = False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Only what the page offers may filter a list.

        Django lets any column of the row filter it, so a token that is shown nowhere could
        be guessed letter by letter.
        """
        offered = [str(one) for one in self.get_list_filter(request)]
        named = [*offered, self.date_hierarchy] if self.date_hierarchy else offered
        return any(
            lookup == name or lookup.startswith(f"{name}__") for name in named
        ) and super().lookup_allowed(lookup, value, request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Subscriber)
class SubscriberAdmin(ToLookAt):
    list_display = ["id", "masked_email", "state", "schedule", "created_at"]
    list_filter = ["state"]
    list_select_related = ["schedule"]
    search_fields = ["=email"]
    search_help_text = "The whole address."
    # Whoever has read them could unsubscribe the reader, and read the feed for ever.
    exclude = ["unsubscribe_token", "feed_token"]


@admin.register(Topic)
class TopicAdmin(ToLookAt):
    list_display = ["label", "group", "slug", "position"]


@admin.register(ConsentEvent)
class ConsentEventAdmin(ToLookAt):
    list_display = ["at", "kind", "subscriber_id", "source", "wording", "network"]
    list_filter = ["kind"]
    exclude = ["salt"]


@admin.register(Notice)
class NoticeAdmin(ToLookAt):
    list_display = ["id", "kind", "state", "subscriber_id", "created_at", "reason"]
    list_filter = ["state", "kind"]


class SuppressionForm(SuppressionModelForm):
    """Takes the address, keeps its hash only."""

    email = AddressField()

    class Meta:
        model = Suppression
        fields: list[str] = []

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if is_suppressed(address_hash(cleaned.get("email", ""))):
            raise forms.ValidationError("This address is suppressed already.")
        return cleaned

    def save(self, commit: bool = True) -> Suppression:
        self.instance.email_hash = address_hash(self.cleaned_data["email"])
        self.instance.reason = Suppression.Reason.MANUAL
        self.instance.at = timezone.now()
        saved: Suppression = super().save(commit)
        return saved


class LiftForm(ActionForm):
    """Beside the choice of an action: why it is done."""

    why = forms.CharField(label="Reason", max_length=500, required=False)


@admin.register(Suppression)
class SuppressionAdmin(ToLookAt):
    form = SuppressionForm  # type: ignore[assignment]
    list_display = ["at", "reason", "email_hash"]
    list_filter = ["reason"]
    search_fields = ["email_hash"]  # of the address that is typed
    search_help_text = "The whole address."
    actions = ["lift"]
    action_form = LiftForm

    def has_add_permission(self, request: HttpRequest) -> bool:
        return ModelAdmin.has_add_permission(self, request)

    def has_lift_permission(self, request: HttpRequest) -> bool:
        """Remove the bar and keep no trace of it in the list."""
        return ModelAdmin.has_delete_permission(self, request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Model], search_term: str
    ) -> tuple[QuerySet[Model], bool]:
        if not search_term:
            return queryset, False
        try:
            email_hash = address_hash(canonical(search_term))
        except BadAddress:
            return queryset.none(), False
        return queryset.filter(email_hash=email_hash), False

    @admin.action(description="Lift the bar", permissions=["lift"])
    def lift(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> None:
        why = str(request.POST.get("why", "")).strip()
        if not why:
            self.message_user(request, "Enter a reason to lift a bar.", messages.ERROR)
            return
        origin = Origin(f"admin: {request.user.get_username()}"[:200])
        lifted = 0
        for bar in queryset:
            try:
                lift_bar(bar.email_hash, why, origin=origin, now=timezone.now())
            except NotBarred as error:
                self.message_user(request, f"{bar}: {error}.", messages.ERROR)
            else:
                lifted += 1
        if lifted:
            self.message_user(request, f"Bars lifted: {lifted}.", messages.SUCCESS)
