"""The fields of readers' forms: how each is shown, and what it takes.

The templates of a field, its hint and its errors are in templates/subscribers/.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.forms.renderers import TemplatesSetting
from django.utils.translation import gettext

from subscribers.models import Topic

MOST_LINES = 30
MOST_SEARCHES = 10
LONGEST_LINE = 80


def plain(text: str) -> str:
    """Return one line without control and format characters (bidi marks among them)."""
    kept = text
    if not text.isprintable():
        kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text)
    return " ".join(kept.split())


@cache
def zones() -> frozenset[str]:
    """Return all IANA names; two entries of the database name no place."""
    return frozenset(available_timezones() - {"Factory", "localtime"})


seen: set[str] = set()  # topics that this process has found in the database


def exist(slugs: set[str]) -> bool:
    """Return whether there are such topics; one withdrawn since is left off when stored."""
    if not slugs <= seen:
        seen.update(Topic.objects.values_list("slug", flat=True))
    return slugs <= seen


class Renderer(TemplatesSetting):
    """Renders a field with its label, hint and errors, as the pages show them."""

    field_template_name = "subscribers/_field.html"


class Shared(forms.Field):
    """A field that all forms of a class have in common: a copy for each was a fifth of a POST."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

    def own(self) -> Any:
        """Return a copy that one form may change; the choices are still everybody's."""
        choices = getattr(self, "_choices", ())
        return super().__deepcopy__({id(choices): choices})


class Form(forms.Form):
    """A form whose fields carry their own names as ids, without a prefix.

    It may change the fields that its class names as `own`; all others are shared.
    """

    default_renderer = Renderer
    own: Collection[str] = ()

    def __init__(self, data: Any = None, *, auto_id: str = "%s", **options: Any) -> None:
        super().__init__(data, auto_id=auto_id, **options)
        for name in self.own:
            self.fields[name] = self.fields[name].own()  # type: ignore[attr-defined]


class Select(forms.Select):
    """Django's, without a dictionary and a template for each option."""

    template_name = "subscribers/_select.html"

    def optgroups(self, name: str, value: list[str], attrs: Any = None) -> list[Any]:
        """Return (group, options); an option is (value, label, is chosen)."""
        return [("", self.options_of(self.choices, value))]

    def options_of(self, choices: Iterable[tuple[Any, Any]], value: list[str]) -> list[Any]:
        return [(str(key), str(label), str(key) in value) for key, label in choices]


class ZoneSelect(Select):
    """Cities by region; a zone that is none of them is offered where it is chosen."""

    def optgroups(self, name: str, value: list[str], attrs: Any = None) -> list[Any]:
        regions = [(region, self.options_of(some, value)) for region, some in self.choices]
        chosen = any(is_chosen for _, some in regions for *_, is_chosen in some)
        mine = [] if chosen else [one for one in value if one in zones()]
        own = [("", self.options_of([(one, one) for one in mine], value))] if mine else []
        return own + regions


class Chips(forms.CheckboxSelectMultiple):
    """Checkboxes; where they `fold`, each group shows its own once it is opened."""

    template_name = "subscribers/_chips.html"
    fold = False

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """Add `groups`: (name, options, whether one of them is chosen)."""
        context = super().get_context(name, value, attrs)
        context["fold"] = self.fold
        context["groups"] = [
            (group, options, any(option["selected"] for option in options))
            for group, options, _ in context["widget"]["optgroups"]
        ]
        return context


class ChoiceField(Shared, forms.TypedChoiceField):
    """One of a list. What is missing has the default, which is shown as chosen then."""

    widget = Select

    def __init__(
        self,
        choices: Any,
        *,
        default: Any,
        wrong: Any,
        coerce: Callable[[str], object] = str,
        **options: Any,
    ) -> None:
        super().__init__(
            choices=choices,
            coerce=coerce,
            empty_value=default,
            initial=default,
            required=False,
            error_messages={"invalid_choice": wrong},
            **options,
        )

    def bound_data(self, data: Any, initial: Any) -> Any:
        return data or self.initial


class ZoneField(ChoiceField):
    widget = ZoneSelect

    def valid_value(self, value: str) -> bool:
        """Take any IANA name: browsers, imports and readers of before know more of them."""
        return value in zones()


class HourField(ChoiceField):
    def to_python(self, value: Any) -> str:
        """Take 07, too, for 7."""
        return re.sub(r"\A0(?=\d\Z)", "", super().to_python(value))


class SeveralField(Shared, forms.TypedMultipleChoiceField):
    """Any number of a list: cleaned to a sorted tuple."""

    widget = Chips

    def clean(self, value: object) -> tuple[Any, ...]:
        return tuple(sorted(set(super().clean(value))))


class TopicsField(SeveralField):
    """Slugs of topics; what there is to choose from is set when it is shown."""

    def validate(self, value: list[str]) -> None:
        if not exist(set(value)):
            raise forms.ValidationError(
                gettext(
                    "One of these topics does not exist any more: choose from the list."
                )
            )


class LinesField(Shared, forms.CharField):
    """A list, one entry to a line: cleaned, without repeats (case is ignored)."""

    widget = forms.Textarea(attrs={"rows": 3})

    def __init__(
        self, *, most: int = MOST_LINES, longest: int = LONGEST_LINE, **options: Any
    ) -> None:
        self.most, self.longest = most, longest
        super().__init__(required=False, max_length=most * (longest + 2), **options)

    def clean(self, value: object) -> tuple[str, ...]:
        lines = [plain(line) for line in super().clean(value).splitlines()]
        kept = tuple({line.casefold(): line for line in lines if line}.values())
        if len(kept) > self.most:
            raise forms.ValidationError(
                gettext("Write %(n)d lines at most.") % {"n": self.most}
            )
        if any(len(line) > self.longest for line in kept):
            raise forms.ValidationError(
                gettext("Use %(n)d characters at most on one line.") % {"n": self.longest}
            )
        return kept

    def prepare_value(self, value: object) -> object:
        return "\n".join(value) if isinstance(value, list | tuple) else value
