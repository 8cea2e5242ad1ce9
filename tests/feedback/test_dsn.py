"""Bounce mails: believed by the address that they came to, and by nothing else."""

from datetime import timedelta

import pytest
from django.core import mail
from django.core.management import CommandError
from django.db import OperationalError, connection

from digest import signing
from digest.deliveries import ledger
from digest.feedback import dsn
from digest.models import Delivery, DeliveryEvent
from subscribers.models import Notice, Subscriber, Suppression
from tests import make

pytestmark = pytest.mark.django_db
OURS = "papers@daily-papers.example"

# As Postfix writes it (RFC 3464); the reader's server has no such mailbox.
BOUNCE = """\
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: {came_to}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--b
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
X-Postfix-Queue-ID: 4cWzT01Yk5z
Arrival-Date: Fri, 17 Apr 2026 12:00:00 +0000 (UTC)

Final-Recipient: rfc822; {recipient}
Original-Recipient: rfc822;{recipient}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} <{recipient}>: Recipient address
    rejected

--b
Content-Type: message/rfc822

Subject: Daily Papers

--b--
"""


def bounce(came_to: str, *, action: str = "failed", status: str = "5.1.1") -> str:
    return BOUNCE.format(
        came_to=came_to, recipient="r0@example.org", action=action, status=status
    )


def reasons() -> list[str]:
    return list(Suppression.objects.values_list("reason", flat=True))


def test_b6_a_bounce_mail_to_the_signed_address_counts_once(row, come):
    came_to = signing.senders(OURS)(row.pk)
    for address in (came_to, came_to.upper(), came_to):
        assert come(address, bounce(came_to)) == ""  # a pipe that prints is a failure
    event = row.events.get()
    assert (event.kind, event.source) == ("bounced", "provider")
    assert event.reply.startswith("5.1.1 smtp; 550 5.1.1 <r0@example.org>: Recipient")
    assert reasons() == ["bounced"]


def test_b6_a_forged_one_without_the_name_is_ignored(row, come):
    genuine = signing.senders(OURS)(row.pk)
    local, _, domain = genuine.partition("@")
    altered = f"{local[:-1]}{'0' if local[-1] != '0' else '1'}@{domain}"
    for came_to in (OURS, altered, f"papers+{row.pk}@{domain}", "", "@"):
        come(came_to, bounce(genuine))
    assert not DeliveryEvent.objects.exists() and reasons() == []


def test_b6_a_full_mailbox_is_a_point_and_a_delay_is_none(row, come):
    came_to = signing.senders(OURS)(row.pk)
    come(came_to, bounce(came_to, status="5.2.2"))
    come(came_to, bounce(came_to, action="delayed", status="4.2.2"))
    come(came_to, bounce(came_to, action="expanded"))
    assert sorted(row.events.values_list("kind", flat=True)) == ["bounced", "deferred"]
    assert reasons() == []


def test_b6_a_bounce_mail_is_evidence_of_an_unknown(row, come):
    ledger.rescue_expired(make.NOON + timedelta(hours=1))
    come(signing.senders(OURS)(row.pk), bounce("anybody", status="5.2.2"))
    assert Delivery.objects.get().state == "accepted"


@pytest.mark.parametrize(
    ("letter", "state"),
    [
        ("Subject: unsubscribe\n\n", "unsubscribed"),
        ("subject: Unsubscribe \nFrom: bo@example.net\n\nPlease.\n", "unsubscribed"),
        ("Subject: unsubscribe\nAuto-Submitted: no\n\n", "unsubscribed"),
        ("Subject: unsubscribe\nAuto-Submitted: auto-replied\n\n", "active"),
        ("Subject: Re: Why I would never unsubscribe\n\nunsubscribe\n", "active"),
        ("\nunsubscribe\n", "active"),
    ],
)
def test_a_letter_to_the_signed_address_unsubscribes(row, come, letter, state):
    for _ in range(2):
        assert come(signing.senders(OURS)(row.pk), letter) == ""
    assert Subscriber.objects.get().state == state


def test_a_letter_to_another_address_unsubscribes_nobody(row, come):
    come(OURS, "Subject: unsubscribe\n\n")
    come(f"papers+{row.pk:x}-{'0' * 24}@daily-papers.example", "Subject: unsubscribe\n\n")
    assert Subscriber.objects.get().state == "active"


def test_m10_a_reply_by_a_person_or_a_machine_does_nothing(row, come):
    came_to = signing.senders(OURS)(row.pk)
    away = "Subject: Out of office\nAuto-Submitted: auto-replied\n\nunsubscribe 5.1.1\n"
    for text in (away, "", "\n", bounce(came_to).replace("multipart/report", "text/plain")):
        come(came_to, text)
    assert set(DeliveryEvent.objects.values_list("kind", flat=True)) == {"unknown"}
    assert reasons() == []
    assert Subscriber.objects.get().state == "active"
    assert mail.outbox == [] and not Notice.objects.exists()


def test_b6_while_the_database_is_away_the_mail_server_keeps_the_mail(row, come):
    class Away:
        def __call__(self, execute, sql, *rest):
            raise OperationalError("gone")

    came_to = signing.senders(OURS)(row.pk)
    with connection.execute_wrapper(Away()), pytest.raises(CommandError) as failed:
        come(came_to, bounce(came_to))
    assert failed.value.returncode == 75


def test_b6_a_mail_nested_a_thousand_times_is_no_report(row):
    deep = "".join(
        f"Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"
        for level in range(3000)
    )
    came_to = signing.senders(OURS)(row.pk)
    (report,) = dsn.reports(deep.encode(), came_to=came_to, now=make.NOON)
    assert report.kind == "unknown"
