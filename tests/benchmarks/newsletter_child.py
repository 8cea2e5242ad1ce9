"""Runs where django-newsletter is installed: PORT MAILS SIZE → wall and CPU seconds."""

import sys
import time
import types

import django
from django.conf import settings


def configure(port: int) -> None:
    settings.configure(
        SECRET_KEY="benchmark",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "django.contrib.sites",
            "sorl.thumbnail",
            "newsletter",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
            }
        ],
        MAILERS={
            "default": {
                "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
                "OPTIONS": {"host": "127.0.0.1", "port": port},
            }
        },
        NEWSLETTER_THUMBNAIL="sorl-thumbnail",
        NEWSLETTER_USE_HTTPS=True,
        ROOT_URLCONF="newsletter_urls",
        SITE_ID=1,
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    )
    from django.urls import include, path

    urls = types.ModuleType("newsletter_urls")
    django.setup()
    urls.urlpatterns = [path("newsletter/", include("newsletter.urls"))]  # type: ignore[attr-defined]
    sys.modules["newsletter_urls"] = urls


def submission(mails: int, words: int):
    """A message of ten articles, prepared for everybody."""
    from newsletter.models import (  # type: ignore[import-not-found]
        Article,
        Message,
        Newsletter,
        Submission,
        Subscription,
    )

    newsletter = Newsletter.objects.create(
        title="Daily Papers",
        slug=f"papers-{words}",
        email="papers@bench.example",
        sender="P",
    )
    Subscription.objects.bulk_create(
        Subscription(
            newsletter=newsletter,
            email_field=f"reader.{number}@list.example.com",
            subscribed=True,
            activation_code=f"{number:040}",
        )
        for number in range(mails)
    )
    message = Message.objects.create(title="Today", slug="today", newsletter=newsletter)
    for number in range(10):
        text = "<p>" + "scaling of attention – für alle " * words + "</p>"
        Article.objects.create(
            post=message,
            title=f"Paper {number}",
            text=text,
            sortorder=number,
            url=f"https://arxiv.org/abs/2604.{number:05}",
        )
    return Submission.from_message(message)


def main(port: int, mails: int, size: int) -> None:
    configure(port)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    trial = submission(1, 50)
    plain = len(trial.get_message(trial.get_subscriptions()[0]).message().as_bytes())
    ready = submission(mails, 50 * size // plain)
    reader = ready.get_subscriptions()[0]
    made = len(ready.get_message(reader).message().as_bytes())
    assert 0.9 * size < made < 1.1 * size, made
    begin, cpu = time.perf_counter(), time.process_time()
    ready.submit()
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    assert ready.sent
    print(wall, cpu)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
