"""Models of papers, editions, deliveries, throttling, the installation and votes."""

from digest.models.deliveries import (
    Delivery,
    DeliveryEvent,
    Lease,
    SendingCount,
    Submission,
)
from digest.models.editions import Block, Edition, Frame
from digest.models.installation import Experiment, Fence, Heartbeat, StoredProjection
from digest.models.papers import KnownWord, Paper, PaperWords, SourceDay, SourceTurn
from digest.models.throttling import BackOff, Bucket, WarmUpDay
from digest.models.votes import SavedPaper, Vote

__all__ = [
    "BackOff",
    "Block",
    "Bucket",
    "Delivery",
    "DeliveryEvent",
    "Edition",
    "Experiment",
    "Fence",
    "Frame",
    "Heartbeat",
    "KnownWord",
    "Lease",
    "Paper",
    "PaperWords",
    "SavedPaper",
    "SendingCount",
    "SourceDay",
    "SourceTurn",
    "StoredProjection",
    "Submission",
    "Vote",
    "WarmUpDay",
]
