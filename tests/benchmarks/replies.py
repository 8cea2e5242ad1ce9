"""One connection to a server whose replies take their time: round trips decide."""

import smtplib
import time
from collections.abc import Callable

from tests.benchmarks import machine
from tests.benchmarks.figures import Figure
from tests.benchmarks.machine import describe, spread, table
from tests.benchmarks.sinks import Sink, fast_sink

SIZE = 60_000
LINE = b"a line of a mail that is as long as the lines of a digest usually are..\r\n"
CONTENT = b"Subject: x\r\n\r\n" + LINE * (SIZE // len(LINE))


def run(*, rounds: int = 3, seconds: float = 2.0) -> list[Figure]:
    """Print the rates of one connection by reply delay, ours beside smtplib's."""
    print(describe())
    rows, promised = [], []
    for delay, pipelining in ((0, True), (5, True), (20, True), (5, False)):
        ours, theirs = [], []
        for _ in machine.rounds(rounds, minutes=0.5):
            with fast_sink(delay_ms=delay, pipelining=pipelining) as sink:
                ours.append(rate(own_client(sink), seconds))
                theirs.append(rate(library_client(sink), seconds))
        found = [a / b for a, b in zip(ours, theirs, strict=True)]
        rows.append(
            [f"{delay} ms", "yes" if pipelining else "no", spread(ours, 0),
             spread(theirs, 0), spread(found)]
        )  # fmt: skip
        if delay == 5 and pipelining:
            promised = found
    print(table(["reply delay", "pipelining", "ours/s", "smtplib/s", "ratio"], rows) + "\n")
    name = "mails/s of one connection to smtplib's, replies after 5 ms"
    return [Figure(name, promised, at_least=3.5)]


def rate(send: Callable[[int], None], seconds: float) -> float:
    """Mails a second, ten at a time, for about so many seconds."""
    send(10)
    sent, begin = 0, time.perf_counter()
    while time.perf_counter() < begin + seconds:
        send(50)
        sent += 50
    return sent / (time.perf_counter() - begin)


def own_client(sink: Sink) -> Callable[[int], None]:
    from digest.endpoints import smtp_server
    from digest.transport.base import Mail
    from digest.transport.smtp import Smtp

    client = Smtp(smtp_server(sink.url))
    sender, recipient = "papers@bench.example", "reader@bench.example"

    def send(count: int) -> None:
        mails = [
            Mail(number, sender, recipient, lambda: CONTENT) for number in range(count)
        ]
        outcomes = dict(client.hand_over(mails))
        assert {outcome.verdict.value for outcome in outcomes.values()} == {"accepted"}

    return send


def library_client(sink: Sink) -> Callable[[int], None]:
    client = smtplib.SMTP("127.0.0.1", sink.port)

    def send(count: int) -> None:
        for _ in range(count):
            client.sendmail("papers@bench.example", "reader@bench.example", CONTENT)

    return send
