"""What an operator may look at cannot be used to guess what they may not."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db.models import Field, Model
from django.test import Client
from django.urls import reverse

from digest import urls  # noqa: F401  # it registers the admin's pages
from subscribers.models import Subscriber
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

OURS = [
    model
    for model in admin.site._registry
    if model._meta.app_label in {"digest", "subscribers"}
]
assert OURS
LOOKUPS = ["", "__startswith", "__regex", "__gte", "__in", "__isnull", "__contains"]


def paths(model: type[Model], depth: int = 2, seen: tuple = ()) -> list[str]:
    """Every column that a query can name from this model, through relations too."""
    found = []
    for field in model._meta.get_fields():
        if field.is_relation and field.related_model and field.related_model not in seen:
            if depth:
                inner = paths(field.related_model, depth - 1, (*seen, model))
                found += [f"{field.name}__{path}" for path in inner]
        elif isinstance(field, Field):
            found.append(field.name)
    return found


def offered(model: type[Model]) -> set[str]:
    page = admin.site._registry[model]
    return {str(name) for name in (*page.list_filter, page.date_hierarchy) if name}


@pytest.fixture
def viewer(client: Client) -> Client:
    """An operator who may look at everything and do nothing."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    return client


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_s16_no_column_that_the_page_does_not_offer_can_filter_it(model, rf) -> None:
    page = admin.site._registry[model]
    for path in paths(model):
        for lookup in LOOKUPS:
            allowed = page.lookup_allowed(f"{path}{lookup}", "a", rf.get("/"))
            named = path.removesuffix("__id")  # of a row that the page offers to choose
            assert allowed == (named in offered(model)), f"{path}{lookup}"


SECRETS = {
    "subscriber": ["unsubscribe_token", "email", "email_hash", "interests", "keywords"],
    "notice": ["subscriber__unsubscribe_token", "email", "mailbox", "preferences"],
    "consentevent": ["subscriber__unsubscribe_token", "salt", "seal", "email_hash"],
    "suppression": ["email_hash"],
    "topic": ["subscriber__unsubscribe_token", "subscription__subscriber__email"],
    "delivery": ["subscriber__unsubscribe_token", "lease_token", "reply"],
    "edition": ["delivery__subscriber__unsubscribe_token", "delivery__lease_token"],
    "paper": ["vote__subscriber__unsubscribe_token", "vote__subscriber__email"],
    "block": ["edition__delivery__subscriber__unsubscribe_token"],
}


@pytest.mark.parametrize("model", SECRETS)
def test_s16_a_viewer_cannot_guess_a_secret_by_filters(viewer, model) -> None:
    reader = make.reader("ann@example.org")
    app = "digest" if model in {"delivery", "edition", "paper", "block"} else "subscribers"
    url = reverse(f"admin:{app}_{model}_changelist")
    for column in SECRETS[model]:
        for lookup in LOOKUPS:
            answer = viewer.get(url, {f"{column}{lookup}": reader.unsubscribe_token[0]})
            assert answer.status_code == 400, f"{column}{lookup}"
    for other in ("e", "o", "_to_field", "_popup", "all", "p"):
        answer = viewer.get(url, {other: SECRETS[model][0]}, follow=True)
        assert reader.unsubscribe_token not in answer.text


@pytest.mark.parametrize("room", [model.__name__.lower() for model in OURS])
def test_what_the_page_offers_still_works(viewer: Client, room: str) -> None:
    make.reader("ann@example.org")
    (model,) = [one for one in OURS if one.__name__.lower() == room]
    url = reverse(f"admin:{model._meta.app_label}_{room}_changelist")
    page = viewer.get(url)
    assert page.status_code == 200
    for spec in page.context["cl"].filter_specs:
        for choice in spec.choices(page.context["cl"]):
            assert viewer.get(url + choice["query_string"]).status_code == 200


def test_no_page_shows_a_token_or_a_salt(viewer: Client) -> None:
    """Whatever capability a reader may get later, too."""
    reader = make.reader("ann@example.org")
    tokens = [
        one.name for one in Subscriber._meta.concrete_fields if one.name.endswith("_token")
    ]
    values = {name: f"{name}-of-ann"[:22] for name in tokens}
    assert {"unsubscribe_token", "feed_token"} <= set(tokens)
    Subscriber.objects.update(**values)
    for page in ("admin:subscribers_subscriber_change", "console_reader"):
        shown = viewer.get(reverse(page, args=[reader.pk]))
        assert shown.status_code == 200
        assert not [one for one in values.values() if one in shown.text]
