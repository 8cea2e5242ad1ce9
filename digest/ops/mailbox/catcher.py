"""The mail catcher: a real SMTP server that stores every mail in a folder.

`python -m digest.ops.mailbox.catcher --port 2525 --dir DIR` listens on 127.0.0.1 and loads no
Django. Each mail becomes DIR/NANOSECONDS-RANDOM.eml, the octets as received, beside a
.json file of the same name with the envelope. It replies 250 once both are on disk.
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

KEEP = 2_000
SIZE_LIMIT = 10 * 1024 * 1024


def write_whole(path: Path, content: bytes) -> None:
    """Write `path` so that it appears complete or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class Folder:
    """The newest `keep` mails in one folder, oldest first by name."""

    def __init__(self, path: Path, *, keep: int = KEEP) -> None:
        self.path = path
        self.keep = keep
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left_over in path.glob(".*.new"):
            left_over.unlink(missing_ok=True)
        self.names = deque(sorted(mail.stem for mail in path.glob("*.eml")))

    def add(self, content: bytes, envelope: dict[str, object]) -> str:
        """Store a mail with its envelope and forget the oldest. Returns its name."""
        name = f"{time.time_ns():020d}-{secrets.token_hex(3)}"
        sidecar = json.dumps(envelope).encode()
        # The mail comes last, so that it never appears without its envelope.
        write_whole(self.path / f"{name}.json", sidecar)
        write_whole(self.path / f"{name}.eml", content)
        self.names.append(name)
        while len(self.names) > self.keep:
            self.remove(self.names.popleft())
        return name

    def remove(self, name: str) -> None:
        (self.path / f"{name}.eml").unlink(missing_ok=True)
        (self.path / f"{name}.json").unlink(missing_ok=True)


class Catcher:
    """The handler of aiosmtpd: a method for each command that may be refused."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        try:
            self.folder.add(
                content,
                {
                    "mail_from": envelope.mail_from or "",
                    "rcpt_to": envelope.rcpt_tos,
                    "received_at": datetime.now(UTC).isoformat(),
                },
            )
        except OSError as error:
            return f"452 Cannot store the mail: {error.strerror}"
        return "250 Caught"


def server(folder: Folder) -> SMTP:
    return SMTP(
        Catcher(folder),
        data_size_limit=SIZE_LIMIT,
        enable_SMTPUTF8=True,
        decode_data=False,
        hostname="catcher.localhost",
        ident="Daily Papers mail catcher",
    )


async def serve(folder: Folder, port: int) -> None:
    """Listen on 127.0.0.1 until SIGTERM or SIGINT. Raises OSError for a taken port."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listener = await loop.create_server(lambda: server(folder), "127.0.0.1", port)
    with contextlib.closing(listener):
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m digest.ops.mailbox.catcher")
    parser.add_argument("--port", type=int, default=2525)
    parser.add_argument("--dir", type=Path, required=True)
    options = parser.parse_args()
    try:
        asyncio.run(serve(Folder(options.dir), options.port))
    except OSError as error:
        sys.exit(f"error: the mail catcher cannot start: {error.strerror or error}")


if __name__ == "__main__":
    main()
