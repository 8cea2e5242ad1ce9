"""Postmark's batch API: the mails of a submit group in one request, each with its own body.

https://postmarkapp.com/developer/user-guide/send-email-with-api/batch-emails: 500 messages
and 50 MB at most, an array of results in the order of the messages. Anymail says how a
message looks to Postmark, with all of its settings, and what a result means; the bodies
are joined from pieces that were escaped once.
"""

import logging
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from urllib.parse import urljoin

import requests
from anymail.backends.postmark import EmailBackend
from anymail.exceptions import AnymailError
from anymail.utils import EmailAddress
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, mailers

from digest.transport.base import Letter, Mail, as_json, inside
from digest.transport.esp import APART, POSTMARK_US, of_answer, of_error
from digest.transport.outcomes import POISON, Outcome, Verdict, of_recipient, of_status

logger = logging.getLogger(__name__)

MOST_MESSAGES = 500
MOST_BYTES = 48_000_000
# Of this process alone, so that no setting or name of a sender can hold it.
SLOTS = secrets.token_hex(8)
SLOT = re.compile(SLOTS + r"-([A-Za-z-]{1,40})-slot")

Written = tuple[Mail, bytes]


class PostmarkBatch:
    """A transport by Anymail's Postmark backend: its settings, its session, its words."""

    def __init__(self) -> None:
        self.backend: EmailBackend = mailers["default"]
        self.skeletons: dict[tuple[tuple[str, str], ...], list[bytes]] = {}

    def hand_over(self, mails: Iterable[Mail]) -> Iterator[tuple[int, Outcome]]:
        batch: list[Written] = []
        size = 0
        for mail in mails:
            try:
                assert mail.letter  # noqa: S101
                message = self.as_postmark(mail, mail.letter())
            except Exception:  # one poisoned row must not stop an edition
                logger.exception("delivery %d cannot be composed", mail.delivery_id)
                yield mail.delivery_id, POISON
                continue
            if batch and (len(batch) == MOST_MESSAGES or size + len(message) > MOST_BYTES):
                yield from self.submit(batch)
                batch, size = [], 0
            batch.append((mail, message))
            size += len(message) + 1
        if batch:
            yield from self.submit(batch)

    def submit(self, batch: Sequence[Written]) -> Iterator[tuple[int, Outcome]]:
        """Post one request; post its halves if it was refused whole, as one mail may be why."""
        try:
            response = self.post(b"[%b]" % b",".join(message for _, message in batch))
        except requests.RequestException as error:
            yield from same_for_all(batch, of_error(error))
            return
        if response.ok:
            yield from self.results([mail for mail, _ in batch], response)
            return
        outcome = of_answer(response, response.text)
        if outcome.verdict is Verdict.REFUSED and len(batch) > 1:
            half = len(batch) // 2
            yield from self.submit(batch[:half])
            yield from self.submit(batch[half:])
            return
        yield from same_for_all(batch, outcome)

    def post(self, body: bytes) -> requests.Response:
        """Post a batch and return the response. Raises requests.RequestException."""
        self.backend.open()
        url = urljoin(self.backend.api_url, "email/batch")
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "X-Postmark-Server-Token": self.backend.server_token,
        }
        session: requests.Session = self.backend.session
        return session.post(url, data=body, headers=headers, timeout=self.backend.timeout)

    def close(self) -> None:
        self.backend.close()

    def results(
        self, mails: Sequence[Mail], response: requests.Response
    ) -> Iterator[tuple[int, Outcome]]:
        """Yield each reader's result; a mail without one is unknown, as the rest was taken."""
        try:
            items = response.json()
        except ValueError:
            items = []
        found = match_results(mails, items if isinstance(items, list) else [])
        for mail in mails:
            item = found.get(mail.delivery_id)
            outcome = self.of_item(mail, item) if item else of_status(None, "no result")
            yield mail.delivery_id, outcome

    def of_item(self, mail: Mail, item: Mapping[str, object]) -> Outcome:
        code, words = item.get("ErrorCode"), f"{item.get('Message')}"
        if code == 0:
            named = item.get("MessageID")
            reply = f"id {named}" if named else "no id"
            return of_recipient("sent" if named else "unknown", reply)
        if code in POSTMARK_US:
            return of_status(403, f"{code} {words}")
        # Anymail reads in the words which address was invalid or rejected.
        one = [EmailAddress(addr_spec=mail.recipient)]
        payload = SimpleNamespace(to_emails=one, cc_and_bcc_emails=[])
        answer = SimpleNamespace(json=lambda: item, status_code=422, reason="", text=words)
        try:
            statuses = self.backend.parse_recipient_status(answer, payload, None)
        except AnymailError:
            return of_status(422, f"{code} {words}")
        (said,) = (status.status for status in statuses.values())
        return of_recipient(said, f"{code} {words}")

    def as_postmark(self, mail: Mail, letter: Letter) -> bytes:
        """Return the mail as Postmark's JSON."""
        names = tuple(letter.shared.items())
        if names not in self.skeletons:
            self.skeletons[names] = self.skeleton(letter)
        values = {name: inside(value) for name, value in letter.own.items()}
        values["To"] = inside(mail.recipient)
        values["delivery"] = b"%d" % mail.delivery_id
        values["text"] = as_json(letter.text, letter.values)
        values["html"] = as_json(letter.html, letter.values)
        pieces = self.skeletons[names].copy()
        pieces[1::2] = [values[slot.decode()] for slot in pieces[1::2]]
        return b"".join(pieces)

    def skeleton(self, letter: Letter) -> list[bytes]:
        """Return Anymail's JSON of a message whose own values are slots, cut at the slots."""
        own = {name: slot(name) for name in letter.own if name not in APART}
        headers = {name: letter.shared[name] for name in letter.shared if name not in APART}
        message = EmailMultiAlternatives(
            subject=slot("Subject"),
            body=slot("text"),
            from_email=letter.shared["From"],
            to=["to@example.org"],
            headers=headers | own,
        )
        message.attach_alternative(slot("html"), "text/html")
        if not settings.TEST_MODE_TO:  # see Provider.message
            message.metadata = {"delivery_id": slot("delivery")}  # type: ignore[attr-defined]
        payload = self.backend.build_message_payload(message, self.backend.send_defaults)
        payload.data["To"] = slot("To")
        text: str = payload.serialize_json(payload.data)
        return [piece.encode() for piece in SLOT.split(text)]


def slot(name: str) -> str:
    return f"{SLOTS}-{name}-slot"


def same_for_all(
    batch: Sequence[Written], outcome: Outcome
) -> Iterator[tuple[int, Outcome]]:
    for mail, _ in batch:
        yield mail.delivery_id, outcome


def match_results(
    mails: Sequence[Mail], items: Sequence[object]
) -> dict[int, Mapping[str, object]]:
    """Return delivery id → result: by place if all are there, else by address.

    A result that names another reader belongs to nobody.
    """
    results = [item if isinstance(item, dict) else {} for item in items]
    named = [str(result.get("To", "")).lower() for result in results]
    if len(results) == len(mails):
        return {
            mail.delivery_id: result
            for mail, result, name in zip(mails, results, named, strict=True)
            if name in {"", mail.recipient.lower()}
        }
    once = Counter(named)
    return {
        mail.delivery_id: results[named.index(name)]
        for mail in mails
        if once[name := mail.recipient.lower()] == 1
    }
