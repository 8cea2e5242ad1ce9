"""Ports of this machine: a free one, and whether somebody answers at one."""

import socket
import subprocess
import time


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(
    port: int, *, seconds: float = 120, process: subprocess.Popen[bytes] | None = None
) -> None:
    """Return when a connection is taken; fails when the process at that port has ended."""
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
            return
        except OSError:
            assert process is None or process.poll() is None, "the server has ended"
            assert time.monotonic() < until, f"nobody answers at port {port}"
            time.sleep(0.02)
