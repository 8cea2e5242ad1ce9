"""Settings of Daily Papers: one file, values from the environment only.

Without any variable the project runs embedded on one machine: SQLite, a Redis of
its own on a unix socket and a local mail catcher, all inside STATE_DIR. With
DATABASE_URL it is a deployment, and settings without a safe default are required.
`.env.example` lists every variable.
"""

import hashlib
import os
import re
import tempfile
import time
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from celery.schedules import schedule
from django.core.exceptions import ImproperlyConfigured
from django.utils.csp import CSP
from kombu import Queue

from digest import endpoints, front_end, state_files
from digest.transport import relays
from digest.variables import Variables, check_hook, load_file

# Ranking's products are small; numpy's threads would spin on the other senders' cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

BASE_DIR = Path(__file__).resolve().parent.parent
RELEASE = str(
    tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]
)
variables = Variables(os.environ)
load_file(
    variables.folder("ENV_FILE", BASE_DIR / ".env", base=BASE_DIR),
    environ=os.environ,
    must_exist=bool(variables.text("ENV_FILE")),
)

# -- state of the embedded run ----------------------------------------------------

STATE_DIR = variables.folder("STATE_DIR", BASE_DIR / ".state", base=BASE_DIR)
DATABASE_URL = variables.text("DATABASE_URL")
EMBEDDED = not DATABASE_URL


def state_folder() -> Path:
    """Return STATE_DIR, created on first use. Raises ImproperlyConfigured."""
    try:
        STATE_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"cannot make the state folder {STATE_DIR}: {error.strerror}. "
            "Set STATE_DIR to a folder that you may write."
        ) from None
    if not os.access(STATE_DIR, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(
            f"cannot write to the state folder {STATE_DIR}. "
            "Set STATE_DIR to a folder that you may write."
        )
    return STATE_DIR


def key(name: str) -> str:
    """Return a key from the environment; embedded, one generated once in STATE_DIR."""
    if value := variables.text(name):
        return value
    if not EMBEDDED:
        raise ImproperlyConfigured(f"{name} must be set (a long random string).")
    return state_files.read_or_make_key(state_folder() / f"{name.lower()}.txt")


# The addresses of a running `manage.py up`, so that commands in a second shell agree.
RUNNING = state_files.read_strings(STATE_DIR / "up.json") if EMBEDDED else {}

# -- keys and hosts ---------------------------------------------------------------

DEBUG = variables.flag("DEBUG", False)
SECRET_KEY = key("SECRET_KEY")
SECRET_KEY_FALLBACKS = variables.several("SECRET_KEY_FALLBACKS")
# The key of the address hashes in the suppression list; unlike SECRET_KEY it must never
# change, or opt-outs would be forgotten.
ADDRESS_KEY = key("ADDRESS_KEY")

SITE_URL_GIVEN = variables.text("SITE_URL").rstrip("/")
if not (EMBEDDED or SITE_URL_GIVEN):
    raise ImproperlyConfigured("SITE_URL must be set: links in mail begin with it.")
SITE_URL = endpoints.site(
    "SITE_URL",
    variables.text("SITE_URL", RUNNING.get("site_url", "http://127.0.0.1:8000")),
)
SITE_HOST = urlsplit(SITE_URL).hostname or ""
ALLOWED_HOSTS = [SITE_HOST, *(["127.0.0.1", "localhost", "[::1]"] if EMBEDDED else [])]
HTTPS = SITE_URL.startswith("https://")
SITE_ORIGIN = front_end.origin(SITE_URL)
# The Origin that browsers send for the site, whatever Host a proxy passes on.
CSRF_TRUSTED_ORIGINS = [SITE_ORIGIN]

# -- the project ------------------------------------------------------------------

INSTALLED_APPS = [
    "django_otp",
    "django_otp.plugins.otp_totp",
    "subscribers",
    "digest.apps.DigestConfig",
    "anymail",
    "digest.apps.OperatorsAdmin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.sitemaps",  # its templates
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",  # its templates of fields, among ours
]
MIDDLEWARE = [
    "digest.front_end.FrontEnd",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "subscribers.language.PageLanguage",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "digest.urls"
WSGI_APPLICATION = "digest.wsgi.application"
# The first parts of the other pages' paths, and of paths that a deployment may serve itself.
OWN_PATHS = frozenset(
    {
        "address",
        "api",
        "archive",
        "authors",
        "block",
        "card.png",
        "confirm",
        "data",
        "digest",
    }
    | {
        "editions",
        "favicon.ico",
        "feeds",
        "healthz",
        "mailbox",
        "media",
        "metrics",
        "months",
        "p",
        "papers",
    }
    | {
        "organizations",
        "preferences",
        "preview",
        "privacy",
        "readyz",
        "robots.txt",
        "saved",
    }
    | {
        "search",
        "sitemap-lists.xml",
        "sitemap.xml",
        "static",
        "subscribe",
        "topics",
        "u",
        "v",
        "webhooks",
        "weeks",
    }
)
ADMIN_PATH = variables.path("ADMIN_PATH", "admin", taken=OWN_PATHS)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
# Of pages and mails. One more is a line here and its catalogue below digest/locale.
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "digest" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

# Two engines: text templates (.txt) are rendered without HTML escaping, with
# render_to_string(..., using="text").
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "NAME": "html",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "subscribers.http.site",
                "subscribers.language.in_templates",
            ],
        },
    },
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "NAME": "text",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {"autoescape": False},
    },
]

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "digest" / "site" / "static"]
STATIC_ROOT = variables.folder("STATIC_ROOT", STATE_DIR / "static", base=BASE_DIR)
# Embedded there is no collectstatic step: files are served from their source.
WHITENOISE_USE_FINDERS = EMBEDDED
WHITENOISE_AUTOREFRESH = EMBEDDED
if not EMBEDDED:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {
            "BACKEND": "digest.site.static_files.StaticFiles",
        },
    }

# -- database ---------------------------------------------------------------------


def on_server(entry: dict[str, Any], **options: int) -> dict[str, Any]:
    """Return a PostgreSQL entry with connections that last and notice what is gone."""
    lasting = {
        "connect_timeout": 10,
        # A server or pool that is gone without a word is noticed in half a minute.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        # A sender's statements are parsed and planned once per connection.
        "server_side_binding": True,
        "prepare_threshold": 5,
        "options": "-c statement_timeout=60s -c lock_timeout=5s "
        "-c idle_in_transaction_session_timeout=30s",
    }
    named = entry.get("OPTIONS", {})  # ?sslmode=… of the address
    return entry | {
        "CONN_MAX_AGE": 300,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": lasting | options | named,
    }


def for_visitors(entry: dict[str, Any]) -> dict[str, Any]:
    """Return such an entry for those who do not wait until a silent server is noticed."""
    in_time = on_server(entry, connect_timeout=2, tcp_user_timeout=5_000)
    return in_time | {"PATIENCE": 2.0}  # seconds: see digest/postgresql/base.py


# What a web process changes in "default" at its start.
DATABASE_FOR_VISITORS: dict[str, Any] = {}
if EMBEDDED:
    DATABASES: dict[str, Any] = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": STATE_DIR / "db.sqlite3",
        }
    }
else:
    DATABASES = {
        "default": endpoints.database("DATABASE_URL", DATABASE_URL, folder=BASE_DIR)
    }
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Its files may be in a folder that other users can read.
    os.umask(0o077)
    # FULL: with NORMAL a power cut can undo a committed intent, and mail is sent twice.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
else:
    DATABASE_FOR_VISITORS = for_visitors(DATABASES["default"])
    DATABASES["default"] = on_server(DATABASES["default"])

# A streaming replica, from which the pages for everybody are read.
if REPLICA_DATABASE_URL := variables.text("REPLICA_DATABASE_URL"):
    DATABASES["replica"] = for_visitors(
        endpoints.database("REPLICA_DATABASE_URL", REPLICA_DATABASE_URL, folder=BASE_DIR)
    )
    if any("postgresql" not in entry["ENGINE"] for entry in DATABASES.values()):
        raise ImproperlyConfigured(
            "REPLICA_DATABASE_URL needs PostgreSQL, there and as DATABASE_URL."
        )

# -- Redis and Celery -------------------------------------------------------------

started_at = datetime.now(UTC) - timedelta(seconds=time.monotonic())


def steady() -> datetime:
    """Return the time by a clock that does not jump when this machine's clock is set."""
    return started_at + timedelta(seconds=time.monotonic())


def redis_socket() -> Path:
    """Return the embedded Redis' socket; a unix socket's path has at most 107 bytes."""
    path = STATE_DIR / "redis.sock"
    if len(os.fsencode(path)) <= 100:
        return path
    digest = hashlib.sha256(os.fsencode(STATE_DIR)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"daily-papers-{digest}.sock"


REDIS_SOCKET = redis_socket()
REDIS_URL = variables.text("REDIS_URL")
if not (EMBEDDED or REDIS_URL):
    raise ImproperlyConfigured("REDIS_URL must be set (redis://host:6379/0).")
redis = endpoints.redis_urls("REDIS_URL", REDIS_URL or f"unix://{quote(str(REDIS_SOCKET))}")
REDIS_URL = redis.client if REDIS_URL else ""
CELERY_BROKER_URL = redis.broker

# Tasks are wake-ups that carry ids at most; the database is the queue. So a task is
# acknowledged early and never redelivered, and no result is kept.
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "socket_connect_timeout": 2,
    "socket_timeout": 30,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "queue_order_strategy": "round_robin",
}
# Each worker takes from these queues in turn, so that neither a flood of sign-ups nor an
# edition delays the other, or the ticks.
CELERY_TASK_QUEUES = [
    Queue(name, routing_key=name) for name in ("celery", "notices", "digests")
]
CELERY_TASK_ROUTES = {
    "subscribers.tasks.send_notices": {"queue": "notices"},
    "digest.tasks.send": {"queue": "digests"},
}
CELERY_TIMEZONE = "UTC"
# A tick finds its work in the database, so any number of beats may run; the worker drops a
# tick that comes too soon after another. Messages have no expiry, as beat's clock would set
# it and the worker's clock judge it. No schedule is stored on disk, so each task runs when
# beat starts.
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    name: {
        "task": task,
        "schedule": schedule(seconds, nowfun=steady),
        "last_run_at": datetime(1970, 1, 1, tzinfo=UTC),
    }
    for name, task, seconds in [
        ("tick", "digest.tasks.tick", 10),
        ("watch", "digest.tasks.watch", 300),
        ("count", "digest.tasks.count", 30),
        ("retention", "digest.tasks.drop_old", 3600),
        ("publish", "digest.tasks.fetch_and_publish", 1800),
        ("week", "digest.tasks.publish_week", 1800),
        ("refit", "digest.tasks.refit", 86400),
        ("notices", "subscribers.tasks.send_notices", 10),
        ("readers", "subscribers.tasks.maintain", 60),
        ("events", "digest.tasks.send_events", 10),
        ("mailbox", "digest.tasks.read_mailbox", 300),
        ("imports", "subscribers.tasks.take_imports", 10),
    ]
}
# Due when beat starts for the first time, and not only a period later.
CELERY_BEAT_SCHEDULE["publish"]["last_run_at"] = datetime(2000, 1, 1, tzinfo=UTC)

# Read written interests by sentence embeddings, where the extra `embeddings` is installed.
SENTENCE_EMBEDDINGS = variables.flag("SENTENCE_EMBEDDINGS", True)

# -- mail -------------------------------------------------------------------------

FROM_EMAIL = variables.mailbox(
    "FROM_EMAIL", "Daily Papers <papers@daily-papers.example>" if EMBEDDED else ""
)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = FROM_EMAIL
# The name by which mail servers know this one: in EHLO, of digests and single mails alike.
EHLO_NAME = variables.text("EHLO_NAME", FROM_EMAIL.rpartition("@")[2].strip("<> "))
if EHLO_NAME and not re.fullmatch(r"[A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f.:]+\]", EHLO_NAME):
    raise ImproperlyConfigured(
        "EHLO_NAME must be the name of a host, like mail.example.org."
    )
# The mailbox that beat has read for bounces and reports, where no mail server can pipe them.
BOUNCE_MAILBOX_URL = variables.text("BOUNCE_MAILBOX_URL")
endpoints.bounce_mailbox(BOUNCE_MAILBOX_URL)
# Whether mail to papers+…@ gets to `manage.py bounce`, by pipe or mailbox: then digests
# name that address to unsubscribe by mail (RFC 2369) and for complaints (RFC 9477).
BOUNCES_PIPED = variables.flag("BOUNCES_PIPED", False)
# The recipients of alarms.
ADMINS = variables.mailboxes("ADMINS")
EMAIL_SUBJECT_PREFIX = "[Daily Papers] "
POSTAL_ADDRESS = variables.text(
    "POSTAL_ADDRESS",
    "Sample Street 1, 12345 Sample Town (set POSTAL_ADDRESS)" if EMBEDDED else "",
)
if not POSTAL_ADDRESS:
    raise ImproperlyConfigured(
        "POSTAL_ADDRESS must be set: the law requires it in each mail."
    )
# The operator's own words, as text: at the foot of digests and announcements, and in the
# mail that welcomes a new reader.
FOOTER_TEXT = variables.text("FOOTER_TEXT", "")
if len(FOOTER_TEXT) > 200:
    raise ImproperlyConfigured("FOOTER_TEXT must have 200 characters at most.")
WELCOME_TEXT = variables.text("WELCOME_TEXT", "")
if len(WELCOME_TEXT) > 1000:
    raise ImproperlyConfigured("WELCOME_TEXT must have 1000 characters at most.")

# smtp://user:password@host:587?tls=starttls, smtps://…:465, or anymail://PROVIDER with
# the provider's own ANYMAIL_… variables. Embedded: the mail catcher of `manage.py up`.
CATCHER_URL = "smtp://127.0.0.1:2525"
MAILER_URL = variables.text(
    "MAILER_URL", RUNNING.get("mailer_url", CATCHER_URL) if EMBEDDED else ""
)
MAILBOX_DIR = STATE_DIR / "mailbox"
CATCHER = EMBEDDED and not variables.text("MAILER_URL")
# Its page shows mails with all readers' links: never serve it at a public address.
MAILBOX = CATCHER and front_end.is_loopback(SITE_HOST)


# More mail servers by short names, second=smtps://…,third=smtp://…, and which of them serve
# which receiving domain, the preferred one first: gmail.com=second,main; *=main.
RELAYS = variables.several("RELAYS")
RELAY_ROUTES = variables.text("RELAY_ROUTES")

if RELAYS and CATCHER:
    raise ImproperlyConfigured("RELAYS needs a MAILER_URL, which names the main relay.")
mail = endpoints.mailer(MAILER_URL)
named = relays.named(MAILER_URL, tuple(RELAYS))
relays.routes(RELAY_ROUTES, tuple(named))
# By Django's names for them: MAILER_URL's is the default.
MAILERS: dict[str, Any] = {
    "default" if name == relays.MAIN else name: relays.django_mailer(relay)
    for name, relay in named.items()
}

# All mail goes there, marked, and none to readers: for a copy of a database.
TEST_MODE_TO = variables.mailbox("TEST_MODE_TO", optional=True)

# Per sender process: the concurrent connections to server or provider, and the number of
# deliveries whose intents are committed together. A crash leaves at most one submit group
# unknown.
SEND_CONNECTIONS = variables.whole("SEND_CONNECTIONS", 4, least=1, most=256)
SUBMIT_GROUP = variables.whole("SUBMIT_GROUP", 100, least=1, most=1000)
# Postmark's batch API: one request, and one response that can be lost, per submit group.
PROVIDER_BATCH = variables.flag("PROVIDER_BATCH", False)
if PROVIDER_BATCH and mail != endpoints.ProviderApi("postmark"):
    raise ImproperlyConfigured(
        "PROVIDER_BATCH works with MAILER_URL=anymail://postmark only."
    )
ANYMAIL: dict[str, Any] = {
    "IGNORE_UNSUPPORTED_FEATURES": False,
    "REQUESTS_TIMEOUT": (5, 60),
    # By default boto3 retries a send whose response was lost, which would send mail twice.
    "AMAZON_SES_CLIENT_PARAMS": {
        "config": {
            "retries": {"total_max_attempts": 1},
            "connect_timeout": 5,
            "read_timeout": 60,
        }
    },
} | {
    name.removeprefix("ANYMAIL_"): variables.option(name)
    for name in variables.named("ANYMAIL_")
}
# For the providers' reports; several during a rotation.
ANYMAIL["WEBHOOK_SECRET"] = variables.several("ANYMAIL_WEBHOOK_SECRET")
if not all(":" in secret.strip(":") for secret in ANYMAIL["WEBHOOK_SECRET"]):
    raise ImproperlyConfigured("ANYMAIL_WEBHOOK_SECRET must be user:password.")

endpoints.require_packages(mail, variables.named("ANYMAIL_"))

# -- readers ----------------------------------------------------------------------

# False refuses new readers by any way; existing ones are not affected.
SIGN_UP_OPEN = variables.flag("SIGN_UP_OPEN", True)

# -- how fast -----------------------------------------------------------------------

# Minutes over which the readers of one hour are spread, after their hour.
SEND_WINDOW = variables.whole("SEND_WINDOW", 0, least=0, most=720)
# The most digests per second, by all senders together; 0 is unlimited.
SEND_RATE = variables.number("SEND_RATE", 0.0, least=0, most=1e6)
# The same for single receiving domains: gmail.com=20,outlook.com=10.
DOMAIN_RATES = variables.rates("DOMAIN_RATES")
# The same for single relays, by their short names: main=50,second=10.
RELAY_RATES = variables.rates(
    "RELAY_RATES", of=relays.NAME.fullmatch, like="main=50,second=10"
)
if unknown := RELAY_RATES.keys() - named:
    raise ImproperlyConfigured(
        f"RELAY_RATES names {min(unknown)}, but there is {', '.join(named)}."
    )
# The first day (UTC) of the warm-up of a new sender address or domain.
WARM_UP_FROM = variables.day("WARM_UP_FROM")

# -- papers -----------------------------------------------------------------------

SOURCE_URL = endpoints.base(
    "SOURCE_URL", variables.text("SOURCE_URL", "https://huggingface.co")
)
# The arXiv categories that fill topics which lack papers; without any, it is not asked.
ARXIV_CATEGORIES = variables.codes("ARXIV_CATEGORIES", like="cs.DC,cs.SI")
ARXIV_URL = "https://export.arxiv.org"

# -- events and posts --------------------------------------------------------------

# Where readers' and deliveries' events go as signed webhooks, and the key to sign with.
EVENTS_URL = variables.text("EVENTS_URL", "")
if EVENTS_URL:
    check_hook("EVENTS_URL", EVENTS_URL)
EVENTS_SECRET = variables.text("EVENTS_SECRET", "")
WHSEC = r"whsec_([A-Za-z0-9+/]{4}){8,21}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
if EVENTS_URL and not re.fullmatch(WHSEC, EVENTS_SECRET):
    raise ImproperlyConfigured(
        "EVENTS_SECRET must be whsec_ and 24 to 64 random bytes in base64."
    )
# Where each new daily edition is posted.
POST_URLS = [
    check_hook("POST_URLS", url, mastodon=True) for url in variables.several("POST_URLS")
]

# -- security ---------------------------------------------------------------------

SECURE_CSP = {
    "default-src": [CSP.NONE],
    "style-src": [CSP.SELF],
    "script-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "frame-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.SELF] if MAILBOX else [CSP.NONE],
}
# The same as frame-ancestors, for scanners and old browsers that know only this.
X_FRAME_OPTIONS = "SAMEORIGIN" if MAILBOX else "DENY"
# W005, W021: only the owner of the domain can decide that all subdomains are HTTPS only.
# W019: the mailbox's page shows each mail in a frame.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W019", "security.W021"]
# W004, W008, W012, W016: what follows from a site in clear text is one warning of ours.
if not HTTPS:
    SILENCED_SYSTEM_CHECKS += [
        f"security.W{number}" for number in ("004", "008", "012", "016")
    ]
# With no-referrer browsers send "Origin: null" with forms, and the admin refuses them.
# Pages with a token in their path set no-referrer themselves.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = variables.flag("SECURE_SSL_REDIRECT", HTTPS)
# A load balancer requests it from the process directly, without TLS.
SECURE_REDIRECT_EXEMPT = ["^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# Browsers take a cookie of this prefix from this host alone, over TLS and for all paths
# (RFC 6265bis): no other subdomain, and nobody on the line, can set it.
COOKIE_PREFIX = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}csrftoken"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Only operators have accounts and sessions.
SESSION_COOKIE_AGE = 12 * 3600
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "CommonPasswordValidator")
] + [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    }
]
# Lets nobody do anything who has no second factor.
REQUIRE_SECOND_FACTOR = variables.flag("REQUIRE_SECOND_FACTOR", False)
OTP_TOTP_ISSUER = f"Daily Papers {SITE_HOST}"
# Its own throttle would grow without end: see digest/ops/operators/login.py.
OTP_TOTP_THROTTLE_FACTOR = 0
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
# Behind a proxy that ends TLS and sets X-Forwarded-Proto itself.
BEHIND_PROXY = variables.flag("BEHIND_PROXY", False)
# The number of chained proxies, and of trusted entries at the end of X-Forwarded-For.
TRUSTED_PROXIES = variables.whole("TRUSTED_PROXIES", 1, least=1, most=10)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# -- monitoring -------------------------------------------------------------------

# Opens /metrics to another machine; without it, to this one alone.
METRICS_TOKEN = variables.text("METRICS_TOKEN")
# Errors are reported there, scrubbed: https://KEY@HOST/PROJECT.
SENTRY_DSN = endpoints.sentry("SENTRY_DSN", variables.text("SENTRY_DSN"))

# -- logs -------------------------------------------------------------------------

LOGGING_CONFIG = "digest.logs.configure"
LOG_FORMAT = variables.text("LOG_FORMAT", "line")
if LOG_FORMAT not in {"line", "json"}:
    raise ImproperlyConfigured("LOG_FORMAT must be line or json.")
DEFAULT_EXCEPTION_REPORTER_FILTER = "digest.logs.ScrubbedPage"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
        "json": {
            "()": "digest.logs.Json",
            "fmt": ["levelname", "name", "message"],
            "rename_fields": {"levelname": "level", "name": "logger"},
            "timestamp": True,
        },
    },
    "filters": {
        "route": {"()": "digest.logs.RouteInsteadOfPath"},
        "one line": {"()": "digest.logs.OneLine"},
        "one line a minute": {"()": "digest.logs.OneLineAMinute"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "digest": {"level": "INFO"},
        "subscribers": {"level": "INFO"},
        "celery": {"level": "WARNING"},
        "celery.beat": {"filters": ["one line a minute"]},
        "celery.worker.consumer.consumer": {"filters": ["one line a minute"]},
        # Replace Django's own handlers: one mails settings, forms and paths to the ADMINS.
        "django": {"level": "WARNING", "handlers": []},
        "django.server": {"level": "INFO", "handlers": [], "propagate": True},
        # Anybody may have a request refused, as often as they like: without a traceback each.
        **{
            f"django.security.{name}": {"filters": ["one line"]}
            for name in (
                "DisallowedHost",
                "DisallowedModelAdminLookup",
                "DisallowedModelAdminToField",
                "DisallowedRedirect",
                "InvalidSessionKey",
                "RequestDataTooBig",
                "SuspiciousFileOperation",
                "SuspiciousMultipartForm",
                "SuspiciousOperation",
                "SuspiciousSession",
                "TooManyFieldsSent",
                "TooManyFilesSent",
            )
        },
        "django.request": {"level": "ERROR", "filters": ["route"]},
    },
}

# -- last, when all variables were read -------------------------------------------

variables.refuse_misspelled()
