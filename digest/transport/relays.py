"""The relays by their short names, and which of them serve a recipient's domain.

MAILER_URL names the main one, RELAYS the others, RELAY_ROUTES who serves whom. Without
RELAYS there is the main relay alone, and nothing here costs anything.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from digest.endpoints import ProviderApi, SmtpServer, Tls, mailer, smtp_server
from digest.variables import is_domain

MAIN = "main"  # the short name of the relay that MAILER_URL names
OTHERS = "*"  # in RELAY_ROUTES: all domains that have no route of their own
NAME: re.Pattern[str] = re.compile(r"[a-z][a-z0-9-]{0,19}")
RESERVED = {MAIN, "default"}  # the second is Django's name for the first

type Server = SmtpServer | ProviderApi


def named(main: str, others: tuple[str, ...]) -> Mapping[str, Server]:
    """Return the relays of MAILER_URL and RELAYS by name. Raises ImproperlyConfigured."""
    found: dict[str, Server] = {MAIN: mailer(main)}
    for one in others:
        name, _, url = (part.strip() for part in one.partition("="))
        if not NAME.fullmatch(name) or name in found.keys() | RESERVED:
            raise ImproperlyConfigured(
                "RELAYS must be like second=smtps://user:password@host:465,third=smtp://…, "
                "each with a short name of its own, and not main; a comma in a password is "
                "%2C."
            )
        if url.startswith("anymail:"):
            raise ImproperlyConfigured(
                f"RELAYS: {name} must be a mail server, smtp:// or smtps://; a provider's "
                "API can be MAILER_URL only."
            )
        found[name] = smtp_server(url, name=f"RELAYS: {name}")
    return found


def routes(text: str, relays: tuple[str, ...]) -> Mapping[str, Sequence[str]]:
    """Return by domain the names of the relays that serve it, the preferred one first.

    OTHERS is always there; if no route names it, they are all relays in their order.
    Raises ImproperlyConfigured.
    """
    found: dict[str, Sequence[str]] = {}
    for route in filter(None, map(str.strip, text.split(";"))):
        domains, chosen = map(words, route.partition("=")[::2])
        for name in chosen:
            if name not in relays and NAME.fullmatch(name):
                raise ImproperlyConfigured(
                    f"RELAY_ROUTES names the relay {name}: there is {', '.join(relays)}."
                )
        known = all(name == OTHERS or is_domain(name) for name in domains)
        once = len({*domains, *found}) == len(domains) + len(found)
        once = once and len(set(chosen)) == len(chosen)
        if not (domains and chosen and known and once and set(chosen) <= set(relays)):
            raise ImproperlyConfigured(
                "RELAY_ROUTES must be like gmail.com,googlemail.com=second,main; *=main, "
                "each domain once, and each relay once in a route."
            )
        found |= dict.fromkeys(domains, chosen)
    return {OTHERS: relays} | found


def words(text: str) -> Sequence[str]:
    """Return the words between commas, in lower case."""
    return tuple(filter(None, (word.strip().lower() for word in text.split(","))))


def django_mailer(relay: Server) -> dict[str, Any]:
    """Return the relay's entry in Django's MAILERS."""
    if isinstance(relay, ProviderApi):
        return {"BACKEND": f"anymail.backends.{relay.name}.EmailBackend"}
    return {
        "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "OPTIONS": {
            "host": relay.host,
            "port": relay.port,
            "username": relay.user,
            "password": relay.password,
            "use_ssl": relay.tls is Tls.IMPLICIT,
            "use_tls": relay.tls is Tls.STARTTLS,
            "timeout": 120,
        },
    }


# -- those of the settings ---------------------------------------------------------------

named_once, routes_once = lru_cache(maxsize=8)(named), lru_cache(maxsize=8)(routes)


def several() -> bool:
    return bool(settings.RELAYS)


def configured() -> Mapping[str, Server]:
    """Return all relays by name, the main one first."""
    return named_once(settings.MAILER_URL, tuple(settings.RELAYS))


def serving(domain: str) -> Sequence[str]:
    """Return the names of the relays that serve a domain, the preferred one first."""
    if not several():
        return (MAIN,)
    known = by_domain()
    return known.get(domain) or known[OTHERS]


def by_domain() -> Mapping[str, Sequence[str]]:
    """Return who serves which domain, and OTHERS."""
    return routes_once(settings.RELAY_ROUTES, tuple(configured()))


def in_use() -> set[str]:
    """Return the names of the relays that serve any domain."""
    if not several():
        return {MAIN}
    return {name for serving in by_domain().values() for name in serving}


def called(name: str) -> str:
    """Return how to speak of a relay: without its name where there is but one."""
    return f"the relay {name}" if several() else "the relay"
