"""The operator's pages of mail on its way, and of the settings: what they tell, what they do."""

from datetime import timedelta

import pytest
from django.urls import reverse

from digest.deliveries import fencing
from digest.deliveries.plan import plan
from digest.models import Act, BackOff, Delivery, DeliveryEvent, Edition, Fence, WarmUpDay
from digest.ops import health
from digest.ops.console import configuration
from digest.ops.paging import PAGE_LENGTH
from digest.throttling.domains import Gate
from digest.transport.base import Mail
from digest.transport.outcomes import Outcome, Verdict
from digest.variables import Variables, load_file
from subscribers.addresses import canonical, counting_key
from subscribers.models import Notice, Subscriber
from tests import make

pytestmark = pytest.mark.django_db
NOW = make.NOON


@pytest.fixture(autouse=True)
def frozen(monkeypatch) -> None:
    monkeypatch.setattr("digest.deliveries.ledger.database_now", lambda: NOW)


def log() -> list[tuple[str, str]]:
    return list(Act.objects.order_by("pk").values_list("what", "detail"))


def rest(name: str, *, minutes: int = 5, **fields: object) -> BackOff:
    until = NOW + timedelta(minutes=minutes)
    return BackOff.objects.create(
        name=name, resting_until=until, changed_at=NOW, failures=3, rests=2, **fields
    )


# -- relays and domains ----------------------------------------------------------------------


def test_rests_are_told_with_cause_and_end(admin_client, settings) -> None:
    rest("*", cause="535 wrong <password>")
    rest("slow.example", cause="451 later")
    settings.DOMAIN_RATES, settings.SEND_RATE = {"gmail.com": 20.0}, 5.0
    settings.MAILER_URL = "smtp://user:hunter22@relay.example:587?tls=starttls"
    page = admin_client.get(reverse("console_relays")).text
    for words in (
        "relay.example, port 587, with STARTTLS",
        "17 Apr 2026, 12:05:00 UTC",
        "535 wrong &lt;password&gt;",
        "slow.example",
        "451 later",
        "to gmail.com",
    ):
        assert words in page
    assert "hunter22" not in page


@pytest.mark.parametrize(
    ("name", "left", "said"),
    [
        ("*", ["slow.example"], "Rest ended: the relay"),
        ("slow.example", ["*"], "Rest ended: slow.example"),
        ("other.example", ["*", "slow.example"], ""),
    ],
)
def test_a_rest_is_ended(admin_client, name, left, said) -> None:
    rest("*")
    rest("slow.example")
    admin_client.post(reverse("console_relays"), {"act": "end rest", "name": name})
    resting = BackOff.objects.filter(resting_until__gt=NOW).order_by("name")
    assert list(resting.values_list("name", flat=True)) == left
    assert log() == ([("end rest", said)] if said else [])


def test_a_domains_rest_keeps_the_last_words_of_its_server() -> None:
    mails = {1: Mail(1, "us@example.org", "ann@slow.example", bytes)}
    later = Outcome(
        Verdict.RETRY, "deferred", "451 ann@slow.example later", domain_fault=True
    )
    Gate(NOW).judge(mails, {1: later})
    cause = BackOff.objects.get(name="slow.example").cause
    assert "451" in cause and "ann@" not in cause


def test_the_warm_up_tells_its_day_and_cap(admin_client, settings) -> None:
    settings.WARM_UP_FROM = NOW.date() - timedelta(days=1)
    WarmUpDay.objects.create(day=NOW.date(), handed_over=77)
    page = admin_client.get(reverse("console_relays")).text
    assert "Day 2 of 42: 672 mails at most today" in page and "77" in page


# -- unknown ---------------------------------------------------------------------------------


def unknown(count: int = 1) -> list[int]:
    make.edition({make.paper(1): {"graphs": 1.0}})
    for number in range(count):
        make.reader(f"r{number}@example.org", "graphs")
    plan(NOW)
    Delivery.objects.update(state="unknown", reason="crashed in flight", intent_at=NOW)
    return list(Delivery.objects.order_by("pk").values_list("pk", flat=True))


@pytest.mark.parametrize(
    ("act", "state"),
    [("mark-sent", "accepted"), ("resend", "pending"), ("abandon", "abandoned")],
)
def test_an_operator_decides_on_ticked_unknowns_alone(admin_client, act, state) -> None:
    first, second = unknown(2)
    page = admin_client.get(reverse("console_unknown")).text
    assert "r…@e….org" in page and "crashed in flight" in page
    admin_client.post(reverse("console_unknown"), {"act": act, "id": [first]})
    states = dict(Delivery.objects.values_list("pk", "state"))
    assert states == {first: state, second: "unknown"}
    assert DeliveryEvent.objects.get().source == "operator"
    assert [what for what, _ in log()] == [act]
    admin_client.post(reverse("console_unknown"), {"act": act, "id": [first]})
    admin_client.post(reverse("console_unknown"), {"act": act, "id": ["x"]})
    assert len(log()) == 1  # decided already; none ticked


@pytest.mark.parametrize(
    ("count", "shown", "typed", "done"),
    [
        (2, 2, "", True),
        (3, 2, "", False),  # one more became unknown since the page was opened
        (PAGE_LENGTH + 1, PAGE_LENGTH + 1, "", False),
        (PAGE_LENGTH + 1, PAGE_LENGTH + 1, f"{PAGE_LENGTH}", False),
        (PAGE_LENGTH + 1, PAGE_LENGTH + 1, f"{PAGE_LENGTH + 1}", True),
    ],
)
def test_all_unknowns_at_once_ask_for_their_number(
    admin_client, count, shown, typed, done
) -> None:
    unknown(count)
    fields = {"act": "abandon", "all": "1", "typed": typed, "shown": f"{shown}"}
    admin_client.post(reverse("console_unknown"), fields)
    left = Delivery.objects.filter(state="unknown").count()
    assert left == (0 if done else count)


def older_database(tmp_path, settings) -> None:
    settings.STATE_DIR = tmp_path
    mark = fencing.rise()
    fencing.remember(Fence(identity=mark.identity, count=mark.count + 5))


def test_a_restored_database_is_told_of_everywhere(
    admin_client, settings, tmp_path
) -> None:
    assert fencing.refusal() == ""
    older_database(tmp_path, settings)
    assert "older than this machine remembers" in fencing.refusal()
    assert any("sending is refused" in one for one in health.unwell())
    for page in ("today", "unknown"):
        assert "manage.py quarantine" in admin_client.get(reverse(f"console_{page}")).text
    assert Fence.objects.get().count == 1  # asked, not raised


@pytest.mark.parametrize(
    ("fields", "starts"),
    [
        ({}, False),
        ({"typed": "quarantine"}, False),
        ({"since": "2026-04-17T11:00Z"}, False),
        ({"since": "2026-04-17T11:00", "typed": "quarantine"}, False),
        ({"since": "2026-04-17T11:00Z", "typed": "quarantine"}, True),
        ({"since": "2026-04-14T11:00Z", "typed": "quarantine"}, False),
        ({"since": "2026-04-14T11:00Z", "typed": "quarantine", "unsent": "1"}, True),
    ],
)
def test_a_restored_database_is_quarantined_before_it_sends(
    admin_client, settings, tmp_path, fields, starts
) -> None:
    unknown()
    Delivery.objects.update(state="pending")
    older_database(tmp_path, settings)
    admin_client.post(reverse("console_unknown"), {"act": "quarantine"} | fields)
    assert (fencing.refusal() == "") is starts
    # Rows are set aside before the days are asked about, and that is on record.
    assert len(log()) == Delivery.objects.filter(reason=Delivery.Reason.QUARANTINED).count()
    if starts:
        assert Delivery.objects.get().reason == Delivery.Reason.QUARANTINED
        fencing.rise()  # it may send again


# -- notices ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["refused", "accepted", "pending"]),
        ({"state": "due"}, ["pending"]),
        ({"state": "failed"}, ["refused"]),
        ({"state": "sent"}, ["accepted"]),
        ({"state": "nonsense"}, []),
        ({"q": "ann@example.org"}, ["pending"]),
        ({"q": "Ann+tag@example.org", "state": "failed"}, []),
        ({"q": "nobody"}, []),
        ({"before": "9" * 40}, ["refused", "accepted", "pending"]),
    ],
)
def test_notices_are_found_by_state_and_address(admin_client, query, found) -> None:
    for name, state in [("ann", "pending"), ("bob", "accepted"), ("cat", "refused")]:
        reader = make.reader(f"{name}@example.org")
        Notice.objects.create(
            subscriber=reader,
            kind="confirm",
            state=state,
            mailbox=counting_key(canonical(reader.email)),
            created_at=NOW,
            not_before=NOW,
            reason="550 <no> mailbox",
        )
    page = admin_client.get(reverse("console_notices"), query)
    assert [one.state for one in page.context["notices"]] == found
    assert "<no>" not in page.text and "ann@example.org" not in page.text.replace(
        'value="ann@example.org"', ""
    )


def test_notices_turn_the_page(admin_client) -> None:
    reader = make.reader("ann@example.org")
    for _ in range(PAGE_LENGTH + 1):
        Notice.objects.create(
            subscriber=reader, kind="confirm", created_at=NOW, not_before=NOW
        )
    first = admin_client.get(reverse("console_notices"), {"state": "due"})
    second = admin_client.get(f"{reverse('console_notices')}?{first.context['older']}")
    assert len(second.context["notices"]) == 1 and not second.context["older"]


@pytest.mark.parametrize("page", ["relays", "unknown", "notices"])
def test_query_count_does_not_grow_with_rows(
    admin_client, django_assert_max_num_queries, page
) -> None:
    unknown(20)
    for number in range(20):
        rest(f"d{number}.example")
    for reader in Subscriber.objects.all():
        Notice.objects.create(
            subscriber=reader, kind="confirm", created_at=NOW, not_before=NOW
        )
    with django_assert_max_num_queries(12):
        assert admin_client.get(reverse(f"console_{page}")).status_code == 200
    assert Edition.objects.get().hold == ""


# -- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("SECRET_KEY", "hunter22", "set, not shown"),
        ("FOOTER_TEXT", "By us: https://a.org/?b", "By us: https://a.org/?b"),
        ("FOOTER_TEXT", "By us: https://u:hunter22@a.org", "By us: https://***@a.org"),
        ("METRICS_TOKEN", "hunter22", "set, not shown"),
        ("METRICS_TOKEN", "", ""),
        ("SENTRY_DSN", "https://hunter22@sentry.example/1", "set, not shown"),
        ("ANYMAIL_POSTMARK_SERVER_TOKEN", "hunter22", "set, not shown"),
        ("ANYMAIL_SES_ROLE", "hunter22", "set, not shown"),
        (
            "MAILER_URL",
            "smtp://a:hunter22@m.example:25?p=hunter22",
            "smtp://***@m.example:25?…",
        ),
        ("DATABASE_URL", "postgres://a:hunter22@db/papers", "postgres://***@db/papers"),
        ("REDIS_URL", "redis://:hunter22@r:6379/0", "redis://***@r:6379/0"),
        ("SIGN_UP_OPEN", True, "true"),
        ("DOMAIN_RATES", {"gmail.com": 20.0}, "gmail.com=20"),
        ("ADMINS", ["a@example.org", "b@example.org"], "a@example.org,b@example.org"),
    ],
)
def test_a_setting_is_shown_without_its_secret(settings, name, value, shown) -> None:
    setattr(settings, name, value)
    assert configuration.row_of(name).value == shown


@pytest.mark.parametrize(
    ("environ", "file", "source"),
    [
        ({}, "", "the default"),
        ({"SEND_RATE": "5"}, "", "the environment"),
        ({}, "SEND_RATE=5", ".env"),
        ({"SEND_RATE": "5"}, "SEND_RATE=6", "the environment"),
        ({}, "SEND_RATE_FILE={file}", "the file named in SEND_RATE_FILE, set in .env"),
    ],
)
def test_a_settings_source_is_told(tmp_path, environ, file, source) -> None:
    (tmp_path / "rate").write_text("7")
    path = tmp_path / ".env"
    path.write_text(file.format(file=tmp_path / "rate"))
    load_file(path, environ=environ, must_exist=True)
    variables = Variables(environ)
    variables.text("SEND_RATE")
    assert variables.source("SEND_RATE") == source
    assert list(variables.known) == ["SEND_RATE"]


def test_the_settings_page_lists_every_variable(admin_client) -> None:
    page = admin_client.get(reverse("console_settings"))
    names = {row.name for row in page.context["rows"]}
    assert {"SECRET_KEY", "MAILER_URL", "SEND_RATE", "ADMINS", "BEHIND_PROXY"} <= names
