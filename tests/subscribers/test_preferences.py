"""Profiles as bytes: what they hold, and how those of old rows came to be."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from subscribers import preferences
from subscribers.models import Subscriber
from tests import make

columns = st.integers(0, 60)
leanings = st.dictionaries(columns, st.integers(-31, 31))


@given(st.sets(columns), leanings)
def test_a_profile_gives_back_its_leanings_and_tells_what_was_chosen(chosen, leaning):
    stored = preferences.profile(chosen, leaning)
    weights = memoryview(stored).cast("b")
    assert preferences.leaning(stored) == {place: n for place, n in leaning.items() if n}
    assert {
        place for place, n in enumerate(weights) if n > preferences.CHOSEN / 2
    } == chosen
    assert not stored.endswith(b"\0")


@pytest.mark.django_db
def test_the_migration_gives_old_rows_the_profiles_that_new_ones_have():
    for slug in ("knots", "films", "ropes"):
        make.topic(slug)
    made = [
        make.reader("ann@example.org", "knots", "ropes"),
        make.reader("bo@example.org"),
        make.reader("cy@example.org", "films", state="pending"),
    ]
    Subscriber.objects.update(profile=b"")
    migration = import_module("subscribers.migrations.0003_subscriber_profile")
    migration.fill(apps, SimpleNamespace(connection=connection))
    filled = Subscriber.objects.order_by("pk").values_list("profile", flat=True)
    assert list(map(bytes, filled)) == [reader.profile for reader in made]
