"""What replies and silences mean: one row per case."""

from datetime import timedelta

import pytest

from digest.feedback.bounce_rules import Meaning, meaning
from digest.transport.outcomes import (
    Phase,
    Verdict,
    backoff,
    of_reply,
    of_silence,
    of_status,
)


@pytest.mark.parametrize(
    ("phase", "code", "text", "verdict", "charged", "bad"),
    [
        (Phase.AFTER_DOT, 250, "queued", Verdict.ACCEPTED, True, False),
        (Phase.AFTER_DOT, 451, "try later", Verdict.RETRY, True, False),
        (Phase.AFTER_DOT, 421, "closing", Verdict.RETRY, False, False),
        (Phase.AFTER_DOT, 554, "5.7.1 spam", Verdict.REFUSED, True, False),
        (Phase.AFTER_DOT, 354, "what?", Verdict.UNKNOWN, True, False),
        (Phase.RECIPIENT, 450, "4.2.0 greylisted", Verdict.RETRY, True, False),
        (Phase.RECIPIENT, 550, "5.1.1 no such user", Verdict.REFUSED, True, True),
        (Phase.RECIPIENT, 550, "5.1.10 not found by lookup", Verdict.REFUSED, True, True),
        (Phase.RECIPIENT, 550, "5.1.11 of no registry", Verdict.REFUSED, True, False),
        (Phase.RECIPIENT, 550, "5.2.1 disabled", Verdict.REFUSED, True, True),
        (Phase.RECIPIENT, 550, "5.7.1 policy", Verdict.REFUSED, True, False),
        (Phase.RECIPIENT, 552, "5.2.2 mailbox full", Verdict.REFUSED, True, False),
        (Phase.CONNECT, 535, "5.7.8 bad credentials", Verdict.RETRY, False, False),
        (Phase.CONNECT, 421, "too busy", Verdict.RETRY, False, False),
        (Phase.CONNECT, 554, "no service", Verdict.RETRY, False, False),
    ],
)
def test_a_reply(phase, code, text, verdict, charged, bad):
    outcome = of_reply(phase, code, text)
    assert (outcome.verdict, outcome.charged, outcome.bad_address) == (
        verdict,
        charged,
        bad,
    )
    assert outcome.reply == f"{code} {text}"


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("5.1.1 Relay access denied", True),
        ("5.1.1 <ann@example.org>: relaying denied, no such user here", True),
        ("5.2.1 we do not relay for this domain", True),
        ("5.1.0 no relaying", True),
        ("5.1.2 unable to relay for example.org", True),
        ("5.1.1 sorry, that domain isn't in my list of allowed rcpthosts", True),
        ("5.1.1 <ann@relay.example>: user unknown in relay recipient table", False),
        ("5.1.1 no such user at the relay", False),
        ("5.1.1 recipient address not verified", False),
    ],
)
def test_words_about_relaying_are_about_us_whatever_the_code(text, ours):
    outcome = of_reply(Phase.RECIPIENT, 550, text)
    assert (outcome.verdict is Verdict.RETRY) is ours
    assert outcome.charged is outcome.bad_address is not ours
    assert (meaning(f"550 {text}") is Meaning.OURS) is ours


@pytest.mark.parametrize(
    ("phase", "verdict", "charged"),
    [
        (Phase.CONNECT, Verdict.RETRY, False),
        (Phase.RECIPIENT, Verdict.RETRY, True),
        (Phase.CONTENT, Verdict.RETRY, True),
        (Phase.AFTER_DOT, Verdict.UNKNOWN, True),
    ],
)
def test_a_silence(phase, verdict, charged):
    outcome = of_silence(phase, "connection reset")
    assert (outcome.verdict, outcome.charged) == (verdict, charged)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.ACCEPTED),
        (202, Verdict.ACCEPTED),
        (400, Verdict.REFUSED),
        (401, Verdict.RETRY),
        (422, Verdict.REFUSED),
        (429, Verdict.RETRY),
        (500, Verdict.UNKNOWN),
        (502, Verdict.UNKNOWN),
        (503, Verdict.RETRY),
        (504, Verdict.UNKNOWN),
        (None, Verdict.UNKNOWN),
    ],
)
def test_a_providers_status(status, verdict):
    assert of_status(status, "text").verdict is verdict


def test_r8_waits_grow_up_to_an_hour_and_are_spread():
    assert backoff(0, lambda: 0.0) == timedelta(seconds=5)
    assert backoff(1, lambda: 1.0) == timedelta(seconds=65)
    assert backoff(20, lambda: 1.0) == timedelta(seconds=3605)
