"""The pages, as browsers, mail providers, scanners and strangers use them."""

import random
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import html5lib
import pytest
from django.core import mail as mailbox
from django.db import connection
from django.templatetags.static import static
from django.test import Client
from django.utils import timezone

from subscribers import links, rate_limits, subscriptions
from subscribers.addresses import counting_key
from subscribers.models import ConsentEvent, Link, Notice, Request, Subscriber
from subscribers.preferences import next_hour, stored
from tests.subscribers.conftest import (
    ORIGIN,
    TOKEN,
    forget_quota,
    mailed_token,
    notices,
    state_of,
    work_off,
)

UNKNOWN = "AAAAAAAAAAAAAAAAAAAAAA"
MALFORMED = ["x", "A" * 21, "A" * 23, "A" * 21 + "~", "%00" * 22, "é" * 22]
ANSWERS = {"Date", "Expires"}


def everything() -> list[object]:
    """All that these pages could change."""
    with connection.cursor() as cursor:
        rows = []
        for model in (Subscriber, Notice, ConsentEvent, Link, Subscriber.topics.through):
            cursor.execute(f"SELECT * FROM {model._meta.db_table} ORDER BY id")
            rows.append(cursor.fetchall())
    return rows


def same(*responses) -> bool:
    """Same status, same headers, same bytes."""
    kinds = {
        (r.status_code, r.content, str({k: v for k, v in r.items() if k not in ANSWERS}))
        for r in responses
    }
    return len(kinds) == 1


def preferences_link(client: Client, reader: Subscriber) -> str:
    token = links.make(reader, Link.Purpose.PREFERENCES, now=timezone.now())
    return f"/preferences/{token}/"


# -- signing up -------------------------------------------------------------------


def test_a_reader_signs_up_confirms_prefers_and_leaves(client: Client, form) -> None:
    page = client.get("/subscribe/")
    assert 'value="graphs"' in page.text
    assert client.post("/subscribe/", form).headers["Location"] == "/subscribe/done/"
    assert client.get("/subscribe/done/").status_code == 200
    confirm = f"/confirm/{mailed_token()}/"
    shown = client.get(confirm).text
    assert "a…@e…" in shown
    assert "ann@example.org" not in shown
    assert "Every day at 09:00 (Berlin time)" in shown
    done = client.post(confirm)
    assert (done.status_code, state_of()) == (200, "active")
    (preferences,) = set(re.findall(r"/preferences/[\w-]{22}/", done.text))
    assert "checked" in client.get(preferences).text
    saved = client.post(preferences, form | {"topics": ["vision"], "send_hour": "6"})
    assert saved.status_code == 303
    assert "Saved" in client.get(saved.headers["Location"]).text
    reader = Subscriber.objects.get()
    assert list(reader.topics.values_list("slug", flat=True)) == ["vision"]
    assert reader.schedule.send_hour == 6
    gone = client.post(f"/u/{reader.unsubscribe_token}", {"action": "unsubscribe"})
    assert (gone.status_code, state_of()) == (200, "unsubscribed")


def test_a_search_alone_is_said_from_sign_up_to_confirmed(client: Client, topics) -> None:
    asked = {"email": "ann@example.org", "searches": "knot theory"}
    client.post("/subscribe/", asked)
    work_off()
    (mail,) = mailbox.outbox
    token = TOKEN.search(str(mail.body))
    assert token
    shown = client.get(f"/confirm/{token[1]}/").text
    confirmed = client.post(f"/confirm/{token[1]}/").text
    assert isinstance(mail, mailbox.EmailMultiAlternatives)
    html = str(mail.alternatives[0][0])
    for words in (str(mail.body), html, shown, confirmed):
        assert "most upvoted" not in words
    assert all("your searches find" in words for words in (str(mail.body), html, shown))
    assert "knot theory" in shown and "knot theory" in confirmed


def test_a_step_that_is_answered_again_keeps_what_a_browser_knows(client, topics) -> None:
    """The zone is still guessed, and no link to another language loses what was typed."""
    page = client.post("/subscribe/", {"step": "address", "email": "ann@gmail"}).text
    assert "data-guess-timezone" in page
    assert "/de/subscribe/" not in page
    assert "/de/subscribe/" in client.get("/subscribe/").text


@pytest.mark.parametrize(
    ("path", "spoken", "zone"),
    [
        ("/subscribe/", "en-GB", "UTC"),
        ("/subscribe/", "de-AT", "Europe/Berlin"),
        ("/de/subscribe/", "en-GB", "Europe/Berlin"),
    ],
)
def test_without_a_script_the_zone_follows_from_the_language(
    client: Client, topics, form, path: str, spoken: str, zone: str
) -> None:
    headers = {"Accept-Language": spoken}
    shown = client.get(path, headers=headers).text
    assert (f'value="{zone}" selected' in shown) == (zone != "UTC")
    del form["timezone"]
    client.post(path, form, headers=headers)
    mailed_token()
    assert Subscriber.objects.get().schedule.timezone == zone


def test_missing_wishes_have_defaults(client: Client, topics) -> None:
    client.post("/subscribe/", {"email": "ann@example.org", "topics": "graphs"})
    work_off()
    assert str(Subscriber.objects.get().schedule) == "Every day at 07:00 (UTC)"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("email", "", "Enter your email address."),
        ("email", "ann@localhost", "should have a period"),
        ("email", "ann@example.org\r\nBcc: bob@example.org", "invisible"),
        ("email", "a" * 5000, "at most"),
        ("topics", ["graphs", "<script>"], "does not exist"),
        ("topics", ["graphs\x00"], "does not exist"),
        ("timezone", "Mars/Olympus", "time zone from the list"),
        ("timezone", "../etc/passwd", "time zone from the list"),
        ("timezone", "europe/berlin", "time zone from the list"),
        ("send_hour", "24", "hour from 0 to 23"),
        ("send_hour", "-1", "hour from 0 to 23"),
        ("send_hour", "nine", "hour from 0 to 23"),
        ("send_hour", "9" * 5000, "hour from 0 to 23"),
        ("cadence", "hourly", "chosen days or weekly"),
        ("weekday", "7", "Monday to Sunday"),
        ("days", ["1", "7"], "Monday to Sunday"),
        ("interests", "x" * 501, "500 characters at most"),
        ("interests", "\n".join("abcdef"), "5 lines at most"),
        ("interests", "x\x00", "ull characters"),
    ],
)
def test_a_mistake_is_told_beside_its_field_and_the_rest_kept(
    client: Client, form, field: str, value: object, words: str
) -> None:
    typed = form | {"interests": 'cats & "dogs"'} | {field: value}
    answer = client.post("/subscribe/", typed)
    assert answer.status_code == 400
    told = re.search(rf'id="{field}_error"[^>]*>([^<]*)<', answer.text)
    assert told
    assert words in told[1]
    assert "<script>alert" not in answer.text
    if field != "interests":
        assert "cats &amp; &quot;dogs&quot;" in answer.text
    assert Subscriber.objects.count() == 0
    assert Notice.objects.count() == 0


def test_what_was_typed_is_never_markup(client: Client, form) -> None:
    evil = '"><script>alert(1)</script>'
    answer = client.post("/subscribe/", dict.fromkeys(form, evil) | {"email": evil + "@x"})
    assert answer.status_code == 400
    assert "<script>alert" not in answer.text


def test_control_characters_leave_the_interests(client: Client, form) -> None:
    client.post("/subscribe/", form | {"interests": "a\r\nb\x0bc\u202ed"})
    work_off()
    assert Subscriber.objects.get().interests == "a\nb\nc d"


def test_s1_the_answer_says_nothing_of_the_address(client: Client, form) -> None:
    people: dict[str, Callable[..., object] | None] = {
        "pending@example.org": None,
        "active@example.org": subscriptions.confirm,
        "unsubscribed@example.org": subscriptions.unsubscribe,
        "blocked@example.org": subscriptions.block,
    }
    for email, step in people.items():
        client.post("/subscribe/", form | {"email": email})
        token = mailed_token()
        if step is subscriptions.unsubscribe:
            pk = Subscriber.objects.get(email=email).pk
            subscriptions.unsubscribe(pk, origin=ORIGIN, now=timezone.now())
        elif step is not None:
            step(token, origin=ORIGIN, now=timezone.now())
    forget_quota()
    for _ in range(rate_limits.DAILY):
        Notice.objects.create(
            subscriber=Subscriber.objects.get(email="pending@example.org"),
            kind="moved",
            state="accepted",
            mailbox=counting_key("quota@example.org"),
            created_at=timezone.now(),
            not_before=timezone.now(),
        )
    everybody = ["new@example.org", "new@example.org", "quota@example.org", *people]
    for path in ("/subscribe/", "/preferences/"):
        answers = [client.post(path, form | {"email": email}) for email in everybody]
        assert same(*answers)
        assert answers[0].status_code == 303
        pages = [client.get(answer.headers["Location"]) for answer in answers]
        assert same(*pages)
    before = len(mailbox.outbox)
    work_off()
    sent = [(m.to[0], m.subject.split()[0]) for m in mailbox.outbox[before:]]
    assert sorted(sent) == [
        ("active@example.org", "You"),
        ("active@example.org", "Your"),
        ("new@example.org", "Please"),
        ("pending@example.org", "Please"),
        ("unsubscribed@example.org", "Please"),
    ]


def test_the_sign_up_does_not_wait_for_a_dead_broker(
    client: Client, form, settings
) -> None:
    started = time.monotonic()
    assert client.post("/subscribe/", form).status_code == 303
    assert time.monotonic() - started < 4
    assert Request.objects.open(timezone.now()).count() == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("", ""),
    ],
)
def test_g1_only_the_truncated_network_of_the_connection_is_kept(
    client: Client, form, address: str, network: str
) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9"}
    client.post("/subscribe/", form, headers=forged, REMOTE_ADDR=address)
    work_off()
    event = ConsentEvent.objects.get()
    assert (event.network, event.source) == (network, "/subscribe/")


def test_links_in_mail_never_follow_the_host_header(client: Client, form, settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    client.post("/subscribe/", form, headers={"Host": "evil.test"})
    mailed_token()
    assert "evil.test" not in mailbox.outbox[-1].message().as_string()
    assert settings.SITE_URL in str(mailbox.outbox[-1].body)


# -- confirming and blocking ------------------------------------------------------


def test_a_second_confirmation_is_no_error(client: Client, form) -> None:
    client.post("/subscribe/", form)
    path = f"/confirm/{mailed_token()}/"
    first, second = client.post(path), client.post(path)
    assert (first.status_code, second.status_code, state_of()) == (200, 200, "active")
    assert not re.search(r"/preferences/[\w-]{22}/", second.text)
    assert client.get(path).status_code == 200


def test_an_expired_link_offers_a_new_one_by_post(client: Client, form) -> None:
    client.post("/subscribe/", form)
    path = f"/confirm/{mailed_token()}/"
    Link.objects.update(expires_at=timezone.now())
    forget_quota()
    for answer in (client.get(path), client.post(path)):
        assert answer.status_code == 410
        assert 'value="again"' in answer.text
    assert state_of() == "pending"
    assert client.post(path, {"action": "again"}).status_code == 200
    assert client.post(f"/confirm/{mailed_token()}/").status_code == 200
    assert state_of() == "active"


def test_an_expired_link_to_the_preferences_offers_a_new_one(
    client: Client, active
) -> None:
    path = preferences_link(client, active)
    Link.objects.update(expires_at=timezone.now() - timedelta(days=1))
    assert client.get(path).status_code == 410
    assert client.post(path, {"action": "unsubscribe"}).status_code == 410
    assert state_of() == "active"
    client.post(path, {"action": "again"})
    assert client.get(f"/preferences/{mailed_token()}/").status_code == 200


def test_the_holder_of_an_address_can_block_it(client: Client, form) -> None:
    client.post("/subscribe/", form)
    path = f"/block/{mailed_token()}/"
    assert "a…@e…" in client.get(path).text
    assert client.post(path).status_code == 200
    assert client.post(path).status_code == 200
    forget_quota()
    assert client.post("/subscribe/", form).status_code == 303
    assert len(notices()) == 1


@pytest.mark.each_row
@pytest.mark.parametrize("page", ["confirm", "block", "preferences"])
@pytest.mark.parametrize("token", [UNKNOWN, *MALFORMED])
def test_a_wrong_token_is_not_found(client: Client, db, page: str, token: str) -> None:
    path = f"/{page}/{token}/"
    for answer in (client.get(path), client.post(path)):
        assert answer.status_code == 404
        assert "does not work" in answer.text


def test_s11_a_token_opens_the_page_of_its_purpose_only(client: Client, active) -> None:
    now = timezone.now()
    tokens = {
        "preferences": links.make(active, Link.Purpose.PREFERENCES, now=now),
        "confirm": links.make(active, Link.Purpose.CONFIRM, now=now),
        "u": active.unsubscribe_token,
    }
    for made, token in tokens.items():
        for page in ("confirm", "block", "preferences"):
            right = {"block": "confirm"}.get(page, page) == made
            assert client.get(f"/{page}/{token}/").status_code == (200 if right else 404)
    for made in ("preferences", "confirm"):
        client.post(f"/u/{tokens[made]}")
    assert state_of() == "active"


# -- preferences ------------------------------------------------------------------


def test_mails_are_paused_resumed_and_ended_from_the_preferences(
    client: Client, active
) -> None:
    path = preferences_link(client, active)
    seen = []
    for step in ("pause", "resume", "unsubscribe", "resume", "save"):
        client.post(path, {"action": step, "topics": "graphs"})
        seen.append(state_of())
    assert seen == ["paused", "active"] + ["unsubscribed"] * 3
    assert "not subscribed" in client.get(path).text


@pytest.mark.parametrize(
    ("posted", "said"),
    [
        ({"action": "save", "send_hour": "7", "timezone": "UTC"}, ["Saved."]),
        ({"action": "data"}, ["Check your inbox: a link to your data is on its way"]),
        ({"action": "pause"}, ["Your mails are paused."]),
        ({"action": "resume"}, ["Your mails go on."]),
        ({"action": "pause", "until": "2020-01-01"}, ["Nothing was saved."]),
    ],
)
def test_the_preferences_say_what_a_button_did_and_what_happens_next(
    client: Client, active, posted: dict[str, str], said: list[str]
) -> None:
    path = f"{preferences_link(client, active)}?saved=1"  # where the last change led
    page = client.post(path, posted, follow=True).text
    found = re.findall(r'<p class="notice"[^>]*>([^<]*)', page)
    assert [text.startswith(start) for text, start in zip(found, said, strict=True)] == [
        True
    ], found


def test_a_mistake_in_the_preferences_changes_nothing(client: Client, active) -> None:
    path = preferences_link(client, active)
    before = everything()
    answer = client.post(path, {"topics": "graphs", "send_hour": "25"})
    assert answer.status_code == 400
    assert "hour from 0 to 23" in answer.text
    assert everything() == before


def page_fields(page: str) -> dict[str, Any]:
    """Return what the form of the preferences would post as it is, without scripts."""
    body = html5lib.parse(page, namespaceHTMLElements=False).find(".//form[@data-preview]")
    found: dict[str, Any] = {}
    for one in body.iter() if body is not None else []:
        name, value = one.get("name", ""), one.get("value", "")
        if one.tag == "select":
            options = list(one.iter("option"))
            chosen = [each for each in options if each.get("selected") is not None]
            one = (chosen or options)[0]
            found[name] = one.get("value", one.text)
        elif one.get("type") == "checkbox":
            is_on = one.get("checked") is not None
            found[name] = [*found.get(name, []), *([value] if is_on else [])]
        elif one.tag in {"input", "textarea"}:
            found[name] = value or one.text or ""
    return found


def test_what_is_saved_from_an_old_tab_takes_back_nothing_else(
    client: Client, active
) -> None:
    path = preferences_link(client, active)
    old = page_fields(client.get(path).text)
    new = old | {"topics": ["graphs", "vision"], "send_hour": "21", "interests": "knots"}
    new |= {"muted_authors": "Ann Noyance\nBo Ring", "cadence": "weekly", "weekday": "2"}
    assert client.post(path, new).status_code == 303
    client.post(path, old | {"muted_authors": "Cy Nic", "language": "de", "topics": []})
    active.refresh_from_db()
    has = stored(active)
    assert (has.language, has.send_hour, has.interests) == ("de", 21, "knots")
    assert (has.topics, has.cadence, has.days) == (("vision",), "weekly", (2,))
    assert has.muted_authors == ("Ann Noyance", "Bo Ring", "Cy Nic")
    before = everything()
    assert client.post(path, old).status_code == 303  # nothing was changed in this tab
    wrong = client.post(path, old | {"send_hour": "25"})
    assert page_fields(wrong.text)["shown"] == old["shown"]
    assert everything() == before


@pytest.mark.parametrize("shown", ["", "x", "{}", "e30:x:y", "." * 999])
def test_without_what_the_page_had_shown_the_form_is_saved_as_it_is(
    client: Client, active, shown: str
) -> None:
    path = preferences_link(client, active)
    posted = page_fields(client.get(path).text) | {"shown": shown, "send_hour": "5"}
    assert client.post(path, posted).status_code == 303
    active.refresh_from_db()
    assert stored(active).send_hour == 5


# -- leaving ----------------------------------------------------------------------

ONE_CLICK = "List-Unsubscribe=One-Click"
MULTIPART = '--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (ONE_CLICK, "application/x-www-form-urlencoded"),
        (ONE_CLICK, "application/x-www-form-urlencoded; charset=UTF-8"),
        (ONE_CLICK, "application/x-www-form-urlencoded; charset=iso-8859-1"),
        (ONE_CLICK, "application/x-www-form-urlencoded; charset=nonsense"),
        (ONE_CLICK + "&x=1&action=", "application/x-www-form-urlencoded"),
        (MULTIPART, "multipart/form-data; boundary=b"),
        (MULTIPART, "multipart/form-data; boundary=other"),
        (MULTIPART, "multipart/form-data"),
        ("--b\r\nbroken", "multipart/form-data; boundary=b"),
        ("", "application/x-www-form-urlencoded"),
        ("", ""),
        (ONE_CLICK, ""),
        ("{}", "application/json"),
        ("\xff\xfe", "text/plain"),
        ("&".join(f"a{n}=1" for n in range(2000)), "application/x-www-form-urlencoded"),
        ("x=" + "y" * 70_000, "application/x-www-form-urlencoded"),
    ],
)
def test_u2_a_one_click_post_unsubscribes_whatever_its_body(
    active: Subscriber, body: str, content_type: str
) -> None:
    provider = Client(enforce_csrf_checks=True)
    path = f"/u/{active.unsubscribe_token}"
    answer = provider.generic("POST", path, body, content_type=content_type)
    assert answer.status_code == 200
    assert state_of() == "unsubscribed"
    assert len(answer.content) < 200
    assert "Location" not in answer
    assert not answer.cookies


def test_u4_leaving_twice_and_with_an_unknown_token_is_answered_alike(
    client: Client, active
) -> None:
    path = f"/u/{active.unsubscribe_token}"
    for action in ("", "unsubscribe", "weekly", "pause", "link"):
        body = {"action": action} if action else {}
        answers = [client.post(at, body) for at in (path, path, f"/u/{UNKNOWN}")]
        assert same(*answers)
        assert answers[0].status_code == 200
    active.delete()
    assert same(client.get(path), client.get(f"/u/{UNKNOWN}"))
    assert client.post(path).status_code == 200


def test_the_link_of_a_reader_who_left_says_so_and_offers_the_way_back(
    client: Client, active
) -> None:
    path = f"/u/{active.unsubscribe_token}"
    assert same(client.get(path), client.get(f"/u/{UNKNOWN}"))
    client.post(path)
    page = client.get(path).text
    assert "You have unsubscribed" in page and 'value="undo"' in page
    client.post(path, {"action": "undo"})
    assert state_of() == "pending"


@pytest.mark.parametrize(
    "after",
    ["/", ".", ">", "%3E", "%3e", "%20", "%253E", ".>", "/>.", "=", ")", "]", "**", "_*"]
    + ["&utm=1", "%22", "'", ";", "%E2%80%9D", "%EF%BC%89%E3%80%82", "|https://x.org/u"],
)
def test_what_a_mail_program_takes_for_a_part_of_the_link_is_forgiven(
    client: Client, active, after: str
) -> None:
    path = f"/u/{active.unsubscribe_token}{after}"
    assert client.get(path).status_code == 200
    answer = client.post(path, {"List-Unsubscribe": "One-Click"})
    assert (answer.status_code, answer.content) == (200, b"You are unsubscribed.\n")
    assert state_of() == "unsubscribed"


@pytest.mark.parametrize(
    "after",
    ["/>", "/%3E", "/)", "/.", "/_*", "/**", "/%22%3Ehere%3C/a%3E", "/&gt;", "/%E2%80%9D"]
    + [".", ">", ">/", "./", ")/", "%20", "|https://x.org/u"],
)
def test_the_same_is_forgiven_behind_every_other_link(
    client: Client, active, after: str
) -> None:
    """By a redirect to the page, as a form is posted to where it was shown."""
    pages, before = mailed_pages(active), everything()
    for path in pages:
        if path.startswith(("/u/", "/p/")):
            continue
        answer = client.get(path.rstrip("/") + after, follow=True)
        assert (answer.redirect_chain[-1][0], answer.status_code) == (path, 200)
        assert client.post(path.rstrip("/") + after).status_code in {301, 404}
    assert everything() == before


def test_a_link_that_was_cut_leads_nowhere_else(client: Client, db) -> None:
    for path in (
        f"/confirm/{UNKNOWN[:-1]}/",
        f"/data/-{UNKNOWN[2:]}./x/",
        f"/confirm/{UNKNOWN}/x/",
    ):
        assert client.get(path).status_code == 404


def test_from_a_digest_one_press_mails_the_link_to_the_preferences(
    client: Client, active
) -> None:
    """Nothing is typed; who was forwarded the digest sees and changes nothing."""
    path = f"/p/{active.unsubscribe_token}"
    forget_quota()
    before = Notice.objects.count()
    page = client.get(path).text
    assert "ann@" not in page and "Graphs" not in page and page.count("<button") == 1
    assert "<input" not in page and Notice.objects.count() == before
    answers = [client.post(where) for where in (path, f"/p/{UNKNOWN}")]
    assert same(*answers) and "on its way" in answers[0].text
    assert Notice.objects.count() == before + 1
    assert client.get(f"/preferences/{mailed_token()}/").status_code == 200
    assert client.post("/p/x").status_code == 404


def test_the_page_after_confirming_says_what_comes_and_when(
    client: Client, form, monkeypatch
) -> None:
    client.post("/subscribe/", form | {"cadence": "weekly", "weekday": "3"})
    page = client.post(f"/confirm/{mailed_token()}/").text
    reader = Subscriber.objects.select_related("schedule").get()
    assert reader.confirmed_at
    first = next_hour(reader.schedule, reader.confirmed_at)
    assert first.weekday() == 3 and first.hour == 9 and first > reader.confirmed_at
    assert f"Thursday, {first.day} {first:%B} at 09:00" in page
    assert "Berlin time" in page and "Graphs" in page and "/newest/" in page


@pytest.mark.parametrize("token", MALFORMED)
def test_u4_a_malformed_token_to_leave_is_not_found(client: Client, db, token: str) -> None:
    assert client.post(f"/u/{token}").status_code == 404
    assert client.get(f"/u/{token}").status_code == 404


def test_u13_less_can_be_asked_for_instead_of_nothing(client: Client, active) -> None:
    path = f"/u/{active.unsubscribe_token}"
    assert 'id="more"' in client.get(path).text
    client.post(path, {"action": "weekly"})
    assert (
        str(Subscriber.objects.get().schedule)
        == "Once a week, on Monday at 09:00 (Berlin time)"
    )
    client.post(path, {"action": "link"})
    assert client.get(f"/preferences/{mailed_token()}/").status_code == 200
    client.post(path, {"action": "pause"})
    assert state_of() == "paused"


def test_u6_the_link_to_leave_outlives_keys_years_and_a_new_sign_up(
    client: Client, active, form, settings
) -> None:
    path = f"/u/{active.unsubscribe_token}"
    settings.SECRET_KEY = "a key that came later"
    settings.SECRET_KEY_FALLBACKS = []
    Link.objects.all().delete()
    assert client.post(path).status_code == 200
    assert state_of() == "unsubscribed"
    forget_quota()
    client.post("/subscribe/", form)
    client.post(f"/confirm/{mailed_token()}/")
    assert state_of() == "active"
    client.post(path)
    assert state_of() == "unsubscribed"


# -- all of them ------------------------------------------------------------------


def mailed_pages(reader: Subscriber) -> list[str]:
    now = timezone.now()
    confirm = links.make(reader, Link.Purpose.CONFIRM, now=now)
    preferences = links.make(reader, Link.Purpose.PREFERENCES, now=now)
    return [
        f"/confirm/{confirm}/",
        f"/block/{confirm}/",
        f"/preferences/{preferences}/",
        f"/u/{reader.unsubscribe_token}",
    ]


def test_a_typed_address_is_shown_to_its_browser_alone_and_corrected_with_one_press(
    client: Client, form
) -> None:
    asked = form | {"email": "ann@example.ogr", "cadence": "weekly", "weekday": "3"}
    answer = client.post("/subscribe/", asked)
    cookie = answer.cookies["typed"]
    assert answer["Location"] == "/subscribe/done/" and "example.ogr" not in cookie.value
    names = ("path", "max-age", "samesite", "httponly")
    assert [cookie[name] for name in names] == ["/subscribe/done/", 600, "Strict", True]
    page = client.get("/subscribe/done/").text
    assert '<strong class="unbroken" dir="ltr">ann@example.ogr</strong>' in page
    assert "ann@" not in Client().get("/subscribe/done/").text
    hidden = re.findall(r'type="hidden" name="(\w+)" value="(.*?)"', page)
    again = client.post("/subscribe/", dict(hidden) | {"step": "correct"}).text
    assert 'value="ann@example.ogr"' in again and 'value="weekly" selected' in again
    assert ">Berlin (UTC" in again and "data-guess-timezone" not in again
    assert Request.objects.count() == 1  # to correct it asks for nothing yet


@pytest.mark.parametrize("cookie", ["", "x", "eyJlbWFpbCI6WyJhQHguZXhhbXBsZSJdfQ:1:x"])
def test_a_cookie_that_we_did_not_sign_shows_nothing(client: Client, cookie: str) -> None:
    client.cookies["typed"] = cookie
    page = client.get("/subscribe/done/")
    assert page.status_code == 200 and "You typed" not in page.text


def test_of_a_long_form_the_address_alone_is_kept(client: Client, form) -> None:
    numbers = random.Random(1)
    names = ("keywords", "muted_authors", "watched_authors")
    long = {
        name: "\n".join(f"{numbers.getrandbits(300):x}" for _ in range(30))
        for name in names
    }
    client.post("/subscribe/", form | long)
    page = client.get("/subscribe/done/").text
    assert "ann@example.org" in page and "muted_authors" not in page


def test_the_page_after_asking_for_a_link_shows_the_address_too(client: Client, db) -> None:
    client.post("/preferences/", {"email": "ann@example.org", "action": "data"})
    assert "ann@example.org" in client.get("/preferences/sent/").text
    again = client.post("/preferences/", {"email": "ann@example.org", "step": "correct"})
    assert 'value="ann@example.org"' in again.text and Request.objects.count() == 1


@pytest.mark.parametrize("state", ["pending", "active", "unsubscribed"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PROPFIND", "PUT", "DELETE"])
def test_u3_nothing_but_post_changes_anything(
    client: Client, active, state: str, method: str
) -> None:
    Subscriber.objects.update(state=state)
    pages = mailed_pages(active)
    before = everything()
    for path in [*pages, "/subscribe/", "/subscribe/done/", "/preferences/"]:
        answer = client.generic(method, path + "?action=unsubscribe&confirm=true")
        assert answer.status_code in ({200, 410} if method in {"GET", "HEAD"} else {405})
        assert not answer.cookies
    assert everything() == before


@pytest.mark.parametrize("forged", ["", "short", "f" * 32])
def test_s11_no_page_is_kept_indexed_or_sets_a_cookie(
    client: Client, active, forged: str
) -> None:
    client.cookies["sessionid"] = client.cookies["csrftoken"] = forged
    for path in [
        *mailed_pages(active),
        "/subscribe/",
        "/preferences/",
        f"/u/{UNKNOWN}",
        "/u/x",
    ]:
        for answer in (client.get(path), client.post(path, {"action": "link"})):
            assert "no-store" in answer["Cache-Control"]
            assert answer["X-Robots-Tag"] == "noindex"
            token_in_path = path not in {"/subscribe/", "/preferences/"}
            policy = "no-referrer" if token_in_path else "same-origin"
            assert answer["Referrer-Policy"] == policy
            assert not answer.cookies
            assert "Cookie" not in answer.get("Vary", "")


def test_u3_the_pages_work_without_scripts_and_submit_nothing_by_themselves(
    client: Client, active
) -> None:
    for path in mailed_pages(active):
        text = client.get(path).text
        scripts = set(re.findall(r"<script[^>]*>", text))
        assert scripts <= {  # both wait for a hand
            f'<script src="{static(name)}" defer>' for name in ("preview.js", "proof.js")
        }
        assert "ann@example.org" not in text


def test_a_mail_holds_only_addresses_of_its_own_site(
    client: Client, active, settings
) -> None:
    client.post(f"/u/{active.unsubscribe_token}", {"action": "link"})
    mailed_token()
    found = re.findall(r"https?://[^\s\"<]+", str(mailbox.outbox[-1].body))
    assert found
    assert all(url.startswith(settings.SITE_URL) for url in found)
    assert any(TOKEN.search(url) for url in found)
