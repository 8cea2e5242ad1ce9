"""What a server's reply, or its silence, means for a delivery. Pure.

Retried is only what was surely not accepted: an explicit temporary no, or a connection
that ended before the final dot was written. Silence after the dot is `unknown`, never
sent again by itself (RFC 5321 section 4.5.3.2.6, RFC 1047).
"""

import random
import re
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    RETRY = "retry"
    UNKNOWN = "unknown"
    # Not begun, as nobody wants it any more or we shall stop: pending again, uncharged.
    RETURNED = "returned"


class Cause(StrEnum):
    """The reasons of outcomes on which something depends; others are for people only."""

    # unknown: a provider with keys may be asked about it again
    LOST_ANSWER = "no certain answer from the provider"
    # retry: no fault of the mail or its reader; senders rest
    NOT_TRIED = "not tried"


class Phase(StrEnum):
    """How far a hand-over had come when something happened."""

    CONNECT = "connect"
    ENVELOPE = "envelope"
    CONTENT = "content"
    AFTER_DOT = "after dot"


class Outcome(NamedTuple):
    """One delivery's hand-over, judged."""

    verdict: Verdict
    reason: str
    reply: str = ""
    # False where the fault is the provider's: it does not use up the row's attempts.
    charged: bool = True
    # The address itself does not exist: never write to it again.
    bad_address: bool = False
    # Seconds that the other side asked us to wait before the next attempt.
    wait: float = 0.0
    # The session was open when it was put off or cut: perhaps by the receiving domain.
    domain_fault: bool = False


# Token, quota, address or pace: no reader's fault. 404 and 405: a wrong address of the API.
ABOUT_US = frozenset({401, 402, 403, 404, 405, 408, 420, 425, 429, 503})
# Said of one mailbox (RFC 3463 sections 3.2 and 3.3), not of its domain.
MAILBOX = re.compile(r"\b4\.[12]\.")
BAD_ADDRESS = re.compile(r"\b5\.(?:1\.[0-36]|2\.1)\b")
NOT_TRIED = Outcome(Verdict.RETRY, Cause.NOT_TRIED, charged=False)
NOT_BEGUN = Outcome(Verdict.RETURNED, "not begun", charged=False)
POISON = Outcome(Verdict.REFUSED, "cannot be composed")


def of_reply(phase: Phase, code: int, text: str) -> Outcome:
    """The meaning of an SMTP reply (RFC 5321 section 4.2, RFC 3463 for x.y.z codes)."""
    reply = f"{code} {text}"[:500]
    if phase is Phase.AFTER_DOT and 200 <= code < 300:
        return Outcome(Verdict.ACCEPTED, "accepted", reply)
    if 400 <= code < 500:
        opened, reason = phase is not Phase.CONNECT, f"temporary refusal at {phase}"
        domain_fault = opened and not MAILBOX.search(text)
        charged = opened and code != 421
        return Outcome(Verdict.RETRY, reason, reply, charged, domain_fault=domain_fault)
    if phase is Phase.CONNECT:
        return Outcome(Verdict.RETRY, "provider refuses us", reply, charged=False)
    if 500 <= code < 600:
        bad = phase is Phase.ENVELOPE and bool(BAD_ADDRESS.search(text))
        reason = "no such address" if bad else f"refused at {phase}"
        return Outcome(Verdict.REFUSED, reason, reply, bad_address=bad)
    if phase is Phase.AFTER_DOT:
        return Outcome(Verdict.UNKNOWN, "unreadable reply after dot", reply)
    return Outcome(Verdict.RETRY, f"unexpected reply at {phase}", reply)


def of_silence(phase: Phase, error: str) -> Outcome:
    """The meaning of a connection that broke or timed out in this phase."""
    words, opened = error[:500], phase is not Phase.CONNECT
    if phase is Phase.AFTER_DOT:
        return Outcome(Verdict.UNKNOWN, "no reply after dot", words, domain_fault=True)
    reason = f"connection lost at {phase}"
    return Outcome(Verdict.RETRY, reason, words, charged=opened, domain_fault=opened)


def of_status(status: int | None, text: str, wait: float = 0.0) -> Outcome:
    """The meaning of a provider's HTTP answer to one message for one reader.

    None: no answer was read after the request had gone out. 500, 502 and 504 may come
    after the provider took the message, so they are as silent as no answer. `wait` is
    its Retry-After in seconds.
    """
    reply = f"{status} {text}"[:500] if status else text[:500]
    if status is None or status in {500, 502, 504}:
        return Outcome(Verdict.UNKNOWN, Cause.LOST_ANSWER, reply)
    if 200 <= status < 300:
        return Outcome(Verdict.ACCEPTED, "accepted", reply)
    if status in ABOUT_US:
        reason = "provider refuses us"
        return Outcome(Verdict.RETRY, reason, reply, charged=False, wait=wait)
    return Outcome(Verdict.REFUSED, "refused by the provider", reply)


def of_recipient(status: str, text: str) -> Outcome:
    """The meaning of a status of Anymail's for one reader, in an answer that was read.

    https://anymail.dev/en/stable/sending/anymail_additions/#esp-send-status
    """
    reply = f"{status} {text}"[:500]
    if status in {"sent", "queued"}:
        return Outcome(Verdict.ACCEPTED, "accepted", reply)
    if status in {"invalid", "rejected"}:
        reason = "the provider rejects the address"
        return Outcome(Verdict.REFUSED, reason, reply, bad_address=True)
    if status == "failed":
        return Outcome(Verdict.REFUSED, "refused by the provider", reply)
    return Outcome(Verdict.UNKNOWN, Cause.LOST_ANSWER, reply)


def backoff(attempts: int, jitter: Callable[[], float] = random.random) -> timedelta:
    """Full-jitter exponential wait before the next attempt: 30 s to an hour at most."""
    return timedelta(seconds=5 + jitter() * min(30 * 2**attempts, 3600))
