"""What a bounce is about: a table of codes and of what servers say beside them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.feedback import bounce_rules, events
from digest.feedback.bounce_rules import Meaning
from digest.feedback.events import Report
from subscribers.models import Suppression
from tests import make

GONE, FULL, POLICY = Meaning.GONE, Meaning.FULL, Meaning.POLICY
OURS, TEMPORARY = Meaning.OURS, Meaning.TEMPORARY

# As servers say it: the status, then the diagnostic code.
SAID = [
    # Codes of a missing mailbox or domain, and their cousins with more digits.
    ("5.1.1", GONE),
    ("5.1.1 smtp; 550 5.1.1 <r@x.example>: Recipient address rejected: User unknown", GONE),
    ("5.1.0 smtp; 550 5.1.0 Address rejected.", GONE),
    ("5.1.2 smtp; 550 Host unknown", GONE),
    ("5.1.3", GONE),
    ("5.1.6 smtp; 550 5.1.6 Recipient no longer on server", GONE),
    ("5.1.10 smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found by lookup", GONE),
    ("5.1.10 smtp; 556 5.1.10 Recipient address has null MX", GONE),
    ("5.2.1 smtp; 550 5.2.1 The email account that you tried to reach is disabled.", GONE),
    ("5.4.4 smtp; Unable to route: no mail hosts for domain", GONE),
    ("5.4.4 X-Postfix; Host or domain name not found. Name service error", GONE),
    ("5.4.310 DNS domain r.example does not exist [Message=InfoDomainNonexistent]", GONE),
    # Codes that say anything: the words decide.
    ("5.4.1 smtp; 550 5.4.1 Recipient address rejected: Access denied. AS(20)", GONE),
    ("5.4.1 smtp; 550 5.4.1 All recipient addresses rejected : Access denied", TEMPORARY),
    ("5.4.1 smtp; 550 5.4.1 [r.example]: Relay Access Denied", OURS),
    ("5.4.1", TEMPORARY),
    ("5.5.0 smtp; 550 5.5.0 Requested action not taken: mailbox unavailable", GONE),
    ("5.5.0", TEMPORARY),
    ("5.5.1 smtp; 550 5.5.1 Invalid recipient", GONE),
    ("5.0.0 smtp; 554 delivery error: dd This user doesn't have a y.example account", GONE),
    ("5.0.0 smtp; 554 delivery error: dd Sorry, your message cannot be taken", TEMPORARY),
    ("5.0.0 smtp; 550 unknown user <r@x.example>", GONE),
    ("5.0.0 smtp; 550-Verification failed 550 Unrouteable address", GONE),
    ("5.0.0", TEMPORARY),
    ("5.3.0 smtp; 553 5.3.0 <r@x.example>... No such user", GONE),
    ("5.3.0", TEMPORARY),
    ("5.2.0 smtp; 550 5.2.0 <r@x.example> mailbox is full", FULL),
    ("5.1.4 smtp; ambiguous", TEMPORARY),
    ("5.3.2 smtp; 521 system not accepting messages", TEMPORARY),
    ("5.4.6 smtp; 554 5.4.6 too many hops", TEMPORARY),
    # No enhanced code at all.
    ("550 No such mailbox", GONE),
    ("smtp; 550 user 'r' does not exist", GONE),
    ("Sorry, no mailbox here by that name. (#5.1.1)", GONE),
    ("Sorry, I couldn't find any host named x.example. (#5.1.2)", GONE),
    ("450 no such user, try again later", TEMPORARY),
    ("552 the mailbox exceeds its quota: over quota", FULL),
    ("554 rejected due to spam content", POLICY),
    ("554 relay access denied", OURS),
    ("", TEMPORARY),
    ("what a server of a kind of its own has to say", TEMPORARY),
    # Full mailboxes.
    ("5.2.2", FULL),
    ("5.2.2 smtp; 552 5.2.2 <r@x.example> user unknown: over quota", FULL),
    ("4.2.2 smtp; 452 4.2.2 The email account is over quota", FULL),
    ("5.1.1 smtp; 550 5.1.1 mailbox full", FULL),
    # What was sent, or how the sender stands: never about the mailbox.
    ("5.7.1 smtp; 550 5.7.1 no such user", POLICY),
    ("5.7.1", POLICY),
    ("5.7.509 smtp; 550 5.7.509 Access denied, sending domain does not pass DMARC", POLICY),
    ("5.7.13 user disabled", POLICY),
    ("5.7.606 Access denied, banned sending IP", POLICY),
    ("4.7.0 greylisted", POLICY),
    ("5.0.0 smtp; 550 5.7.26 unauthenticated", POLICY),
    ("5.1.1 smtp; 550 5.7.1 user unknown", POLICY),
    ("5.6.0 content", POLICY),
    ("5.3.4 message too big", POLICY),
    ("5.2.3", POLICY),
    ("5.1.1 smtp; 550 5.1.1 blocked using dnsbl", POLICY),
    ("5.0.0 smtp; 550 Requested action not taken: mailbox unavailable, see policy", POLICY),
    # Our relay, our address.
    ("5.1.8 smtp; 550 5.1.8 <p@ours.example>: Sender address rejected: not found", OURS),
    ("5.1.7 smtp; invalid address", OURS),
    ("5.1.90 smtp; your message cannot be sent today", OURS),
    ("5.0.0 smtp; 554 <r@x.example>: Relay access denied", OURS),
    ("5.0.0 smtp; 550 Sender verify failed", OURS),
    # Temporary, although the server has given up.
    ("4.4.7 smtp; 4.4.7 delivery time expired", TEMPORARY),
    ("4.1.1 smtp; 450 4.1.1 user unknown, unverified address", TEMPORARY),
    ("4.4.1 connection timed out", TEMPORARY),
    # Names say nothing: of a reader, of a host, of a version, of an IP address.
    ("5.0.0 smtp; 550 <spam.policy@x.example>: user unknown", GONE),
    ("5.0.0 smtp; mx.antispam.example said: 550 no such user", GONE),
    ("5.1.1 smtp; 550 5.1.1 user unknown (see https://x.example/policy)", GONE),
    ("5.0.0 smtp; host 10.5.7.1 said: 550 user unknown", GONE),
    ("5.0.0 smtp; host [5.1.1.4] said: 550 try another day", TEMPORARY),
    ("5.0.0 <5.1.1@x.example> cannot be reached now", TEMPORARY),
]


@pytest.mark.parametrize(("words", "meaning"), SAID)
def test_b2_a_bounce_means_what_its_code_and_its_words_say(words, meaning):
    assert bounce_rules.meaning(words) is meaning


@pytest.mark.parametrize("detail", [*range(31), 500, 999])
@pytest.mark.parametrize("words", ["no such user", "mailbox full", ""])
def test_b2_x_7_x_is_never_a_point_whatever_the_words(detail, words):
    for status in (f"5.7.{detail}", f"4.7.{detail}", f"5.0.0 smtp; 550 5.7.{detail}"):
        assert not bounce_rules.meaning(f"{status} {words}").is_a_point


@pytest.mark.parametrize("phrase", bounce_rules.PHRASES[GONE])
def test_b2_each_phrase_of_a_missing_mailbox_is_read_and_needs_a_final_no(phrase):
    assert bounce_rules.meaning(f"5.0.0 smtp; 550 {phrase.upper()}") is GONE
    assert bounce_rules.meaning(f"4.0.0 smtp; 450 {phrase}") is not GONE


@pytest.mark.parametrize("meaning", [OURS, FULL, POLICY])
def test_b2_each_phrase_of_something_else_spares_the_address(meaning):
    for phrase in bounce_rules.PHRASES[meaning]:
        assert bounce_rules.meaning(f"5.0.0 smtp; 550 {phrase}") in {OURS, FULL, POLICY}
        assert bounce_rules.meaning(f"5.1.1 smtp; 550 {phrase}") is not GONE


@pytest.mark.django_db
@pytest.mark.embedded
@pytest.mark.parametrize(("words", "meaning"), SAID)
def test_b2_readers_are_kept_from_mail_by_what_a_bounce_means(words, meaning):
    """At once, on the fifth day, or never."""
    (row,) = make.handed_over()
    barred_on = None
    for day in range(6):
        at = make.NOON + timedelta(days=day)
        events.take([Report("bounced", f"{day}", at, row.pk, words=words)], now=at)
        if barred_on is None and Suppression.objects.filter(reason="bounced").exists():
            barred_on = day
    assert barred_on == {GONE: 0, FULL: 4, TEMPORARY: 4}.get(meaning)


@given(st.text(max_size=3000))
def test_b2_whatever_is_said_has_a_meaning(words):
    assert bounce_rules.meaning(words) in Meaning
