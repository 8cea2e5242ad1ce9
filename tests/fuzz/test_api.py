"""Fuzz the API: any parameters, any body; taken or refused with a problem, never a failure."""

import json
from urllib.parse import quote

import pytest
from django.core.cache import cache
from django.test import Client
from hypothesis import strategies as st

from tests.fuzz import explore
from tests.fuzz.inputs import TEXT, trees

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
