"""Postmark's batch API: one request, every reader their own body and their own result."""

import email
import email.policy
from collections import Counter
from functools import partial

import pytest

from digest.editions.compose import Pick, Reader
from digest.ranking.loaded import load
from digest.transport import postmark_batch
from digest.transport.base import Mail, as_text
from digest.transport.open import open_transport
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]


@pytest.fixture
def hand_over(use, settings, mails):
    settings.PROVIDER_BATCH = True
    use("postmark")

    def run(*names: str) -> dict[str, str]:
        transport = open_transport()
        made = mails(*names)
        outcomes = dict(transport.hand_over(made))
        transport.close()
        return {
            mail.recipient.partition("@")[0]: outcomes[mail.delivery_id].verdict.value
            for mail in made
        }

    return run


@pytest.mark.parametrize(
    ("fault", "verdict", "others", "requests"),
    [
        ("code-406", "refused", "accepted", 1),
        ("code-412", "retry", "accepted", 1),
        ("keep-noid", "unknown", "accepted", 1),
        ("keep-absent", "unknown", "accepted", 1),
        ("keep-drop", "unknown", "unknown", 1),
        ("drop", "unknown", "unknown", 1),
        ("keep-garbage", "unknown", "unknown", 1),
        ("502", "unknown", "unknown", 1),
        ("401", "retry", "retry", 1),
        ("429", "retry", "retry", 1),
        ("422", "refused", "accepted", 5),
        ("413x1", "accepted", "accepted", 3),
    ],
)
def test_a7_what_befalls_one_is_mapped_to_that_one(
    hand_over, journal, fault, verdict, others, requests
):
    unlucky = f"b+http-{fault}"
    found = hand_over("a", unlucky, "c", "d")
    assert found.pop(unlucky) == verdict
    assert set(found.values()) == {others}
    assert len(journal()) == requests
    arrived = Counter(entry["rcpt"][0] for entry in journal("journal"))
    assert max(arrived.values(), default=1) == 1
    assert arrived.keys() >= {
        f"{name}@example.org" for name in found if others == "accepted"
    }


def test_a7_a_batch_keeps_to_the_providers_limits(hand_over, journal, monkeypatch):
    monkeypatch.setattr(postmark_batch, "MOST_MESSAGES", 2)
    assert set(hand_over(*"abcde").values()) == {"accepted"}
    assert [len(entry["rcpt"]) for entry in journal()] == [2, 2, 1]
    monkeypatch.setattr(postmark_batch, "MOST_BYTES", 1)
    assert set(hand_over(*"fg").values()) == {"accepted"}
    assert [len(entry["rcpt"]) for entry in journal()[3:]] == [1, 1]


def test_a7_in_a_batch_each_body_is_the_readers_own_mail(
    hand_over, journal, mails, settings
):
    settings.ANYMAIL = settings.ANYMAIL | {
        "POSTMARK_MESSAGE_STREAM": "broadcast",
        "SEND_DEFAULTS": {"track_opens": False, "tags": ["digest"]},
    }
    made = mails("ann", "bob")
    hand_over("ann", "bob")
    ((messages),) = [entry["body"] for entry in journal("bodies")]
    for mail, message in zip(made, messages, strict=True):
        whole = email.message_from_bytes(mail.compose(), policy=email.policy.default)
        for field, kind in (("HtmlBody", "html"), ("TextBody", "plain")):
            part = whole.get_body((kind,))
            assert part
            assert message[field] == part.get_content().replace("\r\n", "\n")
        assert message["Subject"] == whole["Subject"] and message["To"] == whole["To"]
        headers = {header["Name"]: header["Value"] for header in message["Headers"]}
        assert headers == {
            name: str(value)
            for name, value in whole.items()
            if name not in {"From", "To", "Subject", "MIME-Version", "Content-Type"}
        }
        assert message["Metadata"] == {"delivery_id": str(mail.delivery_id)}
        assert message["MessageStream"] == "broadcast" and message["Tag"] == "digest"
        assert message["TrackOpens"] is False


@pytest.mark.parametrize("field", ["title", "abstract", "organization"])
@pytest.mark.parametrize(
    "text",
    ["slot-To-slot", "slot-html-slot", postmark_batch.slot("To")],
    ids=["old", "html", "new"],
)
def test_m30_a_paper_with_the_name_of_a_slot_is_text_in_it(use, journal, text, field):
    use("postmark")
    item = make.paper(1)
    setattr(item, field, f"{text} {text}")
    encoded = load(make.edition({item: {}}).pk).encoded
    reader, picks = Reader(1, "ann@example.org", f"{1:022}"), [Pick(0, None)]
    made = partial(encoded.letter, reader, picks, sent_at=make.NOON)
    whole = partial(encoded.compose, reader, picks, sent_at=make.NOON)
    mail = Mail(1, encoded.sender, reader.address, whole, made)
    dict(postmark_batch.PostmarkBatch().hand_over([mail]))
    ((sent,),) = [entry["body"] for entry in journal("bodies")]
    assert sent["To"] == "ann@example.org"
    assert (
        sent["TextBody"] == as_text(made().text, made().values) and text in sent["TextBody"]
    )
    assert (
        sent["HtmlBody"] == as_text(made().html, made().values) and text in sent["HtmlBody"]
    )
    assert (text in sent["Subject"]) == (field == "title")
