"""An announcement goes to its audience, once, and to nobody who left."""

import io
import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from digest.deliveries import control, ledger
from digest.deliveries.plan import plan
from digest.deliveries.preflight import check_new
from digest.deliveries.replay import replay
from digest.deliveries.send import send_due
from digest.models import Act, Announcement, Delivery, Edition
from digest.ops import announcements
from digest.ops.announcements import CannotStart
from digest.ops.operators import roles
from digest.signing import Purpose, namer
from subscribers import links, subscriptions
from subscribers.consent import Origin
from subscribers.models import Link, Subscriber, Suppression
from subscribers.suppression import suppress
from tests import make
from tests.race import at_once

pytestmark = pytest.mark.django_db
NOW = make.NOON
ORIGIN = Origin("/test/", "", "test")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def draft() -> Announcement:
    return Announcement.objects.create(
        subject="A survey", title="Tell us", body="Please **answer**: <https://x.org/s>"
    )


def start(draft: Announcement) -> Edition:
    return announcements.start(draft, draft.version, now=NOW)


def tick(now=NOW) -> None:
    """What a tick and a sender do."""
    plan(now, check_new)
    send_due(lambda: now)


def states() -> list[tuple[str, str]]:
    rows = Delivery.objects.order_by("subscriber_id")
    return list(rows.values_list("subscriber__email", "state"))


def test_it_goes_once_to_those_who_may_get_it(sink, settings, draft) -> None:
    settings.MAILER_URL, settings.FOOTER_TEXT = sink.url, "Run by <us> & \ufdd1friends"
    ann, bo = make.reader("ann@x.org"), make.reader("bo@x.org")
    make.reader("paused@x.org", state="paused")
    make.reader("left@x.org", state="unsubscribed")
    make.reader("new@x.org", state="pending")
    barred = make.reader("barred@x.org")
    suppress(barred.email_hash, Suppression.Reason.COMPLAINED, now=NOW)
    start(draft)
    tick()
    assert states() == [
        ("ann@x.org", "accepted"),
        ("bo@x.org", "accepted"),
        ("barred@x.org", "skipped"),
    ]
    # Neither a repeated tick, nor another's return, nor one's own, sends it again.
    subscriptions.unsubscribe(bo.pk, origin=ORIGIN, now=NOW)
    Subscriber.objects.exclude(pk=ann.pk).update(
        state="active", confirmed_at=NOW, changed_at=NOW + MINUTE
    )
    Subscriber.objects.filter(pk=ann.pk).update(schedule=make.schedule(hour=11))
    make.reader("late@x.org", at=NOW + MINUTE)
    tick(NOW + 2 * MINUTE)
    assert sorted(mail.rcpt[0] for mail in sink.mails()) == ["ann@x.org", "bo@x.org"]
    (mail,) = sink.to("ann@x.org")
    message = mail.message
    assert message["Subject"] == "A survey"
    assert message["List-Unsubscribe"].startswith(f"<{settings.SITE_URL}/u/")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Id"] and message["Expires"]
    for part, footer in (("plain", "Run by <us> &"), ("html", "Run by &lt;us&gt; &amp;")):
        body = message.get_body((part,)).get_content()
        assert "https://x.org/s" in body
        assert f"/u/{ann.unsubscribe_token}" in body
        assert settings.POSTAL_ADDRESS in body
        assert f"{footer} friends" in body
    row = Delivery.objects.of_readers(ann.pk).get()
    assert replay(row).content == mail.raw


def test_it_is_a_page_without_what_is_the_readers_own(
    client, sink, settings, draft
) -> None:
    settings.MAILER_URL = sink.url
    ann = make.reader("ann@x.org")
    start(draft)
    tick()
    page = client.get(
        reverse("digest", args=[namer(Purpose.PAGE)(Delivery.objects.get().pk)])
    )
    assert page.status_code == 200
    assert "<strong" in page.text and "Tell us" in page.text
    assert ann.unsubscribe_token not in page.text and "ann@x.org" not in page.text


def test_its_page_offers_its_known_reader_no_subscription(
    client, sink, settings, draft
) -> None:
    settings.MAILER_URL = sink.url
    ann = make.reader("ann@x.org")
    start(draft)
    tick()
    path = reverse("digest", args=[namer(Purpose.PAGE)(Delivery.objects.get().pk)])
    assert ">Subscribe<" in client.get(path).text
    token = links.make(ann, Link.Purpose.PREFERENCES, now=timezone.now())
    client.post(f"/preferences/{token}/browsers/", {"action": "remember"})
    page = client.get(path).text
    assert ">Subscribe<" not in page and "Change topics, hour or length" in page


@pytest.mark.parametrize("count", [0, 1, 2])
def test_it_is_no_public_edition_however_many_there_are_on_a_day(
    client, draft, count
) -> None:
    make.reader("ann@x.org")
    for number in range(count):
        draft.pk, draft.edition = None, None
        draft.title = f"Tell us {number}"
        draft.save()
        start(draft)
    assert client.get(f"/editions/announcement/{NOW:%Y-%m-%d}/").status_code == 404


@pytest.mark.parametrize(
    ("fields", "audience"),
    [
        ({}, "abcd"),
        ({"topic": "graphs"}, "ac"),
        ({"for_language": True}, "ab"),
        ({"for_language": True, "language": "de"}, "cd"),
        ({"for_language": True, "language": "de", "topic": "graphs"}, "c"),
    ],
)
def test_it_goes_to_its_audience_only(draft, fields, audience) -> None:
    for name, topics in zip("abcd", ["graphs", "vision", "graphs", "vision"], strict=True):
        make.reader(f"{name}@x.org", topics)
    Subscriber.objects.filter(email__in=["c@x.org", "d@x.org"]).update(language="de")
    wanted = fields | ({"topic": make.topic("graphs")} if "topic" in fields else {})
    Announcement.objects.update(**wanted)
    draft.refresh_from_db()
    start(draft)
    plan(NOW)
    assert "".join(email[0] for email, _ in states()) == audience


def test_digests_that_come_due_meanwhile_go_first(draft) -> None:
    for number in range(4):
        make.reader(f"{number}@x.org", "graphs")
    start(draft)
    plan(NOW)
    assert Delivery.objects.filter(lane=Delivery.Lane.ANNOUNCEMENT).count() == 4
    first = ledger.claim(NOW, limit=1)
    make.edition({make.paper(1): {"graphs": 1.0}})
    plan(NOW)
    kinds = [
        Edition.objects.get(pk=row.edition_id).kind
        for _ in range(3)
        for row in ledger.claim(NOW, limit=3)
    ]
    assert len(first) == 1
    assert kinds == ["daily"] * 4 + ["announcement"] * 3


@pytest.mark.django_db(transaction=True)
def test_of_two_starts_at_once_one_wins(draft) -> None:
    for number in range(3):
        make.reader(f"{number}@x.org")

    def begin() -> str:
        try:
            return f"{start(draft)}"
        except CannotStart as error:
            return f"{error}"

    assert sorted(at_once(begin, begin))[1] == "it was started already"
    assert sum(at_once(*[lambda: plan(NOW)] * 3)) == 3
    assert Delivery.objects.count() == 3


def test_what_was_not_looked_at_is_not_started(draft) -> None:
    seen = draft.version
    Announcement.objects.update(body="Another text")
    with pytest.raises(CannotStart, match="has changed"):
        announcements.start(draft, seen, now=NOW)
    Announcement.objects.update(body="言" * 20_000)
    draft.refresh_from_db()
    with pytest.raises(CannotStart, match="bytes"):
        start(draft)
    assert not Edition.objects.exists()


def test_a_sender_that_dies_loses_and_doubles_nothing(sink, settings, draft) -> None:
    """Its mails may have gone: they are unknown, and the rest goes out."""
    settings.MAILER_URL = sink.url
    for number in range(4):
        make.reader(f"{number}@x.org")
    start(draft)
    plan(NOW)
    rows = ledger.claim(NOW, limit=3)
    begun = rows[:2]
    ledger.intend(begun, {row.delivery_id: "en@0" for row in begun}, now=NOW)
    later = NOW + 16 * MINUTE
    assert ledger.rescue_expired(later) == (1, 2)
    tick(later)
    assert sorted(state for _, state in states()) == ["accepted"] * 2 + ["unknown"] * 2
    gone = [row.subscriber_id or 0 for row in begun]
    addresses = Subscriber.objects.filter(pk__in=gone).values_list("email", flat=True)
    assert not {mail.rcpt[0] for mail in sink.mails()} & set(addresses)


def test_its_relay_fails_and_it_goes_later(sink, settings, draft) -> None:
    settings.MAILER_URL = "smtp://127.0.0.1:1"
    make.reader("ann@x.org")
    start(draft)
    tick()
    assert states() == [("ann@x.org", "pending")]
    settings.MAILER_URL = sink.url
    tick(NOW + 60 * MINUTE)
    assert states() == [("ann@x.org", "accepted")]
    assert len(sink.mails()) == 1


def test_it_is_held_resumed_and_ended(sink, settings, draft) -> None:
    settings.MAILER_URL = sink.url
    make.reader("ann@x.org")
    edition = start(draft)
    control.pause(edition, "typo")
    tick()
    assert states() == [("ann@x.org", "pending")]
    control.resume(edition, now=NOW)
    control.cancel(edition, "typo", now=NOW)
    tick()
    assert states() == [("ann@x.org", "skipped")]
    assert sink.mails() == []


def test_its_day_is_no_day_with_papers(draft) -> None:
    make.reader("ann@x.org")
    start(draft)
    assert NOW.date() in control.unpublished(NOW - timedelta(hours=12), now=NOW)


# -- pages ---------------------------------------------------------------------------------

FIELDS = {
    "act": "save",
    "subject": "A  survey\u202e",
    "title": "Tell us",
    "body": "Please answer.\r\n\r\nThanks",
    "is_markdown": "on",
    "language": "en",
    "topic": "",
}


def operator(role: str) -> Client:
    user = User.objects.create_user(role, is_staff=True)
    roles.give(user, role)
    client = Client()
    client.force_login(user)
    return client


def url(name: str, *args: object) -> str:
    return reverse(f"console_announcement{name}", args=args)


def test_an_editor_writes_and_a_sender_starts(sink, settings) -> None:
    settings.MAILER_URL = sink.url
    make.reader("ann@x.org")
    editor, sender = operator("editor"), operator("sender")
    editor.post(url("_new"), FIELDS)
    one = Announcement.objects.get()
    assert one.subject == "A survey"
    page = url("", one.pk)
    editor.post(page, FIELDS | {"title": "Tell us more", "version": one.version})
    editor.post(page, {"act": "test", "address": "me@x.org"})
    (test,) = sink.mails()
    assert test.rcpt[0] == "me@x.org"
    assert test.message["Subject"] == "[Test] A survey"
    one.refresh_from_db()
    typed = {"act": "start", "typed": "A survey", "version": one.version}
    assert editor.post(page, typed).status_code == 403
    for wrong in ({"typed": "survey"}, {"version": "0"}):
        sender.post(page, typed | wrong)
        assert not Edition.objects.exists()
    assert "A survey" in sender.get(page).text
    sender.post(page, typed)
    sender.post(page, typed)
    edition = Edition.objects.get()
    # What was started stays as it is.
    editor.post(page, FIELDS | {"body": "Another"})
    sender.post(page, {"act": "delete"})
    one.refresh_from_db()
    assert one.body == "Please answer.\n\nThanks"
    for shown in (page, reverse("console_edition", args=[edition.pk])):
        assert "waits for a worker to plan it" in sender.get(shown).text
    tick(ledger.database_now())
    assert [mail.rcpt[0] for mail in sink.mails()] == ["me@x.org", "ann@x.org"]
    assert Client().get(page).status_code == 302
    told = sender.get(page).text
    assert "waits for a worker" not in told
    assert "1</dd>" in told and reverse("console_edition", args=[edition.pk]) in told
    assert sender.get(reverse("console_edition", args=[edition.pk])).status_code == 200
    assert list(Act.objects.order_by("pk").values_list("who", "detail")) == [
        ("editor", "Wrote “A survey”"),
        ("editor", "Changed the draft"),
        ("editor", "Test handed over: accepted"),
        ("sender", "Started for 1 readers"),
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"subject": "\u200b"}, "Enter text that can be seen."),
        ({"body": " \n "}, "required"),
        ({"body": "![a](https://x.org/a.png)"}, "Images are not supported"),
        ({"subject": "a" * 101}, "at most 100 characters"),
        ({"body": "a" * 20_001}, "at most 20000 characters"),
        ({"language": "xx"}, "Select a valid choice"),
        ({"topic": "99"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_sent_is_told_and_not_stored(fields, said) -> None:
    page = operator("editor").post(url("_new"), FIELDS | fields)
    assert said in page.text
    assert not Announcement.objects.exists()


@pytest.mark.parametrize(
    ("meanwhile", "said", "kept"),
    [
        ({}, "", "Mine"),
        ({"body": "Mine"}, "", "Mine"),  # a double click
        ({"body": "Theirs"}, "changed meanwhile", "Theirs"),
        (
            {"for_language": True},
            "changed meanwhile",
            "Please **answer**: <https://x.org/s>",
        ),
        ("start", "Not saved: it was started", "Please **answer**: <https://x.org/s>"),
    ],
)
def test_a_second_tab_does_not_overwrite_the_first(draft, meanwhile, said, kept) -> None:
    editor, page = operator("editor"), url("", draft.pk)
    form = editor.get(page).context["form"].initial | {"act": "save", "topic": ""}
    typed = form | {"body": "Mine", "version": draft.version}
    if meanwhile == "start":
        make.reader("ann@x.org")
        start(draft)
    else:
        Announcement.objects.update(**meanwhile)
    answer = editor.post(page, typed)
    draft.refresh_from_db()
    assert (draft.body, answer.status_code) == (kept, 200 if said else 302)
    if said:
        assert said in answer.text and ">\nMine</textarea>" in answer.text
    if said == "changed meanwhile":  # the second save is meant
        assert f'value="{draft.version}"' in answer.text
        editor.post(page, typed | {"version": draft.version})
        draft.refresh_from_db()
        assert draft.body == "Mine"


def test_it_is_not_started_for_nobody(draft) -> None:
    make.reader("left@x.org", state="unsubscribed")
    with pytest.raises(CannotStart, match="no reader would get it now"):
        start(draft)
    page = operator("sender").get(url("", draft.pk)).text
    assert "no reader would get it now" in page and "Start sending" not in page


def test_a_viewer_looks_and_changes_nothing(draft) -> None:
    viewer = operator("viewer")
    page = url("", draft.pk)
    for act in ("save", "start", "test", "delete"):
        assert viewer.post(page, FIELDS | {"act": act}).status_code == 403
    assert viewer.post(url("_new"), FIELDS).status_code == 403
    assert viewer.get(url("s")).status_code == 200
    assert "Save the draft" not in viewer.get(page).text
    for part, words in (("html", "<strong>answer"), ("plain", "Please answer: https:")):
        shown = viewer.get(url("_preview", draft.pk, part))
        assert words in shown.text
        assert "/u/" not in shown.text
        assert (
            "script-src" in shown["Content-Security-Policy"]
            or "default-src 'none'" in (shown["Content-Security-Policy"])
        )
    assert viewer.get(url("_preview", draft.pk, "eml")).status_code == 404


# -- the command ---------------------------------------------------------------------------


def announce(*args: str, typed: str = "", monkeypatch=None, **options: object) -> str:
    out = io.StringIO()
    if monkeypatch:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    call_command("announce", *args, stdout=out, stderr=out, **options)
    return out.getvalue()


def test_the_command_does_the_same(sink, settings, tmp_path, monkeypatch) -> None:
    settings.MAILER_URL = sink.url
    make.reader("ann@x.org", "graphs")
    body = tmp_path / "body.md"
    body.write_text("Please **answer**.")
    assert "no announcement yet" in announce()
    with body.open() as text:
        announce("new", subject="A survey", body=text, topic="graphs")
    one = Announcement.objects.get()
    pk = f"{one.pk}"
    assert "draft     readers of Graphs: A survey" in announce(pk)
    announce(pk, "preview", out=tmp_path)
    assert "answer" in (tmp_path / f"announcement-{pk}.txt").read_text()
    announce(pk, "test", to="me@x.org")
    with pytest.raises(CommandError, match="nothing was done"):
        announce(pk, "start", typed="y\n", monkeypatch=monkeypatch)
    announce(pk, "start", typed=f"{pk}\n", monkeypatch=monkeypatch)
    with pytest.raises(CommandError, match="started already"):
        announce(pk, "start", yes=True)
    announce(pk, "pause")
    announce(pk, "resume")
    tick(ledger.database_now())
    told = json.loads(announce(pk, json=True))
    assert told[0]["states"]["accepted"] == 1
    announce(pk, "cancel", yes=True)
    for wrong in ("pause", "resume", "delete"):
        with pytest.raises(CommandError):
            announce(pk, wrong)
    with pytest.raises(CommandError, match="no announcement"):
        announce("99")
    with pytest.raises(CommandError, match="no topic"):
        announce("new", subject="x", topic="none")
    assert [mail.rcpt[0] for mail in sink.mails()] == ["me@x.org", "ann@x.org"]
    kinds = list(Act.objects.order_by("pk").values_list("what", flat=True))
    assert kinds == ["write", "test", "start", "pause", "resume", "cancel"]
