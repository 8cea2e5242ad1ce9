"""The outcome journal: what was kept comes back whole, and a damaged file stops nobody."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from digest.deliveries import outcome_journal
from digest.deliveries.ledger import Claimed
from digest.deliveries.send import send_due
from digest.deliveries.sweep import end_leases
from digest.models import Delivery
from digest.transport.outcomes import Outcome, Verdict
from tests import make
from tests.damage import DAMAGE

NOW = make.NOON
ACCEPTED = Outcome(Verdict.ACCEPTED, "accepted", "250 ok")
FULL = Outcome(
    Verdict.RETRY,
    "provider refuses us",
    "429 slow down",
    charged=False,
    bad_address=True,
    wait=600.0,
    domain_fault=True,
)


@pytest.fixture(autouse=True)
def state(settings, tmp_path):
    settings.STATE_DIR = tmp_path / "state"


def kept(outcome: Outcome) -> None:
    """One hand-over under way, whose outcome the database has not taken."""
    make.handed_over()
    (row,) = Delivery.objects.all()
    claimed = Claimed(row.pk, row.edition_id, row.subscriber_id, 0, row.lease_token)
    outcome_journal.keep({row.pk: outcome}, [claimed])


@pytest.mark.django_db
def test_r8_a_wait_that_was_asked_for_outlives_a_crash():
    kept(FULL)
    assert outcome_journal.replay(NOW) == 1
    assert Delivery.objects.get().not_before == NOW + timedelta(seconds=600)


@pytest.mark.parametrize("outcome", [ACCEPTED, FULL, FULL._replace(wait=600)])
def test_every_field_of_an_outcome_comes_back(outcome):
    row = Claimed(7, 3, None, 2, "a-token")
    outcome_journal.keep({7: outcome}, [row])
    (path,) = outcome_journal.folder().glob("*.json")
    rows, outcomes = outcome_journal.read(path.read_bytes())
    assert (rows, outcomes) == ([row], {7: outcome})
    assert isinstance(outcomes[7].verdict, Verdict)


def changed(**parts: object) -> bytes:
    """A sound entry with some of its fields changed or, as None, left out."""
    entry: dict[str, Any] = {
        "row": Claimed(1, 1, 1, 0, "t")._asdict(),
        "outcome": ACCEPTED._asdict(),
    }
    for name, value in parts.items():
        part, _, field = name.partition("_")
        if field:
            entry[part][field] = value
        elif value is None:
            del entry[part]
        else:
            entry[part] = value
    return json.dumps([entry]).encode()


WRONG = {
    "no row": changed(row=None),
    "a row that is a list": changed(row=[1]),
    "an id that is text": changed(row_delivery_id="1"),
    "a verdict that nobody knows": changed(outcome_verdict="perhaps"),
    "a field of a newer version": changed(outcome_colour="blue"),
    "a wait in words": changed(outcome_wait="long"),
    "text that no database takes": changed(outcome_reply="\ud800"),
    "an id that no column holds": changed(row_delivery_id=10**30),
    "two leases": json.dumps(
        [json.loads(changed(row_lease_token=token))[0] for token in "ab"]
    ).encode(),
}


def damaged_then_sound(damage) -> None:
    """A damaged file that is read first, and a sound one after it."""
    kept(ACCEPTED)
    (sound,) = outcome_journal.folder().glob("*.json")
    damaged = sound.with_name("0.json")
    damaged.write_bytes(sound.read_bytes())
    damage(damaged)


@pytest.mark.django_db
@pytest.mark.parametrize("damage", DAMAGE, ids=lambda one: one.__name__)
def test_r31_a_damaged_file_of_outcomes_is_set_aside_and_the_next_recorded(damage, caplog):
    damaged_then_sound(damage)
    end_leases(NOW)
    assert make.states() == {"r0@example.org": "accepted"}
    assert [path.name[:14] for path in outcome_journal.folder().iterdir()] == [
        "0.json.damaged"
    ]
    assert "0.json is damaged and was set aside" in caplog.text
    caplog.clear()
    send_due(lambda: NOW)
    assert "damaged" not in caplog.text


@pytest.mark.django_db
@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_r31_outcomes_that_say_what_cannot_be_are_set_aside(content):
    damaged_then_sound(lambda path: path.write_bytes(content))
    send_due(lambda: NOW)
    assert make.states() == {"r0@example.org": "accepted"}
    assert not list(outcome_journal.folder().glob("*.json"))


@pytest.mark.django_db
def test_r31_an_older_versions_outcomes_are_recorded():
    kept(ACCEPTED)
    (path,) = outcome_journal.folder().glob("*.json")
    (entry,) = json.loads(path.read_text())
    for name in ("wait", "domain_fault"):
        del entry["outcome"][name]
    path.write_text(json.dumps([entry]))
    assert outcome_journal.replay(NOW) == 1


@pytest.mark.django_db
def test_r31_a_file_where_the_folder_should_be_stops_nobody(settings):
    settings.STATE_DIR.mkdir()
    outcome_journal.folder().write_text("not a folder")
    assert outcome_journal.replay(NOW) == 0


@pytest.mark.django_db
@pytest.mark.parametrize("where", ["its state folder", "its outcomes"])
def test_r37_what_a_dead_machine_had_kept_is_recorded_from_a_copy(
    settings, tmp_path, where
):
    kept(ACCEPTED)
    theirs = settings.STATE_DIR
    (theirs / "outcomes" / "0.json").write_text("[")
    copied = theirs if where == "its state folder" else theirs / "outcomes"
    settings.STATE_DIR = tmp_path / "ours"
    before = sorted(path.name for path in (theirs / "outcomes").iterdir())
    output = io.StringIO()
    for count in (1, 0):  # a second time nothing is left to say
        with pytest.raises(CommandError, match=r"cannot be read: 0\.json"):
            call_command("unknown", folder=copied, stdout=output)
        assert f"{count} outcomes recorded" in output.getvalue()
    assert make.states() == {"r0@example.org": "accepted"}
    assert sorted(path.name for path in (theirs / "outcomes").iterdir()) == before
    with pytest.raises(CommandError, match="not a folder"):
        call_command("unknown", "--from", f"{tmp_path / 'nowhere'}")
    with pytest.raises(CommandError, match="--from goes alone"):
        call_command("unknown", "resend", "--all", "--from", f"{copied}")
