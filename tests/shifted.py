"""Run a module by a clock that is wrong: `python -m tests.shifted SECONDS MODULE …`.

Instead of libfaketime: what Python tells of the time of day is shifted, in this process and
its forked children; the monotonic clock runs on as it does. With `SECONDS,LATER,AFTER` the
clock is set to the second offset when so many seconds have passed.
"""

import runpy
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import time_machine


def shifted(seconds: float) -> time_machine.travel:
    return time_machine.travel(datetime.now(UTC) + timedelta(seconds=seconds), tick=True)


def main() -> None:
    first, later, after = [*map(float, sys.argv[1].split(",")), 0.0, 0.0][:3]
    real = time.time() - time.monotonic()
    traveller = shifted(first).start()

    def set_again() -> None:
        traveller.move_to(
            datetime.fromtimestamp(real + time.monotonic() + later, UTC), tick=True
        )

    if after:
        timer = threading.Timer(after, set_again)
        timer.daemon = True
        timer.start()
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
