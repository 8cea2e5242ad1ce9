"""Report a simulated day: its figures, and an estimate for other numbers of readers."""

from digest.ops.load_test.simulate import Measured

OTHERS = [1_000, 10_000, 100_000, 1_000_000, 10_000_000]


def table(day: Measured) -> str:
    """Return the report as text: the figures of the day, and a row per number of readers."""
    mails = max(day.mails, 1)
    statements = sum(sender.statements for sender in day.senders) / mails
    peak = max(sender.peak_kilobytes for sender in day.senders) / 1024
    lines = [
        f"readers filled in          {day.planned.fill_seconds:12,.1f} s",
        f"planned                    {day.planned.rows:12,} rows"
        f" in {day.planned.plan_seconds:,.1f} s",
        f"accepted                   {day.mails:12,} mails, {day.received:,} received",
        f"mails a second             {mails / day.seconds:12,.0f}"
        f" by {len(day.senders)} sender{'' if len(day.senders) == 1 else 's'}",
        f"CPU of the senders         {day.cpu_seconds / mails * 1e6:12,.0f} µs a mail",
        f"greatest memory            {peak:12,.0f} MB a sender",
        f"statements                 {statements * 1000:12,.0f} in 1,000 mails",
        f"on the wire                {day.received_bytes / mails / 1000:12,.0f} KB a mail",
        f"ledger                     {day.row_bytes:12,.0f} bytes a row",
        "",
        "What other numbers of readers need each day, if the mail server keeps up:",
        f"{'readers':>12} {'sent in':>10} {'senders CPU':>12} {'on the wire':>12}"
        f" {'ledger':>10} {'in an hour':>14}",
        *(row(day, readers) for readers in OTHERS),
        "",
        "in an hour: what the mail server has to take to be done within one. Where it takes",
        "less, the time is readers / its rate, whatever this machine could do.",
    ]
    return "\n".join(lines)


def row(day: Measured, readers: int) -> str:
    """Return one row of the table, scaled linearly from the measured day."""
    each = readers / max(day.mails, 1)
    return (
        f"{readers:>12,} {in_words(day.seconds * each):>10}"
        f" {in_words(day.cpu_seconds * each):>12}"
        f" {in_bytes(day.received_bytes * each):>12} {in_bytes(day.row_bytes * readers):>10}"
        f" {readers / 3600:>8,.1f} mails/s"
    )


def in_bytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def in_words(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
