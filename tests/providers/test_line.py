"""The line of mails that wait: looked at again before each hand-over on a slow line."""

import threading

import pytest

from digest.transport.base import Line
from digest.transport.open import open_transport


@pytest.mark.django_db
@pytest.mark.embedded
@pytest.mark.parametrize("connections", [1, 3])
def test_p3a_providers_begin_nothing_that_nobody_wants_any_more(
    use, settings, mails, connections, journal
):
    use("postmark")
    settings.SEND_CONNECTIONS = connections
    asked, where = [], set()

    def look(ids):
        where.add(threading.current_thread())
        asked.append(set(ids))
        return ids if len(asked) == 1 else {max(ids)}

    line = Line(mails(*[f"r{number}+http-slow" for number in range(12)]), look)
    transport = open_transport()
    outcomes = dict(transport.hand_over(line))
    transport.close()
    assert set(outcomes) | line.dropped == set(range(1, 13))
    assert not set(outcomes) & line.dropped
    assert len(journal()) == len(outcomes) == connections + 1
    assert asked[:2] == [set(range(1, 13)), set(range(connections + 1, 13))]
    assert where == {threading.main_thread()}, "only it has the database's connection"


@pytest.mark.django_db
@pytest.mark.embedded
def test_an_interrupted_sender_leaves_no_thread_that_waits_for_it(use, settings, mails):
    use("postmark")
    settings.SEND_CONNECTIONS = 3
    asked = []

    def look(ids):
        asked.append(ids)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return ids

    line = Line(mails(*[f"r{number}+http-slow" for number in range(12)]), look)
    transport = open_transport()
    with pytest.raises(KeyboardInterrupt):
        dict(transport.hand_over(line))
    transport.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("send")]


@pytest.mark.django_db
def test_a_fast_line_is_looked_at_once_before_its_first_mail(mails, monkeypatch):
    monkeypatch.setattr("digest.transport.base.FRESH", 60)
    asked = []

    def look(ids):
        asked.append(set(ids))
        return {1, 3}

    line = Line(mails(*"abc"), look)
    assert [mail.delivery_id for mail in line] == [1, 3]
    assert line.take() is None
    assert asked == [{1, 2, 3}] and line.dropped == {2}


@pytest.mark.django_db
@pytest.mark.parametrize("without", ["", "provider.invalid"])
def test_a_provider_is_reached_by_the_proxy_of_the_environment(
    use, settings, mails, journal, monkeypatch, without
):
    server = use("postmark")
    settings.ANYMAIL = settings.ANYMAIL | {"POSTMARK_API_URL": "http://provider.invalid/"}
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", without)
    transport = open_transport()
    ((_, outcome),) = transport.hand_over(mails("ann"))
    transport.close()
    assert (outcome.verdict == "accepted", len(journal())) == (not without, not without)
