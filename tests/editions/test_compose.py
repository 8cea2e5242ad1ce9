"""The composed mail, read back by the standard library from its raw bytes."""

import re
from dataclasses import replace
from email import message_from_bytes, policy

import pytest

from digest import signing
from digest.editions import blocks, phrases, web_version
from digest.editions.blocks import forms
from digest.editions.compose import Pick, Reader
from digest.editions.encode import encode
from digest.editions.frames import load_frame
from digest.papers import summary
from digest.papers.summary import first_sentences
from digest.ranking.loaded import load
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

READER = Reader(delivery_id=7, address="ann+x=y@example.org", token="A" * 21 + "_")


def composed(papers, picks, reader=READER) -> bytes:
    """The mail of these (position, topic or None) in an edition of these papers."""
    ready = load.__wrapped__(make.edition(papers).pk)
    picks = [Pick(place, topic.column if topic else None) for place, topic in picks]
    return ready.encoded.compose(reader, picks, sent_at=make.NOON)


@pytest.fixture
def graphs():
    topic = make.topic("graphs")
    topic.label = "Graphs & networks"
    topic.save()
    return topic


@pytest.fixture
def mail(graphs):
    papers = {
        make.paper(1, upvotes=41, title="A < B & “C”: 図 …"): {"graphs": 1.0},
        make.paper(2, upvotes=1, abstract=".leading dot\nand = signs"): {},
    }
    return composed(papers, [(0, graphs), (1, None)])


def parts(raw: bytes) -> tuple[str, str]:
    message = message_from_bytes(raw, policy=policy.default)
    text, html = message.iter_parts()
    return text.get_content(), html.get_content()


@pytest.mark.parametrize("length", ["titles", "short", "abstracts"])
def test_the_operators_own_words_stand_at_the_foot_as_text(graphs, settings, length):
    settings.FOOTER_TEXT = "Run by <us> & \ufdd1friends"
    reader = READER._replace(length=length)
    raw = composed({make.paper(1): {"graphs": 1.0}}, [(0, graphs)], reader)
    text, html = parts(raw)
    assert "Run by <us> & friends" in text.replace("\n", " ")
    assert "Run by &lt;us&gt; &amp; friends" in html
    assert html.index("Run by") > html.index("/u/")


def test_m1_every_required_header_is_there_once(mail):
    message = message_from_bytes(mail, policy=policy.default)
    names = [name.lower() for name in message]
    for name in [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "List-Id",
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
        "Feedback-ID",
        "Auto-Submitted",
        "Precedence",
    ]:
        assert names.count(name.lower()) == 1, name
    assert message["To"] == READER.address
    assert message["Subject"] == "17 Apr · A < B & “C”: 図 … +1"
    assert message["Message-ID"].endswith("@daily-papers.example>")


def test_m5_the_one_click_pair_is_never_folded(mail):
    assert re.search(
        rb"^List-Unsubscribe: <http://[^ \r\n]+/u/%s>\r$" % READER.token.encode(),
        mail,
        re.MULTILINE,
    )
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in mail


def test_m2_m3_the_wire_is_seven_bit_with_crlf_and_short_lines(mail):
    assert mail.isascii() and b"\0" not in mail
    assert mail.count(b"\n") == mail.count(b"\r\n") == mail.count(b"\r")
    body = mail.split(b"\r\n\r\n", 1)[1]
    for line in body.split(b"\r\n"):
        assert len(line) <= 76 and not line.startswith(b".")
    text, html = message_from_bytes(mail, policy=policy.default).iter_parts()
    for part in (text, html):
        assert part["Content-Transfer-Encoding"] == "quoted-printable"
        assert part.get_content_charset() == "utf-8"


def test_m4_m12_both_parts_hold_papers_reasons_count_and_the_way_out(mail):
    text, html = parts(mail)
    assert "2 papers for you, 17 April 2026" in text and "2 papers for you" in html
    assert "A < B & “C”: 図 …" in text and "A &lt; B &amp; “C”: 図 …" in html
    assert "Graphs & networks · 41\u00a0upvotes" in text.replace(
        " upvotes", "\u00a0upvotes"
    )
    assert ">Graphs &amp; networks</span>" in html and "41\u00a0upvotes" in html
    assert "Trending · 1 upvote\n" in text.replace("\r\n", "\n")
    for part in (text, html):
        assert f"/u/{READER.token}" in part
        assert "Sample Street 1" in part


def test_m4_links_are_the_same_in_both_parts(mail):
    text, html = parts(mail)
    pattern = r"https?://[^\s\"<>]+"
    assert set(re.findall(pattern, text)) == {
        link for link in re.findall(r'href="([^"]+)"', html) if not link.endswith(":8000/")
    }


def test_nothing_is_left_open(mail):
    assert not re.search("[\ufdd0-\ufdef]", "".join(parts(mail)))


def test_m7_a_retry_is_the_same_mail_to_the_receiver(graphs):
    encoded = load.__wrapped__(make.edition({make.paper(4): {"graphs": 1.0}}).pk).encoded
    other = Reader(delivery_id=8, address=READER.address, token=READER.token)
    assert (
        encoded.message_id(READER)
        == encoded.message_id(READER)
        != encoded.message_id(other)
    )


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "{{ 7|add:7 }}{% debug %}",
        "%recipient.unsub% *|EMAIL|* <%= x %>",
        "\ufdd0 \ufdd1 \ufdd2 \ufdd3",
        "=?utf-8?q?x?=",
        "]]>--daily-papers-daily-20260417--",
    ],
)
def test_hostile_paper_text_stays_text(graphs, hostile):
    item = make.paper(
        5, title=f"T {hostile}", abstract=f"A {hostile} z", organization=hostile
    )
    raw = composed({item: {"graphs": 1.0}}, [(0, graphs)])
    message = message_from_bytes(raw, policy=policy.default)
    text, html = parts(raw)
    assert not message.defects and len(list(message.iter_parts())) == 2
    assert "<script" not in html
    if not hostile.startswith("\ufdd0"):
        assert f"T {hostile}"[:40] in message["Subject"] and hostile in text


def test_an_abstract_is_cut_at_the_end_of_a_sentence():
    text = "One is short. " + "Two goes on and on, " * 60
    assert first_sentences(text, 100).startswith("One is short. Two goes")
    text = "First sentence that is long enough to keep. " * 4 + "Another one here"
    assert first_sentences(text, 150).endswith("enough to keep.\u00a0…")


def test_the_link_to_vote_names_the_mail_and_the_paper_s_place_in_both_parts(graphs):
    papers = {make.paper(n, upvotes=9 - n): {"graphs": 1.0} for n in range(3)}
    text, html = parts(composed(papers, [(2, graphs), (0, None)]))
    name = signing.name(signing.Purpose.PAGE, READER.delivery_id)
    for part in (text, html):
        found = re.findall(r"/v/([^/\s\"]+)/(\d+)/(\w+)", part)
        assert found == [(name, place, way) for place in "20" for way in ("more", "less")]


def test_without_a_mail_there_is_no_link_to_vote(graphs):
    edition = make.edition({make.paper(1): {"graphs": 1.0}})
    ready = load.__wrapped__(edition.pk)
    around = load_frame(edition, ready.encoded.fingerprint)
    alone = encode(edition, list(edition.blocks.all()), around=around, votes=False)
    for encoded, count in ((ready.encoded, 2), (alone, 0)):
        for part in parts(encoded.compose(READER, [Pick(0, None)], sent_at=make.NOON)):
            assert part.count("/v/") == part.count("like") == count
    assert "/v/" not in web_version.edition_page(edition, {}, most=9)


@pytest.mark.parametrize(
    "vote", ["", "\ufdd7<a href='/v/\ufdd5/\ufdda'>\ufdd8vote:0\ufdd9</a>\ufdd7"]
)
def test_blocks_of_a_time_before_forms_are_sent_as_they_are(graphs, vote):
    edition = make.edition({make.paper(1): {"graphs": 1.0}})
    for block in edition.blocks.all():
        block.html, block.text = (
            phrases.without_votes(forms(part)[1]) + vote
            for part in (block.html, block.text)
        )
        block.save()
    encoded = load.__wrapped__(edition.pk).encoded
    text, html = parts(encoded.compose(READER, [Pick(0, None)], sent_at=make.NOON))
    assert "/v/" not in text + html
    assert "Paper 1" in text and "Paper 1" in html


@pytest.mark.parametrize(("form", "length"), [("short", 150), ("lead", 320)])
def test_a_paper_shows_the_source_s_summary_or_its_own_best_sentence(form, length):
    own = make.paper(
        1, abstract="Tea is hot. However, it cools. We introduce Teapot, a pot."
    )
    assert blocks.what_is_said(own, form) == ("We introduce Teapot, a pot.", False)
    told = make.paper(2, abstract=own.abstract, summary="A pot that pours.")
    assert blocks.what_is_said(told, form) == ("A pot that pours.", True)
    assert blocks.what_is_said(told, "abstracts") == (own.abstract, False)
    long = make.paper(3, abstract="word " * 500)
    assert len(blocks.what_is_said(long, form)[0]) <= length + len(summary.MORE)


def test_a_summary_by_a_machine_says_so():
    edition = make.edition({make.paper(1, summary="A pot that pours."): {}})
    mail = load.__wrapped__(edition.pk).encoded
    for part in parts(mail.compose(READER, [Pick(0, None)], sent_at=make.NOON)):
        assert "A pot that pours. (AI summary)" in " ".join(part.split())


def test_a_frame_of_before_still_lists_the_only_title():
    """So a mail of one paper that went out is replayed as it was."""
    edition = make.edition({make.paper(1, title="Alone"): {}})
    ready = load.__wrapped__(edition.pk)
    now = load_frame(edition, ready.encoded.fingerprint)
    marks = str.maketrans({phrases.MARKS.glance: phrases.MARKS.older_glance})
    spoken = {
        code: replace(one, html=one.html.translate(marks), text=one.text.translate(marks))
        for code, one in now.spoken.items()
    }
    for frame, listed in ((now, 0), (replace(now, spoken=spoken), 1)):
        encoded = encode(edition, list(edition.blocks.all()), around=frame)
        text, html = parts(encoded.compose(READER, [Pick(0, None)], sent_at=make.NOON))
        assert (text.count("* Alone"), html.count("<li>Alone</li>")) == (listed, listed)
