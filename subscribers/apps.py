from django.apps import AppConfig
from django.db.models.signals import post_migrate


class SubscribersConfig(AppConfig):
    name = "subscribers"
    verbose_name = "Subscribers"

    def ready(self) -> None:
        from subscribers.address_key import note_after_migrate

        post_migrate.connect(note_after_migrate, sender=self)
