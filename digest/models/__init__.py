"""Models of papers, editions, deliveries, throttling, the installation and votes."""

from digest.models.deliveries import Delivery, DeliveryEvent, Lease, Submission
from digest.models.editions import Block, Edition, Frame
from digest.models.installation import Heartbeat, HighWater
from digest.models.papers import Paper, SourceDay
from digest.models.throttling import Bucket, DomainRest, WarmUpDay
from digest.models.votes import Vote

__all__ = [
    "Block",
    "Bucket",
    "Delivery",
    "DeliveryEvent",
    "DomainRest",
    "Edition",
    "Frame",
    "Heartbeat",
    "HighWater",
    "Lease",
    "Paper",
    "SourceDay",
    "Submission",
    "Vote",
    "WarmUpDay",
]
