"""What leaves for every provider that Anymail knows, as its API is handed it."""

import re
import subprocess
import sys
from datetime import timedelta
from uuid import UUID

import pytest

from digest import settings as digest_settings
from digest.transport import esp
from digest.transport.base import as_text
from digest.transport.esp import WITHOUT_METADATA, Provider
from tests import make
from tests.environment import KEYS, ROOT, bare

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

PROVIDERS = [
    "amazon_ses",
    "brevo",
    "mailersend",
    "mailgun",
    "mailjet",
    "mailtrap",
    "mandrill",
    "postal",
    "postmark",
    "resend",
    "scaleway",
    "sparkpost",
    "unisender_go",
]
URL, WORDS = ("https://api.example.org/", "x")
ACCOUNTS = {
    "BREVO_API_KEY": WORDS,
    "MAILERSEND_API_TOKEN": WORDS,
    "MAILGUN_API_KEY": WORDS,
    "MAILJET_API_KEY": WORDS,
    "MAILJET_SECRET_KEY": WORDS,
    "MAILTRAP_API_TOKEN": WORDS,
    "MANDRILL_API_KEY": WORDS,
    "POSTAL_API_KEY": WORDS,
    "POSTAL_API_URL": URL,
    "POSTMARK_SERVER_TOKEN": WORDS,
    "RESEND_API_KEY": WORDS,
    "SCALEWAY_SECRET_KEY": WORDS,
    "SCALEWAY_PROJECT_ID": WORDS,
    "SPARKPOST_API_KEY": WORDS,
    "UNISENDER_GO_API_KEY": WORDS,
    "UNISENDER_GO_API_URL": URL,
}
# Deprecated with MAILERS: https://docs.djangoproject.com/en/6.1/howto/mailers-migration/
OLD = {"EMAIL_BACKEND", "EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_USE_TLS"}
OLD |= {"EMAIL_HOST_PASSWORD", "EMAIL_USE_SSL", "EMAIL_TIMEOUT", "EMAIL_FILE_PATH"}
OPEN = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "digest.settings"
import django
django.setup()
from django.core.mail import mailers
from digest.transport.open import open_transport
open_transport().close()
print(type(mailers["default"]).__module__.rpartition(".")[2])
"""
MERGES = re.compile(
    r'"(template_?id|TemplateId|merge_vars|recipient-variables)"', re.IGNORECASE
)


@pytest.fixture(params=PROVIDERS)
def payload(request, settings, mails):
    """(the one mail, all that its request to this provider holds, as text)."""
    settings.ANYMAIL = settings.ANYMAIL | ACCOUNTS
    backend = f"anymail.backends.{request.param}.EmailBackend"
    settings.MAILERS = {"default": {"BACKEND": backend}}
    (mail,) = mails("ann")
    provider = Provider()
    message = provider.message(mail, mail.letter(), key="a-key")
    made = provider.backend.build_message_payload(message, provider.backend.send_defaults)
    if request.param == "amazon_ses":  # a whole mail
        return mail, made.mime_message.as_string()
    params = made.get_request_params(provider.backend.api_url)
    sent = [params.get(name) for name in ("data", "json", "files")]
    return mail, repr(sent).replace('\\\\"', '"').replace('\\"', '"')


def test_a13_every_provider_is_handed_our_way_out_unchanged(payload):
    mail, sent = payload
    token = f"{mail.delivery_id:022}"
    link = mail.letter().own["List-Unsubscribe"]
    assert link.endswith(f"/u/{token}>")
    assert re.search(rf"List-Unsubscribe\W[^/]*{re.escape(link)}", sent)
    assert re.search(r"List-Unsubscribe-Post\W[^/]{0,40}List-Unsubscribe=One-Click", sent)


def test_a5_a6_one_reader_and_nothing_but_a_number_is_told(payload):
    mail, sent = payload
    addresses = set(re.findall(r"[\w.+-]+@(?:[\w-]+\.)+\w+", sent))
    message_id = mail.letter().own["Message-ID"].strip("<>")
    assert addresses == {"ann@example.org", "papers@daily-papers.example", message_id}
    told = re.findall(r"delivery_id\W+(\d+)", sent)
    assert told == ([] if Provider().name in WITHOUT_METADATA else [str(mail.delivery_id)])


def test_a8_no_provider_is_asked_to_merge_anything_or_finds_what_to_merge(payload):
    mail, sent = payload
    assert not MERGES.search(sent)
    letter = mail.letter()
    html = as_text(letter.html, letter.values)
    assert "&#123;&#123;title&#125;&#125;" in html and "{{" not in html
    assert "{{title}}" in mail.letter().own["Subject"]  # a subject is plain text


@pytest.mark.parametrize("url", ["smtp://127.0.0.1:9", "anymail://postmark"])
def test_a14_mailers_alone_say_how_mail_leaves_and_nothing_old_is_used(url, tmp_path):
    assert not OLD & set(vars(digest_settings))
    variables = {"MAILER_URL": url, "ANYMAIL_POSTMARK_SERVER_TOKEN": "x"}
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", OPEN],
        cwd=ROOT,
        env=bare() | KEYS | {"STATE_DIR": str(tmp_path)} | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        f"{url.partition(':')[0]}".replace("anymail", "postmark")
    ]


def test_a3_a4_a_key_is_that_of_an_intent():
    found = esp.idempotency_key(7, make.NOON)
    assert esp.idempotency_key(7, make.NOON) == found and UUID(found).version == 4
    others = [
        esp.idempotency_key(8, make.NOON),
        esp.idempotency_key(7, make.NOON + timedelta(microseconds=1)),
    ]
    assert len({found, *others}) == 3
