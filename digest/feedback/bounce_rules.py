"""What a bounce says about an address, and when bounces or complaints are too many. Pure.

Scoring as Mailman's: a point a day at most, forgotten after a week of silence, and an
address that has collected enough is written to no more.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from digest.transport.outcomes import RELAYING

ENOUGH = 5
STALE = timedelta(days=7)


class Meaning(StrEnum):
    """What a bounce is about."""

    GONE = "gone"  # the address does not exist: the first one is enough
    FULL = "full"  # the mailbox takes no more for now: a point
    POLICY = "policy"  # what was sent, or the sender's standing: no point
    OURS = "ours"  # our relay, envelope sender or name: no point
    TEMPORARY = "temporary"  # anything else: a point

    @property
    def is_a_point(self) -> bool:
        return self not in (Meaning.POLICY, Meaning.OURS)


TEMPORARY = Meaning.TEMPORARY

# Enhanced status codes without their class (RFC 3463 and the IANA registry). As the
# libraries below have them, where they agree; codes that servers give for anything
# (x.0.0, x.2.0, x.3.0, x.4.1, x.5.0 …) are not here: their words decide.
CODES = {
    "1.0": Meaning.GONE,
    "1.1": Meaning.GONE,
    "1.2": Meaning.GONE,  # no such domain
    "1.3": Meaning.GONE,
    "1.6": Meaning.GONE,
    "1.7": Meaning.OURS,  # the sender's address
    "1.8": Meaning.OURS,
    "1.10": Meaning.GONE,  # null MX (RFC 7505); Exchange: recipient not found
    "1.20": Meaning.OURS,  # Exchange Online: several From addresses
    "1.90": Meaning.OURS,  # Exchange Online: we may send no more today
    "2.1": Meaning.GONE,  # disabled for good
    "2.2": Meaning.FULL,
    "2.3": Meaning.POLICY,  # longer than this mailbox takes
    "3.4": Meaning.POLICY,  # longer than the server takes
    "4.4": Meaning.GONE,  # unable to route: no such domain, or one without a server
    "4.310": Meaning.GONE,  # Exchange Online: no such domain
}
# Content and security: never about the mailbox, whatever the words. Bounces of spam filters
# would bar readers whose mailbox is sound.
SUBJECTS = {"6": Meaning.POLICY, "7": Meaning.POLICY}

# Words, in lower case, for codes that say too little and for servers that have none. Our
# own choice from the public lists of sisimai (github.com/sisimai, lib/Sisimai/Reason),
# bouncehammer before it, flufl.bounce (gitlab.com/warsaw/flufl.bounce, detectors) and
# Microsoft's list of non-delivery reports. The first meaning that fits is taken.
WORDS = {
    Meaning.OURS: """
        sender address rejected | sender rejected | sender was rejected | invalid sender
        sender denied | sender verify failed | sender domain | helo command rejected
        client host rejected | authentication required | not authenticated
        authenticate first | email address is not verified | from address is not verified
    """,
    Meaning.FULL: """
        mailbox full | mailbox is full | mailbox too full | full mailbox | inbox is full
        folder is full | boite du destinataire pleine | over quota | over its quota
        over the quota | overquota | quota exceeded | quota is exceeded | exceeded quota
        exceeded its quota | exceeds quota | exceed quota | quota exceed | quota violation
        disk quota | mailbox quota | out of storage | storage allocation
        exceeded maximum allowed storage | mailbox size limit | mailbox exceeds allowed
        exceeding receiving limits | not enough space | not enough storage
        no space left | insufficient disk space | insufficient storage | disk full
        space has been used up | too many messages on the server
    """,
    Meaning.POLICY: """
        spam | blacklist | blocklist | block list | black list | denylist | blocked using
        blocked by | blocked for | banned | on rbl | by rbl | dnsbl | reputation | policy | policies
        unsolicited | bulk mail | bulk email | virus | malware | phishing | greylist
        graylist | rate limit | too many connections | too many messages from
        content rejected | content filter | message rejected due to | message filtered
        dmarc | dkim | spf check | spf fail | message size | message too large
        message too big | too big for | members-only | closed mailing list
        not allowed to post | user rules | recipient preferences
    """,
    Meaning.GONE: """
        no such user | no such mailbox | no such recipient | no such address
        no such person | no such account | no such domain | no such host | no such email
        no such local user | user unknown | user is unknown | unknown user | user not known
        user not found | user was not found | user not exist | user does not have a
        does not exist | non-existent user | nonexistent user | not a known user
        not a valid user | invalid user | bad recipient | recipient unknown
        unknown recipient | recipient not found | recipient was not found
        recipient not exist | recipient is invalid
        recipientnotfound | recipnotfound | recipient notfound | invalid recipient
        invalid-recipient | not a valid recipient | badrcptto | not in my validrcptto
        rejected: access denied | mailbox unknown | unknown mailbox | mailbox not found
        mailbox not present
        mailbox unavailable | mailbox is unavailable | mailbox unavaiable
        invalid mailbox | mailbox invalid | not a valid mailbox | no mailbox here
        no mailbox by that name | no mailbox found | mailbox disabled | mailbox is disabled
        mailbox is inactive | deactivated mailbox | mailbox has been deactivated
        account not found | account unknown | account is disabled
        account has been disabled | account is inactive | account is closed
        account has been closed | account has been terminated | inactive account
        no account by that name | reach is disabled
        reach is inactive | address not found
        address could not be found | address couldnt be found | address unknown
        unknown address | invalid address | address invalid | address not present
        address no longer | no longer valid | no longer exists | no longer accepts mail
        no one at this address | unknown local part | unknown local-part
        domain not found | domain name not found | unknown domain
        host not found | host unknown | unknown host | unrouteable address
        unroutable address | name or service not known | find any host named
        non-existent hosts | no mail hosts for domain | utilisateur inconnu
        usuario desconocido | no existe dicha persona | benutzer unbekannt
        empfänger unbekannt | adresse nicht gefunden
    """,
}
PHRASES = {
    meaning: [phrase.strip() for phrase in re.split(r"[|\n]", words) if phrase.strip()]
    for meaning, words in WORDS.items()
}
LENIENT = [meaning for meaning in WORDS if meaning is not Meaning.GONE]
# Not a part of an address, of a longer version or of an IP address.
CODE = re.compile(r"(?<![\d.])([45])\.(\d{1,3})\.(\d{1,3})(?!\.?[\d@])", re.ASCII)
REPLY_CODE = re.compile(r"(?<![\d.])([45])\d\d(?![\d.])", re.ASCII)
APOSTROPHES = str.maketrans("", "", "'\u2019`")
MOST_WORDS = 2000  # characters; a server has no more to say of one address


def meaning(words: str) -> Meaning:
    """Return what a bounce is about, by its status codes and by its words.

    In doubt it is what costs the reader least: a code for a missing mailbox beside words
    about spam is about spam, unless the words say that the mailbox is missing, too.
    """
    words = words[:MOST_WORDS]
    if RELAYING.search(words):
        return Meaning.OURS
    codes = CODE.findall(words)
    if about := next((SUBJECTS[one] for _, one, _ in codes if one in SUBJECTS), None):
        return about
    by_code = {CODES.get(f"{subject}.{detail}") for _, subject, detail in codes}
    by_words = phrases(words)
    is_final = is_permanent(words, codes)
    if is_final and Meaning.GONE in by_code & by_words:
        return Meaning.GONE
    for said in (by_words, by_code):
        if lenient := next((one for one in LENIENT if one in said), None):
            return lenient
    return Meaning.GONE if is_final and Meaning.GONE in by_code | by_words else TEMPORARY


def phrases(words: str) -> set[Meaning | None]:
    """Return the meanings of the phrases in it; names say nothing, as any may be "spam"."""
    tokens = words.lower().translate(APOSTROPHES).split()
    text = " ".join(token for token in tokens if not is_name(token))
    text = text.replace("doesnt", "does not")
    return {one for one, known in PHRASES.items() if any(each in text for each in known)}


def is_name(token: str) -> bool:
    """Return whether a word is an address, a host or a link; Exchange's errors have dots."""
    if token.startswith("resolver."):
        return False
    has_dot_inside = "." in token.strip(".,:;()<>[]")
    return "@" in token or (has_dot_inside and any(map(str.isalpha, token)))


def is_permanent(words: str, codes: list[tuple[str, str, str]]) -> bool:
    """Return whether the first code is 5.x.x or 5xx; a bounce without any is final."""
    if codes:
        return codes[0][0] == "5"
    reply = REPLY_CODE.search(words)
    return reply is None or reply[1] == "5"


# Fewer than these say nothing about the rest.
FEWEST_BOUNCES = 20
FEWEST_COMPLAINTS = 3


def score(days: Iterable[date]) -> int:
    """Points of an address whose mail bounced on these days, as of the last of them."""
    points, last = 0, None
    for day in sorted(set(days)):
        points = points + 1 if last and day - last <= STALE else 1
        last = day
    return points


@dataclass(frozen=True)
class FeedbackCounts:
    """Of an edition: mails that were accepted, that bounced, that were reported as spam."""

    accepted: int
    bounced: int = 0
    complained: int = 0

    def complaints_above(self, share: float) -> bool:
        enough = self.complained >= FEWEST_COMPLAINTS
        return enough and self.complained > share * self.accepted


def most_that_matter(bounced: int, complained: int) -> int:
    """With so many accepted mails neither an alarm nor a warning is due."""
    return max(20 * bounced, 1000 * complained) + 1


def alarm(counts: FeedbackCounts) -> str | None:
    """Why an edition should go no further: over 5 % bounces or 0.3 % complaints."""
    if counts.bounced >= FEWEST_BOUNCES and counts.bounced > 0.05 * counts.accepted:
        return f"{counts.bounced} of {counts.accepted} mails bounced"
    return complaints(counts) if counts.complaints_above(0.003) else None


def warning(counts: FeedbackCounts) -> str | None:
    """Return a warning before it is too late: at more than 0.1 % complaints; else None."""
    return complaints(counts) if counts.complaints_above(0.001) else None


def complaints(counts: FeedbackCounts) -> str:
    return f"{counts.complained} of {counts.accepted} mails were reported as spam"
