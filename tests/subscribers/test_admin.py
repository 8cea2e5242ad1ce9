"""The operator looks, and suppresses."""

import pytest
from django.test import Client

from subscribers.addresses import address_hash
from subscribers.models import Subscriber, Suppression

pytestmark = pytest.mark.django_db
ROOMS = ["subscriber", "topic", "consentevent", "notice", "suppression"]


@pytest.fixture
def at(settings) -> str:
    return f"/{settings.ADMIN_PATH}/subscribers"


@pytest.mark.each_row
@pytest.mark.parametrize("room", ROOMS)
def test_every_list_opens(admin_client: Client, active, at: str, room: str) -> None:
    assert admin_client.get(f"{at}/{room}/").status_code == 200


def test_a_reader_is_found_by_the_whole_address_only(
    admin_client: Client, active, at: str
) -> None:
    assert "1 subscriber" in admin_client.get(f"{at}/subscriber/?q=ann@example.org").text
    assert "0 subscribers" in admin_client.get(f"{at}/subscriber/?q=ann").text


def test_nothing_of_a_reader_can_be_changed_here(
    admin_client: Client, active: Subscriber, at: str
) -> None:
    page = admin_client.get(f"{at}/subscriber/{active.pk}/change/")
    assert page.status_code == 200
    assert active.unsubscribe_token not in page.text
    for step in ("change", "delete"):
        path = f"{at}/subscriber/{active.pk}/{step}/"
        assert admin_client.post(path, {"state": "paused"}).status_code == 403
    assert admin_client.get(f"{at}/consentevent/add/").status_code == 403


def test_an_operator_suppresses_an_address(admin_client: Client, at: str) -> None:
    path = f"{at}/suppression/add/"
    assert admin_client.post(path, {"email": "Bob@Example.org"}).status_code == 302
    row = Suppression.objects.get()
    assert (row.reason, row.email_hash) == ("manual", address_hash("bob@example.org"))
    again = admin_client.post(path, {"email": "bob@example.org"})
    assert "suppressed already" in again.text
    assert admin_client.post(path, {"email": "bob"}).status_code == 200
    assert Suppression.objects.count() == 1


def test_a_stranger_sees_nothing(client: Client, at: str) -> None:
    for room in ROOMS:
        assert client.get(f"{at}/{room}/").status_code == 302
