"""How many mails a submit group and a slice hold, by how fast the line is."""

from django.conf import settings

from digest.throttling.relay import FEW

SLICE = 1000
SLICE_GROUPS = 10


class BatchSizer:
    """How many mails go out on one look at holds and consent: about a second's worth.

    So that a pause or an unsubscribe reaches a slow line as soon as a fast one.
    """

    SECONDS, GROWTH = 1.0, 4

    def __init__(self) -> None:
        self.group = min(max(2 * settings.SEND_CONNECTIONS, FEW), settings.SUBMIT_GROUP)

    @property
    def slice(self) -> int:
        """How many rows to claim at once: a slow line leaves the rest to others."""
        return min(SLICE, SLICE_GROUPS * self.group)

    def learn(self, mails: int, seconds: float) -> None:
        """What the last group took; on a line that is fast enough, all of SUBMIT_GROUP."""
        if mails:
            fitting = int(mails * self.SECONDS / max(seconds, 0.001))
            most = min(settings.SUBMIT_GROUP, self.group * self.GROWTH)
            self.group = min(max(fitting, 1), most)
