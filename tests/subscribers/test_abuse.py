"""What strangers do to a form, and what reaches other people's mailboxes of it."""

import json
from collections import Counter
from datetime import timedelta

import pytest
import time_machine
from altcha import v1 as altcha
from django.core import mail as mailbox
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from subscribers import links, rate_limits, requests, tasks
from subscribers.addresses import canonical, domain_hash
from subscribers.consent import Origin
from subscribers.models import Link, Notice, Request, Subscriber
from subscribers.notices import send
from tests.subscribers.conftest import ask, forget_quota, mailed_token, work_off
from tests.subscribers.flood import flood

PEOPLE = "203.0.114.7"  # a network of the open internet, where requests are counted


def solution(client: Client) -> str:
    """What proof.js posts."""
    return solved(client.get("/subscribe/challenge/").content)


def solved(challenge: bytes | str) -> str:
    asked = json.loads(challenge)
    found = altcha.solve_challenge(
        asked["challenge"], asked["salt"], asked["algorithm"], asked["maxNumber"]
    )
    assert found is not None
    return altcha.Payload(
        algorithm=asked["algorithm"],
        challenge=asked["challenge"],
        number=found.number,
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
    assert Request.objects.count() == 30
    while requests.handle_open(now=now):
        pass
    assert outcomes().count("done") == 30


NETWORKS = [  # a network, and how many of its requests without proof are stored in an hour
    ("203.0.114.0/24", rate_limits.PER_NETWORK),
    ("2001:4860::/48", rate_limits.PER_NETWORK),
    ("10.2.3.0/24", 60),
    ("127.0.0.0/24", 60),
    ("", 60),
]


@pytest.mark.parametrize(("network", "most"), NETWORKS)
def test_s32_a_network_is_refused_before_anything_is_stored(
    topics, monkeypatch, network: str, most: int
) -> None:
    monkeypatch.setattr(rate_limits, "PER_INSTANCE", 60)
    now = timezone.now()
    for number in range(70):
        put(f"r{number}@example.org", network, now)
    assert Request.objects.count() == most
    put("bob@example.org", "198.51.101.0/24", now)
    put("later@example.org", network, now + timedelta(minutes=61))
    assert Request.objects.count() == most + 2


def put(email: str, network: str, now, proof: str = "") -> None:
    origin = Origin("/subscribe/", network)
    filled = rate_limits.Filled(solution=proof)
    kind = Request.Kind.LINK
    requests.ask_for(kind, canonical(email), origin=origin, filled=filled, now=now)


def test_s32_a_proxys_network_does_not_lock_out_who_has_a_proof(
    client: Client, topics, monkeypatch
) -> None:
    """Whoever forgot BEHIND_PROXY sees one network."""
    monkeypatch.setattr(rate_limits, "PER_INSTANCE", 2)
    for number in range(4):
        put(f"r{number}@example.org", "127.0.0.0/24", timezone.now())
    put("ann@example.org", "127.0.0.0/24", timezone.now(), solution(client))
    emails = Request.objects.order_by("pk").values_list("email", flat=True)
    assert list(emails) == ["r0@example.org", "r1@example.org", "ann@example.org"]


@pytest.mark.parametrize("network", [network for network, _ in NETWORKS])
def test_s32_one_networks_flood_puts_nobody_on_the_slow_lane(topics, network: str) -> None:
    now = timezone.now()
    rows = [
        Request(kind="link", network=network, domain="x", at=now, not_before=now)
        for _ in range(rate_limits.CALM * 2)
    ]
    Request.objects.bulk_create(rows)
    put("ann@example.org", "198.51.101.0/24", now)
    assert Request.objects.latest("pk").not_before == now


def test_s32_the_answer_says_nothing_of_the_limit(client: Client, form, settings) -> None:
    settings.BEHIND_PROXY = True
    answers = set()
    for number in range(rate_limits.PER_NETWORK + 10):
        answer = client.post(
            "/subscribe/",
            form | {"email": f"r{number}@example.org"},
            headers={"X-Forwarded-For": PEOPLE},
        )
        headers = tuple(
            sorted(pair for pair in answer.headers.items() if pair[0] != "Expires")
        )
        answers.add((answer.status_code, answer.content, headers))
    assert len(answers) == 1
    assert Request.objects.count() == rate_limits.PER_NETWORK


@pytest.mark.parametrize("stored", [0, 3000])
def test_s32_a_post_takes_two_statements(
    client: Client, form, django_assert_num_queries, stored: int
) -> None:
    now = timezone.now()
    rows = [
        Request(
            kind="link",
            network=f"203.{n % 99}.114.0/24",
            domain="x",
            at=now,
            not_before=now,
        )
        for n in range(stored)
    ]
    Request.objects.bulk_create(rows)
    origin = Origin("/subscribe/", "203.0.115.0/24")
    with django_assert_num_queries(2):
        requests.sign_up(*ask(), origin=origin, filled=rate_limits.Filled(), now=now)


def test_a_request_is_stored_as_save_would_store_it(db, monkeypatch) -> None:
    """Each column's default, and what a field sets by itself."""
    monkeypatch.setattr(Request._meta.get_field("handled_at"), "auto_now_add", True)
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        mine, other = [
            Request(kind="link", source="/", domain="d", at=now, not_before=now)
            for _ in range(2)
        ]
        assert requests.store(mine)
        other.save()
    first, second = map(dict, Request.objects.order_by("pk").values())
    assert first == second | {"id": first["id"]} and first["handled_at"] == now


def test_s32_requests_with_a_proof_are_handled_first(
    client: Client, topics, monkeypatch
) -> None:
    monkeypatch.setattr(requests, "BATCH", 5)
    now = timezone.now()
    for number in range(20):
        put(f"r{number}@example.org", f"203.0.{number}.0/24", now)
    put("ann@example.org", "198.51.101.0/24", timezone.now(), solution(client))
    requests.handle_open(now=timezone.now())
    assert (
        Request.objects.get(
            domain=domain_hash("ann@example.org"), proof__isnull=False
        ).outcome
        == "done"
    )
    assert Request.objects.filter(handled_at=None).count() == 16


def test_s32_the_worker_goes_on_while_rows_remain(topics, monkeypatch) -> None:
    monkeypatch.setattr(requests, "BATCH", 5)
    for number in range(23):
        put(f"r{number}@example.org", f"203.0.{number}.0/24", timezone.now())
    tasks.send_notices()
    assert not Request.objects.filter(handled_at=None).exists()


def test_s32_the_worker_gives_others_their_turn(topics, monkeypatch) -> None:
    messages: list[bool] = []
    monkeypatch.setattr(tasks, "publish", lambda: messages.append(True))
    monkeypatch.setattr(tasks, "TURN", 0)
    monkeypatch.setattr(requests, "BATCH", 5)
    for number in range(7):
        put(f"r{number}@example.org", f"203.0.{number}.0/24", timezone.now())
    tasks.send_notices()
    assert Request.objects.filter(handled_at=None).count() == 2
    assert messages == [True]
    tasks.send_notices()
    assert not Request.objects.filter(handled_at=None).exists()


# Everything that a preferences link can be made to do, posted a dozen times.
POSTS = [
    {"action": "data"},
    {"action": "save", "keywords": "graphs", "send_hour": "7", "timezone": "UTC"},
    {"action": "pause"},
    {"action": "resume"},
    {"action": "address", "email": "victim@example.com"},
    {"action": "nothing of ours"},
]


@pytest.mark.parametrize("beside", POSTS, ids=lambda post: post["action"])
def test_s2_a_preferences_link_does_not_reset_its_mailboxs_quota(
    client: Client, active, beside: dict[str, str]
) -> None:
    work_off()  # the welcome, which counts for no quota
    mailbox.outbox.clear()
    token = links.make(active, Link.Purpose.PREFERENCES, now=timezone.now())
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(12):
            clock.shift(timedelta(minutes=16))
            for post in (beside, {"action": "data"}):
                client.post(f"/preferences/{token}/", post)
                work_off()
    counted = Counter(message.to[0] for message in mailbox.outbox)
    assert counted["ann@example.org"] <= rate_limits.DAILY
    assert counted["victim@example.com"] <= rate_limits.DAILY
    assert counted["ann@example.org"] >= 1


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
    with time_machine.travel(now - timedelta(seconds=3)):
        old = rate_limits.stamp()
    with time_machine.travel(now):
        client.post("/subscribe/", form | {"opened": rate_limits.stamp()})
    assert Request.objects.get().not_before - now > timedelta(seconds=2)
    for stamp in (old, "", "forged:stamp", "x" * 3000):
        client.post("/subscribe/", form | {"opened": stamp})
    waits = [row.not_before - row.at for row in Request.objects.order_by("pk")[1:]]
    assert waits == [timedelta(0)] * 4


def test_s4_under_load_a_proof_of_work_is_needed_and_counts_once(
    client: Client, form, monkeypatch, django_assert_num_queries
) -> None:
    monkeypatch.setattr(rate_limits, "CALM", 0)
    client.post("/subscribe/", form)  # the one that makes it busy
    proof = solution(client)
    for given, statements in [
        (proof, 2),
        (proof, 3),
        ("", 2),
        ("nonsense", 2),
        ("e30=", 2),
    ]:
        with django_assert_num_queries(statements):  # no transaction around them
            client.post("/subscribe/", form | {"proof": given, "email": "bob@example.org"})
    waits = [row.not_before - row.at for row in Request.objects.order_by("pk")[1:]]
    assert waits == [timedelta(0)] + [rate_limits.SLOW] * 4


def test_s4_all_networks_are_counted_once_a_second_under_a_flood(db, monkeypatch) -> None:
    def counted() -> tuple[rate_limits.Crowd, bool]:
        with CaptureQueriesContext(connection) as asked:
            found = rate_limits.crowd("198.51.101.0/24", now=timezone.now())
        (query,) = asked
        return found, "GROUP BY network" in query["sql"]

    assert counted() == (rate_limits.Crowd(near=0, busy=False), True)
    monkeypatch.setattr(rate_limits, "CALM", 0)
    Request.objects.create(
        kind="link", domain="x", at=timezone.now(), not_before=timezone.now()
    )
    monkeypatch.setattr(rate_limits, "STILL_BUSY", 1000.0)
    busy = rate_limits.Crowd(near=0, busy=True)
    assert [counted() for _ in range(3)] == [(busy, True), (busy, False), (busy, False)]
    monkeypatch.setattr(rate_limits, "busy_until", 0.0)
    assert counted() == (busy, True)


@pytest.mark.parametrize("way", ["/subscribe/", "/preferences/", "address"])
def test_s4_at_every_form_that_writes_to_an_address_a_proof_counts_under_load(
    client: Client, form, active, way: str, monkeypatch
) -> None:
    monkeypatch.setattr(rate_limits, "CALM", 0)
    client.post("/subscribe/", form)  # the one that makes it busy
    token = links.make(active, Link.Purpose.PREFERENCES, now=timezone.now())
    path = f"/preferences/{token}/" if way == "address" else way
    data = form | {"email": "bob@example.org", "proof": solution(client), "action": way}
    page = client.get(path).text
    begin = page.index("data-challenge")
    shown = page[begin : page.index("</form>", begin)]
    assert 'name="email"' in shown and 'src="/static/proof' in page
    assert all(f'name="{name}"' in shown for name in ("website", "opened", "proof"))
    client.post(path, data)
    row = Request.objects.latest("pk")
    assert row.email == "bob@example.org" and row.not_before == row.at


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
    proof = solution(client)
    assert rate_limits.solved(proof)
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        assert rate_limits.solved(proof) is None


def test_s4_the_slow_lane_is_narrow_while_the_forms_are_busy(
    client: Client, form, monkeypatch
) -> None:
    monkeypatch.setattr(rate_limits, "CALM", 0)
    monkeypatch.setattr(rate_limits, "UNPROVED", 2)
    for number in range(5):
        client.post("/subscribe/", form | {"email": f"r{number}@example.org"})
    requests.handle_open(now=timezone.now() + rate_limits.SLOW)
    assert outcomes().count("done") == 3  # the first came while it was calm


def test_s4_what_waits_for_the_next_hour_costs_one_look(topics, monkeypatch) -> None:
    monkeypatch.setattr(rate_limits, "PER_INSTANCE", 2)
    now = timezone.now()
    for number in range(4):
        put(f"r{number}@example.org", f"198.51.{101 + number}.0/24", now)
    requests.handle_open(now=now)
    assert sorted(outcomes()) == ["", "", "done", "done"]
    before = list(Request.objects.order_by("pk").values())
    with CaptureQueriesContext(connection) as asked:
        assert requests.handle_open(now=now + requests.LATER) == 0
    assert len(asked) == 2 and before == list(Request.objects.order_by("pk").values())
    requests.handle_open(now=now + rate_limits.HOUR + requests.LATER)
    assert outcomes() == ["done"] * 4


def test_s4_what_has_waited_for_a_day_is_forgotten(topics, monkeypatch) -> None:
    now = timezone.now()
    for number, age in enumerate((25, 23)):
        at = now - timedelta(hours=age)
        put(f"r{number}@example.org", f"198.51.{101 + number}.0/24", at)
    monkeypatch.setattr(rate_limits, "PER_INSTANCE", 0)
    assert requests.handle_open(now=now) == 0
    rows = Request.objects.order_by("pk").values_list("email", "outcome")
    assert list(rows) == [("", "too late"), ("r1@example.org", "")]


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
    assert kinds == ["confirm", "welcome", "preferences"]
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
