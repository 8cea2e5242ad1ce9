"""Several relays: who takes whose mail, who takes over, and nothing goes by two."""

import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta

import pytest
from django.core.mail import EmailMultiAlternatives
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from digest.deliveries import heartbeats, ledger, outlets
from digest.deliveries.plan import plan
from digest.deliveries.send import send_due
from digest.models import BackOff, Delivery, Edition, Submission, WarmUpDay
from digest.ops.console.configuration import shown
from digest.throttling import circuit_breaker
from digest.throttling.circuit_breaker import Failure
from digest.transport import relays
from digest.transport.open import SingleMails
from digest.transport.outcomes import Outcome, Verdict
from subscribers.models import Subscriber
from tests import make
from tests.deliveries.test_ill_relay import trusted_relay
from tests.race import at_once
from tests.sink import Sink, in_thread
from tests.smtp_sink import Illness

pytestmark = pytest.mark.django_db
READERS, DOMAINS = 24, 4
PASSWORD = "correct-horse"
NOBODY = "smtp://127.0.0.1:9"
REFUSES = Illness("mail", "530 5.7.0 authentication required")
# How a relay fails that takes no mail, or none from its seventh on.
ILL = {
    "refuses the connection": Illness("banner", "554 5.7.1 no service for you"),
    "puts all off": Illness("rcpt", "451 4.3.2 system not accepting messages"),
    "refuses in mid-edition": Illness("mail", "530 who are you", lambda number: number > 0),
    "is busy": Illness("banner", "421 4.3.2 too busy"),
}
NO_SESSION = {"nobody is there": NOBODY, "refuses the login": ""}


@pytest.fixture(autouse=True)
def quick(settings, tmp_path):
    settings.STATE_DIR = tmp_path / "state"
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    settings.ADMINS = ["operator@example.org"]
    settings.SUBMIT_GROUP = 3
    settings.SEND_CONNECTIONS = 1


@pytest.fixture
def sinks(tmp_path, settings) -> Iterator[dict[str, Sink]]:
    """Three relays, all of them serving everybody."""
    with ExitStack() as stack:
        found = {
            name: stack.enter_context(in_thread(tmp_path / name))
            for name in ("main", "second", "third")
        }
        settings.MAILER_URL = found["main"].url
        settings.RELAYS = [f"{name}={found[name].url}" for name in ("second", "third")]
        yield found


@pytest.fixture
def readers() -> None:
    make.edition({make.paper(1): {"graphs": 1.0}})
    make.readers(
        [f"r{number}@d{number % DOMAINS}.example" for number in range(READERS)], "graphs"
    )


def deliver(minutes: float = 0) -> dict[str, int]:
    """Plan and send so many minutes after noon, by a clock that ticks when it is read."""
    now = make.NOON + timedelta(minutes=minutes)
    plan(now)
    ticks = itertools.count()
    return dict(+send_due(lambda: now + timedelta(microseconds=next(ticks))))


def until_all_is_sent(minutes: int = 1) -> None:
    """The rests of who stays ill get longer than a minute after the fifth."""
    for more in range(9):
        deliver(minutes + more)


def run(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def arrived(sinks: dict[str, Sink]) -> Counter[str]:
    return Counter(mail.rcpt[0] for sink in sinks.values() for mail in sink.mails())


def each_once(sinks: dict[str, Sink]) -> bool:
    mails = arrived(sinks)
    return set(mails.values()) == {1} and len(mails) == READERS


def by_relay() -> dict[str, set[str]]:
    """The domains whose rows say that they went by that relay."""
    found: dict[str, set[str]] = {}
    rows = Delivery.objects.values_list("relay", "subscriber__email")
    for relay, address in rows:
        found.setdefault(relay, set()).add(address.partition("@")[2])
    return found


@pytest.mark.usefixtures("readers")
def test_a_mail_goes_by_the_relay_that_serves_its_domain(sinks, settings) -> None:
    settings.RELAY_ROUTES = "d1.example,d2.example=second; d3.example=third,main; *=main"
    deliver()
    assert by_relay() == {
        "main": {"d0.example"},
        "second": {"d1.example", "d2.example"},
        "third": {"d3.example"},
    }
    for name, sink in sinks.items():
        domains = {mail.rcpt[0].partition("@")[2] for mail in sink.mails()}
        assert domains == by_relay()[name]
    assert each_once(sinks)


@pytest.mark.usefixtures("readers")
def test_without_an_ill_one_only_the_first_is_used(sinks) -> None:
    deliver()
    assert by_relay() == {"main": {f"d{number}.example" for number in range(DOMAINS)}}
    assert each_once(sinks)


@pytest.fixture
def refusing(tmp_path, monkeypatch) -> Iterator[str]:
    """The URL of a relay that refuses the login."""
    with trusted_relay(tmp_path, monkeypatch) as relay:
        yield f"smtp://ann:wrong@127.0.0.1:{relay.port}?tls=starttls"


@pytest.mark.parametrize("kind", [*ILL, *NO_SESSION])
@pytest.mark.usefixtures("readers")
def test_o8_the_next_relay_takes_what_an_ill_one_did_not(
    kind, sinks, settings, refusing, mailoutbox
) -> None:
    if kind in ILL:
        sinks["main"].ails(ILL[kind])
    else:
        settings.MAILER_URL = NO_SESSION[kind] or refusing
    deliver()
    assert len(sinks["second"].mails()) >= READERS - 2 * settings.SUBMIT_GROUP
    until_all_is_sent()
    assert each_once(sinks) and not sinks["third"].mails()
    assert set(Delivery.objects.values_list("state", flat=True)) == {"accepted"}
    assert BackOff.objects.get(pk="*").failures
    assert not BackOff.objects.filter(pk="*second").exists()
    (told,) = mailoutbox
    assert "The relay main cannot be used, and others" in told.body


@pytest.mark.usefixtures("readers")
def test_o8_what_may_have_been_taken_goes_by_no_other(sinks, settings) -> None:
    """The answer after the dot is lost, then the relay falls ill."""
    make.reader("lost+dot-keep-dropx1@d0.example", "graphs")
    settings.RELAY_ROUTES = "*=main,second"
    deliver()
    row = Delivery.objects.get(subscriber__email__startswith="lost+")
    assert (row.state, row.relay) == ("unknown", "main")
    settings.MAILER_URL = NOBODY
    until_all_is_sent()
    row.refresh_from_db()
    assert (row.state, row.relay) == ("unknown", "main")
    assert set(arrived(sinks).values()) == {1}


@pytest.mark.usefixtures("readers")
def test_both_ill_nothing_is_lost_and_both_are_told(sinks, settings, mailoutbox) -> None:
    settings.RELAY_ROUTES = "*=main,second"
    for name in ("main", "second"):
        sinks[name].ails(REFUSES)
    assert "accepted" not in deliver()
    assert "accepted" not in deliver(1)
    assert set(Delivery.objects.values_list("state", "attempts")) == {("pending", 0)}
    first, last = (mail.body for mail in mailoutbox)
    # The third serves nobody here, and both are noted before either is told of.
    assert "main cannot be used, and mail waits" in first
    assert "second cannot be used, and mail waits" in last
    sinks["second"].ails(None)
    until_all_is_sent()
    assert each_once(sinks) and not sinks["main"].mails()


@pytest.mark.usefixtures("readers")
def test_all_ill_stops_the_run_and_leaves_the_rows_alone(
    sinks, settings, mailoutbox
) -> None:
    settings.RELAYS = settings.RELAYS[:1]
    for sink in sinks.values():
        sink.ails(REFUSES)
    deliver()
    touched = Delivery.objects.exclude(intent_at=None).count()
    assert touched <= 2 * settings.SUBMIT_GROUP
    assert not Delivery.objects.filter(reason="waits for its relay").exists()
    with pytest.raises(CommandError) as failed:
        circuit_breaker.trip(ledger.database_now(), Failure("530 no"))
        circuit_breaker.trip(ledger.database_now(), Failure("530 no", relay="second"))
        call_command("deliver", "--day", f"{make.DAY}")
    assert "the relay main cannot be used" in str(failed.value)
    assert "the relay second cannot be used" in str(failed.value)
    # Both are noted before either is told of: no other takes their mail.
    assert all("mail waits until it can" in mail.body for mail in mailoutbox[:2])


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ("*=main,second", "and others that serve the same domains take its mail"),
        ("gmail.com=second; *=second,main", "and mail that no other relay serves waits"),
        ("gmail.com=second; *=main", "and mail waits until it can"),
    ],
)
def test_the_alarm_says_which_mail_waits(sinks, settings, mailoutbox, routes, said) -> None:
    settings.RELAY_ROUTES = routes
    circuit_breaker.trip(make.NOON, Failure("530 no", relay="second"))
    assert said in mailoutbox[0].body


@pytest.mark.usefixtures("readers")
def test_a_relay_that_is_well_again_gets_its_mail_back(sinks) -> None:
    sinks["main"].ails(REFUSES)
    deliver()
    before = len(sinks["second"].mails())
    sinks["main"].ails(None)
    make.readers([f"new{number}@d0.example" for number in range(9)], "graphs")
    make.edition({make.paper(2): {"graphs": 1.0}}, day=make.DAY + timedelta(days=1))
    deliver(24 * 60)
    assert len(sinks["main"].mails()) >= READERS
    assert before <= len(sinks["second"].mails()) < READERS
    rest = BackOff.objects.get(pk="*")
    assert (rest.failures, rest.resting_until) == (0, None)


@pytest.mark.usefixtures("readers")
def test_a_route_without_another_relay_waits_and_keeps_nobody(sinks, settings) -> None:
    settings.RELAY_ROUTES = "d1.example=second; *=main"
    sinks["second"].ails(REFUSES)
    deliver()
    waiting = Delivery.objects.filter(state="pending")
    addresses = waiting.values_list("subscriber__email", flat=True)
    assert {address.partition("@")[2] for address in addresses} == {"d1.example"}
    assert len(sinks["main"].mails()) == READERS - READERS // DOMAINS
    assert waiting.filter(reason="waits for its relay").exists()
    sinks["second"].ails(None)
    until_all_is_sent()
    assert each_once(sinks)
    assert len(sinks["second"].mails()) == READERS // DOMAINS


@pytest.mark.usefixtures("readers")
def test_r18_a_slow_relay_does_not_hold_up_the_others(sinks, settings, monkeypatch) -> None:
    settings.RELAY_ROUTES = "d1.example,d2.example,d3.example=second; *=main"
    monkeypatch.setattr(outlets, "SHARE_SECONDS", 0.3)
    sinks["second"].turn_slow(0.03)  # a group takes longer
    deliver()
    until_all_is_sent()
    assert each_once(sinks)
    last = max(mail.at for mail in sinks["main"].mails())
    before = sum(mail.at < last for mail in sinks["second"].mails())
    assert before <= 3 * settings.SUBMIT_GROUP  # of six; one, if main's share is enough


@pytest.mark.usefixtures("readers")
def test_a_relays_rate_holds_back_its_mails_alone(sinks, settings) -> None:
    settings.RELAY_ROUTES = "d1.example,d2.example=second; *=main"
    settings.RELAY_RATES = {"second": 0.1}
    deliver()
    assert len(sinks["main"].mails()) == READERS // 2
    waiting = Delivery.objects.filter(reason="its relay's limit", state="pending")
    assert waiting.count() == READERS // 2 - len(sinks["second"].mails()) > READERS // 4
    sent = [len(sinks["second"].mails())]
    for minutes in range(1, 5):
        deliver(minutes)
        sent.append(len(sinks["second"].mails()))
    # One in ten seconds, and no more at once than fifteen seconds bring.
    assert all(0 <= now - before <= 2 for before, now in itertools.pairwise(sent))
    assert sent[-1] > sent[0] and set(arrived(sinks).values()) == {1}


def test_a_domain_with_a_rate_of_its_own_is_served_beside_others_of_its_relay(
    sinks, settings
) -> None:
    settings.SUBMIT_GROUP = 100
    settings.RELAY_RATES, settings.DOMAIN_RATES = {"main": 1}, {"slow.example": 0.4}
    make.edition({make.paper(1): {"graphs": 1.0}})
    addresses = [f"r{n}@{'slow' if n % 5 < 2 else 'quick'}.example" for n in range(120)]
    make.readers(addresses, "graphs")
    for tenth in range(7):
        deliver(tenth / 6)
    went = Counter(address.partition("@")[2] for address in arrived(sinks))
    # In a minute about 24 and 36; nobody waits until all of the other have gone.
    assert 15 <= went["slow.example"] <= 30
    assert 25 <= went["quick.example"] <= 45


@pytest.mark.usefixtures("readers")
def test_a_rest_uses_up_no_warm_up(sinks, settings) -> None:
    settings.WARM_UP_FROM = ledger.database_now().date()
    for relay in relays.configured():
        circuit_breaker.trip(make.NOON, Failure("530 no", relay=relay))
    for _ in range(20):
        deliver()
    assert not WarmUpDay.objects.filter(handed_over__gt=0).exists()


@pytest.mark.usefixtures("readers")
def test_after_a_rest_one_sender_alone_tries(sinks, settings) -> None:
    settings.RELAY_ROUTES = "*=main,second"
    circuit_breaker.trip(make.NOON, Failure("530 no"))
    later = make.NOON + timedelta(minutes=1)
    senders = [outlets.Outlets(lambda: later) for _ in range(2)]
    for sender in senders:
        assert sender.begin(circuit_breaker.read()[0])
    assert [sender.serving("d0.example") for sender in senders] == ["main", "second"]
    assert [sender.serving("d1.example") for sender in senders] == ["main", "second"]
    for sender in senders:
        sender.close()


@pytest.mark.usefixtures("readers")
def test_a_trial_by_which_nothing_goes_out_is_the_next_senders(sinks, settings) -> None:
    settings.RELAY_ROUTES = "*=main,second"
    circuit_breaker.trip(make.NOON, Failure("530 no"))
    plan(make.NOON)
    Subscriber.objects.update(state="unsubscribed")  # the slice that tries is skipped
    assert deliver(1) == {"skipped": READERS}
    make.readers(["ann@d0.example"], "graphs")
    Edition.objects.update(planned_until=None)
    assert deliver(1.1) == {"accepted": 1}
    assert [len(sink.mails()) for sink in sinks.values()] == [1, 0, 0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("readers")
def test_two_senders_race_while_a_relay_falls_ill(sinks, settings) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("one sender at a time there")
    sinks["main"].ails(Illness("mail", "530 who are you", lambda number: number > 1))
    plan(make.NOON)
    at_once(*[lambda: send_due(lambda: make.NOON)] * 2)
    until_all_is_sent()
    assert each_once(sinks)


@pytest.mark.usefixtures("readers")
def test_o8_relays_change_places_in_mid_edition(sinks, settings) -> None:
    """Each half of the edition by other settings: another main one, other routes."""
    stop = itertools.count()
    plan(make.NOON)

    def clock() -> datetime:
        return make.NOON + timedelta(seconds=next(stop))

    send_due(clock, until=make.NOON + timedelta(seconds=12))
    first = len(sinks["main"].mails())
    assert 0 < first < READERS
    settings.MAILER_URL = sinks["third"].url
    settings.RELAYS = [f"other={sinks['second'].url}"]
    settings.RELAY_ROUTES = "d1.example=other; *=main"
    until_all_is_sent()
    assert each_once(sinks)
    assert len(sinks["main"].mails()) == first
    assert all(sinks[name].mails() for name in ("second", "third"))


@pytest.mark.usefixtures("readers")
def test_o8_only_what_went_to_the_provider_may_be_asked_about_by_its_key(
    sinks, settings
) -> None:
    """Asked about a mail that another relay has, it would take it for a new one."""
    settings.MAILER_URL = "anymail://resend"
    settings.RELAY_ROUTES = "d0.example=main; *=second"
    deliver()
    noted = {pk for group in Submission.objects.all() for pk in group.members}
    by_provider = Delivery.objects.filter(relay="main").values_list("pk", flat=True)
    assert noted == set(by_provider) and len(noted) == READERS // DOMAINS
    assert len(sinks["second"].mails()) == READERS - len(noted)


@pytest.mark.usefixtures("readers")
def test_o2_o3_each_relay_is_told_of_by_its_name(sinks, settings, admin_client) -> None:
    settings.RELAYS = [f"second=smtp://ann:{PASSWORD}@127.0.0.1:9", settings.RELAYS[1]]
    settings.RELAY_ROUTES = "d1.example=second,third; *=main"
    for loop in heartbeats.Loop:
        heartbeats.beat(loop, ledger.database_now())
    plan(make.NOON)
    send_due(ledger.database_now, due=lambda: make.NOON)
    host = {"HTTP_HOST": "127.0.0.1"}
    ready = admin_client.get("/readyz", **host)
    metrics = admin_client.get("/metrics", **host).text
    told = {
        "readyz": ready.text,
        "relay": run("relay"),
        "relay --json": json.loads(run("relay", "--json"))["relays"]["second"],
        "edition": run("edition", f"{make.DAY}"),
        "relays": admin_client.get(reverse("console_relays")).text,
        "today": admin_client.get(reverse("console_today")).text.lower(),
    }
    for place, words in told.items():
        assert re.search(r"the relay (<bdi>)?second", words, re.IGNORECASE), place
        assert "Connection refused".lower() in words.lower(), place
    assert (ready.status_code, ready.text.split()[0]) == (200, "degraded")
    assert "the relay main is in use" in told["relay"]
    assert 'dailypapers_relay_resting{relay="second"} 1.0' in metrics
    assert 'dailypapers_relay_resting{relay="main"} 0.0' in metrics
    assert "second, then third" in told["relays"]
    row = Delivery.objects.filter(relay="third").first()
    assert row and "by the relay third" in run("delivery", f"{row.pk}")
    assert PASSWORD not in "".join([*told.values(), metrics])
    assert shown(settings.RELAYS[0]) == "second=smtp://***@127.0.0.1:9"
    data = {"act": "end rest", "name": "*second"}
    admin_client.post(reverse("console_relays"), data)
    assert "the relay second is in use" in run("relay")


# -- single mails ----------------------------------------------------------------------------


def hand_over(address: str, mails: SingleMails) -> Outcome:
    message = EmailMultiAlternatives("Hello", "Text", "papers@x.example", [address])
    mailer = mails.open(address)
    return mailer if isinstance(mailer, Outcome) else mails.hand_over(message, mailer)


@pytest.fixture
def mailers(sinks, settings) -> Callable[[], None]:
    """Django's names for them, as the settings make them."""

    def made() -> None:
        settings.MAILERS = {
            "default" if name == relays.MAIN else name: relays.django_mailer(relay)
            for name, relay in relays.configured().items()
        }

    made()
    return made


def test_single_mails_follow_the_routes(sinks, settings, mailers) -> None:
    settings.RELAY_ROUTES = "d1.example=second; *=main"
    for domain in ("d0", "d1"):
        hand_over(f"ann@{domain}.example", SingleMails())
    assert [len(sink.mails()) for sink in sinks.values()] == [1, 1, 0]


@pytest.mark.parametrize("kind", [*ILL, *NO_SESSION])
def test_a_single_mail_goes_by_the_next_relay(
    kind, sinks, settings, refusing, mailers
) -> None:
    if kind in ILL:
        sinks["main"].ails(ILL[kind])
    else:
        settings.MAILER_URL = NO_SESSION[kind] or refusing
        mailers()
    mails = SingleMails()
    for number in range(3):
        assert hand_over(f"ann{number}@d.example", mails).verdict is Verdict.ACCEPTED
    assert set(arrived(sinks).values()) == {1} and len(arrived(sinks)) == 3
    assert sinks["second"].mails() and mails.left()


@pytest.mark.parametrize("fault", ["dot-keep-drop", "dot-drop", "rcpt-550"])
def test_o8_a_single_mail_that_may_be_there_or_is_refused_goes_by_no_other(
    fault, sinks, mailers
) -> None:
    outcome = hand_over(f"ann+{fault}@d.example", SingleMails())
    refused = fault == "rcpt-550"
    assert outcome.verdict is (Verdict.REFUSED if refused else Verdict.UNKNOWN)
    assert not sinks["second"].begun() and not sinks["third"].begun()


def test_in_test_mode_the_mark_is_there_once(sinks, settings, mailers) -> None:
    settings.TEST_MODE_TO = "ada@example.org"
    sinks["main"].ails(REFUSES)
    hand_over("ann@d.example", SingleMails())
    (mail,) = sinks["second"].mails()
    assert mail.message["Subject"] == "[Test mode] Hello"
    assert mail.rcpt == ("ada@example.org",)


def test_an_alarm_goes_by_the_next_relay(sinks, settings, mailers) -> None:
    settings.MAILER_URL = NOBODY
    mailers()
    circuit_breaker.trip(make.NOON, Failure("Connection refused"))
    assert [mail.rcpt for mail in sinks["second"].mails()] == [("operator@example.org",)]


def test_who_serves_whom() -> None:
    names = ("main", "second")
    routes = relays.routes("A.example, b.example = second,main ; *=main", names)
    assert routes["a.example"] == routes["b.example"] == ("second", "main")
    assert routes["*"] == ("main",)
    assert relays.routes("", names) == {"*": names}
