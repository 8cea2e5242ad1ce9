"""What every field of our forms shows: a label, a hint, its mistake, and what was typed."""

import re
from datetime import UTC, date, datetime
from importlib.resources import files
from unittest.mock import patch

import html5lib
import pytest
from django.http import QueryDict
from django.test import Client
from email_validator import validate_email

from subscribers import addresses, preferences, time_zones
from subscribers.forms import AddressForm, LinkForm, PauseForm, SignUpForm
from subscribers.models import Subscriber, Topic
from subscribers.preferences_form import PreferencesForm, initial_of
from tests.subscribers.conftest import work_off

WRONG = {
    "email": "nobody",
    "topics": "no-topic",
    "interests": "x" * 501,
    "keywords": "x" * 81,
    "watched_authors": "x" * 81,
    "muted_authors": "x" * 81,
    "watched_institutions": "x" * 81,
    "muted_institutions": "x" * 81,
    "searches": "x" * 201,
    "trending": "3",
    "most_papers": "2",
    "wants_missed": "perhaps",
    "length": "long",
    "language": "tlh",
    "cadence": "hourly",
    "send_hour": "24",
    "timezone": "Mars/Olympus",
    "days": "7",
    "weekday": "7",
    "until": "soon",
}
DAY = date(2026, 4, 17)


def posted(**values: str) -> QueryDict:
    data = QueryDict(mutable=True)
    data.update(values)
    return data


FIELDS = [(name, SignUpForm) for name in SignUpForm.base_fields] + [
    ("email", LinkForm),
    ("email", AddressForm),
    ("until", PauseForm),
]


@pytest.mark.parametrize(("name", "form"), FIELDS)
@pytest.mark.parametrize("is_wrong", [False, True])
def test_a_field_names_itself_its_hint_and_its_mistake(
    topics, name: str, form, is_wrong: bool
) -> None:
    options = {"today": DAY} if form is PauseForm else {}
    filled = form(posted(**{name: WRONG[name]}) if is_wrong else None, **options)
    if name == "topics":
        filled.offer(Topic.objects.all())
    field = filled[name]
    tree = html5lib.parseFragment(
        field.as_field_group(), namespaceHTMLElements=False, treebuilder="etree"
    )
    by_id = {node.get("id"): node for node in tree.iter() if node.get("id")}
    control = by_id[name]
    names = "legend" if control.tag == "fieldset" else "label"
    assert tree.find(f".//{names}").text == field.label
    assert names == "legend" or tree.find(".//label").get("for") == name
    described = (control.get("aria-describedby") or "").split()
    assert set(described) <= set(by_id)  # nothing is described by what is not there
    assert (f"{name}_error" in described) is is_wrong
    assert bool(field.help_text) is (f"{name}_helptext" in described)
    if control.tag != "fieldset":
        assert control.get("aria-invalid") == ("true" if is_wrong else None)
    if is_wrong:
        assert by_id[f"{name}_error"].text == field.errors[0]


@pytest.mark.parametrize(
    ("left_out", "shown"),
    [("timezone", "UTC"), ("send_hour", "7"), ("most_papers", "10"), ("cadence", "daily")],
)
def test_a_mistake_elsewhere_shows_the_default_of_what_was_left_out(
    topics, left_out: str, shown: str
) -> None:
    form = SignUpForm(posted(email="nobody"))
    chosen = re.findall(r'<option(?: value="(.*?)")? selected>(.*?)<', str(form[left_out]))
    assert [value or label for value, label in chosen] == [shown]


def test_what_one_form_changes_of_its_fields_no_other_form_shows(topics) -> None:
    meanwhile = SignUpForm(), PreferencesForm()
    before = [[str(field) for field in form] for form in (SignUpForm(), PreferencesForm())]
    german = SignUpForm(language="de")
    german.offer(Topic.objects.all(), fold=True)
    assert [[str(field) for field in form] for form in meanwhile] == before
    assert german.fields["days"] is meanwhile[0].fields["days"]


@pytest.mark.parametrize("hour", ["7", "07"])
def test_an_hour_is_taken_with_a_zero_before_it(db, hour: str) -> None:
    form = PreferencesForm(posted(send_hour=hour))
    assert form.is_valid()
    assert form.preferences().send_hour == 7


def test_the_form_gives_back_what_a_reader_has(client: Client, form) -> None:
    wanted = {"cadence": "weekly", "weekday": "3", "interests": "a\nb", "language": "de"}
    client.post("/subscribe/", form | wanted)
    work_off()
    stored = preferences.stored(Subscriber.objects.get())
    shown = PreferencesForm(initial=initial_of(stored))
    again = QueryDict(mutable=True)
    for name in PreferencesForm.base_fields:
        value = shown[name].value()
        again.setlist(name, value if isinstance(value, list | tuple) else [str(value)])
    saved = PreferencesForm(again)
    assert saved.is_valid(), saved.errors
    assert saved.preferences() == stored


def test_the_address_is_put_into_its_canonical_form_once(client: Client, form) -> None:
    addresses.domain_of_anybody.cache_clear()
    with patch.object(addresses, "validate_email", wraps=validate_email) as asked:
        client.post("/subscribe/", form | {"email": " Ann@EXAMPLE.org"})
        work_off()
    assert Subscriber.objects.get().email == "Ann@example.org"
    assert asked.call_count == 1


def test_the_trap_is_never_told(client: Client, form) -> None:
    typed = form | {"website": "x\x00", "opened": "\x00", "proof": "\x00"}
    assert client.post("/subscribe/", typed).status_code == 303


def offered_zones() -> list[str]:
    return [name for _, some in time_zones.offered() for name, _ in some]


def test_the_zones_offered_are_cities_and_none_is_a_link_of_before() -> None:
    """zone.tab has a line for each zone of a country; neither Etc/ nor US/Pacific is there."""
    table = files("tzdata").joinpath("zoneinfo/zone.tab").read_text().splitlines()
    cities = {line.split("\t")[2] for line in table if not line.startswith("#")}
    names = offered_zones()
    assert 70 <= len(names) == len(set(names)) <= 90
    assert set(names) - {"UTC"} <= cities


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Asia/Kathmandu", "Kathmandu (UTC+05:45)"),
        ("America/Argentina/Buenos_Aires", "Buenos Aires (UTC−03:00)"),
        ("Africa/Accra", "Accra (UTC+00:00)"),
    ],
)
def test_a_zone_is_named_by_its_city_and_offset(name: str, label: str) -> None:
    assert time_zones.label(name, datetime(2026, 4, 17, tzinfo=UTC)) == label


@pytest.mark.parametrize(
    "name", ["Navajo", "Etc/GMT+5", "Asia/Calcutta", "Europe/Ljubljana"]
)
def test_a_zone_that_is_not_offered_is_taken_and_shown_where_it_is_chosen(
    topics, name: str
) -> None:
    assert name not in offered_zones()
    form = SignUpForm(posted(email="ann@example.org", timezone=name))
    assert form.is_valid() and form.preferences().timezone == name
    assert f"<option selected>{name}</option>" in str(form["timezone"])
    assert f">{name}</option>" not in str(SignUpForm()["timezone"])
