"""A reader's rights: to see, to move, to be forgotten; and what the proof keeps."""

import csv
import io
import json
import zipfile
from datetime import date, timedelta

import pytest
from django.core import mail as mailbox
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from digest.models import Delivery
from subscribers import (
    consent,
    links,
    privacy,
    retention,
    subscriptions,
)
from subscribers.addresses import address_hash
from subscribers.models import ConsentEvent, Link, Notice, Request, Subscriber, Suppression
from subscribers.notices import send
from subscribers.suppression import suppress
from subscribers.tables import cell, unquoted
from tests.make import RELEASE, edition, paper, reader, schedule
from tests.subscribers.conftest import (
    NOW,
    ORIGIN,
    ask,
    bring_in,
    forget_quota,
    mailed_token,
    state_of,
    work_off,
)


def prefer(client: Client, subscriber: Subscriber, **posted: object):
    token = links.make(subscriber, Link.Purpose.PREFERENCES, now=timezone.now())
    return client.post(f"/preferences/{token}/", posted)


def data_path(subscriber: Subscriber) -> str:
    return f"/data/{links.make(subscriber, Link.Purpose.DATA, now=timezone.now())}/"


# -- preferences ------------------------------------------------------------------


def test_all_wishes_are_kept_and_shown_again(client: Client, active) -> None:
    wishes = {
        "keywords": " diffusion \r\nDiffusion\r\n\r\nprotein   folding",
        "watched_authors": "Ada Example",
        "muted_authors": "Bo Sample\u202e",
        "most_papers": "3",
        "cadence": "chosen",
        "days": ["0", "3"],
    }
    assert prefer(client, active, **wishes).status_code == 303
    active.refresh_from_db()
    assert active.keywords == ["Diffusion", "protein folding"]
    assert (active.watched_authors, active.muted_authors) == (
        ["Ada Example"],
        ["Bo Sample"],
    )
    assert (active.most_papers, active.schedule.days) == (3, 0b1001)
    assert active.schedule.when == "Monday, Thursday"
    token = links.make(active, Link.Purpose.PREFERENCES, now=timezone.now())
    page = client.get(f"/preferences/{token}/").text
    assert "Diffusion\nprotein folding</textarea>" in page
    assert "<option selected>3</option>" in page
    assert 'name="days" value="3" checked' in page


@pytest.mark.parametrize(
    ("posted", "words"),
    [
        ({"cadence": "chosen"}, "at least one day"),
        ({"most_papers": "2"}, "3 to 20"),
        ({"most_papers": "21"}, "3 to 20"),
        ({"keywords": "\n".join(map(str, range(31)))}, "30 lines"),
        ({"watched_authors": "x" * 81}, "80 characters"),
        ({"action": "pause", "until": "2020-01-01"}, "from tomorrow on"),
        ({"action": "pause", "until": "soon"}, "date like"),
        ({"action": "address", "email": "nobody"}, "has an @"),
    ],
)
def test_a_wish_that_cannot_be_is_told(client: Client, active, posted, words) -> None:
    answer = prefer(client, active, **posted)
    assert answer.status_code == 400
    assert words in answer.text
    assert state_of() == "active"


def test_no_topic_chosen_is_a_wish_too(client: Client, form) -> None:
    del form["topics"]
    client.post("/subscribe/", form)
    client.post(f"/confirm/{mailed_token()}/")
    assert state_of() == "active"
    assert Subscriber.objects.get().topics.count() == 0


def test_the_form_counts_recent_papers_per_topic(client: Client, topics) -> None:
    edition({paper(1, upvotes=1): {"graphs": 1.0}, paper(2): {"graphs": 0.5}})
    text = client.get("/subscribe/").text
    assert 'Graphs <span class="hint">2</span>' in text
    assert "without topics, interests or searches" in text


# -- pauses -----------------------------------------------------------------------


def test_t7_a_pause_ends_on_the_local_date_at_the_readers_hour(db) -> None:
    tokyo = reader("t@example.org", when=schedule("Asia/Tokyo", 7), state="paused")
    monday = reader(
        "m@example.org",
        when=schedule("America/New_York", 7, cadence="weekly"),
        state="paused",
    )
    until = date(2026, 4, 22)  # a Wednesday
    Subscriber.objects.update(paused_until=until)
    seen: dict[int, str] = {}
    for hours in range(24 * 8):
        now = NOW.replace(day=20, hour=0) + timedelta(hours=hours)
        subscriptions.resume_due(now)
        for one in Subscriber.objects.filter(state="active"):
            seen.setdefault(one.pk, now.isoformat())
    assert seen[tokyo.pk] == "2026-04-21T22:00:00+00:00"  # 07:00 on the 22nd there
    assert seen[monday.pk] == "2026-04-27T11:00:00+00:00"  # the first Monday after
    assert ConsentEvent.objects.filter(kind="resumed").count() == 2


def test_u13_a_month_of_pause_from_the_page_of_leaving(client: Client, active) -> None:
    client.post(f"/u/{active.unsubscribe_token}", {"action": "pause"})
    active.refresh_from_db()
    assert active.state == "paused"
    assert (
        active.paused_until
        == subscriptions.local_date(active, timezone.now()) + subscriptions.MONTH
    )


# -- leaving and coming back ------------------------------------------------------


def test_an_unsubscribe_can_be_undone_by_mail_with_all_wishes_kept(
    client: Client, active
) -> None:
    path = f"/u/{active.unsubscribe_token}"
    left = client.post(path, {"action": "unsubscribe"})
    assert 'value="undo"' in left.text
    client.post(path, {"action": "undo"})
    assert state_of() == "pending"
    client.post(f"/confirm/{mailed_token()}/")
    assert state_of() == "active"
    assert list(active.topics.values_list("slug", flat=True)) == ["graphs"]
    assert not Suppression.objects.exists()


def test_a_reader_asks_back_again_where_a_quota_held_the_first_mail(
    client: Client, active
) -> None:
    path, asked = f"/u/{active.unsubscribe_token}", {"action": "undo"}
    mails = Notice.objects.filter(kind=Notice.Kind.CONFIRM)
    for posted in ({}, asked, {}, asked):  # leaves and comes back, twice in a minute
        client.post(path, posted)
    assert (state_of(), mails.filter(mailbox__gt="").count()) == ("pending", 1)
    assert 'value="undo"' in client.get(path).text  # not as if they still got mail
    forget_quota()
    client.post(path, asked)
    client.post(f"/confirm/{mailed_token()}/")
    assert (state_of(), mails.filter(mailbox="").count()) == ("active", 3)


def test_u12_no_import_revives_who_has_left(client: Client, active) -> None:
    client.post(f"/u/{active.unsubscribe_token}")
    told = bring_in(*ask("Ann@Example.org"), "an old list")
    assert "left" in told
    assert state_of() == "unsubscribed"
    active.delete()
    assert bring_in(*ask("ann@example.org"), "an old list") == told
    assert not Subscriber.objects.exists()


def test_b1_a_bar_survives_erasure_and_a_new_sign_up(client: Client, active, form) -> None:
    suppress(active.email_hash, Suppression.Reason.BOUNCED, now=NOW)
    privacy.erase(active.pk, now=NOW)
    forget_quota()
    before = len(mailbox.outbox)
    assert client.post("/subscribe/", form).status_code == 303
    work_off()
    assert len(mailbox.outbox) == before
    assert not Subscriber.objects.exists()


def test_u9_who_is_not_meant_blocks_the_address(client: Client, form) -> None:
    client.post("/subscribe/", form)
    token = mailed_token()
    shown = client.get(f"/confirm/{token}/").text
    assert "a…@e….org" in shown
    assert "Every day at 09:00 (Berlin time)" in shown
    assert f'href="/block/{token}/"' in shown
    assert f"/block/{token}/" in str(mailbox.outbox[-1].body)
    client.post(f"/block/{token}/")
    forget_quota()
    again = client.post("/subscribe/", form)
    work_off()
    assert again.status_code == 303
    assert len(mailbox.outbox) == 1


def test_u11_no_mailto_is_offered(client: Client, active) -> None:
    prefer(client, active, action="address", email="new@example.org")
    client.post("/preferences/", {"email": "ann@example.org"})
    work_off()
    assert len(mailbox.outbox) >= 3
    assert all("mailto:" not in str(message.message()) for message in mailbox.outbox)


# -- another address --------------------------------------------------------------


def test_a_new_address_is_confirmed_there_and_told_to_the_old(
    client: Client, active
) -> None:
    prefer(client, active, action="address", email="New@Example.com")
    token = mailed_token()
    (asked,) = (m for m in mailbox.outbox if m.to == ["New@example.com"])
    assert active.unsubscribe_token not in str(asked.message())
    assert "List-Unsubscribe" not in asked.extra_headers
    path = f"/address/{token}/"
    assert client.get(path).status_code == 200
    assert Subscriber.objects.get().email == "ann@example.org"
    assert client.post(path).status_code == 200
    assert Subscriber.objects.get().email == "New@example.com"
    for again in (
        client.post(path),
        client.get(path),
    ):  # a double click, the mail once more
        assert (again.status_code, "is confirmed" in again.text) == (200, True)
    work_off()
    assert mailbox.outbox[-1].to == ["ann@example.org"]
    assert "was changed" in mailbox.outbox[-1].subject
    assert "example.com" not in str(mailbox.outbox[-1].body)
    Subscriber.objects.update(state="unsubscribed")
    assert client.get(path).status_code == 410


def test_nobody_moves_to_an_address_that_reads_already(client: Client, active) -> None:
    reader("bob@example.org")
    work_off()
    before = len(mailbox.outbox)
    prefer(client, active, action="address", email="bob@example.org")
    work_off()
    assert len(mailbox.outbox) == before
    token = links.make(
        active, Link.Purpose.ADDRESS, now=timezone.now(), email="bob@example.org"
    )
    assert client.post(f"/address/{token}/").status_code == 410
    assert Subscriber.objects.filter(email="bob@example.org").count() == 1


def test_the_holder_of_the_new_address_blocks_it_and_the_reader_stays(
    client: Client, active
) -> None:
    prefer(client, active, action="address", email="victim@example.com")
    client.post(f"/block/{mailed_token()}/")
    assert state_of() == "active"
    assert Suppression.objects.get().email_hash == address_hash("victim@example.com")


# -- data -------------------------------------------------------------------------


def test_g2_everything_held_is_in_the_download_and_the_link_works_for_an_hour(
    client: Client, active
) -> None:
    Subscriber.objects.update(interests="=canary(1)", keywords=["canary two"])
    Delivery.objects.create(
        edition=edition({paper(1): {"graphs": 1.0}}),
        subscriber=active,
        state="accepted",
        reply="250 canary three",
        due_at=RELEASE,
        not_before=RELEASE,
        expires_at=RELEASE,
    )
    client.post("/preferences/", {"email": "ann@example.org", "action": "data"})
    path = f"/data/{mailed_token()}/"
    assert client.get(path).status_code == 200
    answer = client.post(path, {"action": "download"})
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    text = archive.read("data.json").decode()
    held = json.loads(text)
    assert all(word in text for word in ("=canary(1)", "canary two", "canary three"))
    assert [row["kind"] for row in held["consent"]] == ["requested", "confirmed"]
    assert held["topics"] == [{"topic": "graphs"}]
    assert held["schedule"][0]["days"][0] == "Monday"
    assert active.unsubscribe_token not in text
    table = csv.DictReader(io.StringIO(archive.read("subscriber.csv").decode()))
    assert next(iter(table))["interests"] == "'=canary(1)"
    again = client.post(path, {"action": "download"})  # a download does not burn the rest
    assert again["Content-Type"] == "application/zip"
    Link.objects.filter(purpose="data").update(expires_at=timezone.now())
    for action in ("download", "erase"):
        assert client.post(path, {"action": action}).status_code == 410
    assert Subscriber.objects.exists()


@pytest.mark.parametrize(
    ("language", "words"), [("en", "trending: the number of"), ("de", "trending: die Zahl")]
)
def test_g2_the_download_says_in_the_readers_language_what_each_file_is(
    client: Client, active, language: str, words: str
) -> None:
    Subscriber.objects.update(language=language)
    answer = client.post(data_path(active), {"action": "download"})
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    told = archive.read("README.txt").decode()
    assert words in told and "&" not in told
    files = set(archive.namelist()) - {"README.txt", "data.json"}
    assert {line.partition(":")[0] for line in told.splitlines()} >= files


def test_g3_erasure_leaves_a_hash_and_no_address(client: Client, active) -> None:
    consent.seal()
    Delivery.objects.create(
        edition=edition({paper(1): {"graphs": 1.0}}),
        subscriber=active,
        reply="550 <ann@example.org> unknown",
        due_at=RELEASE,
        not_before=RELEASE,
        expires_at=RELEASE,
    )
    client.post(data_path(active), {"action": "erase"})
    assert not Subscriber.objects.exists()
    tables = (ConsentEvent, Delivery, Link, Notice, Request, Suppression)
    dump = str([list(table.objects.values()) for table in tables])
    assert "ann" not in dump.lower()
    assert list(Suppression.objects.values_list("reason", flat=True)) == ["left"]
    assert not ConsentEvent.objects.exclude(email_hash="").exists()
    consent.seal()
    assert consent.verify().wrong == []
    assert Delivery.objects.get().subscriber_id is None


def test_g3_who_was_erased_may_come_back_by_confirming(
    client: Client, active, form
) -> None:
    privacy.erase(active.pk, now=timezone.now())
    client.post("/subscribe/", form)
    client.post(f"/confirm/{mailed_token()}/")
    assert state_of() == "active"
    assert not Suppression.objects.exists()


def test_u7_the_link_to_leave_opens_neither_preferences_nor_data(
    client: Client, active
) -> None:
    token = active.unsubscribe_token
    for page in ("preferences", "data", "address", "confirm", "block"):
        for action in ("", "erase", "download", "save"):
            assert client.post(f"/{page}/{token}/", {"action": action}).status_code == 404
    assert state_of() == "active"


# -- receipts ---------------------------------------------------------------------


def test_u10_receipts_cannot_be_changed_or_deleted(active) -> None:
    with pytest.raises(TypeError):
        ConsentEvent.objects.update(kind="confirmed")
    with pytest.raises(TypeError):
        ConsentEvent.objects.all().delete()
    assert ConsentEvent.objects.get(kind="confirmed").detail["link"]


# -- retention --------------------------------------------------------------------


def test_s5_one_reminder_a_day_after_and_the_row_is_gone_after_a_week(
    client: Client, form
) -> None:
    client.post("/subscribe/", form)
    work_off()
    start = timezone.now()
    for hours in range(0, 24 * 9, 6):
        now = start + timedelta(hours=hours)
        retention.remind(now)
        send.send_open_notices(now=now)
        retention.purge(now)
        assert Subscriber.objects.exists() == (hours < 24 * 7)
    assert [m.subject.split()[0] for m in mailbox.outbox] == ["Please", "Reminder:"]
    assert not Request.objects.exists()


def test_s5_a_reader_of_old_is_not_forgotten_by_a_strangers_sign_up(
    client: Client, active, form
) -> None:
    client.post(f"/u/{active.unsubscribe_token}")
    forget_quota()
    client.post("/subscribe/", form)
    work_off()
    assert state_of() == "pending"
    retention.purge(timezone.now() + timedelta(days=8))
    assert state_of() == "unsubscribed"
    assert ConsentEvent.objects.filter(kind="confirmed").exclude(email_hash="").exists()


def test_g5_what_is_past_its_time_goes(active) -> None:
    subscriptions.unsubscribe(active.pk, origin=ORIGIN, now=timezone.now())
    later = timezone.now() + timedelta(days=100)
    retention.purge(later)
    assert not Subscriber.objects.exists()
    assert not Link.objects.exists()
    assert not Notice.objects.exists()
    assert Suppression.objects.get().reason == "left"
    assert ConsentEvent.objects.exclude(email_hash="").count() == 3
    retention.purge(later + timedelta(days=3 * 365))
    assert not ConsentEvent.objects.exclude(email_hash="").exists()


# -- files ------------------------------------------------------------------------


def run(capsys, *arguments: str) -> tuple[str, str]:
    call_command("subscribers", *arguments)
    told = capsys.readouterr()
    return told.out, told.err


def test_s17_an_import_tells_each_refused_row_and_confirms_nobody_by_itself(
    topics, capsys, tmp_path
) -> None:
    file = tmp_path / "readers.csv"
    file.write_text(
        "email,topics,send_hour\nann@example.org,graphs vision,6\nbad,,\nbob@example.org,,99\n"
    )
    out, err = run(capsys, "import", str(file))
    assert out.startswith("1 asked by mail to confirm")
    assert [
        line.partition(": refused")[0].rpartition(", ")[2] for line in err.splitlines()
    ] == [
        "line 3",
        "line 4",
    ]
    assert state_of() == "pending"
    assert Notice.objects.get().kind == "confirm"


def test_s17_a_stated_source_makes_them_active_and_stands_in_the_proof(
    topics, capsys, tmp_path
) -> None:
    file = tmp_path / "readers.jsonl"
    rows = [{"email": "ann@example.org", "topics": ["graphs"], "keywords": ["a", "b"]}]
    file.write_text("\n".join(map(json.dumps, rows)) + "\nnonsense\n")
    run(capsys, "import", str(file), "--legal-source", "paper forms of 2024")
    assert state_of() == "active"
    assert Subscriber.objects.get().keywords == ["a", "b"]
    assert ConsentEvent.objects.get().detail["legal_source"] == "paper forms of 2024"
    out, err = run(capsys, "import", str(file), "--legal-source", "again")
    assert "known already" in err
    assert out.startswith("1 known already")


def test_s17_an_export_holds_no_formula_and_comes_back_as_it_was(
    active, capsys, tmp_path
) -> None:
    Subscriber.objects.update(interests="=HYPERLINK(1)", keywords=["-x", "y"])
    file = tmp_path / "out.csv"
    run(capsys, "export", str(file))
    (row,) = csv.DictReader(io.StringIO(file.read_text()))
    assert row["interests"] == "'=HYPERLINK(1)"
    assert all(not value.startswith(("=", "+", "-", "@")) for value in row.values())
    Subscriber.objects.all().delete()
    run(capsys, "import", str(file), "--legal-source", "a backup")
    back = Subscriber.objects.get()
    assert (back.interests, back.keywords) == ("=HYPERLINK(1)", ["-x", "y"])


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@x", "\tx", "\rx", "plain", "'quoted", ""]
)
def test_s17_a_cell_is_no_formula_and_reads_back(text: str) -> None:
    assert not cell(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert unquoted(cell(text)) == text


def test_g3_a_person_is_erased_by_command(active, capsys) -> None:
    assert run(capsys, "erase", "Ann@Example.org")[0] == "erased\n"
    assert not Subscriber.objects.exists()
    with pytest.raises(CommandError, match="there is no data about this address"):
        call_command("subscribers", "erase", "ann@example.org")
    assert "0 things" not in run(capsys, "verify")[0]


def test_a_file_that_cannot_be_read_is_one_line(db, tmp_path) -> None:
    with pytest.raises(CommandError, match="cannot read"):
        call_command("subscribers", "import", str(tmp_path / "none.csv"))
    (tmp_path / "x.csv").write_text("name\nann\n")
    with pytest.raises(CommandError, match="email"):
        call_command("subscribers", "import", str(tmp_path / "x.csv"))
