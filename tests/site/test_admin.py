"""The operator's pages: they open, show what is asked, and change nothing."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from digest.models import Delivery, Edition
from tests.site.conftest import DAY, NOW, MakePaper, publish

MODELS = ["paper", "edition", "block", "delivery"]


@pytest.fixture
def furnished(paper: MakePaper) -> Delivery:
    found = paper(title="<script>alert(1)</script>")
    publish(found, graphs=1.0)
    return Delivery.objects.create(
        edition=Edition.objects.get(day=DAY),
        due_at=NOW,
        not_before=NOW,
        expires_at=NOW + timedelta(days=1),
        lease_token="a-lease-token-of-22-ch",
    )


@pytest.mark.parametrize("model", MODELS)
def test_each_list_and_row_opens_and_can_not_be_changed(
    admin_client: Client, furnished: Delivery, model: str
) -> None:
    listing = admin_client.get(reverse(f"admin:digest_{model}_changelist"))
    assert listing.status_code == 200
    pk = listing.context["cl"].result_list[0].pk
    row = admin_client.get(reverse(f"admin:digest_{model}_change", args=[pk]))
    assert row.status_code == 200
    for html in [listing.content.decode(), row.content.decode()]:
        assert "<script>alert" not in html
        assert "a-lease-token" not in html
    for action, args in [("add", []), ("change", [pk]), ("delete", [pk])]:
        url = reverse(f"admin:digest_{model}_{action}", args=args)
        assert admin_client.post(url, {}).status_code == 403


def test_deliveries_can_be_kept_to_a_state_and_an_edition(
    admin_client: Client, furnished: Delivery
) -> None:
    url = reverse("admin:digest_delivery_changelist")
    wanted = {"edition__id__exact": furnished.edition_id}
    assert (
        admin_client.get(url, wanted | {"state__exact": "pending"})
        .context["cl"]
        .result_count
        == 1
    )
    assert (
        admin_client.get(url, wanted | {"state__exact": "accepted"})
        .context["cl"]
        .result_count
        == 0
    )
