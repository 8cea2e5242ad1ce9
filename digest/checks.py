"""System checks of `check --deploy`, in addition to Django's own."""

from collections.abc import Sequence

from django.apps import AppConfig
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError
from django.utils.module_loading import import_string
from django_otp.plugins.otp_totp.models import TOTPDevice

from digest import endpoints, front_end
from digest.feedback import webhooks
from digest.models import owners
from digest.settings import variables
from digest.transport import relays
from subscribers import address_key

KEY_LENGTH, PASSWORD_LENGTH = 32, 16
DISTINCT = 8  # characters


@register(Tags.security, deploy=True)
def mail_leaves_the_machine(
    app_configs: Sequence[AppConfig] | None, **options: object
) -> list[CheckMessage]:
    """Find a public site whose mail goes to the catcher of the embedded run."""
    if not settings.CATCHER or front_end.is_loopback(settings.SITE_HOST):
        return []
    words = "SITE_URL is public, but MAILER_URL is not set: no mail leaves this machine."
    hint = (
        "Set MAILER_URL. Until then mail is kept in STATE_DIR/mailbox, and the page "
        "/mailbox/ is closed, as it shows all readers' links."
    )
    return [Error(words, hint=hint, id="digest.E001")]


@register(Tags.security, deploy=True)
def secrets_are_strong(
    app_configs: Sequence[AppConfig] | None, **options: object
) -> list[CheckMessage]:
    """Find keys and webhook passwords that could be guessed; Django checks SECRET_KEY."""
    keys = [("ADDRESS_KEY", settings.ADDRESS_KEY)]
    keys += [("SECRET_KEY_FALLBACKS", key) for key in settings.SECRET_KEY_FALLBACKS]
    keys += [("METRICS_TOKEN", settings.METRICS_TOKEN)] if settings.METRICS_TOKEN else []
    weak = [name for name, key in keys if not strong(key, length=KEY_LENGTH)]
    weak += [
        "ANYMAIL_WEBHOOK_SECRET"
        for secret in settings.ANYMAIL["WEBHOOK_SECRET"]
        if not strong(secret.partition(":")[2], length=PASSWORD_LENGTH)
    ]
    found = [
        Warning(
            f"{name} is too weak: it is short, or repeats a few characters.",
            hint="Use a long random string, such as from `openssl rand -base64 48`.",
            id="digest.W002",
        )
        for name in dict.fromkeys(weak)
    ]
    if settings.ADDRESS_KEY == settings.SECRET_KEY:
        words = "ADDRESS_KEY is the same as SECRET_KEY, and must outlive it."
        found.append(Warning(words, hint="Use another key.", id="digest.W003"))
    return list[CheckMessage](found)


def strong(secret: str, *, length: int) -> bool:
    return len(secret) >= length and len(set(secret)) >= DISTINCT


@register(Tags.security, deploy=True)
def connections_are_secret(
    app_configs: Sequence[AppConfig] | None, **options: object
) -> list[CheckMessage]:
    """Find connections on which mail and passwords could be read."""
    found: list[CheckMessage] = []
    if not settings.HTTPS:
        words = (
            f"SITE_URL is {settings.SITE_URL}: pages, sessions and readers' links travel "
        )
        words += "in clear text."
        if front_end.is_loopback(settings.SITE_HOST):
            words = f"SITE_URL is {settings.SITE_URL}, which only this machine can open."
        hint = "Set SITE_URL=https://… and let a proxy end TLS, as deploy/Caddyfile does."
        found.append(Warning(words, hint=hint, id="digest.W008"))
    for name, server in relays.configured().items():
        if isinstance(server, endpoints.SmtpServer) and server.in_clear_text:
            variable = "MAILER_URL" if name == relays.MAIN else f"RELAYS: {name}"
            words = f"{variable} sends mail in clear text, and its password if it has one."
            hint = "Add ?tls=starttls, or use smtps://."
            found.append(Warning(words, hint=hint, id="digest.W004"))
    if "ssl_cert_reqs=none" in settings.REDIS_URL:
        words = "REDIS_URL accepts any server certificate."
        hint = "Use ssl_ca_certs=FILE with its authority instead of ssl_cert_reqs=none."
        found.append(Warning(words, hint=hint, id="digest.W005"))
    return found


@register(Tags.security, deploy=True)  # or a missing key would stop `migrate`
def reports_can_be_read(
    app_configs: Sequence[AppConfig] | None, **options: object
) -> list[CheckMessage]:
    """Find a configured provider whose reports would be refused for lack of a key."""
    if not settings.ANYMAIL["WEBHOOK_SECRET"]:
        return []
    return [
        Error(
            f"The reports of {provider} are refused: {trouble}",
            hint="Set the ANYMAIL_… variable named there.",
            id="digest.E006",
        )
        for provider in configured_providers()
        if (trouble := webhooks.trouble(provider))
    ]


@register(Tags.models, deploy=True)
def owners_have_a_second_factor(
    app_configs: Sequence[AppConfig] | None, **options: object
) -> list[CheckMessage]:
    """Find owners whom a password alone lets in; it is needed to mail all readers."""
    try:
        apps_of = TOTPDevice.objects.filter(confirmed=True)
        secured = set(apps_of.values_list("user", flat=True))
        bare = [
            name for pk, name in owners().values_list("pk", "username") if pk not in secured
        ]
    except DatabaseError:
        return []
    if not bare:
        return []
    words = f"Owners without a second factor: {', '.join(sorted(bare))}."
    hint = "Add one on the account's page; REQUIRE_SECOND_FACTOR asks everybody for one."
    return [Warning(words, hint=hint, id="digest.W010")]


@register(Tags.security, deploy=True)
def provider_can_be_asked(
    app_configs: Sequence[AppConfig] | None, **options: object
) -> list[CheckMessage]:
    """Find a provider that lacks its key, its region, or is a toy that sends nothing."""
    mail = endpoints.mailer(settings.MAILER_URL)
    if isinstance(mail, endpoints.SmtpServer):
        return []
    if mail.name in endpoints.TOYS:
        words = f"MAILER_URL names {mail.name}, which sends no mail."
        return [Error(words, hint="Name a real provider.", id="digest.E008")]
    try:
        with import_string(f"anymail.backends.{mail.name}.EmailBackend")():
            return []
    except Exception as error:  # Anymail's, or those of the provider's own package
        words = f"MAILER_URL names {mail.name}, which cannot be used: {first_line(error)}"
        hint = f"Set {mail.name}'s ANYMAIL_… variables."
        return [Error(words, hint=hint, id="digest.E008")]


def first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


@register(Tags.security, deploy=True)
def static_files_are_collected(
    app_configs: Sequence[AppConfig] | None, **options: object
) -> list[CheckMessage]:
    """Find a deployment whose pages have no style."""
    # The names in the manifest; embedded, files are served from their source without one.
    if getattr(staticfiles_storage, "hashed_files", True):
        return []
    words = "The site's own files are not in STATIC_ROOT: pages have no style."
    hint = "Run `python manage.py collectstatic --noinput`."
    return [Error(words, hint=hint, id="digest.E009")]


@register(Tags.models)  # which asks the database, as Django's own of this tag do
def address_key_fits(
    app_configs: Sequence[AppConfig] | None, **options: object
) -> list[CheckMessage]:
    """Find another ADDRESS_KEY than the one that this database was made with.

    No error, which would stop `migrate`; without database or table there is nothing to say.
    """
    try:
        address_key.check()
    except address_key.WrongKey as wrong:
        return [Warning(str(wrong), id="digest.W007")]
    except DatabaseError:
        pass
    return []


@register(Tags.security)
def variables_are_spelled_right(
    app_configs: Sequence[AppConfig] | None, **options: object
) -> list[CheckMessage]:
    """Find names in the environment that are nearly ours; in .env they are refused."""
    return [
        Warning(
            f"{name} is set, and no variable; {meant} is not set.",
            hint=f"Write {meant}, if it is for Daily Papers.",
            id="digest.W011",
        )
        for name, meant in variables.misspelled().items()
    ]


def configured_providers() -> list[str]:
    """Return the provider that sends, and those with a variable of their own."""
    mail = endpoints.mailer(settings.MAILER_URL)
    sending = mail.name if isinstance(mail, endpoints.ProviderApi) else ""
    return [
        provider
        for provider in endpoints.providers()
        if provider == sending
        or any(name.startswith(f"{provider.upper()}_") for name in settings.ANYMAIL)
        and provider != "amazon_ses"  # we always set its options
    ]
