"""Test mode: whatever is sent, the operator gets it, marked, and no reader does."""

from functools import partial

import pytest
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse

from digest.deliveries.plan import plan
from digest.deliveries.send import send_due
from digest.models import Delivery, DeliveryEvent
from digest.ops.doctor import configuration, doctor
from digest.transport.base import Letter, Mail
from digest.transport.open import SingleMail
from digest.transport.test_mode import redirected
from subscribers.models import Suppression
from tests import make

ADA = "ada@example.org"


@pytest.fixture
def test_mode(settings, sink) -> None:
    settings.MAILER_URL = sink.url
    settings.TEST_MODE_TO = f"Ada Example <{ADA}>"


@pytest.fixture
def readers(db) -> None:
    make.edition({make.paper(1): {"graphs": 1.0}})
    for name in ("ann", "bob", "cat"):
        make.reader(f"{name}@readers.example", "graphs")
    plan(make.NOON)


@pytest.mark.usefixtures("test_mode", "readers")
def test_all_digests_go_to_the_operator_and_the_ledger_counts_as_ever(sink) -> None:
    send_due(lambda: make.NOON)
    mails = sink.mails()
    assert [mail.rcpt for mail in mails] == [(ADA,)] * 3
    for mail in mails:
        assert mail.message["To"] == ADA and "readers.example" not in mail.raw.decode()
        assert mail.message["Subject"].startswith("[Test mode] ")
        assert mail.mail_from == "papers@daily-papers.example"  # a bounce is no reader's
    assert set(Delivery.objects.values_list("state", flat=True)) == {"accepted"}
    send_due(lambda: make.NOON)
    assert len(sink.mails()) == 3


@pytest.mark.usefixtures("test_mode", "readers")
def test_the_operators_full_mailbox_is_charged_to_no_reader(sink, settings) -> None:
    settings.TEST_MODE_TO = "full+rcpt-550@example.org"
    send_due(lambda: make.NOON)
    assert sink.mails() == [] and not Suppression.objects.exists()
    assert set(Delivery.objects.values_list("state", "attempts")) == {("pending", 0)}
    assert not DeliveryEvent.objects.filter(kind="bounced").exists()


@pytest.mark.usefixtures("test_mode")
def test_a_single_mail_goes_to_the_operator(sink, settings) -> None:
    options = {"host": "127.0.0.1", "port": sink.port}
    backend = "django.core.mail.backends.smtp.EmailBackend"
    settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": options}}
    single = SingleMail()
    message = EmailMultiAlternatives(
        "Please confirm", "Hello", ADA, ["ann@readers.example"]
    )
    assert single.open() is None
    single.hand_over(message)
    single.close()
    (mail,) = sink.mails()
    assert mail.rcpt == (ADA,) and "readers.example" not in mail.raw.decode()
    assert mail.message["Subject"] == "[Test mode] Please confirm"


@pytest.mark.embedded
@pytest.mark.usefixtures("test_mode")
def test_a_providers_mail_is_redirected_in_its_parts() -> None:
    own = {"Subject": "Papers", "To": "ann@readers.example", "List-Id": "x"}
    letter = Letter(make.NOON, own, {"From": ADA}, [b"text"], [b"html"], {})
    folded = b"To: =?utf-8?q?a?=\r\n =?utf-8?q?b?= <ann@readers.example>\r\nSubject: x\r\n\r\nTo: y"
    there = redirected(
        Mail(
            7,
            "papers+7@x.example",
            "ann@readers.example",
            lambda: folded,
            partial(letter_of, letter),
        )
    )
    assert there.letter
    assert dict(there.letter().own) == own | {"Subject": "[Test mode] Papers", "To": ADA}
    assert there.compose() == b"To: ada@example.org\r\nSubject: [Test mode] x\r\n\r\nTo: y"
    assert (there.delivery_id, there.recipient) == (7, ADA)


def letter_of(letter: Letter) -> Letter:
    return letter


@pytest.mark.django_db
@pytest.mark.usefixtures("test_mode")
def test_every_page_and_doctor_say_so(client, settings) -> None:
    def codes() -> set[str]:
        return {one.code for one in configuration.what_is_set(doctor.configured_sender())}

    assert "Test mode" in client.get(reverse("archive")).text and "test-mode" in codes()
    settings.TEST_MODE_TO = ""
    assert "Test mode" not in client.get(reverse("topics")).text
    assert "test-mode" not in codes()
