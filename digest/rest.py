"""Leave alone for a while what failed, so that one waits for it and the others do not."""

import time


class Rest:
    """Of one process, and shared by its threads; times are monotonic seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.until = 0.0
        self.is_out = False  # it failed last time, as the log says

    def may_be_asked(self) -> bool:
        """Return whether to ask it now; after a rest one thread tries, and no other waits too."""
        now = time.monotonic()
        if now < self.until:
            return False
        if self.is_out:
            self.until = now + self.seconds
        return True

    def begin(self) -> bool:
        """Note that it failed; return whether that is new."""
        is_new, self.is_out = not self.is_out, True
        self.until = time.monotonic() + self.seconds
        return is_new

    def end(self) -> bool:
        """Note that it answered; return whether that is new."""
        is_new, self.is_out, self.until = self.is_out, False, 0.0
        return is_new
