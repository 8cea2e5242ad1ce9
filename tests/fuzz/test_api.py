"""Fuzz the API: any parameters, any body; taken or refused with a problem, never a failure."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from django.core.cache import cache
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from hypothesis import strategies as st
from pytest_django import Settings

from tests import make
from tests.fuzz import explore
from tests.fuzz.inputs import TEXT, trees

if TYPE_CHECKING:
    from schemathesis import Case

ROOT = "/api/v1/"
PATHS = ["papers", "papers/2604.00001", "papers/2604.00001/similar", "days", "topics", "x"]
NAMES = ["q", "date", "topic", "limit", "cursor", "order"]
VALUES = TEXT | st.dates().map(str) | st.integers().map(str)
FIELDS = ["email", "topics", "interests", "keywords", "timezone", "send_hour", "cadence"]


@pytest.mark.django_db
def test_s31_fuzz_api_reading(client: Client) -> None:
    def check(asked: tuple[str, str, dict[str, str]]) -> None:
        path, more, parameters = asked
        query = "&".join(
            f"{name}={quote(value, errors='surrogatepass')}"
            for name, value in parameters.items()
        )
        cache.clear()
        answer = client.get(f"{ROOT}{path}{quote(more, errors='surrogatepass')}?{query}")
        assert answer.status_code in {200, 404, 422}
        json.loads(answer.content)

    more = st.just("") | TEXT.map(lambda text: f"/{text}")
    queries = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4)
    explore(st.tuples(st.sampled_from(PATHS), more, queries), check)


@pytest.mark.django_db
def test_s31_fuzz_api_sign_up(client: Client) -> None:
    def check(body: object) -> None:
        sent = json.dumps(body)
        answer = client.post(f"{ROOT}subscribers", sent, content_type="application/json")
        assert answer.status_code in {202, 400, 422}
        assert "detail" in answer.json()

    known = st.fixed_dictionaries({"email": st.just("ann@example.org")})
    explore(
        trees(FIELDS)
        | st.builds(
            dict.__or__, st.dictionaries(st.sampled_from(FIELDS), trees(FIELDS)), known
        ),
        check,
    )


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Requests to the WSGI application leave the test's connection open, as Client's do."""
    both = (request_started, request_finished)
    for signal in both:
        signal.disconnect(close_old_connections)
    yield
    for signal in both:
        signal.connect(close_old_connections)


@pytest.mark.django_db
@pytest.mark.usefixtures("one_connection")
def test_s31_fuzz_api_as_its_document_has_it(settings: Settings) -> None:
    """Whatever the OpenAPI document allows, or nearly allows: every answer is in it, too."""
    import schemathesis
    from schemathesis.core.result import Ok
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    settings.ALLOWED_HOSTS = ["localhost"]
    make.edition({make.paper(1): {"graphs": 1.0}})
    schema = schemathesis.openapi.from_wsgi(f"{ROOT}openapi.json", WSGIHandler())

    def check(case: "Case") -> None:
        cache.clear()
        case.call_and_validate(
            excluded_checks=[positive_data_acceptance]
        )  # a cursor is opaque

    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    cases = [
        operation.ok().as_strategy(mode)
        for operation in schema.get_all_operations()
        if isinstance(operation, Ok)
        for mode in modes
    ]
    explore(st.one_of(cases), check)
