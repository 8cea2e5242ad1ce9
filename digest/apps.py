from django.apps import AppConfig, apps
from django.contrib.admin.apps import SimpleAdminConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate, pre_delete


class DigestConfig(AppConfig):
    name = "digest"
    verbose_name = "Papers and digests"

    def ready(self) -> None:
        # Here and not in digest/__init__.py, so that pure modules load no Celery.
        from django.conf import settings

        from digest import (
            celery,  # noqa: F401
            checks,  # noqa: F401
            error_tracking,
            privacy,
        )
        from digest.ops.operators import roles
        from digest.papers.topics import sync_after_migrate
        from digest.sql import read_any_text

        if settings.SENTRY_DSN:
            error_tracking.start()
        connection_created.connect(read_any_text)
        post_migrate.connect(sync_after_migrate, sender=self)
        # An app after those whose permissions are given, as these are made app by app.
        last = apps.get_app_config("sessions")
        post_migrate.connect(roles.sync_after_migrate, sender=last)
        pre_delete.connect(privacy.forget, sender="subscribers.Subscriber")


class OperatorsAdmin(SimpleAdminConfig):
    default_site = "digest.ops.operators.login.OperatorsSite"
