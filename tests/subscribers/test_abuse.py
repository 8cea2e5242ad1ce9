"""What strangers do to a form, and what reaches other people's mailboxes of it."""

from datetime import timedelta

import pytest
import time_machine
from altcha import v1 as altcha
from django.core import mail as mailbox
from django.test import Client
from django.utils import timezone

from subscribers import proof_of_work, rate_limits, requests
from subscribers.consent import Origin
from subscribers.models import Notice, Request, Subscriber
from subscribers.notices import send
from tests.subscribers.conftest import forget_quota, mailed_token, work_off
from tests.subscribers.flood import flood

PEOPLE = "203.0.114.7"  # a network of the open internet, where requests are counted


def solution(client: Client) -> str:
    """What proof.js posts."""
    asked = client.get("/subscribe/challenge/").json()
    solved = altcha.solve_challenge(
        asked["challenge"], asked["salt"], asked["algorithm"], asked["maxNumber"]
    )
    assert solved is not None
    return altcha.Payload(
        algorithm=asked["algorithm"],
        challenge=asked["challenge"],
        number=solved.number,
        salt=asked["salt"],
        signature=asked["signature"],
    ).to_base64()


def outcomes() -> list[str]:
    return list(Request.objects.order_by("pk").values_list("outcome", flat=True))


def test_s2_many_spellings_through_every_way_in_bring_three_mails(db) -> None:
    """Ten thousand posts: python -m tests.subscribers.flood"""
    mails = flood(210)
    assert 1 <= sum(mails.values()) <= 3
    assert Request.objects.filter(outcome="done").count() > 50


def test_s2_one_network_is_heard_thirty_times_an_hour(client: Client, form) -> None:
    now = timezone.now()
    for number in range(40):
        asked = form | {"email": f"reader{number}@d{number}.example.org"}
        origin = Origin("/subscribe/", "203.0.114.0/24")
        row = Request(kind="link", email=str(asked["email"]))
        requests.put(row, origin=origin, filled=rate_limits.Filled(), now=now)
    requests.handle_open(now=now)
    assert outcomes().count("network") == 10
    assert outcomes().count("done") == 30


def test_s4_who_fills_in_the_trap_gets_the_same_page_and_no_mail(
    client: Client, form
) -> None:
    human = client.post("/subscribe/", form | {"website": ""})
    robot = client.post(
        "/subscribe/", form | {"website": "http://spam.example", "email": "bob@example.org"}
    )
    assert (human.status_code, human.content, human["Location"]) == (
        robot.status_code,
        robot.content,
        robot["Location"],
    )
    work_off()
    assert [message.to for message in mailbox.outbox] == [["ann@example.org"]]
    assert sorted(outcomes()) == ["done", "trapped"]


def test_s4_a_form_sent_within_two_seconds_waits(client: Client, form) -> None:
    now = timezone.now()
    asked = form | {"opened": proof_of_work.stamp(now)}
    client.post("/subscribe/", asked)
    assert Request.objects.get().not_before - now > timedelta(seconds=2)
    old = form | {"opened": proof_of_work.stamp(now - timedelta(seconds=3))}
    for stamp in (old["opened"], "", "forged:stamp", "x" * 3000):
        client.post("/subscribe/", form | {"opened": stamp})
    waits = [row.not_before - row.at for row in Request.objects.order_by("pk")[1:]]
    assert waits == [timedelta(0)] * 4


def test_s4_under_load_a_proof_of_work_is_needed_and_counts_once(
    client: Client, form, monkeypatch
) -> None:
    monkeypatch.setattr(rate_limits, "CALM", 0)
    client.post("/subscribe/", form)  # the one that makes it busy
    solved = solution(client)
    for given in (solved, solved, "", "nonsense", "e30="):
        client.post("/subscribe/", form | {"proof": given, "email": "bob@example.org"})
    waits = [row.not_before - row.at for row in Request.objects.order_by("pk")[1:]]
    assert waits == [timedelta(0)] + [rate_limits.SLOW] * 4


def test_s4_without_javascript_the_mail_comes_a_quarter_of_an_hour_later(
    client: Client, form, monkeypatch
) -> None:
    monkeypatch.setattr(rate_limits, "CALM", 0)
    Request.objects.create(
        kind="link",
        domain="x",
        at=timezone.now(),
        not_before=timezone.now(),
        handled_at=timezone.now(),
    )
    client.post("/subscribe/", form)
    work_off()
    assert mailbox.outbox == []
    later = timezone.now() + rate_limits.SLOW
    requests.handle_open(now=later)
    send.send_open_notices(now=later)
    assert [message.to for message in mailbox.outbox] == [["ann@example.org"]]


def test_s4_an_old_challenge_is_refused(client: Client, db) -> None:
    solved = solution(client)
    assert proof_of_work.solved(solved)
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        assert proof_of_work.solved(solved) is None


def test_s4_the_slow_lane_is_narrow_while_the_forms_are_busy(
    client: Client, form, monkeypatch
) -> None:
    monkeypatch.setattr(rate_limits, "CALM", 0)
    monkeypatch.setattr(rate_limits, "UNPROVED", 2)
    for number in range(5):
        client.post("/subscribe/", form | {"email": f"r{number}@example.org"})
    requests.handle_open(now=timezone.now() + rate_limits.SLOW)
    assert outcomes().count("done") == 3  # the first came while it was calm


def test_s2_a_request_is_forgotten_once_it_is_handled(client: Client, form) -> None:
    client.post("/subscribe/", form | {"interests": "secret words"})
    row = Request.objects.get()
    assert row.email == "ann@example.org"
    work_off()
    row.refresh_from_db()
    assert (row.email, row.preferences, row.outcome) == ("", {}, "done")


def test_s3_the_mail_to_confirm_holds_no_word_of_a_stranger(client: Client, form) -> None:
    evil = "Win $$ http://evil.test"
    words = {"interests": evil, "keywords": evil, "watched_authors": evil}
    agent = {"User-Agent": evil, "Referer": "http://evil.test/"}
    client.post("/subscribe/", form | words, headers=agent)
    work_off()
    (message,) = mailbox.outbox
    raw = message.message().as_string()
    assert "evil" not in raw
    assert all("evil" not in str(part.get_payload()) for part in message.message().walk())


def test_s6_mail_goes_to_the_stored_address_only(client: Client, form) -> None:
    client.post("/subscribe/", form | {"email": "Ann@ＥＸＡＭＰＬＥ.org"})
    work_off()
    assert [message.to for message in mailbox.outbox] == [["Ann@example.org"]]
    assert Subscriber.objects.get().email == "Ann@example.org"


def test_a_mail_that_was_answered_counts_no_more(client: Client, form) -> None:
    client.post("/subscribe/", form)
    client.post(f"/confirm/{mailed_token()}/")
    for _ in range(2):
        client.post("/preferences/", {"email": "ann@example.org"})
        work_off()
    kinds = list(Notice.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["confirm", "preferences"]
    forget_quota()


@pytest.mark.parametrize("path", ["/subscribe/", "/preferences/"])
def test_g7_the_forms_carry_their_guards_out_of_sight(
    client: Client, topics, path: str
) -> None:
    text = client.get(path).text
    hidden = text[
        text.index("<div hidden>") : text.index("</div>", text.index("<div hidden>"))
    ]
    assert all(f'name="{name}"' in hidden for name in ("website", "opened", "proof"))
    assert 'src="/static/proof' in text


def test_s18_a_closed_sign_up_is_closed_at_every_way_in(
    client: Client, form, settings
) -> None:
    client.post("/subscribe/", form | {"email": "early@example.org"})
    settings.SIGN_UP_OPEN = False
    for path in ("/subscribe/", "/subscribe/done/"):
        for answer in (client.get(path), client.post(path, form)):
            assert answer.status_code == 403
            assert "closed" in answer.text
    work_off()  # what lay in the inbox is too late as well
    assert mailbox.outbox == []
    assert not Subscriber.objects.exists()
    assert outcomes() == ["closed"]


def test_s18_a_closed_sign_up_is_offered_nowhere(client: Client, form, settings) -> None:
    settings.SIGN_UP_OPEN = False
    for path in ("/", "/topics/", "/topics/graphs/", "/preferences/"):
        page = client.get(path).text
        assert 'action="/subscribe/"' not in page
        assert 'href="/subscribe/"' not in page


def test_s18_who_reads_already_changes_and_leaves_as_ever(
    client: Client, active, settings
) -> None:
    settings.SIGN_UP_OPEN = False
    client.post("/preferences/", {"email": "ann@example.org"})
    path = f"/preferences/{mailed_token()}/"
    assert client.post(path, {"topics": "vision", "send_hour": "6"}).status_code == 303
    assert list(active.topics.values_list("slug", flat=True)) == ["vision"]
    client.post(f"/u/{active.unsubscribe_token}")
    client.post(f"/u/{active.unsubscribe_token}", {"action": "undo"})
    assert client.post(f"/confirm/{mailed_token()}/").status_code == 200
