"""The fields of our forms that Django has not: each cleans to a value we may store."""

import unicodedata
from functools import cache
from zoneinfo import available_timezones

from django import forms

from subscribers.addresses import BadAddress, canonical
from subscribers.models import FEWEST_PAPERS, MOST_PAPERS

MOST_LINES = 30
LONGEST_LINE = 80
HOURS = {str(hour): hour for hour in range(24)} | {f"{hour:02}": hour for hour in range(24)}
NUMBERS = tuple(str(number) for number in range(FEWEST_PAPERS, MOST_PAPERS + 1))


def plain(text: str) -> str:
    """One line without control and format characters (bidi marks among them)."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text)
    return " ".join(kept.split())


@cache
def zones() -> tuple[str, ...]:
    """The IANA names one can choose; two entries of the database name no place."""
    return tuple(sorted(available_timezones() - {"Factory", "localtime"}))


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


class LinesField(forms.CharField):
    """A list, one entry to a line: cleaned, without repeats (case is ignored)."""

    def __init__(self) -> None:
        super().__init__(required=False, max_length=MOST_LINES * (LONGEST_LINE + 2))

    def clean(self, value: object) -> tuple[str, ...]:
        lines = [plain(line) for line in super().clean(value).splitlines()]
        kept = tuple({line.casefold(): line for line in lines if line}.values())
        if len(kept) > MOST_LINES:
            raise forms.ValidationError(f"{MOST_LINES} lines at most.")
        if any(len(line) > LONGEST_LINE for line in kept):
            raise forms.ValidationError(f"A line has {LONGEST_LINE} characters at most.")
        return kept

    def prepare_value(self, value: object) -> object:
        return "\n".join(value) if isinstance(value, list | tuple) else value


class DaysField(forms.Field):
    """Weekdays as numbers, 0 is Monday."""

    widget = forms.SelectMultiple

    def __init__(self) -> None:
        super().__init__(required=False)

    def clean(self, value: object) -> tuple[int, ...]:
        typed = set(value) if isinstance(value, list) else set()
        if not typed <= set("0123456"):
            raise forms.ValidationError("Choose days from Monday to Sunday.")
        return tuple(sorted(int(day) for day in typed))
