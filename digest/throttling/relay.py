"""Tell what the relay or provider says of us from what it says of a reader.

Words alone do not tell: "550 5.7.1" and even "no such user" are said to everybody by a
relay that is misconfigured or does not like us, and a reader who is charged for them is
lost. What counts is whom else the relay takes mail for meanwhile.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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


@dataclass(slots=True)
class Relay:
    """What one sender has seen of the relay in one run."""

    taken: Counter[str] = field(default_factory=Counter)  # accepted mails by domain
    # Since the last mail that was taken: ids of what was answered alike, and their domains.
    streak: dict[int, str] = field(default_factory=dict)
    streak_kind: Kind = ()
    # The same of all refused mails, whatever was said: several servers may stand behind a name.
    refused: dict[int, str] = field(default_factory=dict)
    # Why the relay cannot be used, in its own words; "" while it can.
    cause: str = ""
    asked: float = 0.0  # the longest Retry-After, in seconds

    def judge(
        self,
        mails: Mapping[int, Mail],
        outcomes: dict[int, Outcome],
        *,
        took_others: Callable[[], bool],
    ) -> bool:
        """Put back, uncharged, what was said of us. Return True if the relay is down.

        Both by delivery id, `mails` in the order in which they were begun. `took_others`
        tells whether any sender has had mails of these editions accepted just now.
        """
        troubled = self.see(mails, outcomes)
        if not troubled:
            return False
        ours = self.enough_alike(troubled) | {
            pk
            for pk, outcome in troubled.items()
            if is_surely_ours(outcome)
            or (outcome.suspect and not self.takes_others_than(self.domain(mails, pk)))
        }
        outcomes |= {pk: put_back(outcomes[pk]) for pk in ours}
        lost = [one for one in troubled.values() if is_unreachable(one)]
        taken = sum(one.verdict is Verdict.ACCEPTED for one in outcomes.values())
        many = len(ours) >= PLENTY or any(is_surely_ours(troubled[pk]) for pk in ours)
        if lost or (len(ours) > taken and (many or not took_others())):
            self.asked = max(one.wait for one in troubled.values())
            self.cause = words([*lost, *(outcomes[pk] for pk in ours)])
            return True
        outcomes |= {pk: outcomes[pk]._replace(wait=WAIT_SECONDS) for pk in ours}
        return False

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
                if kind(outcome) != self.streak_kind:
                    self.streak.clear()
                self.streak_kind = kind(outcome)
                self.streak[pk] = self.domain(mails, pk)
                if outcome.verdict is Verdict.REFUSED:
                    self.refused[pk] = self.domain(mails, pk)
            elif is_unreachable(outcome):
                troubled[pk] = outcome
        return troubled

    def enough_alike(self, troubled: Mapping[int, Outcome]) -> set[int]:
        """Return the answers that end a streak too long to be the readers' own."""
        if self.refuses_everybody():
            return self.refused.keys() & troubled.keys()
        ids = self.streak.keys() & troubled.keys()
        if not self.streak:
            return set()
        if self.streak_kind[0] == Verdict.REFUSED:
            return ids if len(self.streak) >= FEW else set()
        # One domain may put off all of its mails, and is given a rest for it.
        return ids if len(set(self.streak.values())) >= MANY_DOMAINS else set()

    def refuses_everybody(self) -> bool:
        """Return whether mails for several domains were refused, and none was taken."""
        domains = set(self.refused.values())
        enough = len(self.refused) >= SEVERAL and len(domains) >= MANY_DOMAINS
        return enough and not self.taken

    def takes_others_than(self, domain: str) -> bool:
        """Return whether mail for this domain, or a few mails for others, were taken.

        For more than one other: a relay may take mail for its own domain and no other.
        """
        others = len(self.taken) - (domain in self.taken)
        return domain in self.taken or (others > 1 and self.taken.total() >= FEW)

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
