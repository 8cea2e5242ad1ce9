"""Rows of old editions, folded: some hundred deliveries in one row of bytes.

A row of the ledger has indexes, and room for its next versions, which a delivery that has its
end does not need: folded it has a few bytes, and nothing of it is lost. All that is asked of a
delivery for longer than `FOLDED_AFTER` is asked here, of ledger and folded rows alike; what a
plan, a sender or an alarm asks is of newer editions, and of the ledger alone.
"""

import json
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import models

from digest.models.deliveries import Delivery
from digest.models.editions import Edition

# Longer than any edition is due (eleven days), and than most bounces and complaints take to
# come. What looks back for longer, for readers who were away, asks here too or does without.
FOLDED_AFTER = timedelta(days=16)
# Ids of readers of one folded row: it is unpacked in under a millisecond, and packs well.
SPAN = 500
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
INSTANTS = {"due_at", "not_before", "expires_at", "intent_at", "outcome_at"}
# What is packed of a delivery beside its id; all but the edition, which all of a row share.
COLUMNS = (
    "subscriber_id", "state", "lane", "due_at", "not_before", "expires_at", "attempts",
    "lease_token", "picks", "reason", "reply", "relay", "intent_at", "outcome_at",
)  # fmt: skip


class FoldedDeliveries(models.Model):
    """The deliveries of one edition to the readers of one span of ids."""

    edition = models.ForeignKey(Edition, on_delete=models.PROTECT)
    span = models.BigIntegerField(
        help_text="Id of the reader // 500; below zero: that of nobody's deliveries."
    )
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    counts = models.JSONField(help_text="(state, reason, deliveries), as pages count them.")
    ids = models.BinaryField(
        help_text="Ids of the deliveries, packed: a look-up needs no more."
    )
    packed = models.BinaryField(
        help_text="The deliveries' other columns, in the same order."
    )

    class Meta:
        verbose_name_plural = "folded deliveries"
        constraints = [
            models.UniqueConstraint(fields=["span", "edition"], name="folded_unique")
        ]
        indexes = [models.Index(fields=["first_id", "last_id"], name="folded_ids")]

    def __str__(self) -> str:
        return f"span {self.span} of {self.edition}"

    @property
    def size(self) -> int:
        """Return how many deliveries it holds."""
        return sum(number for *_, number in self.counts)

    def fill(self, rows: Iterable[Delivery]) -> None:
        """Take these deliveries, and no others."""
        ordered = sorted(rows, key=lambda row: (row.subscriber_id or 0, row.pk))
        ids = [row.pk for row in ordered]
        self.first_id, self.last_id = min(ids), max(ids)
        self.ids = pack_ids(ids)
        self.packed = pack(
            {
                name: column([stored(getattr(row, name)) for row in ordered])
                for name in COLUMNS
            }
        )
        counted = Counter((str(row.state), str(row.reason)) for row in ordered)
        self.counts = [[*what, number] for what, number in sorted(counted.items())]

    def deliveries(
        self, readers: Collection[int] | None = None, *, pk: int | None = None
    ) -> list[Delivery]:
        """Return its deliveries as the ledger had them: all, of these readers, or one."""
        columns = {name: values(found) for name, found in unpack(self.packed).items()}
        owners = columns["subscriber_id"]
        return [
            Delivery(
                pk=key,
                edition_id=self.edition_id,
                **{
                    name: instant(of[at]) if name in INSTANTS else of[at]
                    for name, of in columns.items()
                },
            )
            for at, key in enumerate(unpack_ids(self.ids))
            if (readers is None or owners[at] in readers) and pk in (None, key)
        ]


def span_of(row: Delivery) -> int:
    if row.subscriber_id is None:
        return -1 - row.pk // SPAN
    return row.subscriber_id // SPAN


# -- look-ups, in ledger and folded rows -----------------------------------------------------


def find(pk: int) -> Delivery | None:
    """Return the delivery with its edition and reader, folded or not."""
    known = Delivery.objects.select_related("edition", "subscriber")
    if found := known.filter(pk=pk).first():
        return found
    rows = FoldedDeliveries.objects.filter(first_id__lte=pk, last_id__gte=pk)
    for key, ids in rows.values_list("pk", "ids").iterator():
        if b",%d," % pk in zlib.decompress(ids):
            one = FoldedDeliveries.objects.select_related("edition").get(pk=key)
            (row,) = one.deliveries(pk=pk)
            row.edition = one.edition
            return row
    return None


def of(edition: Edition, reader: int) -> Delivery | None:
    """Return the reader's delivery of an edition, folded or not."""
    known = Delivery.objects.select_related("edition", "subscriber")
    found = known.filter(edition=edition, subscriber=reader).first()
    if found or not edition.folded_at:
        return found
    return next(iter(folded([edition.pk], [reader])), None)


def of_readers(*readers: int) -> list[Delivery]:
    """Return the folded deliveries to these readers, each with its edition, in one query."""
    return chosen(FoldedDeliveries.objects.all(), readers)


def folded(editions: Sequence[int], readers: Iterable[int]) -> list[Delivery]:
    """Return the folded deliveries of these editions to these readers: one query, or none."""
    if not editions:
        return []
    return chosen(FoldedDeliveries.objects.filter(edition__in=editions), readers)


def chosen(
    rows: models.QuerySet[FoldedDeliveries], readers: Iterable[int]
) -> list[Delivery]:
    wanted = set(readers)
    spans = {reader // SPAN for reader in wanted}
    found = named(rows.filter(span__in=spans).select_related("edition"), wanted)
    return sorted(found, key=lambda row: row.pk)


def named(
    rows: Iterable[FoldedDeliveries], readers: Collection[int] | None = None
) -> Iterator[Delivery]:
    """Yield the deliveries of folded rows with their edition, which is read already."""
    for one in rows:
        for row in one.deliveries(readers):
            row.edition = one.edition
            yield row


def forget(reader: int) -> None:
    """Make the folded deliveries to a reader nobody's, and clear what tells of the person.

    In the transaction of the caller, after the rows of the ledger: what is folded just now
    has left the ledger by then, and is found here.
    """
    rows = FoldedDeliveries.objects.filter(span=reader // SPAN).order_by("pk")
    for one in rows.select_for_update():
        kept = one.deliveries()
        if any(row.subscriber_id == reader for row in kept):
            for row in kept:
                if row.subscriber_id == reader:
                    row.subscriber_id, row.reply = None, ""
                    row.picks = "" if "\n" in row.picks else row.picks
            one.fill(kept)
            one.save()


def counted(editions: Collection[int]) -> Iterator[tuple[int, str, str, int]]:
    """Yield (edition, state, reason, folded deliveries), in one query."""
    rows = FoldedDeliveries.objects.filter(edition__in=editions)
    for edition, found in rows.values_list("edition", "counts"):
        yield from ((edition, state, reason, number) for state, reason, number in found)


# -- the packed form ---------------------------------------------------------------------------


def pack(value: object) -> bytes:
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 9)


def unpack(packed: bytes | memoryview) -> Any:
    return json.loads(zlib.decompress(packed))


def column(found: list[Any]) -> Any:
    """Return the values of a column, or where they repeat the kinds and which of them each is."""
    kinds = list(dict.fromkeys(found))
    if 2 * len(kinds) > len(found):
        return found
    places = {kind: at for at, kind in enumerate(kinds)}
    return {"of": kinds, "at": [places[one] for one in found]}


def values(packed: Any) -> list[Any]:
    if isinstance(packed, dict):
        return [packed["of"][at] for at in packed["at"]]
    return list(packed)


def pack_ids(ids: Iterable[int]) -> bytes:
    """Return the ids as text with a comma before and after each, so that one is found in it."""
    return zlib.compress(f",{','.join(map(str, ids))},".encode(), 9)


def unpack_ids(packed: bytes | memoryview) -> list[int]:
    return [int(one) for one in zlib.decompress(packed).strip(b",").split(b",")]


def stored(value: Any) -> Any:
    """Return the value as JSON holds it: an instant in microseconds since 1970."""
    return (value - EPOCH) // MICROSECOND if isinstance(value, datetime) else value


def instant(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else EPOCH + microseconds * MICROSECOND
