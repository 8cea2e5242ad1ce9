"""What a person types: checked here, each message beside its field.

Nothing here needs a session or a CSRF token; SignUpForm() also stands on the front page
(include subscribers/_sign_up_form.html with `form` and `topic_groups`).
"""

from collections.abc import Mapping
from datetime import date

from django import forms
from django.utils import timezone

from subscribers import proof_of_work
from subscribers.addresses import BadAddress, canonical
from subscribers.preferences import SubscriptionRequest
from subscribers.preferences_form import PreferencesForm
from subscribers.rate_limits import Filled


class AddressField(forms.CharField):
    """Cleans to the canonical form."""

    def __init__(self) -> None:
        missing = "Enter your email address."
        super().__init__(max_length=320, error_messages={"required": missing})

    def clean(self, value: object) -> str:
        try:
            return canonical(super().clean(value))
        except BadAddress as error:
            raise forms.ValidationError(str(error)) from None


class GuardedForm(forms.Form):
    """What shows whether a person filled it in; never an error, see rate_limits.py."""

    website = forms.CharField(required=False)  # the trap: people can't see it
    opened = forms.CharField(required=False)
    proof_of_work = forms.CharField(required=False)

    @property
    def stamp(self) -> str:
        return proof_of_work.stamp(timezone.now())

    def filled(self) -> Filled:
        """Of a form that was posted."""
        posted = self.data
        return Filled(
            posted.get("website", ""), posted.get("opened", ""), posted.get("proof", "")
        )


class SignUpForm(PreferencesForm, GuardedForm):
    email = AddressField()

    def request(self) -> SubscriptionRequest:
        """Of a valid form."""
        return SubscriptionRequest(email=self.cleaned_data["email"], **self.values())


class LinkForm(GuardedForm):
    email = AddressField()


class AddressForm(forms.Form):
    email = AddressField()


class PauseForm(forms.Form):
    """Until when: a local date after today, at most a year away; empty: until resumed."""

    until = forms.DateField(
        required=False, error_messages={"invalid": "Enter a date like 2026-12-24."}
    )

    def __init__(self, data: Mapping[str, object] | None, *, today: date) -> None:
        super().__init__(data)
        self.today = today

    def clean_until(self) -> date | None:
        until: date | None = self.cleaned_data["until"]
        if until and not 0 < (until - self.today).days <= 366:
            raise forms.ValidationError("Choose a day from tomorrow on, within a year.")
        return until
