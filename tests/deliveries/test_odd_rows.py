"""R33: a reader's row that is odd in one column costs that row only.

Each column that a digest depends on is set by SQL to values that no form would store.
All values of a column stand in one slice, a reader each; what a database refuses by
itself is left out.
"""

import re
from typing import NamedTuple

import pytest
from django.core.management import call_command
from django.db import Error, connection, transaction
from django.db.models import Model

from digest.models import Delivery
from subscribers.models import Schedule, Subscriber
from tests import make

pytestmark = pytest.mark.django_db
OTHERS = [f"r{number}@example.org" for number in range(6)]


class Raw(NamedTuple):
    """An SQL expression."""

    sql: str


type Value = str | int | Raw
JSON: list[Value] = [
    "null", "[1]", "[null]", '["a", null]', "{}", '{"a": 1}', '"x"', '""', "5", "true",
    '[["a"]]', '[{"a": "b"}]', '["\\u0000"]', '["\\ud800"]', '[""]', "[1e999]",
    "[" * 3000 + "]" * 3000, f'["{"word " * 20_000}"]', Raw("X'5b315d'"), Raw("X'ff'"),
    Raw("CAST(X'ff' AS TEXT)"), "",
]  # fmt: skip
TEXT: list[Value] = [
    "",
    "\0",
    "x\r\ny",
    "é",
    " ",
    "x" * 9000,
    Raw("X'ff'"),
    Raw("CAST(X'ff' AS TEXT)"),
]
INSTANTS: list[Value] = [
    "0001-01-01", "9999-12-31 23:59:59", "odd", "", Raw("'infinity'"), Raw("X'ff'")
]  # fmt: skip
COLUMNS: dict[str, list[Value]] = {
    "keywords": [*JSON],
    "watched_authors": [*JSON],
    "muted_authors": [*JSON],
    "interests": [*TEXT, ",;\n" * 1000, "\ud800"],
    "email": [
        *TEXT, "@", "a@", "@b.org", "a b@example.org", "a@example.org\r\nBcc: x@example.org",
        "a@example.org>\r\nRCPT TO:<x@example.org", "a@example.org, x@example.org",
        "<a@example.org>", '"a"@example.org', "a@b@example.org", "a@exämple.org",
        "a\u2028@example.org", "a@example.org\n", "a:b;c@example.org", "\x1b@example.org",
    ],
    "unsubscribe_token": [
        *TEXT, "a b", "a>b", "x\r\nX: y", "a/b", "<b>", "--", "=20", "a\n", ".",
    ],
    "language": [*TEXT, "xx", "de-AT", "../..", "e\nn", "DE", "en us"],
    "profile": [Raw("X''"), Raw("X'80ff7f00'"), Raw("'odd'"), Raw("5"), Raw("'\\x80ff'")],
    "directions": [
        Raw("NULL"), Raw("X''"), Raw("X'00'"), Raw("X'8860e75600000102'"), Raw("'odd'"), Raw("5"),
        Raw("X'8860e756ffff" + "ff" * 137 + "'"), Raw("X'8860e7560100" + "7f" * 274 + "'"),
    ],
    "most_papers": [-1, 0, 1, 3, 20, 1000, "odd", Raw("2.5"), Raw("X'ff'")],
    "email_hash": ["", "odd", Raw("X'ff'")],
    "state": ["odd", "", Raw("X'ff'")],
    "paused_until": [*INSTANTS],
    "created_at": [*INSTANTS],
    "confirmed_at": [*INSTANTS],
    "unsubscribed_at": [*INSTANTS],
    "changed_at": [*INSTANTS],
}  # fmt: skip
DECIDING = {"state", "paused_until", "confirmed_at"}  # whether there is a row
SCHEDULE: dict[str, list[Value]] = {
    "timezone": [
        *TEXT[:5], "Nowhere/Else", "../../etc/passwd", "/etc/passwd", "Europe", "UTC ", ".",
        Raw("X'ff'"), Raw("CAST(X'ff' AS TEXT)"),
    ],
    "send_hour": [24, 99, -1, "odd"],
    "days": [0, 128, -1, "odd"],
    "cadence": ["odd", "", Raw("X'ff'")],
}  # fmt: skip


def taken_by_sql(model: type[Model], column: str, value: Value, pk: int) -> bool:
    """Set the column. Return False if the database does not take the value."""
    expression, values = (value.sql, []) if isinstance(value, Raw) else ("%s", [value])
    sql = f"UPDATE {model._meta.db_table} SET {column} = {expression} WHERE id = %s"
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql, [*values, pk])
    except (Error, ValueError):
        return False
    return True


def odd_reader(number: int) -> Subscriber:
    """A reader with a schedule of their own, which is due on that Friday morning."""
    schedule = make.schedule("Asia/Tokyo", 18 + number // 16, days=127 - number % 16)
    return make.reader(f"odd{number}@example.org", "graphs", when=schedule)


@pytest.fixture
def others(sink, settings) -> None:
    """An edition and readers before and after whoever is odd."""
    settings.MAILER_URL = sink.url
    settings.SEND_CONNECTIONS = 2
    make.edition({make.paper(number): {"graphs": 1.0} for number in range(1, 4)})
    for email in OTHERS[:3]:
        make.reader(email, "graphs")


def deliver() -> None:
    for email in OTHERS[3:]:
        make.reader(email, "graphs")
    call_command("deliver", now=make.NOON)


def check(sink, odd: dict[int, Value]) -> None:
    """The others have their mail once; an odd reader's is right, or its row says why not."""
    mails = sink.mails()
    reached = [mail.rcpt for mail in mails]
    assert all(reached.count((email,)) == 1 for email in OTHERS)
    assert all(len(rcpt) == 1 for rcpt in reached)
    for mail in mails:
        assert "Bcc" not in mail.message and "X" not in mail.message
    states = dict(Delivery.objects.values_list("subscriber_id", "state"))
    found = {pk: states.pop(pk, "no row") for pk in odd}
    assert set(states.values()) == {"accepted"}
    fine = {"accepted", "refused", "skipped", "no row"}
    assert [(odd[pk], state) for pk, state in found.items() if state not in fine] == []
    assert len(mails) == 6 + list(found.values()).count("accepted")
    assert all(Delivery.objects.exclude(state="accepted").values_list("reason", flat=True))


def table(model: type[Model], column: str, values: list[Value]) -> dict[int, Value]:
    """A reader for each value of the column that the database takes."""
    odd = {}
    for number, value in enumerate(values):
        reader = odd_reader(number)
        key = reader.pk if model is Subscriber else reader.schedule_id
        if taken_by_sql(model, column, value, key):
            odd[reader.pk] = value
        else:
            reader.delete()
    return odd


@pytest.mark.each_row
@pytest.mark.parametrize("column", COLUMNS)
def test_r33_an_odd_column_of_a_reader_costs_that_row_only(others, sink, column):
    odd = table(Subscriber, column, COLUMNS[column])
    deliver()
    check(sink, odd)
    planned = Delivery.objects.filter(subscriber__in=odd).count()
    assert planned == len(odd) or column in DECIDING


@pytest.mark.each_row
@pytest.mark.parametrize("column", SCHEDULE)
def test_r33_an_odd_column_of_a_schedule_costs_its_readers_only(others, sink, column):
    odd = table(Schedule, column, SCHEDULE[column])
    deliver()
    check(sink, odd)


def test_r33_where_a_check_of_the_database_is_missing_too(others, sink):
    if connection.vendor != "sqlite":
        pytest.skip("no way around the check")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
    try:
        odd = table(Subscriber, "most_papers", COLUMNS["most_papers"])
        assert -1 in odd.values()
        deliver()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA ignore_check_constraints = OFF")
    check(sink, odd)


def test_r33_many_odd_rows_of_one_slice_cost_a_row_each(sink, others, caplog):
    odd = [make.reader(f"odd{number}@example.org", "graphs") for number in range(20)]
    for number, reader in enumerate(odd):
        value = ["null", "[1]", "5", "[[2]]"][number % 4]
        assert taken_by_sql(Subscriber, "keywords", value, reader.pk)
    deliver()
    for _ in range(2):
        call_command("deliver", now=make.NOON)
        assert len(sink.mails()) == 6
    skipped = Delivery.objects.filter(state="skipped").values_list("reason", flat=True)
    assert list(skipped) == ["the reader's row cannot be read"] * 20
    assert not re.search(r"odd\d*@", caplog.text), "nothing personal is logged"
