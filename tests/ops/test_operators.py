"""Accounts of operators: roles, the second factor, wrong logins, and the audit log."""

import os
import pwd
import re
from datetime import timedelta
from functools import partial
from threading import Barrier, Event

import pytest
import time_machine
from django.contrib.auth.models import Group, Permission, User
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from digest.deliveries.plan import plan
from digest.models import Act, Announcement, Delivery, Edition, RecoveryCode
from digest.ops.console import acts, announcements, imports
from digest.ops.operators import audit, login, roles, second_factor
from digest.ranking.loaded import load
from digest.tasks import drop_old
from subscribers import consent
from subscribers.models import ConsentEvent, Import, Subscriber, Suppression
from subscribers.suppression import suppress
from tests import make
from tests.race import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]
PASSWORD = "a-long-password"
NOBODY = "nobody"  # staff without a role
EVERYBODY = [NOBODY, *roles.ROLES]


def account(role: str, name: str = "ann") -> User:
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
    if role != NOBODY:
        roles.give(user, role)
    return user


def logged_in(role: str) -> Client:
    client = Client()
    client.force_login(account(role))
    return client


@pytest.fixture
def reader() -> Subscriber:
    make.edition({make.paper(1): {"graphs": 1.0}})
    reader = make.reader("ann@example.org", "graphs")
    plan(make.NOON)
    return reader


# -- roles -----------------------------------------------------------------------------------

# Which role is the first that may open a page; "any" page of the tables by its list.
PAGES = {
    "console_today": "viewer",
    "console_charts": "viewer",
    "console_editions": "viewer",
    "console_edition": "viewer",
    "console_preview": "viewer",
    "console_why": "viewer",
    "console_sent": "viewer",
    "console_readers": "viewer",
    "console_reader": "viewer",
    "console_suppressions": "viewer",
    "console_suppression": "viewer",
    "console_relays": "viewer",
    "console_unknown": "viewer",
    "console_notices": "viewer",
    "console_settings": "viewer",
    "console_imports": "viewer",
    "console_import": "viewer",
    "console_announcements": "viewer",
    "console_announcement": "viewer",
    "console_announcement_preview": "viewer",
    "console_announcement_new": "editor",
    "console_reports": "viewer",
    "console_doctor": "viewer",
    "console_audit": "owner",
    "admin:subscribers_subscriber_changelist": "viewer",
    "admin:subscribers_suppression_changelist": "viewer",
    "admin:subscribers_suppression_add": "editor",
    "admin:digest_delivery_changelist": "viewer",
    "admin:digest_edition_changelist": "viewer",
    "admin:auth_user_changelist": "owner",
    "admin:auth_user_add": "owner",
    "admin:auth_group_changelist": None,  # a superuser's
}
ACTS = {
    ("console_edition", "pause"): "sender",
    ("console_edition", "resume"): "sender",
    ("console_edition", "cancel"): "sender",
    ("console_edition", "retry"): "sender",
    ("console_edition", "test"): "editor",
    ("console_reader", "pause"): "editor",
    ("console_reader", "resume"): "editor",
    ("console_reader", "resend"): "editor",
    ("console_reader", "suppress"): "editor",
    ("console_reader", "lift"): "owner",
    ("console_reader", "erase"): "owner",
    ("console_reader", "export"): "owner",
    ("console_suppression", "lift"): "owner",
    ("console_relays", "end rest"): "sender",
    ("console_unknown", "mark-sent"): "sender",
    ("console_unknown", "resend"): "sender",
    ("console_unknown", "abandon"): "sender",
    ("console_unknown", "quarantine"): "sender",
    ("console_imports", "upload"): "owner",
    ("console_import", "check"): "owner",
    ("console_import", "import"): "owner",
    ("console_import", "cancel"): "owner",
    ("console_doctor", "run"): "sender",
    ("console_reports", "upload"): "sender",
    ("console_announcement_new", "write"): "editor",
    ("console_announcement", "save"): "editor",
    ("console_announcement", "test"): "editor",
    ("console_announcement", "start"): "sender",
    ("console_announcement", "delete"): "editor",
}


def may(role: str, first: str | None) -> bool:
    return first is not None and EVERYBODY.index(role) >= EVERYBODY.index(first)


def url(page: str, reader: Subscriber) -> str:
    edition = Edition.objects.get().pk
    args = {"console_edition": [edition], "console_reader": [reader.pk]}
    if page == "console_import":
        now = timezone.now()
        return reverse(
            page,
            args=[
                Import.objects.get_or_create(
                    name="x", defaults={"created_at": now, "changed_at": now}
                )[0].pk
            ],
        )
    if page == "console_sent":
        row = Delivery.objects.get()
        fingerprint = load(edition).encoded.fingerprint
        Delivery.objects.update(picks=f"0:- en@{fingerprint}", intent_at=timezone.now())
        return reverse(page, args=[row.pk])
    if page == "console_suppression":
        bar = {"reason": "bounced", "at": timezone.now()}
        one, _ = Suppression.objects.get_or_create(email_hash="x", defaults=bar)
        return reverse(page, args=[one.pk])
    if page in {"console_announcement", "console_announcement_preview"}:
        draft = Announcement.objects.get_or_create(subject="x", title="x", body="x")[0].pk
        return reverse(
            page, args=[draft] if page == "console_announcement" else [draft, "html"]
        )
    both = dict.fromkeys(["console_preview", "console_why"], [edition, reader.pk])
    return reverse(page, args=(args | both).get(page, []))


@pytest.mark.parametrize("role", EVERYBODY)
def test_each_role_opens_its_pages_and_no_other(reader, role) -> None:
    client = logged_in(role)
    got = {page: client.get(url(page, reader)).status_code for page in PAGES}
    assert got == {page: 200 if may(role, first) else 403 for page, first in PAGES.items()}


@pytest.mark.parametrize("role", EVERYBODY)
def test_each_role_does_its_acts_and_no_other(reader, role, monkeypatch) -> None:
    """Without fields most acts say what is missing: they were allowed, and did nothing."""
    monkeypatch.setattr("digest.ops.doctor.doctor.examine", lambda *args, **named: [])
    client = logged_in(role)
    allowed = {
        one: client.post(url(one[0], reader), {"act": one[1]}).status_code != 403
        for one in ACTS
    }
    assert allowed == {one: may(role, first) for one, first in ACTS.items()}


def test_the_table_has_each_act_and_page() -> None:
    named = {("console_edition", act) for act in acts.EDITION_ACTS}
    named |= {("console_relays", act) for act in acts.RELAY_ACTS}
    named |= {("console_unknown", act) for act in acts.UNKNOWN_ACTS}
    named |= {("console_reader", act) for act in [*acts.READER_ACTS, "export"]}
    named |= {("console_suppression", act) for act in acts.SUPPRESSION_ACTS}
    named |= {("console_import", act) for act in imports.IMPORT_ACTS}
    named |= {("console_reports", act) for act in acts.REPORT_ACTS}
    named |= {("console_announcement", act) for act in [*announcements.ACTS, "save"]}
    alone = {("console_doctor", "run"), ("console_imports", "upload")}
    alone |= {("console_announcement_new", "write")}
    assert set(ACTS) - alone == named
    from digest.ops.urls import urlpatterns

    pages = {f"{one.name}" for one in urlpatterns if f"{one.name}".startswith("console_")}
    assert pages - set(PAGES) == {"console_account", "console_code", "console_leave"}


def test_nobody_without_an_account_sees_any_page(client, reader) -> None:
    for page in [*PAGES, "console_account", "console_code"]:
        answer = client.get(url(page, reader))
        assert answer.url.startswith(reverse("admin:login")), page


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_viewer_of_tables_changes_none(reader, role) -> None:
    """Rows of the tables cannot be edited or deleted by anybody; bars are lifted by owners."""
    suppress(reader.email_hash, Suppression.Reason.MANUAL, now=make.NOON)
    client = logged_in(role)
    paths = [reverse("admin:subscribers_subscriber_delete", args=[reader.pk])]
    paths += [reverse("admin:digest_edition_delete", args=[Edition.objects.get().pk])]
    assert [client.post(path, {"post": "yes"}).status_code for path in paths] == [403] * 2
    bar = Suppression.objects.get()
    lift = {"action": "lift", "_selected_action": bar.pk, "why": "asked"}
    client.post(reverse("admin:subscribers_suppression_changelist"), lift)
    assert Suppression.objects.exists() == (role != "owner")


def test_who_may_see_bars_alone_sees_nothing_else_of_the_person(reader) -> None:
    """A group of the operator's own may have less than any role."""
    suppress(reader.email_hash, Suppression.Reason.MANUAL, now=make.NOON)
    origin, kind = consent.Origin("web"), ConsentEvent.Kind.CONFIRMED
    about = {"subscriber_id": reader.pk, "origin": origin, "now": make.NOON}
    consent.append([consent.receipt(reader.email_hash, kind, **about)])
    user, client = account(NOBODY), Client()
    client.force_login(user)
    page = reverse("console_suppression", args=[Suppression.objects.get().pk])
    for codename, sees in (("view_suppression", False), ("view_subscriber", True)):
        user.user_permissions.add(Permission.objects.get(codename=codename))
        shown = client.get(page).text
        told = "<h2>Consent</h2>", "<dt>Reader</dt>", f"Reader {reader.pk}"
        assert [words in shown for words in told] == [sees] * 3


def test_groups_follow_the_roles_at_each_migrate() -> None:
    group = Group.objects.get(name="viewer")
    group.permissions.add(Permission.objects.get(codename="delete_subscriber"))
    Group.objects.get(name="sender").delete()
    roles.sync_after_migrate()
    assert not group.permissions.exclude(codename__startswith="view_").exists()
    assert Group.objects.filter(name__in=roles.ROLES).count() == 4
    with CaptureQueriesContext(connection) as seen:
        roles.sync_after_migrate()
    assert len(seen) <= 3
    assert all("SELECT" in one["sql"].split("FROM")[0] for one in seen)


@pytest.mark.parametrize(
    ("fields", "held"),
    [
        ({"act": "cancel", "why": "x", "typed": "2026-04-17"}, True),
        ({"act": "cancel", "why": "x", "typed": "2026-04-18"}, False),
        ({"act": "cancel", "why": "x"}, False),
    ],
)
def test_an_act_on_all_readers_needs_typed_words(reader, fields, held) -> None:
    logged_in("sender").post(url("console_edition", reader), fields)
    assert bool(Edition.objects.get().hold) == held
    assert Act.objects.filter(what="cancel").exists() == held


def test_roles_are_given_on_the_command_line(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.stdin", open_text("quite-a-good-password\n"))
    call_command("operator", "bob", "add", role="editor")
    bob = User.objects.get(username="bob")
    assert bob.check_password("quite-a-good-password") and roles.role_of(bob) == "editor"
    call_command("operator", "bob", "role", role="sender")
    assert roles.role_of(User.objects.get(username="bob")) == "sender"
    User.objects.create_superuser("root")
    capsys.readouterr()
    call_command("operator")
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["bob", "sender", "no second factor"],
        ["root", "owner", "no second factor"],
    ]


@pytest.mark.parametrize("password", ["short", "password1234", "", "bob-bob-bob-bob"])
def test_a_weak_password_is_refused(monkeypatch, password) -> None:
    monkeypatch.setattr("sys.stdin", open_text(f"{password}\n"))
    with pytest.raises(CommandError):
        call_command("operator", "bob-bob-bob-bob", "add", role="editor")
    assert not User.objects.exists()


def open_text(words: str):
    from io import StringIO

    return StringIO(words)


# -- the second factor -----------------------------------------------------------------------


def code(user: User, *, steps: int = 0) -> str:
    """Return the code that the user's app shows, or will in some steps of 30 s."""
    device = TOTPDevice.objects.get(user=user)
    return f"{totp(device.bin_key, drift=steps):06}"


def log_in(client: Client, password: str = PASSWORD, name: str = "ann", **named):
    page = f"{reverse('admin:login')}?next={reverse('console_editions')}"
    fields = {"username": name, "password": password, "next": reverse("console_editions")}
    return client.post(page, fields, follow=True, **named)


def enrolled(client: Client) -> list[str]:
    """Add an app as an operator does, and return the recovery codes that the page shows."""
    page = reverse("console_account")
    client.post(page, {"act": "begin", "password": PASSWORD})
    shown = client.get(page).text
    assert "<svg" in shown and "otpauth" not in shown
    (secret,) = re.findall(r">((?:[A-Z2-7]{4} ){7}[A-Z2-7]{4})<", shown)
    user = User.objects.get()
    assert TOTPDevice.objects.get().config_url.count(secret.replace(" ", "")) == 1
    answer = client.post(page, {"act": "finish", "code": code(user)})
    codes = re.findall(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}", answer.text)
    assert len(codes) == second_factor.CODES
    assert not re.findall(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}", client.get(page).text)
    return codes


def opens(client: Client) -> bool:
    return client.get(reverse("console_today")).status_code == 200


def test_a_login_at_the_admin_leads_to_today_and_not_to_bare_tables(client) -> None:
    account("owner")
    page = client.get(reverse("admin:index"), follow=True)
    assert page.redirect_chain[-1][0].endswith("?next=%2Fadmin%2Ftoday%2F")
    where = client.get(reverse("admin:login"))
    assert where.headers["Location"] == page.redirect_chain[-1][0]
    log_in(client)
    assert client.get(reverse("admin:index")).status_code == 200  # the tab "All tables"


def test_from_the_second_factor_on_a_password_alone_opens_nothing(client) -> None:
    user = account("owner")
    log_in(client)
    stolen = Client()
    stolen.force_login(user)
    assert opens(stolen)
    enrolled(client)
    assert opens(client) and not opens(stolen)
    other = Client()
    page = log_in(other)
    assert "Second step" in page.text and not opens(other)
    with time_machine.travel(timedelta(seconds=60)):
        answer = other.post(page.request["PATH_INFO"], {"code": code(user)})
        assert answer.status_code == 302 and opens(other)


def test_a_code_works_once_and_the_login_leads_on(client) -> None:
    user = account("owner")
    client.force_login(user)
    enrolled(client)
    with time_machine.travel(timedelta(seconds=60)):
        now = code(user)
        pages = []
        for _ in range(2):
            other = Client()
            log_in(other)
            path = f"{reverse('console_code')}?next={reverse('console_editions')}"
            pages.append(other.post(path, {"code": f" {now[:3]} {now[3:]} "}))
    assert pages[0]["Location"] == reverse("console_editions")
    assert pages[1].status_code == 200 and "used before" in pages[1].text


def test_a_recovery_code_works_once_and_is_kept_as_a_hash(client) -> None:
    client.force_login(account("owner"))
    codes = enrolled(client)
    kept = set(RecoveryCode.objects.values_list("code_hash", flat=True))
    assert not kept & {one.replace("-", "") for one in codes}
    for typed, works in [
        (codes[0].upper(), True),
        (codes[0], False),
        (codes[1].replace("-", " "), True),
        (next(iter(kept)), False),
        ("", False),
        ("000000", False),
    ]:
        other = Client()
        log_in(other)
        other.post(reverse("console_code"), {"code": typed})
        assert opens(other) == works, typed
    assert RecoveryCode.objects.filter(used_at=None).count() == second_factor.CODES - 2


def test_codes_are_limited_and_the_limit_ends(client) -> None:
    user = account("owner")
    client.force_login(user)
    enrolled(client)
    other = Client()
    log_in(other)
    for _ in range(login.PER_ACCOUNT):
        other.post(reverse("console_code"), {"code": "123456"})
    with time_machine.travel(timedelta(seconds=90)):
        page = other.post(reverse("console_code"), {"code": code(user)})
        assert "Too many wrong codes. Wait" in page.text and not opens(other)
        assert "another network" not in page.text  # they count wherever they are typed
    with time_machine.travel(login.WINDOW + timedelta(seconds=1)):
        other.post(reverse("console_code"), {"code": code(user)})
        assert opens(other)


def test_a_page_of_codes_that_is_loaded_anew_says_that_the_factor_is_on(client) -> None:
    client.force_login(account("owner"))
    enrolled(client)
    again = {"act": "finish", "code": code(User.objects.get())}
    page = client.post(reverse("console_account"), again, follow=True).text
    assert "The second factor is on" in page and "wrong" not in page


def test_a_phone_whose_clock_is_off_is_told_of_it(client) -> None:
    user = account("owner")
    client.force_login(user)
    enrolled(client)
    other = Client()
    log_in(other)
    late = other.post(reverse("console_code"), {"code": code(user, steps=-3)})
    assert "the clock of the phone or of this server is off" in late.text


@pytest.mark.parametrize("role", [NOBODY, "viewer"])
def test_a_refusal_says_which_role_the_account_has_and_who_gives_another(role) -> None:
    client = logged_in(role)
    refused = client.post(reverse("console_doctor"))
    assert refused.status_code == 403
    assert "operator ann role" in refused.text and "reload the page" not in refused.text
    assert (role in refused.text) == (role != NOBODY)
    if role != NOBODY:
        assert "Run the checks" not in client.get(reverse("console_doctor")).text


def test_a_lost_factor_is_taken_away_and_ends_all_sessions(client) -> None:
    user = account("owner")
    client.force_login(user)
    enrolled(client)
    call_command("operator", "ann", "reset-factor", verbosity=0)
    assert not opens(client) and not RecoveryCode.objects.exists()
    log_in(client)
    assert opens(client)
    with pytest.raises(CommandError, match="no second factor"):
        call_command("operator", "ann", "reset-factor")


@pytest.mark.parametrize(
    ("act", "good", "left"), [("codes", True, 1), ("remove", True, 0), ("remove", False, 1)]
)
def test_a_factor_is_changed_with_a_code_only(client, act, good, left) -> None:
    user = account("owner")
    client.force_login(user)
    first = enrolled(client)
    with time_machine.travel(timedelta(seconds=60)):
        typed = code(user) if good else "000000"
        answer = client.post(reverse("console_account"), {"act": act, "code": typed})
    assert answer.status_code == (200 if good and act == "codes" else 302)
    assert TOTPDevice.objects.count() == left
    old = RecoveryCode.objects.filter(code_hash=second_factor.hashed(first[0]))
    assert old.exists() == (not good)


def test_who_owes_a_code_can_log_out(client) -> None:
    account("owner")
    log_in(client)
    enrolled(client)
    client.logout()
    assert "Second step" in log_in(client).text
    client.post(reverse("console_leave"))
    assert "Second step" not in client.get(reverse("admin:index"), follow=True).text


def test_what_is_done_in_a_window_of_its_own_is_logged(client) -> None:
    client.force_login(account("owner"))
    new = {"username": "eve", "password1": PASSWORD, "password2": PASSWORD, "_popup": "1"}
    answer = client.post(reverse("admin:auth_user_add"), new | {"usable_password": "true"})
    assert answer.status_code == 200 and User.objects.filter(username="eve").exists()
    act = Act.objects.get(what="auth_user_add")
    assert act.detail.startswith("user ")


def test_an_address_that_was_typed_is_masked_in_the_log() -> None:
    audit.record_command("lift", detail="asked by ann@readers.example")
    assert "ann@" not in Act.objects.get().detail


def test_a_stolen_session_adds_no_factor_without_the_password(client) -> None:
    client.force_login(account("owner"))
    client.post(reverse("console_account"), {"act": "begin", "password": "wrong"})
    client.post(reverse("console_account"), {"act": "finish", "code": "000000"})
    assert not TOTPDevice.objects.exists()


def test_where_a_factor_is_required_nothing_opens_without_one(client, settings) -> None:
    settings.REQUIRE_SECOND_FACTOR = True
    account("owner")
    page = log_in(client)
    assert "asks every operator" in page.text and not opens(client)
    enrolled(client)
    assert opens(client)


def test_check_names_owners_without_a_factor(client) -> None:
    def said() -> list[str]:
        found = run_checks(tags=["models"], include_deployment_checks=True)
        return [one.msg for one in found if one.id == "digest.W010"]

    account("viewer", "viv")
    assert said() == []
    user = account("owner")
    assert said() == ["Owners without a second factor: ann."]
    TOTPDevice.objects.create(user=user)
    assert said() == []


def test_no_table_shows_the_secret_of_an_app(admin_client) -> None:
    assert "totp" not in admin_client.get(reverse("admin:index")).text.lower()


# -- wrong logins ----------------------------------------------------------------------------


def test_a_password_cannot_be_tried_for_long_and_others_are_not_shut_out(client) -> None:
    account("owner")
    for number in range(100):
        log_in(client, f"wrong-{number}", REMOTE_ADDR="203.0.113.9")
    assert Act.objects.filter(what=audit.WRONG_LOGIN).count() == login.PER_ACCOUNT
    page = log_in(client, REMOTE_ADDR="203.0.113.77")  # the same /24, the right password
    assert "Too many wrong logins" in page.text and not opens(client)
    log_in(client, REMOTE_ADDR="198.51.100.1")
    assert opens(client)
    with time_machine.travel(login.WINDOW + timedelta(seconds=1)):
        again = Client()
        log_in(again, REMOTE_ADDR="203.0.113.9")
        assert opens(again)


@pytest.mark.django_db(transaction=True)
def test_of_passwords_tried_at_once_no_more_are_answered(monkeypatch) -> None:
    account("owner")
    tries = 2 * login.PER_ACCOUNT
    everybody_is_in = Barrier(tries + 1)
    check = User.check_password

    def slow(user: User, typed: str) -> bool:
        everybody_is_in.wait(30)
        if typed == PASSWORD:  # it is looked at last
            wrong_ones_are_counted.wait(30)
        return check(user, typed)

    wrong_ones_are_counted = Event()
    monkeypatch.setattr(User, "check_password", slow)
    told: list[bool] = []

    def try_one(typed: str) -> bool:
        client = Client()
        page = log_in(client, typed, REMOTE_ADDR="203.0.113.9")
        told.append("Too many wrong logins" in page.text)
        if len(told) == tries:
            wrong_ones_are_counted.set()
        return opens(client)

    typed = [PASSWORD, *[f"wrong-{number}" for number in range(tries)]]
    assert not any(at_once(*[partial(try_one, one) for one in typed]))
    assert told.count(False) <= login.PER_ACCOUNT and told[-1]
    assert Act.objects.filter(what=audit.WRONG_LOGIN).count() == tries


def test_a_network_that_tries_many_names_is_shut_and_no_name_is_kept(client) -> None:
    for number in range(30):
        log_in(client, "x", name=f"secret-{number}", REMOTE_ADDR="9.9.9.9")
    wrong = Act.objects.filter(what=audit.WRONG_LOGIN)
    assert wrong.count() == login.PER_NETWORK
    who = set(wrong.values_list("who", flat=True))
    assert all(re.fullmatch(f"{login.NOBODY} [0-9a-f]{{3}}", one) for one in who)


@pytest.mark.parametrize(
    ("networks", "tries"), [(1, login.PER_ACCOUNT + 2), (100, login.ANYWHERE + 2)]
)
def test_no_limit_tells_which_names_are_accounts(networks: int, tries: int) -> None:
    account("owner")
    User.objects.create_user("left", password="x", is_active=False)
    told = {}
    for place, name in enumerate(["ann", "left", "nobody-of-ours"], 20):
        pages = (
            log_in(
                Client(), "wrong", name=name, REMOTE_ADDR=f"{place}.1.{one % networks}.9"
            ).text
            for one in range(tries)
        )
        told[name] = ["Too many" in page for page in pages]
    assert told["ann"] == told["left"] == told["nobody-of-ours"]
    assert told["ann"][0] is False and told["ann"][-1] is True


def test_many_machines_cannot_shut_an_operator_out_of_a_known_network(client) -> None:
    account("owner")
    log_in(client, REMOTE_ADDR="198.51.100.1")
    for number in range(login.ANYWHERE):
        audit.record("ann", audit.WRONG_LOGIN, network=f"203.0.{number}.0/24")
    new = Client()
    log_in(new, REMOTE_ADDR="203.0.200.1")
    assert not opens(new)
    log_in(new, REMOTE_ADDR="198.51.100.9")
    assert opens(new)


# -- the audit log ---------------------------------------------------------------------------


def log() -> list[tuple[str, str, str]]:
    return list(Act.objects.order_by("pk").values_list("who", "what", "network"))


def test_every_act_is_logged_with_who_what_and_from_where(client, reader) -> None:
    client.force_login(User.objects.create_superuser("root"))
    place = {"REMOTE_ADDR": "203.0.113.9"}
    client.post(url("console_edition", reader), {"act": "pause", "why": "x"}, **place)
    client.post(url("console_reader", reader), {"act": "export"}, **place)
    new = {"email": "eve@example.org"}
    client.post(reverse("admin:subscribers_suppression_add"), new, **place)
    lift = {"action": "lift", "_selected_action": Suppression.objects.get().pk, "why": "y"}
    client.post(reverse("admin:subscribers_suppression_changelist"), lift, **place)
    erase = {"act": "erase", "why": "asked", "typed": reader.email}
    client.post(url("console_reader", reader), erase, **place)
    done = ["pause", "export", "subscribers_suppression_add"]
    done += ["subscribers_suppression_changelist", "erase"]
    assert log() == [("root", what, "203.0.113.0/24") for what in done]
    assert list(Act.objects.exclude(kind="").values_list("kind", "row")) == [
        ("digest.edition", f"{Edition.objects.get().pk}"),
        *[("subscribers.subscriber", f"{reader.pk}")] * 2,
    ]
    everything = "".join(Act.objects.values_list("detail", flat=True))
    assert "@" not in everything


def test_commands_are_logged_as_their_user(reader, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("LOGNAME", "bob")  # which anybody can say
    suppress(reader.email_hash, Suppression.Reason.MANUAL, now=make.NOON)
    Delivery.objects.update(state="unknown", intent_at=make.NOON)
    call_command("edition", "2026-04-17", "pause", reason="typo", verbosity=0)
    call_command("edition", "2026-04-17", verbosity=0)  # only looks
    call_command("unknown", "abandon", all=True, verbosity=0)
    call_command("unknown", verbosity=0)
    call_command("relay", "resume", verbosity=0)
    call_command("subscribers", "lift", "ann@example.org", reason="asked", verbosity=0)
    call_command("subscribers", "export", str(tmp_path / "all.csv"), verbosity=0)
    call_command("subscribers", "erase", "ann@example.org", verbosity=0)
    done = ["pause", "abandon", "relay resume", "lift", "export", "erase"]
    user = pwd.getpwuid(os.getuid()).pw_name
    assert log() == [(f"command line: {user}", what, "") for what in done]
    assert not Act.objects.filter(detail__contains="@").exists()


def test_the_log_is_appended_never_changed_and_ends_after_a_year() -> None:
    audit.record("root", "pause")
    (one,) = Act.objects.all()
    for change in (one.save, Act.objects.all().delete, lambda: Act.objects.update(who="")):
        with pytest.raises(TypeError):
            change()
    drop_old()
    assert Act.objects.exists()
    Act.objects.prune(one.at)
    assert Act.objects.count() == 1
    Act.objects.prune(one.at + timedelta(seconds=1))
    assert not Act.objects.exists()


@pytest.mark.each_row
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, 3),
        ({"who": "ROOT"}, 2),
        ({"what": "pause"}, 1),
        ({"who": "root", "what": "pause"}, 1),
        ({"day": "2020-01-01"}, 0),
        ({"day": "nonsense"}, 0),
        ({"before": "9" * 40}, 3),
        ({"before": "0"}, 0),
    ],
)
def test_the_log_is_searched(admin_client, query, found) -> None:
    for who, what in [("root", "pause"), ("root", "resume"), ("eve", "<script>")]:
        audit.record(who, what)
    page = admin_client.get(reverse("console_audit"), query)
    assert len(page.context["acts"]) == found
    assert "<script>" not in page.text


def test_the_logs_pages_ask_the_same_however_many_acts(admin_client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert admin_client.get(reverse("console_audit")).status_code == 200
        return len(seen)

    audit.record("root", "pause")
    one = queries()
    for _ in range(60):
        audit.record("root", "pause")
    assert queries() == one
    first = admin_client.get(reverse("console_audit"))
    second = admin_client.get(reverse("console_audit"), {"before": first.context["next"]})
    shown = [act.pk for page in (first, second) for act in page.context["acts"]]
    assert shown == list(Act.objects.order_by("-pk").values_list("pk", flat=True))


def test_who_logs_out_of_the_tables_gets_a_page(admin_client: Client) -> None:
    assert admin_client.post("/admin/logout/").status_code == 200
    assert admin_client.get("/admin/").status_code == 302
