"""Tell what the relay or provider says of us from what it says of a reader.

Words alone do not tell: "550 5.7.1" and even "no such user" are said to everybody by a
relay that is misconfigured or does not like us, and a reader who is charged for them is
lost. What counts is whom else the relay takes mail for meanwhile.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from digest.throttling.domains import domain_of
from digest.transport.base import Mail
from digest.transport.outcomes import Outcome, Verdict, put_back, without_addresses

# So many mails taken are proof that the relay works, and so many refused alike one after
# the other, with none taken, that it does not.
FEW = 3
# So many refused in different words, for several domains and with none taken, prove it, too.
SEVERAL = 6
# Put off alike for so many domains, and none took a mail: it is not theirs.
MANY_DOMAINS = 3
# So many refused for reasons of ours are more than a few odd ones that were left over.
PLENTY = 10
# A row that is put back while others are taken waits so long: at most 288 tries a day.
WAIT_SECONDS = 300.0

STATUS = re.compile(r"^(\d{3})?\W?(\d\.\d{1,3}\.\d{1,3})?")

# What makes two answers alike: verdict, reason, code and enhanced code.
type Kind = tuple[str, ...]


class Evidence(Protocol):
    """What all senders have seen of the relay (see deliveries/evidence.py)."""

    def took_others(self) -> bool:
        """Return whether any sender has had a mail accepted just now."""

    def refused_before(self) -> Iterable[tuple[int, str, Outcome]]:
        """Yield (delivery id, domain, outcome) of what was refused since a mail was taken."""

    def answered_for(self, ids: Collection[int]) -> set[int]:
        """Return those that were put back, and others were taken since."""


@dataclass(slots=True)
class Relay:
    """What one sender has seen of the relay in one run, and was told of earlier ones."""

    taken: Counter[str] = field(default_factory=Counter)  # accepted mails by domain
    # Since the last mail that was taken: ids of what was answered alike, and their domains.
    streak: dict[int, str] = field(default_factory=dict)
    streak_kind: Kind = ()
    # The same of all refused mails, whatever was said: several servers may stand behind a name.
    refused: dict[int, str] = field(default_factory=dict)
    # Refused earlier, and now known to be the relay's: to be put back, too.
    wronged: set[int] = field(default_factory=set)
    recalled: bool = False
    # Why the relay cannot be used, in its own words; "" while it can.
    cause: str = ""
    asked: float = 0.0  # the longest Retry-After, in seconds

    def judge(
        self, mails: Mapping[int, Mail], outcomes: dict[int, Outcome], evidence: Evidence
    ) -> bool:
        """Put back, uncharged, what was said of us. Return True if the relay is down.

        Both by delivery id, `mails` in the order in which they were begun.
        """
        self.recall(outcomes, evidence)
        troubled = self.see(mails, outcomes)
        if not troubled:
            return False
        ours = self.counted(troubled, evidence) | {
            pk
            for pk, outcome in troubled.items()
            if is_surely_ours(outcome)
            or (outcome.suspect and not self.takes_others_than(self.domain(mails, pk)))
        }
        outcomes |= {pk: put_back(outcomes[pk]) for pk in ours}
        lost = [one for one in troubled.values() if is_unreachable(one)]
        taken = sum(one.verdict is Verdict.ACCEPTED for one in outcomes.values())
        sure = any(is_surely_ours(troubled[pk]) for pk in ours)
        # On a slow line a group may be one mail: one odd answer among others is no outage.
        many = len(ours) >= PLENTY or (sure and (len(self.streak) >= FEW or not self.taken))
        if lost or (len(ours) > taken and (many or not evidence.took_others())):
            self.asked = max(one.wait for one in troubled.values())
            self.cause = words([*lost, *(outcomes[pk] for pk in ours)])
            return True
        outcomes |= {pk: outcomes[pk]._replace(wait=WAIT_SECONDS) for pk in ours}
        return False

    def recall(self, outcomes: Mapping[int, Outcome], evidence: Evidence) -> None:
        """Go on from what earlier runs saw refused, once, if this one has seen none taken."""
        seen = {one.verdict for one in outcomes.values()}
        was_taken = self.taken or Verdict.ACCEPTED in seen
        if self.recalled or was_taken or Verdict.REFUSED not in seen:
            return
        self.recalled = True
        for pk, domain, outcome in evidence.refused_before():
            if pk not in outcomes:
                self.remember(pk, domain, outcome)

    def see(
        self, mails: Mapping[int, Mail], outcomes: Mapping[int, Outcome]
    ) -> dict[int, Outcome]:
        """Learn who was taken, and return the answers that put a mail off or refuse it."""
        troubled = {}
        for pk in (pk for pk in mails if pk in outcomes):
            outcome = outcomes[pk]
            if outcome.verdict is Verdict.ACCEPTED:
                self.taken[self.domain(mails, pk)] += 1
                self.streak.clear()
                self.refused.clear()
            elif outcome.verdict is not Verdict.UNKNOWN and outcome.reply:
                troubled[pk] = outcome
                self.remember(pk, self.domain(mails, pk), outcome)
            elif is_unreachable(outcome):
                troubled[pk] = outcome
        return troubled

    def remember(self, pk: int, domain: str, outcome: Outcome) -> None:
        """Add an answer to the streak of those alike, and to the refusals."""
        if kind(outcome) != self.streak_kind:
            self.streak.clear()
        self.streak_kind = kind(outcome)
        self.streak[pk] = domain
        if outcome.verdict is Verdict.REFUSED:
            self.refused[pk] = domain

    def counted(self, troubled: Mapping[int, Outcome], evidence: Evidence) -> set[int]:
        """Return those of the answers that are the relay's by their number.

        What was refused before them, and counts for the same, is added to `wronged`.
        """
        if found := self.enough_alike():
            self.forget(evidence.answered_for(found & troubled.keys()))
            found = self.enough_alike()
        forgiven = (found & self.refused.keys()) - troubled.keys()
        self.wronged |= forgiven
        self.forget(forgiven)  # they are pending again: their refusals stand no longer
        return found & troubled.keys()

    def forget(self, ids: Collection[int]) -> None:
        """Take these out of what counts against the relay."""
        for pk in ids:
            self.streak.pop(pk, None)
            self.refused.pop(pk, None)

    def enough_alike(self) -> set[int]:
        """Return the ids of a streak that is too long to be the readers' own."""
        if self.refuses_everybody():
            return set(self.refused)
        if not self.streak:
            return set()
        ids, domains = set(self.streak), set(self.streak.values())
        if self.streak_kind[0] != Verdict.REFUSED:
            # One domain may put off all of its mails, and is given a rest for it.
            return ids if len(domains) >= MANY_DOMAINS else set()
        # A domain that was closed refuses a few of its own, while others are taken.
        if len(domains) == 1 and len(ids) < PLENTY and self.takes_others(*domains):
            return set()
        return ids if len(ids) >= FEW else set()

    def refuses_everybody(self) -> bool:
        """Return whether mails for several domains were refused, and none was taken."""
        domains = set(self.refused.values())
        enough = len(self.refused) >= SEVERAL and len(domains) >= MANY_DOMAINS
        return enough and not self.taken

    def takes_others_than(self, domain: str) -> bool:
        """Return whether mail for this domain, or a few mails for others, were taken.

        For more than one other: a relay may take mail for its own domain and no other.
        """
        return domain in self.taken or self.takes_others(domain)

    def takes_others(self, domain: str) -> bool:
        others = len(self.taken) - (domain in self.taken)
        return others > 1 and self.taken.total() >= FEW

    def domain(self, mails: Mapping[int, Mail], pk: int) -> str:
        return domain_of(mails[pk].recipient)


def is_unreachable(outcome: Outcome) -> bool:
    """Return whether there was no session, or no login, to hand the mail over in."""
    return not (outcome.charged or outcome.domain_fault or outcome.suspect)


def is_surely_ours(outcome: Outcome) -> bool:
    """Return whether it is about us whomever it was said to (see outcomes.of_reply)."""
    return outcome.suspect and not (outcome.charged or outcome.domain_fault)


def kind(outcome: Outcome) -> Kind:
    found = STATUS.match(outcome.reply)
    return (outcome.verdict, outcome.reason, *(found.groups("") if found else ()))


def words(outcomes: list[Outcome]) -> str:
    """Return the first answer that has words, as far as a log may show it."""
    said = next((one for one in outcomes if one.reply), outcomes[0])
    reply = without_addresses(said.reply)
    return f"{said.reason}: {reply}" if reply else said.reason
