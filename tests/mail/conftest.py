"""Every kind of mail, made once: the gallery's."""

import email
import email.policy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import pytest

from digest.ops.gallery import gallery

NOW = datetime(2026, 4, 17, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Specimen:
    name: str
    raw: bytes

    @cached_property
    def message(self) -> email.message.EmailMessage:
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    def part(self, subtype: str) -> str:
        body = self.message.get_body((subtype,))
        assert body
        return str(body.get_content()).replace("\r\n", "\n")

    @property
    def html(self) -> str:
        return self.part("html")

    @property
    def text(self) -> str:
        return self.part("plain")


@pytest.fixture(scope="session")
def specimens() -> dict[str, Specimen]:
    """By name. A session's worth: nothing in it may be changed."""
    return {name: Specimen(name, raw) for name, raw in gallery.mails(NOW)}
