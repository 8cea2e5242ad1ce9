"""What is handed over: one composed mail for one reader."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mail:
    """One composed mail: CRLF line ends, no body line that starts with a dot."""

    delivery_id: int
    sender: str
    recipient: str
    content: bytes
