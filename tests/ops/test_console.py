"""The operator's pages: who may see and do what, and that they tell the truth."""

import io
import json
import zipfile
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from digest.deliveries import counts
from digest.deliveries.plan import plan
from digest.deliveries.send import send_due
from digest.models import Act, Delivery, DeliveryEvent, Edition, Paper
from digest.ops.console import charts, figures
from digest.ops.operators import roles
from subscribers.addresses import address_hash
from subscribers.models import ConsentEvent, Notice, Subscriber, Suppression
from subscribers.suppression import suppress
from tests import make

pytestmark = pytest.mark.django_db
NOW = make.NOON
PAGES = [
    "today",
    "charts",
    "editions",
    "edition",
    "readers",
    "reader",
    "suppressions",
    "preview",
    "doctor",
]
MANUAL, LEFT = Suppression.Reason.MANUAL, Suppression.Reason.LEFT


@pytest.fixture
def ann() -> Subscriber:
    """A reader of an edition that is planned and not sent."""
    make.edition({make.paper(1): {"graphs": 1.0}})
    reader = make.reader("ann@example.org", "graphs")
    plan(NOW)
    return reader


@pytest.fixture
def viewer(client: Client) -> Client:
    user = User.objects.create_user("viewer", is_staff=True)
    roles.give(user, "viewer")
    client.force_login(user)
    return client


def url(page: str) -> str:
    edition = Edition.objects.values_list("pk", flat=True).get
    reader = Subscriber.objects.order_by("pk").values_list("pk", flat=True)
    args = {
        "edition": lambda: [edition()],
        "reader": lambda: [reader[0]],
        "preview": lambda: [edition(), reader[0]],
    }
    return reverse(f"console_{page}", args=args.get(page, list)())


def log() -> list[str]:
    return list(Act.objects.order_by("pk").values_list("detail", flat=True))


@pytest.mark.parametrize("page", PAGES)
def test_page_is_for_operators_with_the_permission(client, ann, page) -> None:
    assert client.get(url(page)).url.startswith(reverse("admin:login"))
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get(url(page)).status_code == 403
    client.force_login(User.objects.create_user("reader"))
    assert client.get(url(page)).status_code == 302


@pytest.mark.parametrize("page", PAGES)
def test_viewer_sees_the_page_and_no_secret(viewer, ann, page) -> None:
    response = viewer.get(url(page))
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert ann.unsubscribe_token not in response.text
    assert "/v/" not in response.text
    assert "Reason to pause" not in response.text


READER_ACTS = ("pause", "resume", "suppress", "lift", "resend", "export", "erase")
ACTS = [
    *[("edition", act) for act in ("pause", "resume", "cancel", "retry", "test")],
    *[("reader", act) for act in READER_ACTS],
]


@pytest.mark.parametrize(("page", "act"), ACTS)
def test_viewer_and_get_change_nothing(viewer, admin_client, ann, page, act) -> None:
    fields = {
        "act": act,
        "why": "test",
        "typed": "2026-04-17",
        "since": "2026-04-17T00:00Z",
        "address": "ann@example.org",
    }
    assert viewer.post(url(page), fields).status_code == 403
    assert admin_client.get(url(page), fields).status_code == 200
    assert Edition.objects.get().hold == ""
    assert Subscriber.objects.get().state == "active"
    assert log() == []
    assert not Suppression.objects.exists()


def test_post_without_the_forms_token_is_refused(ann, admin_user) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(url("edition"), {"act": "pause", "why": "x"}).status_code == 403
    assert Edition.objects.get().hold == ""


@pytest.mark.each_row
@pytest.mark.parametrize(
    ("before", "fields", "after", "said"),
    [
        ("", {"act": "pause", "why": "typo"}, "paused", "Paused: typo"),
        ("", {"act": "pause", "why": " "}, "", ""),
        ("paused", {"act": "pause", "why": "again"}, "paused", ""),
        ("paused", {"act": "resume"}, "", "Resumed"),
        ("", {"act": "resume"}, "", ""),
        ("cancelled", {"act": "resume"}, "cancelled", ""),
        ("", {"act": "cancel", "why": "x", "typed": "2026-04-18"}, "", ""),
        ("", {"act": "cancel", "why": "x"}, "", ""),
        ("", {"act": "cancel", "typed": "2026-04-17"}, "", ""),
        (
            "",
            {"act": "cancel", "why": "x", "typed": "2026-04-17"},
            "cancelled",
            "Cancelled, 1 deliveries skipped: x",
        ),
        ("", {"act": "retry", "since": "2026-04-17"}, "", ""),
        ("", {"act": "retry", "since": "2026-99-17T00:00Z"}, "", ""),
        ("", {"act": "retry", "since": "0001-01-01T00:00+14:00"}, "", ""),
        ("", {"act": "retry", "since": "9999-12-31T23:59-14:00"}, "", ""),
    ],
)
def test_an_edition_is_steered(admin_client, ann, before, fields, after, said) -> None:
    Edition.objects.update(hold=before)
    page = admin_client.post(url("edition"), fields, follow=True)
    assert page.status_code == 200
    assert Edition.objects.get().hold == after
    assert log() == ([said] if said else [])
    (message,) = page.context["messages"]
    assert message.level_tag == ("success" if said else "error")


def test_what_a_relay_refused_is_sent_again(admin_client, ann) -> None:
    Delivery.objects.update(state="refused", outcome_at=NOW)
    suppress(ann.email_hash, Suppression.Reason.BOUNCED, now=NOW)
    admin_client.post(url("edition"), {"act": "retry", "since": "2026-04-17T11:00Z"})
    assert Delivery.objects.get().state == "pending"
    assert not Suppression.objects.exists()
    assert log() == ["Refused since 2026-04-17 11:00Z, pending again: 1"]


@pytest.mark.parametrize(
    ("state", "bar", "act", "after"),
    [
        ("active", None, "pause", ("paused", None)),
        ("paused", None, "resume", ("active", None)),
        ("active", None, "suppress", ("active", MANUAL)),
        ("active", MANUAL, "lift", ("active", None)),
        ("unsubscribed", MANUAL, "lift", ("unsubscribed", LEFT)),
    ],
)
def test_a_reader_is_helped(admin_client, ann, state, bar, act, after) -> None:
    Subscriber.objects.update(state=state)
    if bar:
        suppress(ann.email_hash, bar, now=NOW)
    admin_client.post(url("reader"), {"act": act, "why": "asked by mail"})
    reasons = list(Suppression.objects.values_list("reason", flat=True))
    assert (Subscriber.objects.get().state, reasons[0] if reasons else None) == after
    assert len(log()) == 1
    if act != "suppress":
        assert ConsentEvent.objects.get().source == "admin: admin"


@pytest.mark.parametrize(
    ("state", "bar", "fields"),
    [
        ("paused", None, {"act": "pause", "why": "x"}),
        ("unsubscribed", None, {"act": "resume"}),
        ("active", None, {"act": "pause"}),
        ("active", None, {"act": "suppress"}),
        ("active", MANUAL, {"act": "suppress", "why": "x"}),
        ("active", MANUAL, {"act": "lift"}),
        ("active", None, {"act": "lift", "why": "x"}),
        ("unsubscribed", LEFT, {"act": "lift", "why": "x"}),
    ],
)
def test_an_act_that_cannot_be_done_changes_nothing(
    admin_client, ann, state, bar, fields
) -> None:
    Subscriber.objects.update(state=state)
    if bar:
        suppress(ann.email_hash, bar, now=NOW)
    page = admin_client.post(url("reader"), fields, follow=True)
    assert [message.level_tag for message in page.context["messages"]] == ["error"]
    assert Subscriber.objects.get().state == state
    assert list(Suppression.objects.values_list("reason", flat=True)) == [bar] * bool(bar)
    assert log() == []


def test_a_reader_page_tells_each_delivery_in_the_servers_words(viewer, ann) -> None:
    reply = "550 5.1.1 <script>no such user</script>"
    Delivery.objects.update(
        state="refused", reason="no mailbox", reply=reply, outcome_at=NOW
    )
    DeliveryEvent.objects.create(
        email_hash=ann.email_hash, at=NOW, source="provider", kind="complained"
    )
    page = viewer.get(url("reader")).text
    assert "550 5.1.1 &lt;script&gt;no such user" in page
    assert "complained" in page
    assert "<script>" not in page


def test_a_reader_page_says_at_a_glance_that_a_mail_came_back(viewer, ann) -> None:
    Delivery.objects.update(state="accepted", reason="accepted", outcome_at=NOW)
    for kind in ("delivered", "bounced"):
        DeliveryEvent.objects.create(
            delivery=Delivery.objects.get(), at=NOW, source="provider", kind=kind
        )
    assert (
        ">accepted</strong>, then <strong>bounced</strong></summary>"
        in viewer.get(url("reader")).text
    )


def test_counts_are_those_of_the_ledger(ann) -> None:
    for name, state, reason in [
        ("bob", "skipped", "no longer subscribed"),
        ("cat", "unknown", "crashed in flight"),
        ("dan", "accepted", "accepted"),
    ]:
        reader = make.reader(f"{name}@example.org", "graphs")
        Delivery.objects.create(
            edition=Edition.objects.get(),
            subscriber=reader,
            state=state,
            reason=reason,
            due_at=NOW,
            not_before=NOW,
            expires_at=NOW + timedelta(hours=1),
        )
    (counted,) = figures.of_editions(Edition.objects.all())
    assert {state: count for state, count in counted.states.items() if count} == {
        "pending": 1,
        "skipped": 1,
        "unknown": 1,
        "accepted": 1,
    }
    assert counted.eligible == 4
    assert sorted(counted.reasons) == [
        ("skipped", "no longer subscribed", 1),
        ("unknown", "crashed in flight", 1),
    ]
    assert figures.queue(NOW) == {"due now": 1, "later": 0, "unknown": 1}
    assert figures.queue(NOW - timedelta(days=1)) == {
        "due now": 0,
        "later": 1,
        "unknown": 1,
    }


def test_reports_are_those_of_the_last_day() -> None:
    for kind, hours in [
        ("bounced", 1),
        ("bounced", 23),
        ("bounced", 25),
        ("complained", 2),
    ]:
        DeliveryEvent.objects.create(
            at=NOW - timedelta(hours=hours), source="provider", kind=kind
        )
    counted = figures.reports(NOW)
    assert counted == {"bounced": 2, "complained": 1, "rejected": 0, "deferred": 0}


def test_the_next_hours_count_each_active_reader_at_their_hour() -> None:
    make.reader("a@example.org", when=make.schedule("UTC", 14))
    make.reader("b@example.org", when=make.schedule("Europe/Berlin", 16))  # 14:00 UTC
    make.reader("c@example.org", when=make.schedule("UTC", 14), state="paused")
    make.reader("d@example.org", when=make.schedule("UTC", 9))
    make.reader("e@example.org", when=make.schedule("UTC", 14, cadence="weekly"))
    found = {
        bar.label: bar.value
        for bar in charts.next_hours(NOW, counts.readers()).bars
        if bar.value
    }
    assert found == {"14:00": 2, "09:00": 1}


def test_days_of_confirmations_and_unsubscribes_end_today() -> None:
    for kind, days in [("confirmed", 0), ("confirmed", 13), ("confirmed", 14)]:
        ConsentEvent(
            kind=kind, at=NOW - timedelta(days=days), email_hash="", wording="", source=""
        ).save()
    confirmed, left = charts.confirmed_and_left(NOW)
    assert [bar.value for bar in confirmed.bars] == [1, *[0] * 12, 1]
    assert left.total == 0


def test_every_state_is_one_part_of_a_days_column(ann) -> None:
    parts = [state for part in charts.PARTS.values() for state in part]
    assert sorted(parts) == sorted(Delivery.State.values)
    make.edition({make.paper(2): {"graphs": 1.0}}, day=make.DAY + timedelta(days=1))
    drawn = charts.by_day(
        {one.edition: one.states for one in figures.of_editions(Edition.objects.all())}
    )
    assert drawn.rows == [("Fri 17 Apr", [0, 0, 0, 0, 0, 1]), ("Sat 18 Apr", [0] * 6)]
    (bar,) = drawn.bars
    assert (bar.label, bar.value, bar.y, bar.height) == ("Fri 17 Apr: open", 1, 0, 120)


def test_parts_of_a_column_stand_on_each_other() -> None:
    drawn = charts.stacked("x", [("a", [6, 0, 3]), ("b", [1, 1, 1])], ["p", "q", "r"])
    places = [(bar.x, bar.y, bar.height, bar.part) for bar in drawn.bars]
    assert places[:2] == [(0, 40, 80, 0), (0, 0, 40, 2)]
    assert [place[1:] for place in places[2:]] == [(107, 13, 0), (94, 13, 1), (81, 13, 2)]


def test_readers_are_ranked_by_topic_domain_and_zone(viewer, ann) -> None:
    make.reader("bob@b.example", "graphs", "vision", when=make.schedule("Asia/Tokyo", 7))
    make.reader("cat@b.example", "vision", when=make.schedule("Asia/Tokyo", 7))
    make.reader("gone@c.example", "graphs", state="unsubscribed")
    assert charts.by_domain(counts.readers("domains")).rows == [
        ("b.example", 2),
        ("example.org", 1),
    ]
    topics = charts.by_topic(counts.readers("topics"))
    assert [value for _, value in topics.rows] == [2, 2] and not topics.is_cut
    zones = charts.by_zone(counts.readers())
    assert zones.rows[0] == ("Asia/Tokyo (07:00)", 2)
    assert [bar.width for bar in zones.bars] == [720, 360]
    assert "b.example" in viewer.get(url("charts")).text


@pytest.mark.parametrize(
    ("values", "heights"),
    [([], []), ([0, 0], [0, 0]), ([1, 2], [60, 120]), ([1, 1_000_000], [1, 120])],
)
def test_a_column_is_as_high_as_its_share_and_one_is_never_none(values, heights) -> None:
    drawn = charts.chart("x", [("a", value) for value in values])
    assert [bar.height for bar in drawn.bars] == heights
    assert all(bar.y + bar.height == charts.HEIGHT for bar in drawn.bars)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("ann@EXAMPLE.org", 1),
        ("Ann@example.org", 1),
        ("bob@example.org", 0),
        ("ann", 0),
        ("", 1),
    ],
)
def test_readers_and_suppressions_are_found_by_the_whole_address(
    viewer, ann, typed, found
) -> None:
    suppress(address_hash("ann@example.org"), MANUAL, now=NOW)
    page = viewer.get(url("readers"), {"q": typed})
    assert len(page.context["readers"]) == found
    bars = viewer.get(url("suppressions"), {"q": typed}).context["bars"]
    assert bars == [(Suppression.objects.get(), ann.pk)] * found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"state": "active"}, ["ann@example.org"]),
        ({"topic": "robots"}, ["bob@example.org"]),
        ({"state": "active", "topic": "robots"}, []),
        ({"state": "nonsense"}, []),
        ({"before": "9" * 40}, ["bob@example.org", "ann@example.org"]),
    ],
)
def test_readers_are_found_by_state_and_topic(viewer, ann, query, found) -> None:
    make.reader("bob@example.org", "robots", state="paused")
    page = viewer.get(url("readers"), query)
    assert [reader.email for reader in page.context["readers"]] == found


def test_readers_page_turns_without_skipping_or_repeating(viewer, ann) -> None:
    make.readers([f"r{number}@example.org" for number in range(60)], "graphs")
    first = viewer.get(url("readers"))
    second = viewer.get(url("readers"), {"before": first.context["next"]})
    shown = [one.pk for page in (first, second) for one in page.context["readers"]]
    assert shown == list(Subscriber.objects.order_by("-pk").values_list("pk", flat=True))
    assert second.context["next"] is None


@pytest.mark.parametrize("page", ["today", "editions", "edition", "readers", "reader"])
def test_query_count_does_not_grow_with_rows(viewer, ann, page) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert viewer.get(url(page)).status_code == 200
        return len(seen)

    queries()  # content types and the like are loaded once
    one = queries()
    for number in range(20):
        when = make.schedule("UTC", number)
        reader = make.reader(f"r{number}@example.org", "graphs", "robots", when=when)
        suppress(reader.email_hash, MANUAL, now=NOW)
    plan(NOW + timedelta(hours=12))
    for row in Delivery.objects.all():
        DeliveryEvent.objects.create(delivery=row, at=NOW, source="sender", kind="deferred")
    assert queries() <= one + 1  # reading the reader's events, once there is one


def test_a_test_of_an_edition_goes_to_the_typed_address(
    admin_client, ann, sink, settings
) -> None:
    settings.MAILER_URL = sink.url
    fields = {"act": "test", "address": "ada@example.org"}
    admin_client.post(url("edition"), fields)
    (mail,) = sink.mails()
    assert mail.rcpt == ("ada@example.org",)
    assert "[Test]" in mail.message["Subject"]
    assert log() == ["Test handed over: accepted"]
    assert Delivery.objects.get().state == "pending"  # the reader's own


@pytest.mark.parametrize(
    "typed", ["", "ada", "barred@example.org", "full.r550@example.org"]
)
def test_a_test_that_cannot_be_sent_says_why(
    admin_client, ann, sink, settings, typed
) -> None:
    settings.MAILER_URL = sink.url
    suppress(address_hash("barred@example.org"), MANUAL, now=NOW)
    if typed.startswith("full"):
        settings.MAILER_URL = "smtp://127.0.0.1:9"  # nobody listens there
    fields = {"act": "test", "address": typed}
    page = admin_client.post(url("edition"), fields, follow=True)
    (message,) = page.context["messages"]
    assert message.level_tag == "error" and "Not sent" in str(message)
    assert log() == [] and sink.mails() == []


@pytest.mark.parametrize(
    ("state", "kind"),
    [("pending", "confirm"), ("active", "preferences"), ("paused", "preferences")],
)
def test_a_reader_gets_the_link_again(admin_client, ann, state, kind) -> None:
    Subscriber.objects.update(state=state)
    admin_client.post(url("reader"), {"act": "resend"})
    assert [notice.kind for notice in Notice.objects.all()] == [kind]
    assert len(log()) == 1


def test_no_link_goes_to_one_who_left_or_is_suppressed(admin_client, ann) -> None:
    Subscriber.objects.update(state="unsubscribed")
    admin_client.post(url("reader"), {"act": "resend"})
    Subscriber.objects.update(state="active")
    suppress(ann.email_hash, MANUAL, now=NOW)
    admin_client.post(url("reader"), {"act": "resend"})
    assert not Notice.objects.exists()
    assert log() == []


def test_a_readers_data_is_downloaded_and_that_is_logged(admin_client, ann) -> None:
    answer = admin_client.post(url("reader"), {"act": "export"})
    assert answer["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        told = json.loads(archive.read("data.json"))
    assert told["subscriber"][0]["email"] == "ann@example.org"
    assert len(told["deliveries"]) == 1
    assert ann.unsubscribe_token not in json.dumps(told)
    assert log() == ["Downloaded all data"]


@pytest.mark.parametrize(
    ("typed", "why", "erased"),
    [
        ("ann@example.org", "asked by mail", True),
        ("Ann@Example.org ", "asked by mail", True),
        ("bob@example.org", "asked by mail", False),
        ("", "asked by mail", False),
        ("ann@example.org", "", False),
    ],
)
def test_a_reader_is_erased_after_the_address_is_typed(
    admin_client, ann, typed, why, erased
) -> None:
    fields = {"act": "erase", "typed": typed, "why": why}
    page = admin_client.post(url("reader"), fields, follow=True)
    assert page.status_code == 200
    assert Subscriber.objects.exists() is not erased
    assert log() == (["Erased: asked by mail"] if erased else [])
    assert not Act.objects.filter(detail__contains="ann@").exists()


def test_the_doctors_page_shows_findings_with_their_remedies(
    admin_client, settings
) -> None:
    settings.POSTAL_ADDRESS = "1, Sample Town"
    settings.FROM_EMAIL = "papers@daily-papers.example"  # whose records are not asked for
    settings.MAILER_URL = "smtp://127.0.0.1:9"
    assert "Nothing to mend" not in admin_client.get(url("doctor")).text
    page = admin_client.post(url("doctor"), {"selectors": "<b> s1"})
    assert "POSTAL_ADDRESS is the sample address" in page.text
    assert "POSTAL_ADDRESS=&quot;YOUR NAME, STREET, TOWN&quot;" in page.text
    assert "&lt;b&gt; s1" in page.text
    assert {one.code for one in page.context["found"]} >= {"postal-address", "from-sample"}


def test_only_who_may_steer_runs_the_checks(viewer) -> None:
    assert viewer.get(url("doctor")).status_code == 200
    assert viewer.post(url("doctor")).status_code == 403


def test_a_mail_is_shown_as_it_was_sent_without_the_readers_own_links(
    viewer, ann, sink, settings
) -> None:
    settings.MAILER_URL = sink.url
    row = Delivery.objects.get()
    there = reverse("console_sent", args=[row.pk])
    assert viewer.get(there).status_code == 404  # nothing was handed over
    assert there not in viewer.get(url("reader")).text
    send_due(lambda: NOW)
    assert f'href="{there}"' in viewer.get(url("reader")).text
    (mail,) = sink.mails()
    Paper.objects.update(title="Changed since")
    shown = viewer.get(there).text
    assert (
        "Paper 1" in shown and "Paper 1" in mail.message.get_body(("html",)).get_content()
    )
    assert ann.unsubscribe_token not in shown and "/u/" not in shown
