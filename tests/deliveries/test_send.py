"""Send: from due rows to mails on a socket, each once."""

import math
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from threading import Thread

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from digest.deliveries import control, fencing, ledger
from digest.deliveries.outlets import BatchSizer, Outlets
from digest.deliveries.plan import plan
from digest.deliveries.send import Run, send_due
from digest.feedback import events
from digest.feedback.events import Report
from digest.models import Delivery, Lease
from digest.ranking import loaded
from subscribers import privacy, subscriptions, suppression
from subscribers.addresses import BadAddress, canonical
from subscribers.consent import Origin
from subscribers.models import Suppression
from tests import make
from tests.race import at_once
from tests.sink import in_thread

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh():
    loaded.load.cache_clear()
    yield
    loaded.load.cache_clear()


@pytest.fixture
def sink(sink, settings):
    settings.MAILER_URL = sink.url
    settings.SUBMIT_GROUP = 20
    return sink


@pytest.fixture
def edition():
    graphs, video = make.topic("graphs"), make.topic("video", position=1)
    return make.edition(
        {
            make.paper(1, upvotes=41): {graphs.slug: 1.0},
            make.paper(2, upvotes=7): {graphs.slug: 0.5, video.slug: 1.0},
            make.paper(3, upvotes=90): {"other": 1.0},
        }
    )


def clock():
    return make.NOON


def deliver(now=make.NOON) -> dict[str, int]:
    plan(now)
    return dict(+send_due(lambda: now))


def test_each_reader_gets_the_papers_of_their_topics_once(sink, edition):
    make.reader("graphs@example.org", "graphs")
    make.reader("video@example.org", "video")
    make.reader("all@example.org")
    assert deliver() == {"accepted": 3}
    (mail,) = sink.to("graphs@example.org")
    text = mail.message.get_body(("plain",)).get_content()
    assert text.index("Paper 1") < text.index("Paper 2") and "Paper 3" not in text
    assert "Graphs · 41 upvotes" in text
    (mail,) = sink.to("video@example.org")
    assert mail.message["Subject"] == "17 Apr · Paper 2"
    (mail,) = sink.to("all@example.org")
    assert "Trending · 90 upvotes" in mail.message.get_body(("plain",)).get_content()
    assert make.states() == dict.fromkeys(make.states(), "accepted")


def test_links_are_each_readers_own(sink, edition):
    readers = make.readers([f"r{number}@example.org" for number in range(3)], "graphs")
    deliver()
    for reader in readers:
        (mail,) = sink.to(reader.email)
        assert mail.message["List-Unsubscribe"].endswith(f"/u/{reader.unsubscribe_token}>")
        assert not any(
            other.unsubscribe_token.encode() in mail.raw
            for other in readers
            if other != reader
        )


def test_sending_again_sends_nothing(sink, edition):
    make.reader("graphs@example.org", "graphs")
    assert [deliver(), deliver(), deliver()] == [{"accepted": 1}, {}, {}]
    assert len(sink.mails()) == 1


def test_a_reader_for_whom_the_day_has_nothing_gets_no_mail(sink, edition):
    make.topic("audio", position=2)
    make.reader("audio@example.org", "audio")
    assert deliver() == {"skipped": 1}
    assert sink.mails() == []
    assert Delivery.objects.get().reason == "no paper of the reader's topics"


def test_a_refused_reader_spoils_nobody_else(sink, edition):
    make.reader("a@example.org", "graphs")
    gone = make.reader("b+rcpt-550@example.org", "graphs")
    make.reader("c+dot-keep-drop@example.org", "graphs")
    make.reader("d@example.org", "graphs")
    assert deliver() == {"accepted": 2, "refused": 1, "unknown": 1}
    assert make.states() == {
        "a@example.org": "accepted",
        gone.email: "refused",
        "c+dot-keep-drop@example.org": "unknown",
        "d@example.org": "accepted",
    }
    assert deliver(make.NOON + timedelta(hours=2)) == {}
    assert len(sink.mails()) == 3


def test_a_provider_that_is_down_costs_time_only(sink, edition, settings):
    make.readers([f"r{number}@example.org" for number in range(30)], "graphs")
    there, settings.MAILER_URL = settings.MAILER_URL, "smtp://127.0.0.1:9"
    assert deliver()["retry"] == BatchSizer().group
    assert set(make.states().values()) == {"pending"}
    assert set(Delivery.objects.values_list("attempts", flat=True)) == {0}
    settings.MAILER_URL = there
    assert deliver(make.NOON + timedelta(hours=2)) == {"accepted": 30}
    assert len(sink.mails()) == 30


def test_a_temporary_refusal_is_tried_again_and_arrives_once(sink, edition):
    make.reader("r+rcpt-450x2@example.org", "graphs")
    for hours in range(4):
        deliver(make.NOON + timedelta(hours=hours))
    assert len(sink.mails()) == 1
    assert Delivery.objects.get().attempts == 3


def test_m14_an_international_domain_is_written_to_as_its_a_label(sink, edition):
    make.reader(canonical("ann@straße.de"), "graphs")
    make.reader(canonical("bob@例子.公司"), "graphs")
    assert deliver() == {"accepted": 2}
    assert sorted(rcpt for mail in sink.mails() for rcpt in mail.rcpt) == [
        "ann@xn--strae-oqa.de",
        "bob@xn--fsqu00a.xn--55qx5d",
    ]
    assert all(mail.raw.isascii() for mail in sink.mails())


def test_m14_a_name_that_few_servers_take_is_a_clear_error_at_the_form():
    with pytest.raises(BadAddress, match="plain letters"):
        canonical("用户@例子.公司")


def test_r10_one_poisoned_row_is_skipped_and_the_rest_goes_out(sink, edition):
    make.reader("a@example.org", "graphs")
    poisoned = make.reader("b@example.org", "graphs")
    type(poisoned).objects.filter(pk=poisoned.pk).update(unsubscribe_token="é")
    make.reader("c@example.org", "graphs")
    assert deliver() == {"accepted": 2, "skipped": 1}
    reason = Delivery.objects.get(state="skipped").reason
    assert reason == "the reader's link to unsubscribe is broken"


def test_an_interrupted_slice_gives_back_what_was_not_handed_over(
    sink, edition, settings, monkeypatch
):
    settings.SEND_CONNECTIONS = 2
    make.readers([f"r{number:02}@example.org" for number in range(45)], "graphs")
    real, calls = ledger.intend, []

    def fails_at_the_second(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(ledger, "intend", fails_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        deliver()
    monkeypatch.setattr(ledger, "intend", real)
    assert sorted(make.states().values()) == ["accepted"] * 6 + ["pending"] * 39
    assert deliver() == {"accepted": 39}
    assert len(sink.mails()) == 45 == len({mail.rcpt for mail in sink.mails()})


def test_r4_groups_follow_the_speed_of_the_line(settings):
    settings.SUBMIT_GROUP, settings.SEND_CONNECTIONS = 100, 2
    batch_sizer, sizes = BatchSizer(), []
    for seconds in (0.01, 0.02, 0.05, 0.2, 20, 20, 0.05):
        batch_sizer.learn(batch_sizer.group, seconds)
        sizes.append(batch_sizer.group)
    assert sizes == [24, 96, 100, 100, 5, 1, 4]


def test_a_sender_claims_what_it_can_send_until_its_end(sink, settings):
    settings.SUBMIT_GROUP = 100
    outlets = Outlets(lambda: make.NOON)
    outlets.all["main"].batch_sizer.learn(100, 0.01)
    assert outlets.slice == 10 * outlets.group
    sizes = []
    for seconds, speed in ((3, 0), (3, 1000), (0.2, 1000), (0.01, 1000), (-1, 1000)):
        until = make.NOON + timedelta(seconds=seconds)
        sizes.append(Run(lambda: make.NOON, None, until, outlets, speed=speed).slice)
    assert sizes == [outlets.slice, outlets.slice, 200, outlets.group, outlets.group]
    assert Run(lambda: make.NOON, None, None, outlets, speed=1).slice == outlets.slice


def test_c3_a_sender_ends_in_time_on_a_slow_line_and_charges_nobody(sink, edition):
    make.readers([f"r{number}@example.org" for number in range(30)], "graphs")
    plan(make.NOON)
    seconds = count()
    slow = send_due(
        lambda: make.NOON + timedelta(seconds=next(seconds)),
        until=make.NOON + timedelta(seconds=5),
    )
    assert 0 < slow["accepted"] < 30
    assert set(Delivery.objects.values_list("state", "attempts")) == {
        ("accepted", 1),
        ("pending", 0),
    }
    assert not Lease.objects.exists()
    assert send_due(clock)["accepted"] == 30 - slow["accepted"]


def test_the_number_of_queries_does_not_grow_with_the_readers(sink, edition, monkeypatch):
    # On a busy machine a sender would write its counts in between, and look again who has left.
    monkeypatch.setattr("digest.deliveries.throughput.PERIOD", math.inf)
    monkeypatch.setattr("digest.transport.base.FRESH", math.inf)
    loaded.load(edition.pk)
    fencing.rise()
    counts = []
    for readers in (1, BatchSizer().group):
        make.readers(
            [f"r{number}of{readers}@example.org" for number in range(readers)], "graphs"
        )
        type(edition).objects.update(planned_until=None)
        plan(make.NOON)
        with CaptureQueriesContext(connection) as queries:
            assert send_due(clock)["accepted"] == readers
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.django_db(transaction=True)
def test_two_senders_at_once_send_each_mail_once(tmp_path, settings):
    make.topic("graphs")
    make.edition({make.paper(1): {"graphs": 1.0}})
    make.readers([f"r{number}@example.org" for number in range(50)], "graphs")
    plan(make.NOON)
    with in_thread(tmp_path / "sink") as sink:
        settings.MAILER_URL = sink.url
        at_once(*[lambda: send_due(clock)] * 3)
        send_due(clock)
        assert len(sink.mails()) == 50 == len({mail.rcpt for mail in sink.mails()})


class Beside:
    """Begins something while an intent is not committed; it is over before what comes next."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work
        self.thread = Thread(target=self.run)

    def run(self) -> None:
        self.work()
        connections.close_all()

    def __call__(self, execute, sql, *rest):
        if self.thread.ident and "JOIN subscribers_subscriber p ON p.id = d.sub" in sql:
            self.thread.join(60)
        result = execute(sql, *rest)
        if "intent_at = " in sql and not self.thread.ident:
            self.thread.start()
        return result


BY_LINK = Origin("/u/")
WAYS_OUT = {
    "an unsubscribe": lambda reader, row: subscriptions.unsubscribe(
        reader.pk, origin=BY_LINK, now=make.NOON
    ),
    "a pause": lambda reader, row: subscriptions.pause(
        reader.pk, origin=BY_LINK, now=make.NOON
    ),
    "a complaint": lambda reader, row: events.take(
        [Report("complained", "k", make.NOON, row.pk)], now=make.NOON
    ),
    "a bar": lambda reader, row: suppression.suppress(
        reader.email_hash, Suppression.Reason.MANUAL, now=make.NOON
    ),
    "an erasure": lambda reader, row: privacy.erase(reader.pk, now=make.NOON),
    "a cancelled edition": lambda reader, row: control.cancel(
        row.edition, "wrong papers", now=make.NOON
    ),
}


@pytest.mark.each_row
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", WAYS_OUT.values(), ids=WAYS_OUT)
def test_p3a_who_leaves_beside_the_commit_of_an_intent_gets_no_mail(sink, edition, way):
    """The intent cannot see it yet; the look before the first hand-over does."""
    reader = make.reader("ann@example.org", "graphs")
    plan(make.NOON)
    row = Delivery.objects.select_related("edition").get()
    beside = Beside(lambda: way(reader, row))
    with connection.execute_wrapper(beside):
        send_due(clock)
    assert beside.thread.ident and not beside.thread.is_alive()
    assert sink.mails() == []
    control.skip_cancelled(make.NOON)  # as each tick does
    row.refresh_from_db()
    assert row.state == "skipped" and "\n" not in row.picks
