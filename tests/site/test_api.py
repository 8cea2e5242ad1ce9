"""The API as a program of somebody else's uses it, and as one that means harm."""

import html
import json
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from pytest_django import Settings

from digest.models import Paper
from digest.papers.search import MOST_HITS
from digest.site import limits
from subscribers.models import Request, Subscriber, Topic
from subscribers.requests import handle_open
from tests.site.conftest import DAY, MakePaper, html_of, publish

pytestmark = pytest.mark.django_db

ROOT = "/api/v1/"
JSON = "application/json"
PROBLEM = "application/problem+json"
READ = {  # path below the root → the path in the OpenAPI document
    "papers": "papers",
    "papers?topic=graphs&date=2026-04-17": "papers",
    "papers?q=paper": "papers",
    "papers?q=ppaer": "papers",
    "papers?q=paper&topic=graphs&date=2026-04-17&limit=1": "papers",
    "papers/2604.00001": "papers/{arxiv_id}",
    "papers/2604.00001v3": "papers/{arxiv_id}",
    "papers/cs/0112017": "papers/{arxiv_id}",
    "papers/2604.00001/similar": "papers/{arxiv_id}/similar",
    "papers/cs/0112017/similar?order=date": "papers/{arxiv_id}/similar",
    "days": "days",
    "days?limit=1": "days",
    "topics": "topics",
}
LONG = "9" * 5000
ODD = ["\0", "\ud800", "a\0b", "'", "%", "-1", "0", "1e30", "1" + "0" * 30, LONG, "😀", "~"]


@pytest.fixture(autouse=True)
def papers(paper: MakePaper, graphs: Topic) -> list[Paper]:
    cache.clear()
    made = [paper(upvotes=3, code_url="javascript:alert(1)"), paper(), paper(title="Odd")]
    made.append(paper(arxiv_id="cs/0112017", day=DAY - timedelta(days=1)))
    publish(*made, graphs=1.0)
    return made


@pytest.fixture
def schema(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{ROOT}openapi.json").json()
    return found


def ids(answer: dict[str, Any]) -> list[str]:
    return [paper["id"] for paper in answer["results"]]


def validator(schema: dict[str, Any], path: str, method: str, status: str) -> Any:
    details = schema["paths"][ROOT + path][method]["responses"][status]
    (content,) = details["content"].values()
    return Draft202012Validator(content["schema"] | {"components": schema["components"]})


def test_the_description_names_the_most_hits_of_a_search(schema: dict[str, Any]) -> None:
    details = schema["paths"][f"{ROOT}papers"]["get"]
    assert f"the best {MOST_HITS} papers at most" in details["description"]


# -- what is read -------------------------------------------------------------------


def test_the_document_is_valid_openapi(schema: dict[str, Any]) -> None:
    validate(schema)
    assert schema["openapi"].startswith("3.1")
    assert schema["servers"] == [{"url": settings.SITE_URL}]


@pytest.mark.each_row
@pytest.mark.parametrize("path", READ)
def test_what_is_read_is_as_documented_and_cacheable(
    client: Client, schema: dict[str, Any], path: str
) -> None:
    answer = client.get(ROOT + path)
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"].startswith(JSON)
    validator(schema, READ[path], "get", "200").validate(answer.json())
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert answer["Cache-Control"].startswith("public, max-age=60")
    again = client.get(ROOT + path, headers={"if-none-match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = client.head(ROOT + path)
    assert (head.status_code, head.content, head["ETag"]) == (200, b"", answer["ETag"])
    assert not answer.cookies


def test_a_paper_has_its_fields(client: Client) -> None:
    found = client.get(f"{ROOT}papers/2604.00001").json()
    assert found["topics"] == ["graphs"] and found["date"] == "2026-04-17"
    assert found["url"] == f"{settings.SITE_URL}/papers/2604.00001/"
    assert found["code_url"] is None  # no link that is not of the web


@pytest.mark.parametrize("filters", ["", "&topic=graphs", "&q=paper"])
def test_pages_show_each_paper_once_while_votes_come_in(
    client: Client, paper: MakePaper, filters: str
) -> None:
    publish(*(paper() for _ in range(5)), graphs=1.0)
    whole = ids(client.get(f"{ROOT}papers?limit=100{filters}").json())
    url, found = f"{settings.SITE_URL}{ROOT}papers?limit=2{filters}", []
    while url:
        page = client.get(url.removeprefix(settings.SITE_URL)).json()
        assert len(page["results"]) <= 2
        found += ids(page)
        url = page["next"]
        Paper.objects.filter(arxiv_id=whole[-1]).update(upvotes=900)
    assert found == whole
    assert len(whole) == 9


def test_a_page_of_a_list_leads_to_days_before(client: Client) -> None:
    first = client.get(f"{ROOT}days?limit=1").json()
    assert first["results"][0]["date"] == "2026-04-17"
    second = client.get(first["next"].removeprefix(settings.SITE_URL)).json()
    assert second["results"] == [
        {
            "date": "2026-04-16",
            "papers": 1,
            "url": f"{settings.SITE_URL}/papers/2026-04-16/",
        }
    ]
    assert second["next"] is None


@pytest.mark.parametrize("path", ["papers?limit=100", "papers?q=paper&limit=100", "days"])
def test_more_rows_ask_no_more_queries(client: Client, paper: MakePaper, path: str) -> None:
    def asked() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get(ROOT + path).status_code == 200
        return len(queries)

    asked()  # what a process loads once
    few = asked()
    days = [paper(day=DAY - timedelta(days=place)) for place in range(20)]
    publish(*days, graphs=1.0)
    assert asked() == few


# -- what is refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("papers/9999.99999", 404),
        ("papers/9999.99999/similar", 404),
        ("papers?topic=nothing", 404),
        ("papers?limit=0", 422),
        ("papers?limit=101", 422),
        ("papers?date=yesterday", 422),
        ("papers?date=0", 422),
        ("papers?date=1776384000", 422),
        ("papers?date=2026-04-17T00:00:00Z", 422),
        ("papers?date=9999-12-31&q=x", 422),
        (f"papers?q={'a' * 201}", 422),
        (f"papers?topic=graphs&q={'a' * 195}", 422),
        ("papers?cursor=here", 422),
        ("papers?q=paper&cursor=-1", 422),
        ("papers/2604.00001/similar?order=size", 422),
        ("days?cursor=2026-13-01", 422),
        ("nothing", 404),
        ("papers/", 404),
    ],
)
def test_an_error_is_a_problem_that_is_not_cached(
    client: Client, schema: dict[str, Any], path: str, status: int
) -> None:
    answer = client.get(ROOT + path)
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == PROBLEM
    assert answer["Cache-Control"] == "no-store"
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert answer.json()["status"] == status and answer.json()["detail"]
    validator(schema, "papers", "get", "default").validate(answer.json())


@pytest.mark.parametrize("path", ["/api/v1/papers", "/api/v1/papers?q=x", "/topics/"])
def test_an_error_of_ours_is_a_problem_or_a_page_without_its_words(
    client: Client, path: str
) -> None:
    def fail(*_: object) -> None:
        raise DatabaseError("relation secret")

    client.raise_request_exception = False
    with connection.execute_wrapper(fail):
        answer = client.get(path)
    assert answer.status_code == 500 and "secret" not in answer.text
    if path.startswith(ROOT):
        assert (answer["Content-Type"], answer["Cache-Control"]) == (PROBLEM, "no-store")
        assert answer.json()["status"] == 500 and answer.json()["detail"]
    else:
        assert "This is our error, not yours." in answer.text


@pytest.mark.each_row
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: ascii(odd)[:20])
def test_any_value_of_a_parameter_is_taken_or_refused(client: Client, odd: str) -> None:
    value = quote(odd, errors="surrogatepass")
    for name in ("q", "date", "topic", "limit", "cursor", "order"):
        for path in ("papers?", "papers?q=paper&", "days?", "papers/2604.00001/similar?"):
            answer = client.get(f"{ROOT}{path}{name}={value}")
            assert answer.status_code in {200, 404, 422}, (path, name)
    assert client.get(f"{ROOT}papers/{value}").status_code == 404


@pytest.mark.parametrize("method", ["put", "patch", "delete", "post", "trace"])
def test_another_method_changes_nothing_and_is_told_the_right_ones(
    client: Client, method: str
) -> None:
    answer = getattr(client, method)(f"{ROOT}papers")
    assert (answer.status_code, answer["Content-Type"]) == (405, PROBLEM)
    assert answer["Allow"] == "GET, HEAD, OPTIONS"


def test_a_network_calls_so_often_in_a_minute(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_776_412_800.0)

    def call(path: str, address: str = "203.0.114.7") -> Any:
        return client.get(ROOT + path, REMOTE_ADDR=address)

    for _ in range(limits.PER_NETWORK):
        assert call("papers?q=paper").status_code == 200
    refused = call("papers?q=paper")
    assert (refused.status_code, refused["Content-Type"]) == (429, PROBLEM)
    assert refused["Retry-After"] == "60"
    for _ in range(limits.CALLS.per_network - limits.PER_NETWORK - 1):
        assert call("days").status_code == 200
    refused = call("days")
    assert (refused.status_code, refused["Retry-After"]) == (429, "60")
    assert call("days", "198.51.101.9").status_code == 200


# -- signing up -----------------------------------------------------------------------


@pytest.fixture
def post(client: Client) -> Callable[..., Any]:
    def send(*, content_type: str = JSON, **fields: object) -> Any:
        body = {"email": "ann@example.org", "topics": ["graphs"]} | fields
        return client.post(
            f"{ROOT}subscribers", json.dumps(body), content_type=content_type
        )

    return send


def test_a_sign_up_is_a_request_as_the_forms(
    post: Callable[..., Any], client: Client, schema: dict[str, Any]
) -> None:
    answer = post(timezone="Europe/Berlin", send_hour=6, interests=["knots", "graphs"])
    assert answer.status_code == 202
    validator(schema, "subscribers", "post", "202").validate(answer.json())
    client.post(
        "/subscribe/",
        {
            "email": "ann@example.org",
            "topics": ["graphs"],
            "interests": "knots\ngraphs",
            "timezone": "Europe/Berlin",
            "send_hour": "6",
        },
    )
    by_api, by_form = Request.objects.order_by("pk")
    same = ("kind", "email", "domain", "preferences", "network", "wording", "trapped")
    assert [getattr(by_api, name) for name in same] == [
        getattr(by_form, name) for name in same
    ]
    assert by_api.source == "/api/v1/subscribers"


def test_the_answer_is_the_same_whatever_is_known_of_an_address(
    post: Callable[..., Any], client: Client
) -> None:
    answers = [post()]
    handle_open(now=timezone.now())
    known = Subscriber.objects.get(email="ann@example.org")
    for state in Subscriber.State:
        Subscriber.objects.filter(pk=known.pk).update(
            state=state, confirmed_at=timezone.now()
        )
        answers.append(post())
    # More than its network may ask:
    answers += [post(email="bob@example.org") for _ in range(40)]
    assert {(one.status_code, one.content) for one in answers} == {
        (202, answers[0].content)
    }
    assert not any(one.cookies or "ETag" in one for one in answers)


@pytest.mark.each_row
@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"email": "ann"}, "email"),
        ({"email": ""}, "email"),
        ({"email": None}, "email"),
        ({"email": "a" * 400 + "@example.org"}, "email"),
        ({"email": "ann\0@example.org"}, "email"),
        ({"email": "\ud800@example.org"}, "email"),
        ({"topics": ["nothing"]}, "topics"),
        ({"topics": ["\0"]}, "topics"),
        ({"topics": "graphs"}, "topics"),
        ({"interests": ["a" * 501]}, "interests"),
        ({"interests": ["a"] * 40}, "interests"),
        ({"timezone": "Europe/Nowhere"}, "timezone"),
        ({"send_hour": 24}, "send_hour"),
        ({"send_hour": 10**30}, "send_hour"),
        ({"cadence": "hourly"}, "cadence"),
        ({"language": "xx"}, "language"),
    ],
    ids=repr,
)
def test_a_wrong_field_is_named(
    post: Callable[..., Any], fields: dict[str, object], where: str
) -> None:
    answer = post(**fields)
    assert answer.status_code in {400, 422}, answer.content
    assert answer["Content-Type"] == PROBLEM
    assert {one["field"] for one in answer.json().get("errors", [])} <= {where}
    assert not Request.objects.exists()


def test_only_json_is_taken_so_no_form_of_another_site_can_ask(
    post: Callable[..., Any], client: Client
) -> None:
    assert post(content_type="text/plain").status_code == 415
    assert client.post(f"{ROOT}subscribers", {"email": "a@b.org"}).status_code == 400
    assert client.post(f"{ROOT}subscribers", "[1", content_type=JSON).status_code == 400
    large = client.post(f"{ROOT}subscribers", "[" * 70_000, content_type=JSON)
    assert (large.status_code, large["Content-Type"]) == (400, PROBLEM)
    preflight = client.options(
        f"{ROOT}subscribers", headers={"access-control-request-method": "POST"}
    )
    assert preflight["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert "Access-Control-Allow-Origin" not in post()
    assert Request.objects.count() == 1


def test_a_closed_sign_up_is_closed_here_too(
    post: Callable[..., Any], settings: Settings
) -> None:
    settings.SIGN_UP_OPEN = False
    assert post().status_code == 403


# -- the page ---------------------------------------------------------------------------


def test_every_example_of_the_page_works(client: Client, schema: dict[str, Any]) -> None:
    page = html.unescape(html_of(client, ROOT))
    for path, methods in schema["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in page
    examples = re.findall(r"""curl '<a href="([^"]+)">""", page)
    assert len(examples) >= 6
    for example in examples:
        assert client.get(example).status_code in {200, 404 * ("reasoning" in example)}
    (body,) = re.findall(r"-d '(.*?)'</pre>", page, re.DOTALL)
    answer = client.post(f"{ROOT}subscribers", body, content_type=JSON)
    assert answer.status_code == 202
    assert f'href="{ROOT}"' in html_of(client, "/")
