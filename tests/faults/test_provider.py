"""Providers over HTTP that refuse, stumble and lose their answers: one mail at most."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.faults import outside
from tests.faults.invariants import broken, repeated
from tests.faults.outside import Outside, lines
from tests.faults.scene import Scene
from tests.shell import Shell

FAULTS = {
    "a": "accepted",
    "b+http-422": "refused",
    "c+http-keep-garbage": "accepted",
    "d+http-keep-502": "unknown",
    "e+http-drop": "unknown",
    "f+http-keep-drop": "unknown",
    "g+http-code-406": "refused",
    "h+http-code-412": "pending",
    "i": "accepted",
}


@dataclass
class Played:
    """A delivery to a provider that has been run once."""

    scene: Scene
    there: Outside
    sender: Shell

    def deliver(self) -> int:
        pid = self.sender.start("deliver", "--day", self.scene.day)
        (self.there.folder / "victim").write_text(str(pid))
        return self.sender.wait(pid)

    def states(self) -> dict[str, str]:
        return {
            row.address.partition("@")[0]: row.state for row in self.scene.ledger.rows()
        }

    def wrong(self) -> list[str]:
        rows = [row for row in self.scene.ledger.rows() if row.state != "pending"]
        readers = [row.address for row in rows]
        arrived = self.there.arrived()
        return broken(rows, arrived, readers=readers, most_unknown=len(rows))

    def asked(self, who: str) -> list[dict]:
        """The requests for one reader."""
        return [
            one
            for one in self.there.requests()
            if any(address.partition("@")[0] == who for address in one["rcpt"])
        ]


# `deliver` fails where the provider asked it to rest, whatever became of single mails.
RESTS = 1


@pytest.fixture
def provide(play, tmp_path):
    """provide(provider, local parts, variables): these readers, ready to be sent to."""
    with ExitStack() as stack:

        def begin(name: str, readers: list[str], **variables: str) -> Played:
            there = stack.enter_context(outside.provider(tmp_path / "outside", name))
            (there.folder / "bodies.jsonl").touch()
            addresses = [f"{reader}@example.org" for reader in readers]
            played = play(addresses, **there.env, **variables)
            return Played(played, there, stack.enter_context(played.sender()))

        yield begin


@pytest.mark.embedded
def test_a2_a6_a9_a10_each_fault_is_judged_by_its_cause_and_spoils_no_other(provide):
    played = provide("postmark", list(FAULTS), SEND_CONNECTIONS="2")
    assert played.deliver() == RESTS
    assert played.states() == FAULTS
    assert played.wrong() + repeated(played.there.requests()) == []
    asked = Counter(one["rcpt"][0] for one in played.there.requests())
    assert set(asked.values()) == {1}


@pytest.mark.embedded
def test_a1_ses_own_client_asks_once_whatever_happens(provide):
    played = provide("amazon_ses", ["a", "b+http-keep-drop", "c+http-500", "d+http-429"])
    assert played.deliver() == RESTS
    assert played.states() == {
        "a": "accepted",
        "b+http-keep-drop": "unknown",
        "c+http-500": "unknown",
        "d+http-429": "pending",
    }
    assert set(Counter(one["rcpt"][0] for one in played.there.requests()).values()) == {1}


@pytest.mark.embedded
def test_a3_a_lost_answer_is_asked_for_again_by_the_same_key_and_the_mail_taken_once(
    provide,
):
    played = provide("resend", ["a", "b+http-keep-drop", "c+http-429", "d+http-502"])
    assert played.deliver() == RESTS
    assert played.states() == {
        "a": "accepted",
        "b+http-keep-drop": "accepted",
        "c+http-429": "pending",
        "d+http-502": "unknown",
    }
    assert played.wrong() + repeated(played.there.requests()) == []
    first, second = played.asked("b+http-keep-drop")
    assert first["key"] == second["key"] is not None
    assert len(played.there.arrived()) == 2


@pytest.mark.parametrize(
    "name", ["resend", pytest.param("brevo", marks=pytest.mark.embedded)]
)
def test_a3_a4_after_a_crash_a_restarted_sender_asks_by_the_same_key(provide, name):
    played = provide(name, ["a", "b+http-keep-killx1", "c"], SEND_CONNECTIONS="1")
    assert played.deliver() < 0, "the sender was not killed"
    assert len(played.there.arrived()) == 2
    played.scene.drain(played.sender)
    assert set(played.states().values()) == {"accepted"}
    assert played.wrong() + repeated(played.there.requests()) == []
    first, second = played.asked("b+http-keep-killx1")
    assert first["key"] == second["key"] is not None
    assert first["hash"] == second["hash"]
    assert len(played.there.arrived()) == 3


BATCH = {
    "a": "accepted",
    "b+http-code-406": "refused",
    "c+http-code-300": "refused",
    "d+http-code-412": "pending",
    "e+http-keep-noid": "unknown",
    "f": "accepted",
}


@pytest.mark.embedded
def test_a7_a_batch_gives_every_reader_their_own_result(provide):
    all_at_once = {"PROVIDER_BATCH": "true", "SEND_CONNECTIONS": str(len(BATCH))}
    played = provide("postmark", list(BATCH), **all_at_once)
    assert played.deliver() == RESTS
    assert played.states() == BATCH
    assert played.wrong() == []
    (asked,) = played.there.requests()
    assert asked["path"] == "/email/batch" and len(asked["rcpt"]) == len(BATCH)
    ((account, members),) = played.scene.ledger.ask(
        "SELECT account, members FROM digest_submission"
    )
    assert account.startswith("postmark-") and len(BATCH) == str(members).count(",") + 1
    ((body,),) = [[entry["body"]] for entry in lines(played.there.folder / "bodies.jsonl")]
    assert len({message["HtmlBody"] for message in body}) == len(BATCH)  # all their own
