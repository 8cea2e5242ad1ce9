"""What must hold after any kill at any moment: the journal against the ledger.

The journal is the other side's: it was on its disk before it answered.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tests.faults.ledger import OPEN, Row


def broken(
    rows: Sequence[Row],
    arrived: Sequence[str],
    *,
    readers: Sequence[str],
    most_unknown: int,
) -> list[str]:
    """The invariants that do not hold, in words. `arrived` is an address per kept mail."""
    found = []
    count = Counter(arrived)
    states: dict[str, set[str]] = {}
    for row in rows:
        states.setdefault(row.state, set()).add(row.address)
    accepted = states.get("accepted", set())
    unknown = states.get("unknown", set())
    if twice := [address for address, times in count.items() if times > 1]:
        found.append(f"I1 arrived more than once: {twice[:5]}")
    if left := [row.address for row in rows if row.state in OPEN]:
        found.append(f"I2 still open: {left[:5]}")
    if len(rows) != len(readers) or {row.address for row in rows} != set(readers):
        found.append(f"I2 {len(rows)} rows for {len(readers)} readers")
    if len(unknown) > most_unknown:
        found.append(f"I3 {len(unknown)} unknown, at most {most_unknown} may be")
    if lost := accepted - set(count):
        found.append(f"I4 accepted, but never arrived: {sorted(lost)[:5]}")
    if untold := set(count) - accepted - unknown:
        found.append(f"I4 arrived, but the ledger does not say so: {sorted(untold)[:5]}")
    if strangers := set(count) - set(readers):
        found.append(f"I9 arrived at somebody who never asked: {sorted(strangers)[:5]}")
    return found


def repeated(requests: Sequence[Mapping[str, Any]]) -> list[str]:
    """I8: no provider is asked twice for a mail, but by the same key with the same bytes."""
    found = []
    asked: dict[str, tuple[str | None, str]] = {}
    for request in requests:
        addresses, what = request["rcpt"], (request["key"], request["hash"])
        if len(addresses) != 1 and not request["path"].endswith("/batch"):
            found.append(f"A6 one request for {len(addresses)} readers")
        for address in addresses:
            if address in asked and (what != asked[address] or what[0] is None):
                found.append(f"I8 asked again for {address}")
            asked[address] = what
    return found
