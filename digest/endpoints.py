"""Parse the URLs in the variables, each once for everything that uses it.

A URL that is ambiguous, or has an unknown option, raises ImproperlyConfigured with one
line, which names the variable and repeats no secret. Users and passwords are
percent-decoded here, and nowhere else.
"""

import importlib
import importlib.util
import ipaddress
import os
import pkgutil
import re
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

ENCODE = (
    "percent-encode special characters in its user and password "
    "(/ is %2F, ? is %3F, # is %23, @ is %40, % is %25)"
)
STRAY = re.compile(r"[^\S]|[\"'<>\\^`{|}#]|%(?![0-9A-Fa-f]{2})")
HOST = re.compile(r"[\w.:-]+")
SOCKET = re.compile(r"(/[\w.-]+)+")
LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.IGNORECASE)
LONGEST_NAME = 253
SMTP_PORT, SMTPS_PORT = 25, 465
SSL_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}


@dataclass(frozen=True)
class Address:
    """A parsed URL with decoded user and password and checked options."""

    scheme: str
    host: str
    port: int | None
    path: str
    user: str
    password: str = field(repr=False)
    options: Mapping[str, str]


def split(
    name: str,
    url: str,
    *,
    like: str,
    schemes: Collection[str],
    options: Collection[str] = (),
    socket: bool = False,
) -> Address:
    """Parse the URL of the variable `name`. Raises ImproperlyConfigured.

    The host may be missing, or a socket's folder, only if `socket` is true.
    """
    wanted = ImproperlyConfigured(f"{name} must be like {like}")
    ambiguous = ImproperlyConfigured(f"{name} cannot be read: {ENCODE}.")
    if STRAY.search(url) or not url.isprintable():
        raise ambiguous
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ambiguous from None
    host = unquote(parts.hostname or "")
    if parts.scheme not in schemes or port == 0:
        raise wanted
    # Here it is the end of a password that was cut at its / or ?.
    if "@" in parts.path + parts.query:
        raise ambiguous
    if not (HOST.fullmatch(host) or (socket and (not host or SOCKET.fullmatch(host)))):
        raise wanted
    path, user, password = map(
        unquote, (parts.path, parts.username or "", parts.password or "")
    )
    # SMTP and HTTP are lines: a line end in one of them would begin another command.
    if not f"{path}{user}{password}".isprintable():
        raise ImproperlyConfigured(f"{name} has a line end or a control character in it.")
    found = known_options(name, parts, options)
    return Address(parts.scheme, host, port, path, user, password, found)


def known_options(name: str, parts: SplitResult, known: Collection[str]) -> dict[str, str]:
    """Return the options after the question mark. Raises ImproperlyConfigured."""
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        pairs = [(parts.query, "")] if parts.query else []
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ImproperlyConfigured(f"{name} has an option twice.")
    for option in found.keys() - known:
        shown = option if re.fullmatch(r"\w{1,30}", option) else "after the question mark"
        takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
        raise ImproperlyConfigured(f"{name} has an unknown option {shown}: {takes}.")
    return found


# -- pages ------------------------------------------------------------------------


def site(name: str, url: str) -> str:
    """Return scheme, host and port of a site, the prefix of all links. It has no path."""
    like = "https://papers.example.org, without a path."
    if not url.isascii():
        raise ImproperlyConfigured(f"{name} must be ASCII: write xn--… for the domain.")
    address = split(name, url, like=like, schemes={"http", "https"})
    if address.path.strip("/") or address.user or address.password or "?" in url:
        raise ImproperlyConfigured(f"{name} must be like {like}")
    if not is_public_name(address.host):
        raise ImproperlyConfigured(f"{name} has a host that no browser can open.")
    return url.rstrip("/").lower()  # settings ask whether it begins with https://


def is_public_name(host: str) -> bool:
    """Return whether it is an IP address, or a name by RFC 1123 section 2.1."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # Browsers take a name that ends in a number for an IPv4 address.
        is_short = len(host) <= LONGEST_NAME and not host.rpartition(".")[2].isdigit()
        return is_short and all(LABEL.fullmatch(label) for label in host.split("."))
    return True


def base(name: str, url: str) -> str:
    """Return the base URL of an API, which may have a path."""
    like = "https://papers.example.org"
    address = split(name, url, like=f"{like}.", schemes={"http", "https"})
    if address.user or address.password or "?" in url:
        raise ImproperlyConfigured(f"{name} must be like {like}, and nothing more.")
    return url.rstrip("/")


# -- database ---------------------------------------------------------------------


def database(name: str, url: str, *, folder: Path) -> dict[str, Any]:
    """Return Django's entry for PostgreSQL or SQLite, its file relative to `folder`."""
    if url.startswith("sqlite:"):
        return sqlite(name, url, folder=folder)
    from psycopg.pq import Conninfo

    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    like = "postgresql://user:password@host:5432/name."
    address = split(
        name,
        url,
        like=like,
        schemes={"postgres", "postgresql", "pgsql"},
        options=known,
        socket=True,  # libpq finds a local server by its socket
    )
    if not address.path.strip("/") or "/" in address.path.strip("/"):
        raise ImproperlyConfigured(f"{name} must be like {like}")
    if address.options.get("sslmode", "prefer") not in SSL_MODES:
        modes = ", ".join(sorted(SSL_MODES))
        raise ImproperlyConfigured(f"{name} has an unknown sslmode: it may be {modes}.")
    return {**dj_database_url.parse(url), "ENGINE": "digest.postgresql"}


def sqlite(name: str, url: str, *, folder: Path) -> dict[str, Any]:
    """Return Django's entry for an SQLite file. Raises ImproperlyConfigured."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path or "?" in path or STRAY.search(path):
        raise ImproperlyConfigured(f"{name} must be like sqlite:////path/of/the/file.")
    file = path if path == ":memory:" else folder / unquote(path)
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": file}


# -- Redis ------------------------------------------------------------------------


@dataclass(frozen=True)
class RedisUrls:
    """The URLs of one server for redis-py, and for kombu (Celery)."""

    client: str = field(repr=False)
    broker: str = field(repr=False)


def redis_urls(name: str, url: str) -> RedisUrls:
    """Parse the URL of a Redis by TCP, TLS or socket; both clients verify TLS alike.

    Raises ImproperlyConfigured.
    """
    if url.startswith("unix:"):
        return redis_socket_urls(name, url)
    like = "redis://:password@host:6379/0 or rediss://… for TLS."
    tls = url.startswith("rediss:")
    known = {"ssl_cert_reqs", "ssl_ca_certs"} if tls else ()
    address = split(name, url, like=like, schemes={"redis", "rediss"}, options=known)
    number = address.path.strip("/") or "0"
    if not (number.isascii() and number.isdigit()):
        raise ImproperlyConfigured(f"{name} must be like {like}")
    if address.options.get("ssl_cert_reqs", "required") not in {"required", "none"}:
        raise ImproperlyConfigured(f"{name}: ssl_cert_reqs must be required or none.")
    if "ssl_ca_certs" in address.options:
        check_certificates(f"{name}: ssl_ca_certs", address.options["ssl_ca_certs"])
    user = login(address)
    host = f"[{address.host}]" if ":" in address.host else address.host
    port = f":{address.port}" if address.port else ""
    plain = f"{address.scheme}://{user}{host}{port}/{number}"
    # Explicit, as by default redis-py verifies the server's certificate and kombu does not.
    options = {"ssl_cert_reqs": "required", **address.options} if tls else {}
    if options.get("ssl_cert_reqs") == "none":
        options |= {"ssl_check_hostname": "false"}
    complete = f"{plain}?{urlencode(options)}" if options else plain
    return RedisUrls(client=complete, broker=complete)


def check_certificates(what: str, path: str) -> None:
    """Raise ImproperlyConfigured unless the file has certificates of authorities.

    Without the check each connection fails, and some of their users wait without a word.
    """
    try:
        ssl.create_default_context(cafile=path or os.devnull)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it has no certificate"
        raise ImproperlyConfigured(
            f"{what} names a file that cannot be read: {reason}."
        ) from None


def redis_socket_urls(name: str, url: str) -> RedisUrls:
    """Parse unix:///path/of/redis.sock?db=0. Raises ImproperlyConfigured."""
    like = "unix:///path/of/redis.sock?db=0, or unix://:password@/path/of/redis.sock."
    address = split(name, url, like=like, schemes={"unix"}, options={"db"}, socket=True)
    number = address.options.get("db", "0")
    if address.host or not address.path.strip("/") or not number.isdigit():
        raise ImproperlyConfigured(f"{name} must be like {like}")
    path = quote(address.path)
    return RedisUrls(
        client=f"unix://{login(address)}{path}?db={number}",
        broker=f"redis+socket://{login(address)}{path}?virtual_host={number}",
    )


def login(address: Address) -> str:
    """Return user and password as encoded in a URL; empty without any."""
    user = f"{quote(address.user, safe='')}:{quote(address.password, safe='')}@"
    return user.removeprefix(":@")


# -- mail -------------------------------------------------------------------------


class Tls(StrEnum):
    """The encryption of a connection to the mail server."""

    NONE = "none"  # clear text: to this machine, or where configured
    STARTTLS = "starttls"  # RFC 3207, before any other command
    IMPLICIT = "implicit"  # RFC 8314, from the first byte


@dataclass(frozen=True)
class SmtpServer:
    """A mail server that relays our mail."""

    host: str
    port: int
    tls: Tls
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def is_local(self) -> bool:
        """True if the connection does not leave this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def in_clear_text(self) -> bool:
        """True if the mail could be read on the network."""
        return self.tls is Tls.NONE and not self.is_local


@dataclass(frozen=True)
class ProviderApi:
    """A provider supported by Anymail, by the name of its backend."""

    name: str


@lru_cache(maxsize=8)
def mailer(url: str) -> SmtpServer | ProviderApi:
    """Parse MAILER_URL: a mail server or a provider. Raises ImproperlyConfigured."""
    return provider_api(url) if url.startswith("anymail:") else smtp_server(url)


def smtp_server(url: str, *, name: str = "MAILER_URL") -> SmtpServer:
    """Parse a mail server's URL. Raises ImproperlyConfigured."""
    like = "smtp://user:password@host:587?tls=starttls, smtps://user:password@host:465"
    also = " or anymail://postmark (any provider that Anymail knows)"
    like += f"{also if name == 'MAILER_URL' else ''}."
    address = split(name, url, like=like, schemes={"smtp", "smtps"}, options={"tls"})
    if address.path.strip("/"):
        raise ImproperlyConfigured(f"{name} must be like {like}")
    if bool(address.user) != bool(address.password):
        raise ImproperlyConfigured(f"{name} must have a user and a password, or neither.")
    implicit = address.scheme == "smtps"
    tls = Tls.IMPLICIT if implicit else address.options.get("tls", "")
    allowed = {"none", "starttls"}
    if "tls" in address.options and (implicit or tls not in allowed):
        raise ImproperlyConfigured(
            f"{name}: tls must be starttls or none, and works with smtp:// only."
        )
    port = address.port or (SMTPS_PORT if implicit else SMTP_PORT)
    server = SmtpServer(
        address.host, port, Tls(tls or "none"), address.user, address.password
    )
    if server.user and not tls and not server.is_local:
        raise ImproperlyConfigured(
            f"{name} would send its password in clear text: add ?tls=starttls, use "
            "smtps://, or add ?tls=none if the way to the server is safe."
        )
    return server


TOYS = {"console", "test"}  # of Anymail's backends: they send nothing


@cache
def providers() -> list[str]:
    """Return the names of the providers that Anymail supports."""
    backends = importlib.import_module("anymail.backends").__path__
    names = [module.name for module in pkgutil.iter_modules(backends)]
    return [name for name in names if not name.startswith("base")]


def provider_api(url: str) -> ProviderApi:
    """Parse anymail://NAME. Raises ImproperlyConfigured."""
    provider = url.removeprefix("anymail://").strip("/")
    known = providers()
    if provider not in known:
        names = ", ".join(name for name in known if name not in TOYS)
        raise ImproperlyConfigured(
            f"MAILER_URL must be like anymail://NAME; NAME is one of {names}."
        )
    return ProviderApi(provider)


# Packages that single providers need beside Anymail: the module, and its extra.
PACKAGES = {
    "amazon_ses": ("boto3", "ses"),
    "postal": ("cryptography", "postal"),
    "resend": ("svix", "resend"),
    "sendgrid": ("cryptography", "sendgrid"),
}


def require_packages(mail: SmtpServer | ProviderApi, variables: Collection[str]) -> None:
    """Raise ImproperlyConfigured if a configured provider lacks its package.

    A provider that has an ANYMAIL_… variable reports to us, even if another one sends.
    """
    for provider, (module, extra) in PACKAGES.items():
        prefix = f"ANYMAIL_{provider.upper()}_"
        named = [name for name in variables if name.startswith(prefix)]
        named += ["MAILER_URL"] if mail == ProviderApi(provider) else []
        if named:
            require_package(f"{named[-1]} names {provider}, which", module, extra)


def require_package(what: str, module: str, extra: str) -> None:
    """Raise ImproperlyConfigured if the package is missing; `what` needs it."""
    if not importlib.util.find_spec(module):
        raise ImproperlyConfigured(
            f"{what} needs the package {module}: "
            f"install it with `uv sync --no-dev --extra {extra}`."
        )


def sentry(name: str, dsn: str) -> str:
    """Return the address of an error tracker; empty for none."""
    if dsn:
        require_package(name, "sentry_sdk", "sentry")
        like = "https://KEY@HOST/1."
        address = split(name, dsn, like=like, schemes={"http", "https"})
        if not address.user or not address.path.strip("/"):
            raise ImproperlyConfigured(f"{name} must be like {like}")
    return dsn


@dataclass(frozen=True)
class BounceMailbox:
    """A mailbox that is read for what comes back; `folder` is IMAP's."""

    protocol: str  # imap or pop3
    host: str
    port: int
    tls: Tls
    user: str
    password: str = field(repr=False)
    folder: str = "INBOX"


MAILBOX_PORTS = {"imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995}
FOLDER = re.compile(r"[\x20-\x7e]{1,200}", re.ASCII)  # IMAP quotes it


@lru_cache(maxsize=8)
def bounce_mailbox(url: str) -> BounceMailbox | None:
    """Parse BOUNCE_MAILBOX_URL; None for an empty one. Raises ImproperlyConfigured."""
    if not url:
        return None
    name = "BOUNCE_MAILBOX_URL"
    like = "imaps://user:password@host/INBOX or pop3s://user:password@host."
    address = split(name, url, like=like, schemes=MAILBOX_PORTS, options={"tls"})
    folder = address.path.strip("/")
    implicit = address.scheme.endswith("s")
    protocol = address.scheme.removesuffix("s")
    if not (address.user and address.password) or (folder and protocol != "imap"):
        raise ImproperlyConfigured(f"{name} must be like {like}")
    if folder and (not FOLDER.fullmatch(folder) or set(folder) & set('"\\*%')):
        raise ImproperlyConfigured(f"{name} has a folder whose name is not plain ASCII.")
    if "tls" in address.options and (implicit or address.options["tls"] != "starttls"):
        raise ImproperlyConfigured(
            f"{name}: tls must be starttls, and works with imap:// and pop3:// only."
        )
    tls = Tls.IMPLICIT if implicit else Tls(address.options.get("tls", "none"))
    if SmtpServer(address.host, 0, tls).in_clear_text:
        raise ImproperlyConfigured(
            f"{name} would send its password in clear text: use {protocol}s://, or add "
            "?tls=starttls."
        )
    port = address.port or MAILBOX_PORTS[address.scheme]
    return BounceMailbox(
        protocol, address.host, port, tls, address.user, address.password, folder or "INBOX"
    )
