"""What `check --deploy` finds beside Django's own checks."""

from collections.abc import Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from digest import front_end


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
        "/mailbox/ is closed, as everybody's links stand there."
    )
    return [Error(words, hint=hint, id="digest.E001")]
