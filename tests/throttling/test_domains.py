"""Receiving domains: one that puts us off, or is limited, waits alone."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from digest.deliveries import fencing
from digest.deliveries.evidence import Evidence
from digest.deliveries.plan import plan
from digest.deliveries.send import send_due
from digest.editions.compose import Reader
from digest.models import BackOff, Delivery, DeliveryEvent, Edition
from digest.ranking.select import Digest
from digest.throttling import circuit_breaker, domains, relay
from digest.throttling.circuit_breaker import Failure
from digest.throttling.domains import Gate
from digest.transport.base import Mail
from digest.transport.outcomes import Outcome, Phase, Verdict, of_reply, of_silence
from digest.transport.relays import MAIN
from tests import make
from tests.race import at_once

pytestmark = pytest.mark.django_db
NOW = make.NOON
SECOND = timedelta(seconds=1)
ACCEPTED = Outcome(Verdict.ACCEPTED, "accepted", "250 ok")
THROTTLED = of_reply(Phase.RECIPIENT, 421, "4.7.28 too many")


@pytest.fixture(autouse=True)
def own_machine(settings, tmp_path):
    settings.STATE_DIR = tmp_path / "state"
    settings.REDIS_URL = "redis://127.0.0.1:9/0"


@pytest.fixture
def edition():
    return make.edition({make.paper(1): {"graphs": 1.0}})


@pytest.fixture
def sink(sink, settings):
    settings.MAILER_URL = sink.url
    return sink


def readers(count: int, address: str, **fields) -> None:
    make.readers(map(address.format, range(count)), "graphs", **fields)
    Edition.objects.update(planned_until=None)


def deliver(now: datetime = NOW) -> dict[str, int]:
    plan(now)
    return send_at(now)


def send_at(now: datetime) -> dict[str, int]:
    return dict(+send_due(lambda: now))


def waiting() -> list[datetime]:
    rows = Delivery.objects.filter(state="pending").order_by("not_before")
    return list(rows.values_list("not_before", flat=True))


def group(*addresses: str) -> list[Digest]:
    return [Digest(Reader(pk, address, ""), []) for pk, address in enumerate(addresses)]


def mails(*addresses: str) -> dict[int, Mail]:
    return {
        pk: Mail(pk, "from@example.org", address, bytes, lambda: None)  # type: ignore[arg-type,return-value]
        for pk, address in enumerate(addresses)
    }


def judged(gate: Gate, outcomes: dict[str, Outcome]) -> None:
    gate.judge(mails(*outcomes), dict(enumerate(outcomes.values())))


def test_m19_a_domain_that_puts_us_off_slows_nobody_else(sink, edition):
    readers(40, "r{}+rcpt-421@gmail.test")
    readers(40, "r{}@example.org")
    assert deliver()["accepted"] == 40
    assert len(sink.mails()) == 40
    assert not BackOff.objects.filter(pk=BackOff.PROVIDER).exists(), (
        "the provider is not to blame"
    )
    assert 0 < DeliveryEvent.objects.count() <= 20, "and most were not even tried"
    assert len(waiting()) == 40
    assert set(
        Delivery.objects.filter(state="pending").values_list("attempts", flat=True)
    ) == {0}


def test_m19_the_waits_grow_and_each_mail_arrives_once(sink, edition, caplog):
    readers(25, "r{}+rcpt-421x1@gmail.test")
    now = NOW
    rests: list[timedelta] = []
    deliver(now)
    while waiting():
        rest = BackOff.objects.first()
        if rest and rest.rests > len(rests):
            assert rest.resting_until
            rests.append(rest.resting_until - now)
        now = max(waiting()[0], now + 10 * SECOND)
        assert now < NOW + timedelta(hours=12)
        send_at(now)
    assert len(sink.mails()) == 25 == len({mail.rcpt for mail in sink.mails()})
    assert rests[0] == circuit_breaker.FIRST_DOMAIN_REST
    assert not BackOff.objects.exists()
    times = caplog.text.count("gmail.test puts us off")
    assert caplog.text.count("gmail.test takes mail again") == times < 5
    assert "@gmail.test" not in caplog.text


def test_r8_a_domain_that_never_answers_is_tried_less_and_less_and_bounded(sink, edition):
    readers(4, "r{}+rcpt-450@gmail.test")
    plan(NOW)
    for step in range(20 * 6):
        send_at(NOW + step * timedelta(minutes=10))
    assert not waiting()
    tries = list(DeliveryEvent.objects.order_by("at").values_list("at", flat=True))
    assert (
        max(Counter(DeliveryEvent.objects.values_list("delivery", flat=True)).values()) <= 8
    )
    gaps = [later - earlier for earlier, later in zip(tries[5:], tries[6:], strict=False)]
    assert max(gaps) > timedelta(minutes=20)
    states = Counter(Delivery.objects.values_list("state", flat=True))
    assert states["expired"] + states["refused"] == 4, "nothing disappears"


def test_r8_after_a_rest_one_mail_goes_first_and_the_rest_come_spread(sink, edition):
    readers(30, "r{}@gmail.test")
    fencing.rise()
    BackOff.objects.create(
        name="gmail.test", failures=9, rests=3, resting_until=NOW, changed_at=NOW
    )
    passed = deliver()["accepted"]
    assert not BackOff.objects.exists(), "it answered"
    later = waiting()
    assert min(later) >= NOW + domains.BEHIND_PROBE
    assert 0 < len(set(later)) == 30 - passed, "all of its group but one stood behind"
    assert max(later) <= NOW + 2 * domains.BEHIND_PROBE
    assert deliver(max(later)) == {"accepted": 30 - passed}


def test_r9_a_probe_that_fails_doubles_the_rest_and_others_on_their_way_do_not():
    gate = Gate(NOW)
    for _ in range(3):
        judged(gate, {f"r{number}@gmail.test": THROTTLED for number in range(9)})
    rest = BackOff.objects.get()
    assert (rest.failures, rest.rests) == (27, 1)
    now = NOW + circuit_breaker.FIRST_DOMAIN_REST
    gate = Gate(now, circuit_breaker.read()[1])
    assert len(gate.passing(group("a@gmail.test", "b@gmail.test"))) == 1
    judged(gate, {"a@gmail.test": THROTTLED})
    rest = BackOff.objects.get()
    assert (rest.rests, rest.resting_until) == (
        2,
        now + 2 * circuit_breaker.FIRST_DOMAIN_REST,
    )


def test_r9_of_two_senders_one_may_try_the_domain():
    BackOff.objects.create(
        name="gmail.test", failures=9, rests=1, resting_until=NOW, changed_at=NOW
    )
    gates = [Gate(NOW, circuit_breaker.read()[1]) for _ in range(2)]
    passed = [len(gate.passing(group("a@gmail.test", "b@gmail.test"))) for gate in gates]
    assert passed == [1, 0]
    assert gates[0].passing(group("c@gmail.test")) == [], "and only once"


def test_r9_one_answer_more_than_refusals_is_no_trouble():
    gate = Gate(NOW)
    outcomes = {f"r{number}@gmail.test": THROTTLED for number in range(6)}
    fine = {f"f{number}@gmail.test": ACCEPTED for number in range(6)}
    judged(gate, outcomes | fine)
    assert not BackOff.objects.exists() and not gate.rests


def test_r9_a_line_that_is_closed_to_every_domain_is_the_providers_fault(sink, edition):
    for number in range(6):
        readers(1, f"r+rcpt-421@d{number}.test")
    assert deliver()["not tried"] >= relay.MANY_DOMAINS
    (rest,) = BackOff.objects.all()
    assert (rest.name, rest.failures) == (BackOff.PROVIDER, 1)
    assert set(Delivery.objects.values_list("attempts", flat=True)) == {0}


def test_r9_what_is_said_of_a_mailbox_is_not_said_of_its_domain():
    full = of_reply(Phase.RECIPIENT, 452, "4.2.2 mailbox full")
    assert not full.domain_fault and full.charged
    assert not of_reply(Phase.CONNECT, 421, "busy").domain_fault
    assert not of_silence(Phase.CONNECT, "refused").domain_fault
    for outcome in (
        THROTTLED,
        of_reply(Phase.AFTER_DOT, 451, "4.7.1 try later"),
        of_silence(Phase.RECIPIENT, "reset"),
        of_silence(Phase.AFTER_DOT, "reset"),
    ):
        assert outcome.domain_fault
    gate = Gate(NOW)
    judged(gate, {f"r{number}@gmail.test": full for number in range(50)})
    assert not BackOff.objects.exists()


def test_r9_the_providers_retry_after_is_kept_by_all():
    fencing.rise()
    busy = Outcome(Verdict.RETRY, "provider refuses us", "429", charged=False, wait=1800)
    seen = relay.Relay()
    assert seen.judge(mails("a@gmail.test"), {0: busy}, Evidence((), lambda: NOW))
    circuit_breaker.trip(NOW, Failure(seen.cause, asked=seen.asked))
    known, rests = circuit_breaker.read()
    provider = known.get(MAIN)
    assert provider and provider.resting_until == NOW + timedelta(minutes=30)
    assert not rests


def test_where_nothing_rests_and_nothing_is_limited_a_slice_asks_once(edition):
    digests = group("a@gmail.test", "b@example.org")
    with CaptureQueriesContext(connection) as queries:
        _, rests = circuit_breaker.read()
        gate = Gate(NOW, rests)
        assert gate.passing(digests) is digests
        judged(gate, {"a@gmail.test": ACCEPTED, "b@example.org": ACCEPTED})
    assert len(queries) == 1


def test_r9_a_rest_that_the_provider_asked_for_outlives_the_day():
    circuit_breaker.trip(NOW, Failure("429 come back in two days", asked=2 * 86400.0))
    circuit_breaker.forget(NOW + timedelta(hours=25))
    assert circuit_breaker.is_open(NOW + timedelta(hours=47))
    circuit_breaker.forget(NOW + timedelta(hours=49))
    assert not BackOff.objects.exists()


def test_a_domain_is_forgotten_after_a_day():
    circuit_breaker.put_off({"gmail.test": 7}, NOW, probed=set())
    circuit_breaker.forget(NOW + timedelta(hours=23))
    assert BackOff.objects.exists()
    circuit_breaker.forget(NOW + timedelta(hours=25))
    assert not BackOff.objects.exists()


@pytest.mark.each_row
@pytest.mark.parametrize(
    "address",
    ["", "@", "a@b@GMAIL.test", f"a@{'x' * 255}", "a@xn--gmil-6qa.test", "a@'\"%s"],
)
def test_any_address_has_a_domain_that_can_rest(address):
    gate = Gate(NOW)
    for _ in range(5):
        judged(gate, {address: THROTTLED})
    assert (
        gate.passing(group(address, "ann@example.org"))
        == group(address, "ann@example.org")[1:]
    )


def test_m19_a_limited_domain_gets_its_rate_and_no_more(sink, edition, settings):
    settings.DOMAIN_RATES = {"gmail.test": 2.0}
    readers(50, "r{}@GMAIL.test")
    readers(9, "r{}@example.org")
    assert deliver() == {"accepted": 9}
    gaps = {
        later - earlier for earlier, later in zip(waiting(), waiting()[1:], strict=False)
    }
    assert gaps == {SECOND / 2}, "each has its place in the line"
    sent = {}
    for seconds in range(10, 60, 10):  # as ticks come
        sent[seconds] = deliver(NOW + seconds * SECOND).get("accepted", 0)
    assert sum(sent.values()) == 50
    assert all(count <= 30 for count in sent.values())
    assert [sum(list(sent.values())[:n]) <= 2 * 10 * n for n in range(1, 6)] == [True] * 5


def test_r18_in_a_limited_domain_nobody_passes_who_stands_in_line(sink, edition, settings):
    settings.DOMAIN_RATES = {"gmail.test": 1.0}
    readers(20, "early{}@gmail.test")
    deliver()
    readers(20, "late{}@gmail.test", at=NOW)
    for seconds in range(10, 90, 10):
        deliver(NOW + seconds * SECOND)
    order = [mail.rcpt[0][:4] for mail in sink.mails()]
    assert order == ["earl"] * 20 + ["late"] * 20


def test_r18_a_throttled_domain_makes_no_zone_late(sink, edition):
    for zone, hour in (("UTC", 9), ("UTC", 10), ("Europe/Berlin", 13)):
        readers(10, f"{hour}-{{}}@example.org", when=make.schedule(zone, hour))
        readers(10, f"{hour}-{{}}+rcpt-421@gmail.test", when=make.schedule(zone, hour))
    instants = [
        NOW - timedelta(hours=3) + timedelta(minutes=10 * step) for step in range(20)
    ]
    for now in instants:
        deliver(now)
    rows = Delivery.objects.filter(subscriber__email__endswith="@example.org")
    lateness = [at - due for at, due in rows.values_list("outcome_at", "due_at") if at]
    assert len(lateness) == 30 and max(lateness) < timedelta(minutes=10)
    assert len(sink.mails()) == 30


@pytest.mark.django_db(transaction=True)
def test_m19_senders_at_once_count_every_refusal():
    def run():
        for _ in range(5):
            circuit_breaker.put_off({"gmail.test": 3}, NOW, probed=set())

    at_once(*[run] * 4)
    rest = BackOff.objects.get()
    assert (rest.failures, rest.rests) == (60, 1)
