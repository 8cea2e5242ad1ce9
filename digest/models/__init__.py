"""Models of papers, editions, deliveries, throttling, the installation, reports and votes."""

from digest.models.deliveries import (
    Delivery,
    DeliveryEvent,
    Lease,
    SendingCount,
    StoredCount,
    Submission,
)
from digest.models.editions import Announcement, Block, Edition, Frame
from digest.models.folded import FoldedDeliveries
from digest.models.installation import Experiment, Fence, Heartbeat, StoredProjection
from digest.models.operators import OWNER, Act, RecoveryCode, owners
from digest.models.papers import (
    KnownWord,
    Paper,
    PaperMeaning,
    PaperWords,
    SourceDay,
    SourceTurn,
)
from digest.models.reports import ReportedCount
from digest.models.throttling import BackOff, Bucket, WarmUpDay
from digest.models.votes import SavedPaper, Vote

__all__ = [
    "OWNER",
    "Act",
    "Announcement",
    "BackOff",
    "Block",
    "Bucket",
    "Delivery",
    "DeliveryEvent",
    "Edition",
    "Experiment",
    "Fence",
    "FoldedDeliveries",
    "Frame",
    "Heartbeat",
    "KnownWord",
    "Lease",
    "Paper",
    "PaperMeaning",
    "PaperWords",
    "RecoveryCode",
    "ReportedCount",
    "SavedPaper",
    "SendingCount",
    "SourceDay",
    "SourceTurn",
    "StoredCount",
    "StoredProjection",
    "Submission",
    "Vote",
    "WarmUpDay",
    "owners",
]
