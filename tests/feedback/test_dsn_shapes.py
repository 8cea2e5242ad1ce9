"""Bounce mails and complaints in the shapes in which servers and gateways send them."""

import base64
import logging
import quopri
from collections.abc import Iterator
from datetime import timedelta
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest import signing
from digest.feedback import dsn
from digest.feedback.bounce_rules import Meaning, meaning
from digest.feedback.events import Report
from digest.models import Delivery, DeliveryEvent
from subscribers import privacy
from subscribers.models import Subscriber, Suppression
from tests import make

OURS = "papers@daily-papers.example"

FIELDS = """\
Reporting-MTA: dns; mx.example.net
Arrival-Date: Fri, 17 Apr 2026 12:00:00 +0000

Final-Recipient: rfc822; r0@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 user unknown
"""
RETURNED = "Subject: Daily Papers\nFrom: papers@daily-papers.example\n\nPapers.\n"


def mail(body: str, *, kind: str = "text/plain", encoding: str = "") -> str:
    head = "From: MAILER-DAEMON@mx.example.net\nSubject: Undelivered Mail\n"
    return head + "MIME-Version: 1.0\n" + part(body, kind=kind, encoding=encoding)


def part(body: str, *, kind: str = "text/plain", encoding: str = "") -> str:
    cte = f"Content-Transfer-Encoding: {encoding}\n" if encoding else ""
    if encoding.lower() == "base64":
        body = base64.encodebytes(body.encode()).decode()
    elif encoding == "quoted-printable":
        body = quopri.encodestring(body.encode()).decode()
    return f"Content-Type: {kind}\n{cte}\n{body}"


def several(*parts: str, kind: str = "report; report-type=delivery-status") -> str:
    """The parts of a multipart, its head line included."""
    mark = f"b{crc32(''.join(parts).encode()):x}"
    body = "".join(f"--{mark}\n{one}\n" for one in parts)
    return mail(f"{body}--{mark}--\n", kind=f'multipart/{kind}; boundary="{mark}"')


def report(
    fields: str = FIELDS,
    *,
    kind: str = "message/delivery-status",
    encoding: str = "",
    words: str = "Your mail could not be delivered.\n",
    outer: str = "report; report-type=delivery-status",
) -> str:
    return several(
        part(words),
        part(fields, kind=kind, encoding=encoding),
        part(RETURNED, kind="message/rfc822"),
        kind=outer,
    )


def feedback(kind: str | None = "abuse", **encoding: str) -> str:
    type_ = f"Feedback-Type: {kind}\n" if kind else ""
    fields = f"{type_}User-Agent: SomeFBL/1.0\nVersion: 1\n"
    return several(
        part("This is an email abuse report.\n"),
        part(fields, kind="message/feedback-report", **encoding),
        part(RETURNED, kind="message/rfc822"),
        kind="report; report-type=feedback-report",
    )


ONE_BLOCK = FIELDS.replace("\n\n", "\n")
TWO_IN_ONE = ONE_BLOCK + ONE_BLOCK.partition("+0000\n")[2].replace("r0@", "r1@")
WRAPPED_LINES = FIELDS.replace("smtp; 550 5.1.1 user", "smtp;\n 550 5.1.1\nuser")
NO_ACTION = FIELDS.replace("Action: failed\n", "")
ODD_ACTION = FIELDS.replace("Action: failed", "Action: Failed (bad destination mailbox)")
BARE = FIELDS.partition("Diagnostic")[0].replace("5.1.1", "5.0.0")

QMAIL = """\
Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<r0@example.org>:
{words}

--- Below this line is a copy of the message.

Return-Path: <papers@daily-papers.example>
Subject: Daily Papers

<r9@example.org>:
over quota
"""
EXIM = """\
This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  r0@example.org
    {words}

------ This is a copy of the message, including all the headers. ------

Return-path: <papers@daily-papers.example>
Subject: Daily Papers
"""
EXIM_SENT_BY = """\
This message was created automatically by mail delivery software (Exim).

A message sent by

  <papers@daily-papers.example>

could not be delivered to one or more of its recipients. The following
address(es) failed:

  r0@example.org
    SMTP error from remote mailer after RCPT TO:<r0@example.org>:
    host mx.example.org [192.0.2.22]: 550 5.1.1 User Unknown
"""
EXIM_WARNING = """\
This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its
recipients after more than 24 hours on the queue on mx.example.net.

  r0@example.org
    Delay reason: mailbox is full
"""
UNROUTEABLE = EXIM.format(words="Unrouteable address")

READ = {
    # As RFC 3464 wants it, and encoded.
    "plain": (report(), "bounced", Meaning.GONE),
    "base64": (report(encoding="base64"), "bounced", Meaning.GONE),
    "BASE64": (report(encoding="BASE64"), "bounced", Meaning.GONE),
    "qp": (report(encoding="quoted-printable"), "bounced", Meaning.GONE),
    "8bit": (report(encoding="8bit"), "bounced", Meaning.GONE),
    "CRLF": (report().replace("\n", "\r\n"), "bounced", Meaning.GONE),
    # RFC 6533.
    "global": (report(kind="message/global-delivery-status"), "bounced", Meaning.GONE),
    "global-base64": (
        report(kind="message/global-delivery-status", encoding="base64"),
        "bounced",
        Meaning.GONE,
    ),
    "global-utf8": (
        report(
            FIELDS.replace("rfc822; r0@example.org", "utf-8; rö@example.org"),
            kind="message/global-delivery-status; charset=utf-8",
        ),
        "bounced",
        Meaning.GONE,
    ),
    # Around it a gateway's own mail.
    "mixed": (several(part("See below.\n"), report(), kind="mixed"), "bounced", "gone"),
    "type-lost": (report(outer="mixed"), "bounced", Meaning.GONE),
    "rfc822": (mail(report(), kind="message/rfc822"), "bounced", Meaning.GONE),
    "rfc822-base64": (
        mail(report(), kind="message/rfc822", encoding="base64"),
        "bounced",
        Meaning.GONE,
    ),
    "attached": (
        several(part("FYI\n"), part(report(), kind="message/rfc822"), kind="mixed"),
        "bounced",
        Meaning.GONE,
    ),
    "attached-twice": (
        several(
            part("FYI\n"),
            part(mail(report(), kind="message/rfc822"), kind="message/global"),
            kind="mixed",
        ),
        "bounced",
        Meaning.GONE,
    ),
    "status-alone": (mail(FIELDS, kind="message/delivery-status"), "bounced", "gone"),
    # Its fields as some write them.
    "one-block": (report(ONE_BLOCK), "bounced", Meaning.GONE),
    "one-block-base64": (report(ONE_BLOCK, encoding="base64"), "bounced", Meaning.GONE),
    "lines-broken": (report(WRAPPED_LINES), "bounced", Meaning.GONE),
    "blank-lines": (report("\n\n" + FIELDS + "\n\n"), "bounced", Meaning.GONE),
    "no-action": (report(NO_ACTION), "bounced", Meaning.GONE),
    "odd-action": (report(ODD_ACTION), "bounced", Meaning.GONE),
    "upper-case": (report(FIELDS.upper()), "bounced", Meaning.GONE),
    "delayed": (
        report(FIELDS.replace("failed", "delayed").replace("5.1.1", "4.4.1")),
        "deferred",
        None,
    ),
    "words-beside": (report(BARE, words=UNROUTEABLE), "bounced", Meaning.GONE),
    "no-words": (report(BARE), "bounced", Meaning.TEMPORARY),
    # qmail and Exim.
    "qmail": (
        mail(QMAIL.format(words="Sorry, no mailbox here by that name. (#5.1.1)")),
        "bounced",
        Meaning.GONE,
    ),
    "qmail-remote": (
        mail(
            QMAIL.format(
                words="192.0.2.4 does not like recipient.\n"
                "Remote host said: 550 5.1.1 unknown user\nGiving up on 192.0.2.4."
            )
        ),
        "bounced",
        Meaning.GONE,
    ),
    "qmail-full": (
        mail(QMAIL.format(words="User is over the quota. (#5.2.2)")),
        "bounced",
        Meaning.FULL,
    ),
    "qmail-qp": (
        mail(QMAIL.format(words="No such user. (#5.1.1)"), encoding="quoted-printable"),
        "bounced",
        Meaning.GONE,
    ),
    "qmail-wrapped": (
        several(
            part("FYI\n"),
            part(mail(QMAIL.format(words="(#5.1.1)")), kind="message/rfc822"),
            kind="mixed",
        ),
        "bounced",
        Meaning.GONE,
    ),
    "exim": (mail(EXIM.format(words="Unrouteable address")), "bounced", Meaning.GONE),
    "exim-remote": (mail(EXIM_SENT_BY), "bounced", Meaning.GONE),
    "exim-full": (
        mail(EXIM.format(words="mailbox is full: retry timeout exceeded")),
        "bounced",
        Meaning.FULL,
    ),
    "exim-own-words": (
        "X-Failed-Recipients: r0@example.org\n"
        + mail("Hello!\nNot sent:\n\n  r0@example.org\n    550 no such user\n"),
        "bounced",
        Meaning.GONE,
    ),
    "exim-warning": (mail(EXIM_WARNING), "deferred", None),
    # RFC 5965.
    "complaint": (feedback(), "complained", None),
    "complaint-base64": (feedback(encoding="base64"), "complained", None),
    "complaint-fraud": (feedback("Fraud"), "complained", None),
    "complaint-wrapped": (
        several(part("FYI\n"), part(feedback(), kind="message/rfc822"), kind="mixed"),
        "complained",
        None,
    ),
    "opt-out": (feedback("opt-out"), "unsubscribed", None),
}


@pytest.mark.parametrize(("text", "kind", "about"), READ.values(), ids=READ)
def test_b6_what_comes_back_is_read_in_any_shape(row, come, text, kind, about):
    came_to = signing.senders(OURS)(row.pk)
    for _ in range(2):  # the same mail again counts once
        assert come(came_to, text) == ""
    event = row.events.get()
    assert (event.kind, event.source) == (kind, "provider")
    reason = {"complained": ["complained"], "unsubscribed": ["left"]}.get(kind, [])
    if kind == "bounced":
        assert meaning(event.reply) == about
        reason = ["bounced"] if about == Meaning.GONE else []
    assert list(Suppression.objects.values_list("reason", flat=True)) == reason


MISREAD_ONCE = {
    "02-exchange-5110": "bounced",
    "04-status-500-no-such-user": "bounced",
    "07-base64-status": "bounced",
    "08-global-status": "bounced",
    "18-qmail": "bounced",
    "20-arf-complaint": "complained",
}


@pytest.mark.parametrize(("file", "reason"), MISREAD_ONCE.items())
def test_b6_mails_that_were_misread_once_suppress_at_once(
    data_folder, row, come, file, reason
):
    text = (data_folder / "cases" / "bounces" / f"{file}.eml").read_text()
    assert come(signing.senders(OURS)(row.pk), text) == ""
    assert list(Suppression.objects.values_list("reason", flat=True)) == [reason]


@pytest.mark.parametrize("text", [one[0] for one in READ.values()], ids=READ)
def test_b6_nothing_in_any_shape_is_believed_at_an_address_of_ours(row, come, text):
    genuine = signing.senders(OURS)(row.pk)
    for came_to in (OURS, genuine.replace("-", "-0", 1), genuine.replace("+", "")):
        come(came_to, text)
    assert not DeliveryEvent.objects.exists() and not Suppression.objects.exists()


def test_b6_two_recipients_without_a_blank_line_are_two_reports(row):
    found = read(row, report(TWO_IN_ONE))
    assert [one.kind for one in found] == ["bounced", "bounced"]


BASE64 = "Content-Transfer-Encoding: base64\n"
QUOTED = "On Friday you wrote:\n" + QMAIL.format(words="(#5.1.1)")
NOT_READ = {
    "empty": "",
    "away": "Subject: Out of office\nAuto-Submitted: auto-replied\n\nI am away. 5.1.1\n",
    "reply": mail("Thank you! Please unsubscribe me.\n"),
    "quoted": mail(QUOTED),
    "quoted-below": several(part("I am away\n"), part(UNROUTEABLE), kind="mixed"),
    "html-only": mail("<p>550 5.1.1 user unknown</p>", kind="text/html"),
    "empty-status": report(""),
    "odd-status": report("Action: lost\nStatus: unknown\n"),
    "broken-base64": report("").replace("y-status\n", "y-status\n" + BASE64 + "\n%=\xff"),
    "not-spam": feedback("not-spam"),
    "auth-failure": feedback("auth-failure"),
    "virus": feedback("virus"),
    "no-feedback-type": feedback(None),
    "too-deep": mail(
        mail(
            mail(mail(report(), kind="message/rfc822"), kind="message/rfc822"),
            kind="message/rfc822",
        ),
        kind="message/rfc822",
    ),
}


@pytest.mark.parametrize("text", NOT_READ.values(), ids=NOT_READ)
def test_b6_what_is_not_understood_is_kept_and_logged_and_does_nothing(
    row, come, caplog, text
):
    with caplog.at_level(logging.WARNING, logger="digest.feedback"):
        come(signing.senders(OURS)(row.pk), text)
    event = row.events.get()
    assert (event.kind, event.reason) == ("unknown", "mail not understood")
    assert not Suppression.objects.exists()
    assert Subscriber.objects.get().state == "active"
    assert Delivery.objects.get().state == "submitting"
    (line,) = [one.getMessage() for one in caplog.records]
    assert f"delivery {row.pk} is not understood" in line
    assert "away" not in line and "@" not in line


def test_b6_of_a_delivery_a_few_letters_a_day_are_kept_however_many_come(row, come):
    came_to = signing.senders(OURS)(row.pk)
    for number in range(60):
        come(came_to, mail(f"letter {number}\n"))
    assert 2 <= row.events.count() <= dsn.SLOTS


def test_b6_letters_about_a_reader_who_is_gone_are_kept_without_their_words(row, come):
    privacy.erase(Subscriber.objects.get().pk, now=make.NOON)
    came_to = signing.senders(OURS)(row.pk)
    come(came_to, mail("Ann Reader is away\n"))
    come(came_to, report())
    assert set(DeliveryEvent.objects.values_list("reply", flat=True)) == {""}


def read(row: Delivery, text: str) -> list[Report]:
    came_to = signing.senders(OURS)(row.pk)
    return dsn.reports(text.encode(errors="surrogateescape"), came_to=came_to, now=NOW)


NOW = make.NOON + timedelta(minutes=1)


# -- fuzz ------------------------------------------------------------------------------

SEEDS = [text.encode(errors="surrogateescape") for text, _, _ in READ.values()]


def broken() -> Iterator[st.SearchStrategy[bytes]]:
    """A mail of the table, cut, with something put in, or put into another one."""
    seeds = st.sampled_from(SEEDS)
    yield st.binary(max_size=2000)
    yield st.builds(
        lambda raw, place, put, cut: (
            raw[: place % len(raw)] + put + raw[place % len(raw) + cut :]
        ),
        seeds,
        st.integers(0, 5000),
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [b"\n\n", b"Content-Type: ", b"message/rfc822", b"=?utf-8?b?=?=", b"\0"]
                + [b"Content-Transfer-Encoding: x-uuencode\n", b"base64", b"\xff\xfe"]
            ),
        ),
        st.integers(0, 60),
    )
    yield st.builds(
        lambda outer, inner, place: outer[:place] + inner + outer[place:],
        seeds,
        seeds,
        st.integers(0, 1500),
    )


@settings(deadline=None, max_examples=300)
@given(st.one_of(*broken()))
def test_b6_whatever_comes_is_read_without_an_error(raw):
    came_to = signing.senders(OURS)(1)
    found = dsn.reports(raw, came_to=came_to, now=NOW)
    for one in found:
        assert one.delivery_id == 1
        assert one.kind in {*dsn.ACTIONS.values(), *dsn.COMPLAINTS.values(), "unknown"}
    again = dsn.reports(raw, came_to=came_to, now=NOW)
    assert [one.key for one in again] == [one.key for one in found]
    assert dsn.reports(raw, came_to=OURS, now=NOW) == []
