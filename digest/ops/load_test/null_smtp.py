"""An SMTP server on loopback that counts and discards mails, for measurements."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

END = b"\r\n.\r\n"
MOST_KEPT = 64 * 1024


@dataclass
class Tally:
    """The server's port on 127.0.0.1, and the mails and bytes it has received."""

    port: int = 0
    mails: int = 0
    size: int = 0  # bytes, commands included


class Throwaway(asyncio.Protocol):
    """One session: it accepts everything; commands may be pipelined (RFC 2920)."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.kept = b""
        self.content = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the types
        self.transport = transport
        transport.write(b"220 throwaway ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.tally.size += len(data)
        data = self.kept + data
        replies = []
        while True:
            end = END if self.content else b"\n"
            head, found, rest = data.partition(end)
            if not found:
                break
            replies.append(self.taken() if self.content else self.command(head))
            data = rest
        # Keep only the bytes of an unfinished mail that may begin its end.
        self.kept = data[-len(END) :] if self.content else data[-MOST_KEPT:]
        self.transport.write(b"".join(replies))

    def taken(self) -> bytes:
        self.content = False
        self.tally.mails += 1
        return b"250 2.0.0 thrown away\r\n"

    def command(self, line: bytes) -> bytes:
        match line[:4].upper():
            case b"EHLO":
                return b"250-throwaway\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
            case b"DATA":
                self.content = True
                return b"354 go on\r\n"
            case b"QUIT":
                return b"221 bye\r\n"
        return b"250 ok\r\n"


@contextlib.contextmanager
def running() -> Iterator[Tally]:
    """Run a server in its own thread, and yield its tally."""
    tally, ready, end = Tally(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        server = await loop.create_server(lambda: Throwaway(tally), "127.0.0.1", 0)
        tally.port = server.sockets[0].getsockname()[1]
        ready.set()
        await end.wait()
        server.close()

    def run() -> None:
        loop.run_until_complete(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield tally
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()
