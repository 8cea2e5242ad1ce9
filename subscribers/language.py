"""The language that a page speaks: its address's, its reader's, or the browser's.

A page for everybody has an address for each language, without a prefix in English and below
/de/ in German (`i18n_patterns` in digest/urls.py). So a cache between us and the reader need
not know of languages. A page behind a mailed link speaks its reader's language.
"""

from collections.abc import Callable
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import translate_url
from django.utils import translation
from django.utils.encoding import escape_uri_path
from django.utils.functional import SimpleLazyObject

LONGEST_QUERY = 1000  # characters; a longer one is not taken along into another language


class PageLanguage:
    """Middleware: speak the language of the address while the request is answered.

    Django's own also adds `Vary: Accept-Language` to what the address alone decides.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        found = translation.get_language_from_path(request.path_info)
        with translation.override(found or settings.LANGUAGE_CODE):
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", translation.get_language())
        return response


def offered(code: str) -> str:
    """Return the language, or English if that one is offered no more."""
    return code if code in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE


def speak(code: str) -> None:
    """Speak a reader's language for the rest of this request; PageLanguage ends it."""
    translation.activate(offered(code))


def wished(request: HttpRequest) -> str:
    """Return the page's language; on an English page the browser's, if it names one of ours."""
    code = translation.get_language()
    if code != settings.LANGUAGE_CODE:
        return offered(code)
    return translation.get_language_from_request(request)


class Version(NamedTuple):
    """A page in one language."""

    code: str
    name: str  # of the language, in itself
    path: str
    url: str  # without the host, with what was asked
    is_shown: bool


def versions(request: HttpRequest) -> list[Version]:
    """Return the page in every language, English first; none for one without such addresses.

    None for an answer to a form, either: a link would lose what was typed.
    """
    if not request.resolver_match or request.method not in {"GET", "HEAD"}:
        return []
    asked = request.META.get("QUERY_STRING", "")
    query = f"?{asked}" if 0 < len(asked) <= LONGEST_QUERY else ""
    found = [
        Version(code, name, path, path + query, code == translation.get_language())
        for code, name in settings.LANGUAGES
        for path in [translate_url(escape_uri_path(request.path), code)]
    ]
    return found if len({version.path for version in found}) > 1 else []


def in_templates(request: HttpRequest) -> dict[str, object]:
    """Return for every template the page's versions, which are looked up when asked for."""
    return {"versions": SimpleLazyObject(lambda: versions(request))}
