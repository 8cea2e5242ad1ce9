"""What all answers of the API have in common: errors of one shape, ETags, CORS, a limit."""

import json
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI, Schema
from ninja.errors import HttpError, ValidationError

from digest.site.limits import CALLS, WINDOW, within_limit
from digest.site.views import feed
from subscribers.http import network

PROBLEM_JSON = "application/problem+json"
READING = "GET, HEAD"
IN_A_MOMENT = 10  # seconds, of Retry-After
type ApiView = Callable[..., HttpResponse]


class Problem(Schema):
    """An error (RFC 9457). `errors` names the parameters or fields that are wrong."""

    title: str
    status: int
    detail: str = ""
    errors: list[dict[str, str]] = []


class Failed(Exception):
    """The request is refused with a problem."""

    def __init__(
        self, status: int, detail: str = "", errors: Sequence[dict[str, str]] = ()
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, errors


def problem(
    status: int, detail: str = "", errors: Sequence[dict[str, str]] = ()
) -> HttpResponse:
    """Return an error in the one shape; it is readable by scripts of other sites."""
    found: dict[str, object] = {"title": HTTPStatus(status).phrase, "status": status}
    found |= {"detail": detail} if detail else {}
    found |= {"errors": list(errors)} if errors else {}
    answer = HttpResponse(json.dumps(found), status=status, content_type=PROBLEM_JSON)
    answer["Access-Control-Allow-Origin"] = "*"
    answer["Cache-Control"] = "no-store"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        answer["Retry-After"] = str(WINDOW)
    return answer


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer an uncaught error, as handler500: the API with a problem, the site with a page.

    A database that is away, or a lock that does not come free, is nobody's error, and passes.
    """
    is_api = request.path.startswith(reverse("api:api-root"))
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        if is_api:
            answer = problem(503, "Try again in a moment.")
        else:
            answer = defaults.server_error(request, "503.html")
            answer.status_code = 503
        answer["Retry-After"] = f"{IN_A_MOMENT}"
        return answer
    if is_api:
        return problem(500, "This is our error, not yours. Try again in a few minutes.")
    page: HttpResponse = defaults.server_error(request)
    return page


def catch_errors(api: NinjaAPI) -> None:
    """Let the API answer every refusal with a problem."""

    @api.exception_handler(ValidationError)
    def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
        wrong = [field_error(one) for one in error.errors]
        return problem(422, "Some parameters are not valid.", wrong)

    @api.exception_handler(HttpError)
    def refused(request: HttpRequest, error: HttpError) -> HttpResponse:
        return problem(error.status_code, str(error))

    @api.exception_handler(Failed)
    def failed(request: HttpRequest, error: Failed) -> HttpResponse:
        return problem(error.status, error.detail, error.errors)

    @api.exception_handler(Http404)
    def missing(request: HttpRequest, error: Http404) -> HttpResponse:
        return problem(404, str(error))

    @api.exception_handler(SuspiciousOperation)
    @api.exception_handler(BadRequest)
    def bad(request: HttpRequest, error: Exception) -> HttpResponse:
        return problem(400, "The request cannot be read.")


def field_error(error: dict[str, Any]) -> dict[str, str]:
    """Return the name of the parameter or field, and what is wrong with it."""
    _, *names = error.get("loc", ("",))
    where = ".".join(str(name) for name in names if name != "payload")
    return {"field": where, "message": str(error.get("msg", "Not valid."))}


def answering(view: ApiView) -> ApiView:
    """Wrap a view: HEAD and OPTIONS, the limit, caching of what is read, and 405 as a problem.

    Other sites' scripts may read and nothing else: a preflight allows GET alone, and only a
    body that needs one, JSON, is taken.
    """
    reading = feed(view)

    @csrf_exempt
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        match request.method:
            case "OPTIONS":
                return preflight()
            case "GET" | "HEAD" if not within_limit(network(request), CALLS):
                return problem(429, "Too many requests; try again in a minute.")
            case "GET" | "HEAD":
                return read(reading, request, *args, **kwargs)
        response = view(request, *args, **kwargs)
        return not_allowed(response) if response.status_code == 405 else response

    return answer


def read(view: ApiView, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """Answer HEAD as GET, whose body the server leaves out; errors are not cached."""
    method, request.method = request.method, "GET"
    response = view(request, *args, **kwargs)
    request.method = method
    if response.status_code == 405:
        return not_allowed(response)
    if response.status_code >= 400:
        response["Cache-Control"] = "no-store"
    return response


def preflight() -> HttpResponse:
    answer = HttpResponse(status=204)
    answer["Access-Control-Allow-Origin"] = "*"
    answer["Access-Control-Allow-Methods"] = READING
    answer["Access-Control-Allow-Headers"] = "*"
    answer["Access-Control-Max-Age"] = "86400"
    return answer


def not_allowed(response: HttpResponse) -> HttpResponse:
    answer = problem(405, "Use one of the methods in Allow.")
    answer["Allow"] = ", ".join([*sorted(allowed(response)), "OPTIONS"])
    return answer


def allowed(response: HttpResponse) -> set[str]:
    methods = set(response["Allow"].split(", "))
    return methods | {"HEAD"} if "GET" in methods else methods
