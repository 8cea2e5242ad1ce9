"""A Redis for one test or measurement: on a unix socket, found as the stack finds its own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, int]]:
    """Its REDIS_URL and process id. A socket's path may have 107 bytes at most."""
    from digest.ops.stack.broker import server_binary, server_command, wait_for_socket

    socket = folder / "redis.sock"
    command = server_command(server_binary(), socket=socket, folder=folder)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            assert wait_for_socket(socket, seconds=10)
            yield f"unix://{socket}", process.pid
        finally:
            process.kill()
