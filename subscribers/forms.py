"""What a person types: checked here, each message beside its field.

Nothing here needs a session or a CSRF token; SignUpForm() also stands on the front page
(include subscribers/_sign_up_form.html with `form`).
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext, gettext_lazy

from subscribers import rate_limits, time_zones
from subscribers.addresses import LONGEST, Address, BadAddress, canonical
from subscribers.fields import Form, Shared
from subscribers.preferences_form import PreferencesForm, initial_of
from subscribers.rate_limits import Filled


class AddressField(Shared, forms.CharField):
    """Cleans to the canonical form: the one place where a form's address becomes an Address."""

    widget = forms.EmailInput(attrs={"autocomplete": "email"})

    def __init__(self, label: Any = None) -> None:
        missing = gettext_lazy("Enter your email address.")
        super().__init__(
            label=label or gettext_lazy("Email address"),
            max_length=LONGEST,
            error_messages={"required": missing},
        )

    def clean(self, value: object) -> Address:
        try:
            return canonical(super().clean(value))
        except BadAddress as error:
            raise forms.ValidationError(str(error)) from None


class GuardedForm(Form):
    """Brings what shows whether a person filled it in; never an error, see rate_limits.py.

    The templates put it into hidden inputs: website is the trap that people cannot see.
    """

    @property
    def stamp(self) -> str:
        return rate_limits.stamp()

    def filled(self) -> Filled:
        """Return what a posted form showed."""
        posted = self.data
        return Filled(
            posted.get("website", ""), posted.get("opened", ""), posted.get("proof", "")
        )


class SignUpForm(PreferencesForm, GuardedForm):
    field_order = ("email",)  # first on the page, so first of the errors
    own = ("topics", "language", "timezone")

    email = AddressField()

    def __init__(
        self,
        data: Mapping[str, object] | None = None,
        *,
        language: str = settings.LANGUAGE_CODE,
        **options: Any,
    ) -> None:
        super().__init__(data, **options)
        chosen = self.fields["language"]
        chosen.initial = chosen.empty_value = language  # type: ignore[attr-defined]
        if "timezone" not in {*self.data, *self.initial}:  # timezone.js fills it in
            zone = self.fields["timezone"]
            zone.widget.attrs["data-guess-timezone"] = True
            likely = time_zones.OF_LANGUAGE.get(language, zone.initial)
            zone.initial = zone.empty_value = likely  # type: ignore[attr-defined]

    def begun(self) -> dict[str, object]:
        """Return what a valid form holds of what was posted, to go on from there."""
        cleaned = initial_of(self.preferences()) | {"email": self.cleaned_data["email"]}
        return {name: value for name, value in cleaned.items() if name in self.data}


class LinkForm(GuardedForm):
    email = AddressField()


class AddressForm(GuardedForm):
    email = AddressField(gettext_lazy("New email address"))


class PauseForm(Form):
    """Until when: a local date after today, at most a year away; empty: until resumed."""

    until = forms.DateField(
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        label=gettext_lazy("Until"),
        help_text=gettext_lazy(
            "Your mails start again on that day, at your hour. Leave this empty to "
            "pause until you resume."
        ),
        error_messages={"invalid": gettext_lazy("Enter a date like 2026-12-24.")},
    )

    def __init__(self, data: Mapping[str, object] | None, *, today: date) -> None:
        super().__init__(data)
        self.today = today

    def clean_until(self) -> date | None:
        until: date | None = self.cleaned_data["until"]
        if until and not 0 < (until - self.today).days <= 366:
            raise forms.ValidationError(
                gettext("Choose a day from tomorrow on, within a year.")
            )
        return until
