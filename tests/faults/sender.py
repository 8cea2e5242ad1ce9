"""Runs `manage.py` commands again and again without paying for the imports each time.

Django is loaded once. Each line on stdin is an order: `{"command": [...], "traced": bool,
"minutes": int}` begins a run in a forked child and is answered by its process id;
`{"wait": pid}` is answered by the run's wait status when it has ended. A traced child does
nothing until a tracer has attached; one with minutes has a clock that is wrong by as many.
"""

import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import django
from django.core.management import execute_from_command_line


def child(command: list[str], *, traced: bool, minutes: int) -> None:
    status = 1
    try:
        while traced and "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
            time.sleep(0.005)
        time.sleep(0.02 if traced else 0)  # the tracer has attached, but begins only now
        if minutes:
            set_clock(minutes)
        execute_from_command_line(["manage.py", *command])
        status = 0
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else 1
    finally:
        os._exit(status)


def set_clock(minutes: int) -> None:
    import time_machine

    wrong = datetime.now(UTC) + timedelta(minutes=minutes)
    time_machine.travel(wrong, tick=True).start()


def main() -> None:
    output, log = os.dup(1), os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    django.setup()
    import_module("digest.management.commands.deliver")
    os.write(output, b"ready\n")
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            os.write(output, f"{status}\n".encode())
            continue
        pid = os.fork()
        if pid == 0:
            child(order["command"], traced=order["traced"], minutes=order["minutes"])
        os.write(output, f"{pid}\n".encode())


if __name__ == "__main__":
    main()
