"""A reader's own list of saved papers: filled, exported, emptied, and erased with them."""

import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from digest.models import SavedPaper
from digest.privacy import personal_data
from digest.site import saved
from subscribers import links, privacy
from subscribers.models import Link, Subscriber
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> Subscriber:
    return make.reader("ann@example.org")


@pytest.fixture
def page(ann: Subscriber) -> str:
    token = links.make(ann, Link.Purpose.PREFERENCES, now=timezone.now())
    return f"/preferences/{token}/saved/"


def add(client: Client, page: str, text: str) -> str:
    answer = client.post(page, {"action": "add", "ids": text})
    assert answer.status_code == 303
    return client.get(answer["Location"]).text


def shown(html: str) -> list[str]:
    return re.findall(r'id="paper-([^"]+)"', html)


@pytest.mark.each_row
@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("2604.00002 2604.00001", ["2604.00002", "2604.00001"]),
        ("2604.00001v3, 2604.00001, 2604.00002", ["2604.00001", "2604.00002"]),
        ("https://it/saved/?ids=2604.00001%2C2604.00002", ["2604.00001", "2604.00002"]),
        ("https://arxiv.org/pdf/2604.00002v1.pdf\r\nnot one", ["2604.00002"]),
        ("title-0123456789abcdef", ["title-0123456789abcdef"]),
        ("2604.99999 CS/0112017", ["cs/0112017"]),
        ("nothing \0 <b> %00 %ff", []),
        ("", []),
    ],
)
def test_ids_and_links_come_into_the_list_in_their_order(
    client: Client, page: str, text: str, listed: list[str]
) -> None:
    for number, arxiv_id in enumerate(("", "", "title-0123456789abcdef", "cs/0112017"), 1):
        one = make.paper(number)
        if arxiv_id:
            one.arxiv_id = arxiv_id
            one.save()
    html = add(client, page, text)
    assert shown(html) == listed
    assert ("Nothing was added" in html) == (not listed)


def test_what_comes_later_is_shown_first_and_nothing_twice(
    client: Client, page: str
) -> None:
    for number in (1, 2, 3):
        make.paper(number)
    add(client, page, "2604.00001")
    assert shown(add(client, page, "2604.00002 2604.00001 2604.00003")) == [
        "2604.00002",
        "2604.00003",
        "2604.00001",
    ]
    answer = client.post(page, {"action": "2604.00003"})
    assert shown(client.get(answer["Location"]).text) == ["2604.00002", "2604.00001"]


def test_it_is_exported_for_reference_managers(client: Client, page: str) -> None:
    make.paper(1, title="Of knots")
    html = add(client, page, "2604.00001")
    found = dict(re.findall(r'href="(\?export=(\w+))"', html))
    assert sorted(found.values()) == ["bib", "json", "ris"]
    files = {ending: client.get(page + query) for query, ending in found.items()}
    assert "@misc{example2026knots" in files["bib"].text
    assert "TI  - Of knots\r\n" in files["ris"].text
    assert [one["title"] for one in json.loads(files["json"].text)] == ["Of knots"]
    for answer in files.values():
        assert "public" not in answer["Cache-Control"], answer.headers
        assert "no-store" in answer["Cache-Control"]
    assert client.get(f"{page}?export=exe").status_code == 404


@pytest.mark.parametrize(
    ("method", "data"),
    [
        ("get", {"action": "add", "ids": "2604.00002"}),
        ("get", {"action": "2604.00001"}),
        ("head", {"action": "2604.00001"}),
        ("post", {"action": ""}),
        ("post", {"ids": "2604.00002"}),
        ("post", {"action": "2604.00002"}),
    ],
)
def test_nothing_else_changes_it(
    client: Client, ann: Subscriber, page: str, method: str, data: dict[str, str]
) -> None:
    make.paper(2)
    SavedPaper.objects.create(subscriber=ann, paper=make.paper(1), at=make.NOON)
    getattr(client, method)(page, data)
    assert SavedPaper.objects.get().paper.arxiv_id == "2604.00001"


def test_each_reader_has_their_own(client: Client, ann: Subscriber, page: str) -> None:
    theirs = SavedPaper.objects.create(
        subscriber=make.reader("bo@example.org"), paper=make.paper(1), at=make.NOON
    )
    assert shown(client.get(page).text) == []
    client.post(page, {"action": "2604.00001"})
    theirs.refresh_from_db()
    assert personal_data(ann)["saved_papers"] == []


def test_it_is_in_the_download_and_erased_with_the_reader(
    client: Client, ann: Subscriber, page: str
) -> None:
    SavedPaper.objects.create(subscriber=ann, paper=make.paper(1), at=make.NOON)
    assert personal_data(ann)["saved_papers"] == [
        {"paper__arxiv_id": "2604.00001", "at": make.NOON}
    ]
    privacy.erase(ann.pk, now=make.NOON)
    assert not SavedPaper.objects.exists()
    assert saved.add(ann.pk, ["2604.00001"], now=make.NOON) == 0
    assert client.post(page, {"action": "add", "ids": "2604.00001"}).status_code == 404


def test_a_full_list_takes_no_more_and_says_so(
    client: Client, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved, "MOST_KEPT", 2)
    for number in (1, 2, 3):
        make.paper(number)
    html = add(client, page, "2604.00001 2604.00002 2604.00003")
    assert shown(html) == ["2604.00001", "2604.00002"] and "it holds 2 papers" in html


def test_more_papers_ask_no_more_queries(
    client: Client, ann: Subscriber, page: str
) -> None:
    preferences = page.removesuffix("saved/")

    def asked() -> list[int]:
        numbers = []
        for path in (page, preferences):
            client.get(path)
            with CaptureQueriesContext(connection) as queries:
                assert client.get(path).status_code == 200
            numbers.append(len(queries))
        return numbers

    make.paper(1)
    add(client, page, "2604.00001")
    assert "1 saved paper<" in client.get(preferences).text
    one = asked()
    ids = [make.paper(number).arxiv_id for number in range(2, 12)]
    add(client, page, " ".join(ids))
    assert asked() == one
    assert "11 saved papers<" in client.get(preferences).text
