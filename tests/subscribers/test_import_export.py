"""Import and export: nobody's state changes, and files come as other tools write them."""

import io
import os
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from digest.models import Act
from subscribers import address_key, consent, import_export
from subscribers.addresses import address_hash
from subscribers.import_file import ImportFile
from subscribers.import_rows import KNOWN
from subscribers.models import (
    AddressKey,
    ConsentEvent,
    Notice,
    Schedule,
    Subscriber,
    Suppression,
)
from subscribers.suppression import suppress
from tests import make
from tests.make import reader

pytestmark = pytest.mark.django_db
THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OPEN = ("state", "created_at", "confirmed_at", "unsubscribed_at", "paused_until")


def bring(path: Path, **options: object) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("subscribers", "import", str(path), stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


@pytest.fixture
def written(tmp_path: Path):
    def written(content: bytes | str, name: str = "list.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def snapshot() -> tuple[list[object], list[object]]:
    people = Subscriber.objects.order_by("email").values_list("email", *OPEN, "interests")
    bars = Suppression.objects.order_by("email_hash").values_list(
        "email_hash", "reason", "at"
    )
    return list(people), list(bars)


def one_of_each_state() -> None:
    for state in Subscriber.State:
        for reason in [None, *Suppression.Reason]:
            one = reader(f"{state}-{reason}@example.org", "graphs", state=state, at=THEN)
            one.interests = '=words; of, "Jürgen" too'
            if state == "paused":
                one.paused_until = date(2027, 1, 1)
            if state == "unsubscribed":
                one.unsubscribed_at = THEN + timedelta(days=3)
                reason = reason or Suppression.Reason.LEFT
            one.save()
            if reason and (reason != "left" or state in ("unsubscribed", "pending")):
                suppress(one.email_hash, reason, now=THEN + timedelta(days=3))
    for reason in Suppression.Reason:
        suppress(address_hash(f"gone-{reason}@example.org"), reason, now=THEN)


@pytest.mark.parametrize("name", ["all.csv", "all.jsonl"])
@pytest.mark.parametrize("legal_source", ["", "moved here"])
def test_g30_an_export_imported_elsewhere_changes_nobodys_state(
    name: str, legal_source: str, tmp_path: Path
) -> None:
    one_of_each_state()
    before = snapshot()
    path = tmp_path / name
    call_command("subscribers", "export", str(path))
    Subscriber.objects.all().delete()
    Suppression.objects.all().delete()
    bring(path, legal_source=legal_source)
    assert snapshot() == before
    asked = Notice.objects.values_list("subscriber__email", "kind")
    assert set(asked) == {
        ("pending-None@example.org", "confirm"),
        ("pending-left@example.org", "confirm"),
    }
    assert consent.verify().wrong == []
    bring(path, legal_source=legal_source)
    assert snapshot() == before, "a second import changes nothing"


def test_g30_with_another_key_addresses_travel_and_hashes_are_refused(
    tmp_path: Path, settings
) -> None:
    one_of_each_state()
    states = list(Subscriber.objects.order_by("email").values_list("email", "state"))
    path = tmp_path / "all.csv"
    call_command("subscribers", "export", str(path))
    Subscriber.objects.all().delete()
    Suppression.objects.all().delete()
    settings.ADDRESS_KEY = "another key that is long enough for all of this"
    AddressKey.objects.all().delete()  # the other instance's database notes its own
    address_key.note()
    out, err = bring(path, legal_source="moved here")
    assert (
        list(Subscriber.objects.order_by("email").values_list("email", "state")) == states
    )
    assert err.count("another ADDRESS_KEY") == len(Suppression.Reason)
    assert make.deliverable().count() == 2


HEAD_AND_ROW = [
    ("comma", b"email,topics\na@example.org,graphs\n"),
    ("semicolon", b"email;topics\r\na@example.org;graphs\r\n"),
    ("tab", b"email\ttopics\na@example.org\tgraphs\n"),
    ("bar", b"email|topics\na@example.org|graphs\n"),
    ("sep", b"sep=;\r\nemail;topics\r\na@example.org;graphs\r\n"),
    ("quoted sep", b'"sep=;"\r\nemail;topics\r\na@example.org;graphs\r\n'),
    ("upper", b"EMAIL,Topics\na@example.org,graphs\n"),
    ("other name", b"E-Mail Address,Topics\na@example.org,graphs\n"),
    ("hyphen", b"Topics,E-mail\ngraphs,a@example.org\n"),
    ("quoted head", b'"Email";"Topics"\n"a@example.org";"graphs"\n'),
    ("mark", b"\xef\xbb\xbfemail,topics\na@example.org,graphs\n"),
    (
        "utf-16 le",
        b"\xff\xfe" + "Email\tTopics\r\na@example.org\tgraphs\r\n".encode("utf-16-le"),
    ),
    (
        "utf-16 be",
        b"\xfe\xff" + "Email;Topics\r\na@example.org;graphs\r\n".encode("utf-16-be"),
    ),
    (
        "utf-16 le, no mark",
        "Email\tTopics\r\na@example.org\tgraphs\r\n".encode("utf-16-le"),
    ),
    ("utf-16 be, no mark", '"Email";Topics\na@example.org;graphs\n'.encode("utf-16-be")),
    (
        "wrapped head",
        b'"E-Mail\r\nAddress";"Topics";"Phone\n(home)"\r\na@example.org;graphs;1\r\n',
    ),
    ("wrapped head, email last", b'"Topics\n",email\ngraphs,a@example.org\n'),
    ("no last line end", b"email,topics\na@example.org,graphs"),
    ("old mac", b"email,topics\ra@example.org,graphs\r"),
    ("empty lines", b"\n\nemail,topics\n\n,\na@example.org,graphs\n\n"),
    ("large", b'email,topics,notes\na@example.org,graphs,"' + b"x\n" * 300_000 + b'"\n'),
    ("latin-1", b"email,topics,watched_authors\na@example.org,graphs,J\xfcrgen\n"),
]


@pytest.mark.parametrize("content", [pytest.param(c, id=n) for n, c in HEAD_AND_ROW])
def test_a_file_is_read_as_spreadsheets_write_it(content, topics, written) -> None:
    bring(written(content), legal_source="a list")
    (one,) = Subscriber.objects.all()
    assert (one.email, one.state) == ("a@example.org", "active")
    assert [topic.slug for topic in one.topics.all()] == ["graphs"]
    assert one.watched_authors in ([], ["Jürgen"])


ROWS = "email,topics\n" + "".join(f"p{n}@example.org,graphs\n" for n in range(3))
FAULTS = [
    (
        "bad byte",
        ROWS.encode() + "é@example.org,\njos".encode() + b"\xe9,graphs\n",
        "line 6: column 4",
    ),
    (
        "bad byte in a file with a mark",
        b"\xef\xbb\xbf" + ROWS.encode() + "äöü".encode() + b"\xff@example.org,graphs\n",
        "line 5: column 4",
    ),
    ("open quote", ROWS.encode() + b'q@example.org,"graphs\n' + b"x\n" * 9, "line 5"),
    ("odd quote", ROWS.encode() + b'q@example.org,"a"b\n', "line 5"),
    (
        "fault after a wrapped head",
        b'"E-Mail\nAddress",' + ROWS.encode()[6:] + b'q@example.org,"a"b\n',
        "line 6",
    ),
    ("cut utf-16", b"\xff\xfe" + ROWS.encode("utf-16-le") + b"x", "line 5: column 1"),
]


@pytest.mark.parametrize(
    ("content", "where"), [pytest.param(c, w, id=n) for n, c, w in FAULTS]
)
@pytest.mark.parametrize("all_or_nothing", [False, True])
def test_a_fault_names_file_line_and_column_and_what_was_taken_stands(
    content, where, all_or_nothing, topics, written, capsys
) -> None:
    path = written(content)
    with pytest.raises(CommandError) as failed:
        call_command(
            "subscribers",
            "import",
            str(path),
            legal_source="x",
            all_or_nothing=all_or_nothing,
        )
    assert f"{path}, {where}" in str(failed.value) and "\n" not in str(failed.value)
    taken = 0 if all_or_nothing else 3
    assert Subscriber.objects.count() == taken
    assert ("3 imported" in capsys.readouterr().out) == (taken == 3)


@pytest.mark.each_row
@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("[" * 100_000, "nested"),
        (
            '{"email": "a@example.org", "topics": ' + "[" * 50_000 + "]" * 50_000 + "}",
            "nested",
        ),
        ("[]", "no JSON object"),
        ("{", "no JSON"),
        ('{"email": "\\u0000@example.org"}', "email"),
        ('{"email": "\\ud800@example.org"}', "email"),
        ('{"email": "a@example.org", "state": "\\ud800"}', "state"),
        ('{"email": ["a@example.org"]}', "email"),
        ('{"email": "a@example.org", "keywords": "a\\u0000b"}', "keywords"),
        ('{"email": "a@example.org", "state": "gone fishing"}', "state"),
        ('{"email": "a@example.org", "confirmed_at": "soon"}', "confirmed_at"),
        ('{"email": "a@example.org", "send_hour": 24}', "send_hour"),
        ('{"email": "a@example.org", "timezone": {"a": 1}}', "timezone"),
        ('{"email": "a@example.org", "send_hour": ' + "9" * 5000 + "}", "no JSON"),
    ],
)
def test_a_row_that_cannot_be_used_is_one_line(row, words, topics, written) -> None:
    _, err = bring(written(row + '\n{"email": "b@example.org"}\n', "list.jsonl"))
    (line,) = err.splitlines()
    assert "line 1: refused:" in line and words in line and len(line) < 400
    assert Subscriber.objects.get().email == "b@example.org"


@pytest.mark.each_row
@pytest.mark.parametrize("key", ["interests", "legal_source", "\\ud800", "x\\u0000"])
@pytest.mark.parametrize("value", ["\\ud800", "a\\udfffb", "fine"])
def test_surrogates_are_no_traceback(key, value, topics, written) -> None:
    row = f'{{"email": "a@example.org", "{key}": "{value}"}}\n'
    out, err = bring(written(row, "list.jsonl"), legal_source="x")
    (out + err).encode()
    assert Subscriber.objects.count() == 1


STATES = [
    ("active", "active", None),
    ("Subscribed", "active", None),
    ("paused", "paused", None),
    ("pending", "pending", None),
    ("unconfirmed", "pending", None),
    ("Unsubscribed", "unsubscribed", "left"),
    ("left", "unsubscribed", "left"),
    ("bounced", None, "bounced"),
    ("cleaned", None, "bounced"),
    ("complained", None, "complained"),
    ("blocked", None, "blocked"),
    ("suppressed", None, "manual"),
    ("blocklisted", None, "manual"),
    ("cancelled", "unsubscribed", "left"),
    ("cold", "active", None),
]


@pytest.mark.parametrize(("word", "state", "reason"), STATES)
def test_g30_a_state_is_honoured_in_the_words_of_other_tools(
    word, state, reason, topics, written
) -> None:
    bring(written(f"email,state\na@example.org,{word}\n"), legal_source="x")
    assert Subscriber.objects.values_list("state", flat=True).first() == state
    assert Suppression.objects.values_list("reason", flat=True).first() == reason
    assert Notice.objects.count() == (state == "pending")


# Of each tool: the head line of its export, and rows with what becomes of their readers.
MAILCHIMP = "Email Address,First Name,OPTIN_TIME,CONFIRM_TIME,LEID,EUID,NOTES,TAGS"
LISTMONK = "uuid,email,name,attributes,status,created_at,updated_at"
SUBSTACK = (
    "email,active_subscription,expiry,plan,email_disabled,created_at,first_payment_at"
)
GHOST = "id,email,name,note,subscribed_to_emails,complimentary_plan,created_at,deleted_at"
BUTTONDOWN = "email,notes,tags,creation_date,type,unsubscription_date"
DAY = "2024-03-01 09:30:00"
GO_DAY = "2024-03-01 09:30:00.123 +0000 UTC"
ISO_DAY = "2024-03-01T09:30:00.000Z"
TOOLS = [
    ("Mailchimp", MAILCHIMP, f"a@x.org,A,{DAY},{DAY},1,f,,t", "active", None),
    (
        "Mailchimp",
        MAILCHIMP + ",UNSUB_TIME,UNSUB_REASON",
        f"a@x.org,A,{DAY},{DAY},1,f,,t,{DAY},never signed up",
        "unsubscribed",
        "left",
    ),
    (
        "Mailchimp",
        MAILCHIMP + ",CLEAN_TIME",
        f"a@x.org,A,{DAY},{DAY},1,f,,t,{DAY}",
        None,
        "bounced",
    ),
    ("listmonk", LISTMONK, f"u,a@x.org,A,{{}},enabled,{GO_DAY},{GO_DAY}", "active", None),
    ("listmonk", LISTMONK, f"u,a@x.org,A,{{}},disabled,{GO_DAY},{GO_DAY}", None, "manual"),
    ("listmonk", LISTMONK, f"u,a@x.org,A,{{}},blocklisted,{GO_DAY},x", None, "manual"),
    ("Substack", SUBSTACK, f"a@x.org,true,,yearly,false,{ISO_DAY},", "active", None),
    ("Substack", SUBSTACK, f"a@x.org,true,,yearly,TRUE,{ISO_DAY},", "unsubscribed", "left"),
    ("Ghost", GHOST, f"1,a@x.org,A,,true,false,{ISO_DAY},", "active", None),
    ("Ghost", GHOST, f"1,a@x.org,A,,false,false,{ISO_DAY},", "unsubscribed", "left"),
    ("Ghost", GHOST, f"1,a@x.org,A,,true,,{ISO_DAY},{ISO_DAY}", "unsubscribed", "left"),
    ("Buttondown", BUTTONDOWN, f"a@x.org,,,{ISO_DAY},regular,", "active", None),
    ("Buttondown", BUTTONDOWN, f"a@x.org,,,{ISO_DAY},unactivated,", "pending", None),
    ("Buttondown", BUTTONDOWN, f"a@x.org,,,{ISO_DAY},churned,", "pending", None),
    (
        "Buttondown",
        BUTTONDOWN,
        f"a@x.org,,,{ISO_DAY},unsubscribed,",
        "unsubscribed",
        "left",
    ),
    ("Buttondown", BUTTONDOWN, f"a@x.org,,,{ISO_DAY},removed,", "unsubscribed", "left"),
    ("Buttondown", BUTTONDOWN, f"a@x.org,,,{ISO_DAY},undeliverable,", None, "bounced"),
    ("Buttondown", BUTTONDOWN, f"a@x.org,,,{ISO_DAY},complained,", None, "complained"),
    ("Buttondown", BUTTONDOWN, f"a@x.org,,,{ISO_DAY},blocked,", None, "manual"),
]


@pytest.mark.parametrize(("tool", "head", "row", "state", "reason"), TOOLS)
def test_g30_an_export_of_another_tool_is_recognised_and_its_states_honoured(
    tool, head, row, state, reason, topics, written
) -> None:
    _, said = bring(written(f"{head}\n{row}\n"), legal_source="x")
    assert f"read as an export of {tool}" in said and "refused" not in said
    assert Subscriber.objects.values_list("state", flat=True).first() == state
    assert Suppression.objects.values_list("reason", flat=True).first() == reason
    if state == "active":
        assert Subscriber.objects.get().created_at.date() == date(2024, 3, 1)


# What a list says that lost its tool's other columns in a spreadsheet, or is of no tool we know.
@pytest.mark.parametrize(
    ("column", "value", "state", "reason"),
    [
        ("UNSUB_TIME", DAY, "unsubscribed", "left"),
        ("CLEAN_TIME", DAY, None, "bounced"),
        ("Unsubscribed", "yes", "unsubscribed", "left"),
        ("Opt-out date", "5/1/24", "unsubscribed", "left"),
        ("Hard bounced", "TRUE", None, "bounced"),
        ("Complained", "1", None, "complained"),
        ("Blacklisted", "Y", None, "manual"),
        *(("Unsubscribed", no, "active", None) for no in ("", "No", "false", "0", "-")),
    ],
)
def test_g30_a_column_that_says_who_has_left_counts_in_any_list(
    column, value, state, reason, topics, written
) -> None:
    _, said = bring(written(f"Name;E-Mail;{column}\nA;a@x.org;{value}\n"), legal_source="x")
    assert "ignored columns: 'name'\n" in said and "refused" not in said
    assert Subscriber.objects.values_list("state", flat=True).first() == state
    assert Suppression.objects.values_list("reason", flat=True).first() == reason


@pytest.mark.parametrize("name", ["list.zip", "list.xlsx", "list.csv"])
def test_an_archive_or_a_spreadsheet_is_one_line_that_says_what_to_do(
    name: str, topics, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("subscribed.csv", "email\na@x.org\n")
    with pytest.raises(CommandError, match=r"is a ZIP file: unpack .* as CSV$"):
        bring(tmp_path / name)


def test_an_array_of_json_is_one_line_that_says_what_to_write(topics, written) -> None:
    path = written(' [{"email": "a@example.org"}]', "list.json")
    with pytest.raises(CommandError, match="line 1: write one JSON object a line"):
        bring(path)


def test_a_state_that_another_tool_has_invented_since_is_refused(topics, written) -> None:
    _, said = bring(
        written(
            f"{BUTTONDOWN}\na@x.org,,,{ISO_DAY},frozen,\nb@x.org,,,{ISO_DAY},regular,\n"
        ),
        legal_source="x",
    )
    assert "line 2: refused: state: not a state that we know" in said
    assert Subscriber.objects.get().email == "b@x.org"


@pytest.mark.parametrize("dry_run", [True, False])
def test_of_a_file_that_cannot_be_read_at_all_nothing_but_the_reason_is_said(
    topics, written, capsys, dry_run: bool
) -> None:
    options = ["--dry-run"] if dry_run else []
    with pytest.raises(CommandError, match="--column email=NAME"):
        call_command("subscribers", "import", str(written("Adresse\na@x.org\n")), *options)
    assert capsys.readouterr().out == ""
    assert not Act.objects.exists()


def test_a_column_that_is_not_recognised_may_be_named(topics, written) -> None:
    path = written("Adresse;Ort\na@example.org;Ulm\n")
    with pytest.raises(CommandError, match="--column email=NAME"):
        bring(path)
    call_command("subscribers", "import", str(path), "--column=email=Adresse")
    assert Subscriber.objects.get().email == "a@example.org"


@pytest.mark.parametrize("value", ["email", "email=", "e_mail=Adresse", "=x"])
def test_a_column_named_wrongly_is_one_line(value, written) -> None:
    with pytest.raises(CommandError, match="say OURS=THEIRS"):
        call_command("subscribers", "import", "x.csv", f"--column={value}")


def test_g30_an_opt_out_counts_whatever_stands_beside_it(topics, written) -> None:
    rows = "a@example.org,unsubscribed,gone,99\nb@example.org,,,\n"
    bring(written("email,state,topics,send_hour\n" + rows), legal_source="x")
    assert Suppression.objects.get().email_hash == address_hash("a@example.org")
    dated = "email,unsubscribed_at\nc@example.org,2026-01-01\n"
    bring(written(dated), legal_source="x")
    assert Subscriber.objects.get(email="c@example.org").state == "unsubscribed"


@pytest.mark.parametrize("words", [("bounced", "left"), ("left", "bounced")])
def test_a_bar_outdoes_having_left_in_whichever_order_they_come(words, written) -> None:
    rows = "".join(f"a@example.org,{word},2026-01-01\n" for word in words)
    bring(written("email,suppressed,suppressed_at\n" + rows))
    assert Suppression.objects.get().reason == "bounced"


@pytest.mark.parametrize(
    ("left", "after"),
    [("2025-12-01", "active"), ("2026-03-01", "unsubscribed"), ("", "unsubscribed")],
)
def test_g30_the_newer_word_of_a_known_reader_counts(left, after, written) -> None:
    reader("a@example.org", at=THEN)
    path = written(f"email,state,unsubscribed_at\na@example.org,unsubscribed,{left}\n")
    bring(path, legal_source="x")
    assert Subscriber.objects.get().state == after
    assert Suppression.objects.exists() == (after == "unsubscribed")


def test_a_dry_run_says_what_would_happen_and_does_nothing(topics, written) -> None:
    rows = "email,state,Phone\na@example.org,,1\nb@example.org,left,2\nno,,\n"
    out, err = bring(written(rows), dry_run=True)
    assert out == "would be: 1 asked by mail to confirm, 1 kept as opted out, 1 refused\n"
    assert "ignored columns: 'phone'" in err and "line 4" in err
    assert not Subscriber.objects.exists() and not Suppression.objects.exists()
    assert not ConsentEvent.objects.exists() and not Notice.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_dry_run_lets_others_write_between_its_slices(
    topics, written, monkeypatch
) -> None:
    monkeypatch.setattr(import_export, "SLICE", 2)
    people = "a@x.org\nb@x.org\nc@x.org\nA@x.org\nd@x.org\nC@x.org\n"
    file = ImportFile(written(f"email\n{people}"), KNOWN)
    rows = import_export.load(file, legal_source="x", now=THEN, dry_run=True)
    became = []
    for row in rows:
        assert not connection.in_atomic_block and not Subscriber.objects.exists()
        became.append(row.became)
    known, new = import_export.Became.KNOWN, import_export.Became.IMPORTED
    assert became == [new, new, new, known, new, known]
    assert not ConsentEvent.objects.exists() and not Schedule.objects.exists()


def test_all_or_nothing_takes_nothing_if_a_row_is_refused(topics, written) -> None:
    path = written("email\na@example.org\nno\n")
    with pytest.raises(CommandError, match="nothing was taken"):
        bring(path, all_or_nothing=True)
    assert not Subscriber.objects.exists()


@pytest.mark.parametrize(
    "rows", ["email\nno\n", "email,state\nno,\na@example.org,gone fishing\n"]
)
@pytest.mark.parametrize("options", [{}, {"dry_run": True}, {"all_or_nothing": True}])
def test_an_import_of_which_every_row_is_refused_fails(
    options, rows, topics, written
) -> None:
    with pytest.raises(CommandError, match="nothing was taken"):
        bring(written(rows), **options)


@pytest.mark.parametrize(
    "content", [b'"email,topics\na@example.org,graphs\n', b'em"ail\n' + b"x\n" * 99]
)
def test_a_head_line_whose_quote_never_ends_is_told(content, topics, written) -> None:
    with pytest.raises(
        CommandError, match="line 1: a quote of its column names never ends"
    ):
        bring(written(content))


def test_the_pending_are_asked_within_their_mailboxs_quota(topics, written) -> None:
    rows = "email,state\nann+a@example.org,pending\nann+b@example.org,pending\n"
    out, _ = bring(written(rows), legal_source="x")
    assert out == "1 asked by mail to confirm, 1 pending without a mail\n"
    assert Notice.objects.count() == 1


def test_statements_grow_with_slices_and_not_with_rows(topics, written) -> None:
    counts = []
    for start, rows in ((0, 20), (100, 400)):
        people = "".join(f"p{start + n}@example.org,graphs\n" for n in range(rows))
        path = written("email,topics\n" + people)
        with CaptureQueriesContext(connection) as queries:
            bring(path, legal_source="x")
        counts.append(len(queries))
    assert counts[1] <= counts[0] + 8


DATA = Path(os.environ.get("PAPERS_DATA", "/nowhere")) / "cases" / "imports"


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the files that failed once")
@pytest.mark.parametrize("path", sorted(DATA.glob("*")), ids=lambda path: path.name)
def test_files_that_failed_once(path: Path, topics) -> None:
    from tests.make import topic

    topic("agents")
    lines = path.read_bytes().count(b"\n") - 1
    try:
        out, err = bring(path, legal_source="x")
    except CommandError as error:
        assert str(path) in str(error)
    known = Subscriber.objects.count() + Suppression.objects.count()
    assert known >= lines - 1
    assert not Subscriber.objects.filter(email__startswith="left", state="active").exists()
    if path.stem == "import-latin1":
        assert Subscriber.objects.get().watched_authors == ["Jürgen Schmidhuber"]
