"""The tables of this room, by what they are about."""

from subscribers.models.consent import Appended, ConsentEvent, Suppression
from subscribers.models.imports import Import, TriedAddress
from subscribers.models.installation import AddressKey
from subscribers.models.people import (
    FEWEST_PAPERS,
    MOST_PAPERS,
    USUAL_PAPERS,
    Length,
    Schedule,
    Subscriber,
    Subscription,
    Topic,
    Trending,
    new_capability,
    next_column,
)
from subscribers.models.post import Browser, Link, Notice, OutgoingEvent, Request

__all__ = [
    "FEWEST_PAPERS",
    "MOST_PAPERS",
    "USUAL_PAPERS",
    "AddressKey",
    "Appended",
    "Browser",
    "ConsentEvent",
    "Import",
    "Length",
    "Link",
    "Notice",
    "OutgoingEvent",
    "Request",
    "Schedule",
    "Subscriber",
    "Subscription",
    "Suppression",
    "Topic",
    "Trending",
    "TriedAddress",
    "new_capability",
    "next_column",
]
