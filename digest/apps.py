from django.apps import AppConfig


class DigestConfig(AppConfig):
    name = "digest"
    verbose_name = "Papers and digests"

    def ready(self) -> None:
        # Here and not in digest/__init__.py, so that pure modules load no Celery.
        from digest import celery  # noqa: F401
