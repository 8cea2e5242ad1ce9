"""An author who is subscribed: their papers hold what was constant in an earlier mail.

They play one edition to read its mail, and write papers of what they saw into another of
the same day. Every mail of that one must be the two parts that were meant, for two parsers.
"""

import json
import re
from collections.abc import Iterator, Sequence
from email import message_from_bytes
from pathlib import Path

from fast_mail_parser import ParseError

from tests.faults import outside
from tests.faults.scene import Scene, scene
from tests.mail.reading import in_python, in_rust
from tests.sink import Mail, Sink

READERS = ["ann@example.org", "bob@example.org", "cem@example.org"]


def play(tree: Path, folder: Path) -> list[str]:
    """What readers of the author's edition see that was not meant, or that they get none."""
    wrong, states = played_by_author(tree, folder)
    return wrong if set(states) == {"accepted"} else [*wrong, f"I2 it ended as {states}"]


def played_by_author(tree: Path, folder: Path) -> tuple[list[str], list[str]]:
    """What was wrong with the mails that arrived, and the states of the ledger's rows."""
    (earlier, *_), _ = edition(tree, folder / "earlier", [])
    known = constants(earlier.raw)
    mails, played = edition(tree, folder / "later", papers(known))
    wrong = [f"M30 {words}" for mail in mails for words in misread(mail, known)]
    return wrong, [row.state for row in played.ledger.rows()]


def edition(
    tree: Path, folder: Path, entries: Sequence[object]
) -> tuple[Sequence[Mail], Scene]:
    """Deliver an edition of these papers, or of plain ones; the mails that arrived."""
    with outside.smtp(folder / "outside", lint=False) as there:
        played = scene(folder, there.env, tree=tree)
        file = folder / "papers.json"
        file.write_text(json.dumps(entries))
        played.seed(READERS, *([f"--papers={file}"] if entries else []))
        played.manage("deliver", "--day", played.day)
        return Sink(there.folder, 0).mails(), played


def constants(raw: bytes) -> list[str]:
    """What of a mail could be the same in the next: the boundary first."""
    message = message_from_bytes(raw)
    names = ("Message-ID", "List-Id", "Feedback-ID", "List-Unsubscribe")
    return [message.get_boundary() or "", *(str(message[name]) for name in names)]


def papers(known: Sequence[str]) -> list[dict[str, object]]:
    boundary, *others = known
    titles = [f"--{boundary}", f"--{boundary}--", ".", "From x", *others]
    fields: list[dict[str, object]] = [{"title": title} for title in titles]
    fields += [{"summary": f"--{boundary}--"}, {"authors": [{"name": f"--{boundary}"}]}]
    return [
        {"paper": {"id": f"2604.{number:05}", "title": "T", "upvotes": 99 - number} | one}
        for number, one in enumerate(fields, start=1)
    ]


def misread(mail: Mail, known: Sequence[str]) -> Iterator[str]:
    """What two mail programs see in a mail and nobody meant."""
    message = message_from_bytes(mail.raw)
    way_out = str(message["List-Unsubscribe"]).strip("<>")
    body = mail.raw.partition(b"\r\n\r\n")[2]
    for read in (in_python, in_rust):
        try:
            parts = read(mail.raw)
        except (AssertionError, ParseError):
            parts = []
        if [kind for kind, _ in parts] != ["text/plain", "text/html"]:
            yield f"{read.__name__}: the mail's parts are {[kind for kind, _ in parts]}"
        elif not all(way_out in text and f"--{known[0]}" in text for _, text in parts):
            yield f"{read.__name__}: a part lacks the way out or a paper"
    if len(re.findall(rb"(?m)^--", body)) != 3:
        yield "a line of text looks like a delimiter"
    if message.get_boundary() in known:
        yield "the boundary is that of an earlier mail"
