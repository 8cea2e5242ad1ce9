"""Odd and hostile papers on their whole way: file, edition, mail. None stops the day."""

import json
from datetime import UTC, datetime
from email import message_from_bytes, policy
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection

from digest.deliveries import replay
from digest.editions.publish import NothingToPublish, publish
from digest.models import Edition, Paper
from digest.ops.gallery.mail_lint import lint
from digest.papers.records import parse_entry
from digest.papers.topics import sync_topics
from subscribers.models import Topic
from tests import make
from tests.source_server import entry

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("at_noon")]
GOOD = entry(1, title="A Good Paper on Graph Neural Networks", upvotes=1)
DAY = "2026-04-17"


@pytest.fixture
def at_noon():
    with time_machine.travel(make.NOON, tick=False):
        yield


def flat(**fields: Any) -> dict[str, Any]:
    return {
        "day": DAY,
        "id": "2604.00002",
        "title": "Graphs",
        "abstract": "On graphs.",
    } | fields


def day_of(tmp_path: Path, *lines: object) -> tuple[Edition, str]:
    """Fetch a file of these and the good one, publish. Returns what was skipped, too."""
    path = tmp_path / "odd.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in (GOOD, *lines)]
    path.write_bytes("\n".join(texts).encode("utf-8", "surrogatepass"))
    err = StringIO()
    call_command("fetch", "--from", str(path), stdout=StringIO(), stderr=err)
    call_command("publish", "--day", DAY, stdout=StringIO())
    return Edition.objects.get(), err.getvalue()


def mail_of(edition: Edition) -> bytes:
    """The mail of a reader of all topics."""
    sync_topics()
    slugs = list(Topic.objects.values_list("slug", flat=True))
    return replay.preview(make.reader("ann@example.org", *slugs), edition, now=make.NOON)


LONG = "x" * 50_000
TEXTS = {
    "entities": "Search &amp; Rescue &lt;b&gt; &#39;R&amp;D&#39; &NotAnEntity; AT&T",
    "right to left": "\u202eمرحبا بالعالم: نموذج لغوي graphs",
    "emoji": "👩‍👩‍👧‍👦🇩🇪🇫🇷🏴󠁧󠁢󠁥󠁮󠁧󠁿" * 40,
    "markup": "</td></table><script>alert(1)</script><style>*{display:none}</style><!--",
    "template": "{{ token }} {% include 'x' %} %recipient% [[name]] *|UNSUB|* <%= 1 %>",
    "headers": "Graphs\r\nBcc: eve@example.org\r\n\r\n--boundary\r\n.\r\nQUIT",
    "one long word": LONG,
    "surrogates": "a \ud800 lone \udfff one",
    "controls": "".join(map(chr, range(32)))
    + "graphs"
    + "".join(map(chr, range(127, 160))),
    "marks": "Z\u0301\u0323\u0308" + "\u0301" * 3_000,
    "non-characters": "\ufdd0\ufdd7\ufdd8topic:1\ufdd9\uffff\U0010ffff graphs",
    "lines of dots and dashes": "--\n.\n-- \n..\n=3D=\n" * 50,
    "unclosed TeX": "$" + "α" * 79 + "ab$ \\textit{" * 50 + "{" * 500 + "graphs",
    "mojibake": "JÃ¼rgen Ã„Ã–Ãœ graphs",
}


@pytest.mark.each_row
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_any_text_in_any_field_gives_a_sound_mail(tmp_path, text):
    odd = flat(
        title=f"Graphs {text}", abstract=text, authors=[text, text], organization=text
    )
    odd |= {"keywords": [text], "ai_keywords": [text], "github_repo": text, "upvotes": 9}
    edition, skipped = day_of(tmp_path, odd)
    assert skipped == "" and edition.blocks.count() == 2
    raw = mail_of(edition)
    assert lint(raw) == []
    message = message_from_bytes(raw, policy=policy.default)
    assert [part.get_content_type() for part in message.iter_parts()] == [
        "text/plain",
        "text/html",
    ]
    assert not message.defects and "Bcc" not in message
    body = message.get_body(("html",))
    assert body and "<script" not in body.get_content()


@pytest.mark.each_row
@pytest.mark.parametrize(
    ("told", "name", "read"),
    [
        ({"id": "https://arxiv.org/abs/2604.00002v2"}, "arxiv_id", "2604.00002"),
        ({"id": "http://export.arxiv.org/pdf/2604.00002v1.pdf"}, "arxiv_id", "2604.00002"),
        ({"id": "2604.00002v3"}, "arxiv_id", "2604.00002"),
        ({"id": "ARXIV:2604.00002"}, "arxiv_id", "2604.00002"),
        ({"title": "Q&amp;A &#8211; &quot;so&quot;"}, "title", 'Q&A – "so"'),
        ({"title": "AT&T, R&D &c; &copy 2026"}, "title", "AT&T, R&D &c; &copy 2026"),
        ({"title": "twice &amp;lt;b&amp;gt;"}, "title", "twice <b>"),
        ({"authors": "Ann Author, Bo Writer and Cy"}, "authors", ["Ann Author", "Bo Writer", "Cy"]),
        ({"authors": ["Ann", None, 5, {"name": "Bo"}]}, "authors", ["Ann", "Bo"]),
        ({"authors": {"name": "Ann"}}, "authors", []),
        ({"upvotes": "12"}, "upvotes", 12),
        ({"upvotes": -3}, "upvotes", 0),
        ({"upvotes": 10**30}, "upvotes", 0),
        ({"upvotes": float("nan")}, "upvotes", 0),
        ({"abstract": ["a", "b"]}, "abstract", ""),
        ({"day": "Fri, 17 Apr 2026 10:00:00 GMT"}, "day", make.DAY),
        ({"day": "Thu, 16 Apr 2026 23:00:00 -0500"}, "day", make.DAY),
        ({"day": 1776384000}, "day", make.DAY),
        ({"day": 1776384000000}, "day", make.DAY),
        ({"day": None}, "day", make.DAY),
        ({"day": 7}, "day", make.DAY),
        ({"day": "yesterday"}, "day", make.DAY),
    ],
)  # fmt: skip
def test_an_odd_field_is_read_or_left_out(tmp_path, told, name, read):
    edition, skipped = day_of(tmp_path, flat(**told))
    assert skipped == ""
    assert getattr(Paper.objects.get(arxiv_id="2604.00002"), name) == read
    assert edition.blocks.count() == 2


@pytest.mark.parametrize(
    "line",
    [[], "\"x\"", "null", "{", "\0", "[" * 50_000, "1e999", {"id": ""}, flat(title=""), flat(title=None)]
    + [flat(id="10.1101/2026.01.02"), flat(id=["2604.00002"]), flat(id="2604.2\n"), flat(id=7)]
    + [flat(day="2027-01-15"), flat(day="9999-12-31"), flat(day=1_800_000_000)]
    + [flat(day="0001-01-01"), flat(day="1991-08-13")]
    + [flat(title="\u200b\u202e"), {"paper": flat(id=None)}, "9" * 5_000],
)  # fmt: skip
def test_what_is_no_paper_is_one_clear_line_and_the_others_go_on(tmp_path, line):
    edition, skipped = day_of(tmp_path, line)
    assert len(skipped.splitlines()) == 1 and skipped.startswith("skipped ")
    assert len(skipped) < 200 and skipped.isprintable() is False  # the line's own end
    assert edition.blocks.count() == 1
    assert lint(mail_of(edition)) == []


def test_the_newest_of_two_versions_and_two_papers_of_one_title(tmp_path):
    lines = [flat(id="2604.00002v1", title="Old"), flat(id="arXiv:2604.00002", title="New")]
    lines += [flat(id="2604.00003", title="Same"), flat(id="2604.00004", title="Same")]
    edition, _ = day_of(tmp_path, *lines)
    titles = sorted(edition.blocks.values_list("title", flat=True))
    assert titles == sorted([GOOD["title"], "New", "Same", "Same"])


@pytest.mark.parametrize("column", ["authors", "categories", "keywords"])
@pytest.mark.parametrize("value", ["5", '{"a": 1}', "[1, null]", '"text"'])
def test_a_row_that_cannot_be_rendered_costs_that_paper_only(column, value):
    """Nothing of ours writes such rows; an operator's SQL may."""
    good, odd = (make.paper(n, title="Graph Neural Networks") for n in (1, 2))
    with connection.cursor() as cursor:
        sql = f"UPDATE digest_paper SET {column} = %s WHERE id = %s"
        cursor.execute(sql, [value, odd.pk])
    edition = publish(make.DAY, now=make.NOON)
    published = list(edition.blocks.values_list("paper", "position"))
    assert published[0] == (good.pk, 0)
    assert lint(mail_of(edition)) == []


def test_a_day_of_which_nothing_can_be_rendered_is_one_clear_line():
    odd = make.paper(1)
    Paper.objects.filter(pk=odd.pk).update(keywords=5)
    with pytest.raises(NothingToPublish, match="can be rendered: see the log"):
        publish(make.DAY, now=make.NOON)


def test_a_record_is_the_same_when_it_is_read_from_its_own_words():
    first = parse_entry(
        flat(**dict.fromkeys(["title", "abstract"], TEXTS["entities"])), day=None
    )
    again = parse_entry(flat(title=first.title, abstract=first.abstract), day=None)
    assert (first.title, first.abstract) == (again.title, again.abstract)


@time_machine.travel(datetime(2026, 11, 28, 12, tzinfo=UTC), tick=False)
def test_s31_papers_that_failed_once_are_read_and_sent(data_folder):
    path, err = data_folder / "cases" / "papers" / "papers-odd.jsonl", StringIO()
    call_command("fetch", "--from", str(path), stdout=StringIO(), stderr=err)
    call_command("publish", "--day", "2026-11-28", stdout=StringIO())
    skipped = [line.partition(":")[0] for line in err.getvalue().splitlines()]
    assert skipped == [
        "skipped line 21 ('2611.00020')",  # without a title
        "skipped line 22 ('2611.00021')",
        "skipped line 23",  # no object
        "skipped line 24",
        "skipped line 25",  # without an id
        "skipped line 26 ('10.1101/2026.01.02')",
        "skipped 2611.00010",  # of next year
    ]
    papers = {paper.arxiv_id[5:]: paper for paper in Paper.objects.all()}
    assert len(papers) == 19 and {str(one.day) for one in papers.values()} == {"2026-11-28"}
    assert (
        papers["00001"].title == 'Search & Rescue: Q&A Agents <think> Don\'t Lie – "Really"'
    )
    assert papers["00002"].title.startswith("مرحبا")
    assert (
        "α-Divergence" in papers["00004"].title and "Schrödinger" in papers["00004"].title
    )
    assert papers["00006"].title == "Agents Version Plain"
    assert papers["00009"].title == "Agents with line breaks and tabs"
    assert papers["00014"].authors == ["Ann Author", "Bob Writer"]
    assert papers["00015"].upvotes == 12
    edition = Edition.objects.get()
    assert edition.blocks.count() == 19
    assert lint(mail_of(edition)) == []
