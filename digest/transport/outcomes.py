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

    CONNECT = "connect"  # greeting, EHLO, STARTTLS, AUTH
    SENDER = "MAIL"  # no recipient is named yet: whatever is said is not about one
    RECIPIENT = "RCPT"
    DATA = "DATA"
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
    # Said in an open session, and perhaps of us: throttling/relay.py decides, by what the
    # relay says to others. Not charged: of us or the relay whatever it says to others.
    suspect: bool = False


# Token, quota, address or pace: no reader's fault. 404 and 405: a wrong address of the API.
# 406 to 426 without 409, 413, 414 and 422: our client. 501 and 505 are a no for certain.
ABOUT_US = frozenset(
    {401, 402, 403, 404, 405, 406, 407, 408, 410, 411, 412, 415, 417, 420, 421, 423, 424}
    | {425, 426, 428, 429, 431, 501, 503, 505, 511}
)
RELAY_REFUSES = "provider refuses us"
# Said of one mailbox (RFC 3463 sections 3.2 and 3.3), not of its domain.
MAILBOX = re.compile(r"\b[45]\.(?:1\.(?:[0-6]|10)|2\.\d{1,3})\b")
BAD_ADDRESS = re.compile(r"\b5\.(?:1\.(?:[0-36]|10)|2\.1)\b")
# Of the mail system or of policy (sections 3.4 and 3.8): of us as likely as of a reader.
SYSTEM = re.compile(r"\b[45]\.3\.\d{1,3}\b")
POLICY = re.compile(r"\b[45]\.7\.\d{1,3}\b")
# Commands, order, TLS and login (RFC 5321 section 4.2.3, RFC 4954, RFC 3207).
PROTOCOL_CODES = frozenset({454, 455, 500, 502, 503, 504, 530, 532, 534, 535, 538})
# A server that does not take mail from us for others says so whatever code it has beside it.
RELAYING = re.compile(
    r"\brelay(?:ing)? (?:access )?(?:is )?(?:denied|not|prohibited)"
    r"|\bno relay(?:ing)?\b|\bto relay\b|\bnot relay\b|\brcpthosts\b",
    re.IGNORECASE,
)
# What servers say of client and sender, also where they delay it until RCPT. 1.7 and 1.8
# are the sender's address.
OF_US = re.compile(
    r"\b[45]\.1\.[78]\b"
    r"|\bdmarc\b|\bnot verified\b|\bsend as this sender\b"
    r"|\bauthenticat(?:e|ion) (?:first|(?:is )?(?:required|needed))"
    r"|\bmust (?:first )?(?:authenticate|issue)\b|\bnot authenticated\b"
    r"|\b(?:sender address|helo command|client host) rejected\b"
    r"|\bclient host\b|\bblocked using\b"
    r"|\b(?:your|sending|client) (?:ip|host|server)(?: address)? (?:is|has been) "
    r"(?:listed|blocked|blacklisted|blocklisted|banned)\b",
    re.IGNORECASE,
)
AT = re.compile("[@\uff20\ufe6b]")  # of ASCII, full-width, small
NOT_TRIED = Outcome(Verdict.RETRY, Cause.NOT_TRIED, charged=False)
NOT_BEGUN = Outcome(Verdict.RETURNED, "not begun", charged=False)
POISON = Outcome(Verdict.REFUSED, "cannot be composed")


def of_reply(phase: Phase, code: int, text: str) -> Outcome:
    """Judge an SMTP reply (RFC 5321 section 4.2, RFC 3463 for x.y.z codes)."""
    reply = f"{code} {text}"[:500]
    if phase is Phase.AFTER_DOT and 200 <= code < 300:
        return Outcome(Verdict.ACCEPTED, "accepted", reply)
    if phase is Phase.AFTER_DOT and not 400 <= code < 600:
        return Outcome(Verdict.UNKNOWN, "unreadable reply after dot", reply)
    if phase is Phase.CONNECT:
        return Outcome(Verdict.RETRY, RELAY_REFUSES, reply, charged=False)
    if phase is Phase.SENDER or is_of_us(code, text):
        return Outcome(Verdict.RETRY, RELAY_REFUSES, reply, charged=False, suspect=True)
    suspect = bool(SYSTEM.search(text) or POLICY.search(text))
    if 400 <= code < 500:
        return put_off(phase, code, reply, suspect=suspect)
    if 500 <= code < 600:
        bad = phase is Phase.RECIPIENT and bool(BAD_ADDRESS.search(text))
        reason = "no such address" if bad else f"refused at {phase}"
        return Outcome(Verdict.REFUSED, reason, reply, bad_address=bad, suspect=suspect)
    return Outcome(Verdict.RETRY, f"unexpected reply at {phase}", reply)


def is_of_us(code: int, text: str) -> bool:
    """Return whether the reply is about client, sender or session, whoever was named."""
    if RELAYING.search(text):
        return True
    if MAILBOX.search(text):
        return False
    return code in PROTOCOL_CODES or bool(OF_US.search(text))


def put_off(phase: Phase, code: int, reply: str, *, suspect: bool) -> Outcome:
    """Judge a temporary no; full disks and closed sessions are charged to no reader."""
    return Outcome(
        Verdict.RETRY,
        f"temporary refusal at {phase}",
        reply,
        charged=code != 421 and not SYSTEM.search(reply),
        domain_fault=not MAILBOX.search(reply),
        suspect=suspect,
    )


def of_silence(phase: Phase, error: str) -> Outcome:
    """Judge a connection that broke or timed out in this phase."""
    words, reason = error[:500], f"connection lost at {phase}"
    match phase:
        case Phase.AFTER_DOT:
            return Outcome(Verdict.UNKNOWN, "no reply after dot", words, domain_fault=True)
        case Phase.CONNECT:
            return Outcome(Verdict.RETRY, reason, words, charged=False)
        case Phase.SENDER:
            return Outcome(Verdict.RETRY, reason, words, charged=False, suspect=True)
    return Outcome(Verdict.RETRY, reason, words, domain_fault=True)


def of_status(status: int | None, text: str, wait: float = 0.0) -> Outcome:
    """Judge a provider's HTTP answer to one message for one reader.

    None: no answer was read after the request had gone out. Errors of the server or of a
    gateway (500, 502, 504, 520 …) may come after the provider took the message, as may the
    409 of a request that goes on, so they are as silent as no answer. `wait` is its
    Retry-After in seconds.
    """
    reply = f"{status} {text}"[:500] if status else text[:500]
    if status is not None and 200 <= status < 300:
        return Outcome(Verdict.ACCEPTED, "accepted", reply)
    if status in ABOUT_US or (status and 300 <= status < 400):
        return Outcome(Verdict.RETRY, RELAY_REFUSES, reply, charged=False, wait=wait)
    if status is None or status == 409 or not 400 <= status < 500:
        return Outcome(Verdict.UNKNOWN, Cause.LOST_ANSWER, reply)
    return Outcome(Verdict.REFUSED, "refused by the provider", reply)


def of_recipient(status: str, text: str) -> Outcome:
    """Judge a status of Anymail's for one reader, in an answer that was read.

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


def put_back(outcome: Outcome) -> Outcome:
    """Return it as the relay's or ours: tried again, and charged to no reader."""
    return outcome._replace(
        verdict=Verdict.RETRY,
        reason=RELAY_REFUSES,
        charged=False,
        bad_address=False,
        suspect=True,
    )


def without_addresses(reply: str) -> str:
    """Return a server's words as far as a log may show them."""
    return " ".join("…" if AT.search(word) else word for word in reply.split())


def backoff(attempts: int, jitter: Callable[[], float] = random.random) -> timedelta:
    """Full-jitter exponential wait before the next attempt: 30 s to an hour at most."""
    return timedelta(seconds=5 + jitter() * min(30 * 2**attempts, 3600))
