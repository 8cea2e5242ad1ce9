"""The joined mail, held against one by Django's templates and EmailMultiAlternatives."""

from dataclasses import asdict
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart

import pytest
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.html import escape

from digest import signing
from digest.editions import blocks, encode, frames, phrases, text_layout
from digest.editions.compose import Pick, Reader
from digest.models import Block, Edition, Paper
from digest.ops.gallery import gallery
from digest.ranking.loaded import load
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]
TITLES = [
    "A < B & “C”: 図 …",
    gallery.ARABIC,
    "{{ 7|add:7 }} %recipient% *|X|*",
    gallery.CHINESE,
    "A title of plain words",
]
LABEL = "Graphs & networks"


@pytest.fixture
def edition() -> Edition:
    graphs = make.topic("graphs")
    graphs.label = LABEL
    graphs.save()
    papers = {
        make.paper(
            place,
            upvotes=41 - 40 * (place == 4),
            title=title,
            abstract=f"{title}. {gallery.KOREAN_TEXT}",
            author_count=place * 3,
            organization="" if place % 2 else f"Lab {title}",
            code_url="https://github.com/example/code?a=1&b=2",
        ): {"graphs": 1.0}
        for place, title in enumerate(TITLES)
    }
    return make.edition(papers)


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("count", [1, 5])
def test_the_fast_way_gives_what_the_slow_way_gives(edition, language, count) -> None:
    reader = Reader(7, "ann+x=y@example.org", "A" * 21 + "_", language)
    ready = load(edition.pk)
    column = make.topic("graphs").column
    picks = [Pick(place, (column, None)[place % 2]) for place in range(count)]
    fast = parsed(ready.encoded.compose(reader, picks, sent_at=make.NOON))
    with translation.override(language):
        slow = parsed(slowly(edition, reader, picks))
    assert fast["Subject"] == slow["Subject"]
    assert fast["To"] == slow["To"] == reader.address
    assert fast["From"] == slow["From"]
    for one, other in zip(fast.iter_parts(), slow.iter_parts(), strict=True):
        assert one.get_content_type() == other.get_content_type()
        assert content(one) == content(other)
        assert content(one).count("/v/7-") == 2 * count


def parsed(raw: bytes) -> EmailMessage:
    return message_from_bytes(raw, policy=policy.default)


def content(part: MIMEPart) -> str:
    return str(part.get_content()).replace("\r\n", "\n").rstrip("\n")


def slowly(edition: Edition, reader: Reader, picks: list[Pick]) -> bytes:
    """Everything is rendered for this reader; no mark is left open, none is filled."""
    shown = list(edition.blocks.order_by("position").select_related("paper"))[: len(picks)]
    marks = {
        "count": phrases.headline(len(picks)),
        "token": reader.token,
        "web": signing.name(signing.Purpose.PAGE, reader.delivery_id),
        **dict.fromkeys(("more", "vote"), ""),
    }
    text, html = (
        frame(
            edition,
            kind,
            asdict(phrases.MARKS) | marks | {"ahead": ahead(shown, kind)},
            [
                rendered(
                    block,
                    kind,
                    asdict(phrases.MARKS) | marks | {"reason": why(pick)},
                    form="short" if place else "lead",
                )
                for place, (block, pick) in enumerate(zip(shown, picks, strict=True))
            ],
        )
        for kind in ("txt", "html")
    )
    mail = EmailMultiAlternatives(
        subject=subject(shown[0].title, len(picks) - 1),
        body=text,
        from_email=settings.FROM_EMAIL,
        to=[reader.address],
    )
    mail.attach_alternative(html, "text/html")
    return mail.message().as_bytes()


def subject(title: str, more: int) -> str:
    date = phrases.dates(make.DAY, make.DAY)[1]
    return f"{date} · {title}" + (f" +{more}" if more else "")


def why(pick: Pick) -> str:
    return phrases.reason("" if pick.topic is None else LABEL)


def ahead(shown: list[Block], kind: str) -> str:
    """The list of titles; one in the other direction is on its own side."""
    titles = [blocks.shorten(block.title, encode.TITLE_LENGTH) for block in shown]
    if kind == "txt":
        return "".join(f"* {title}\n" for title in titles)
    rtl = {title: text_layout.direction(title) == "rtl" for title in titles}
    return "".join(
        f"<li{' dir="rtl"' if rtl[title] else ''}>{blocks.no_merge(escape(title))}</li>"
        for title in titles
    )


def rendered(block: Block, kind: str, marks: dict[str, str], *, form: str) -> str:
    """One paper, by its template, with this reader's reason and link to vote."""
    paper: Paper = block.paper
    values = blocks.context(paper, form)
    values |= {
        "mark": marks,
        "vote_url": f"{settings.SITE_URL}/v/{marks['web']}/{block.position}",
    }
    if kind == "html":
        html = render_to_string("mail/paper.html", values)
        return phrases.translate_html(blocks.inlined(html))
    values["byline"] = text_layout.fill(values["names"] + values["rest"])
    values["said"] += values["machine"]
    for name in ("title", "said"):
        values[name] = text_layout.fill(values[name])
    return phrases.translate(render_to_string("mail/paper.txt", values, using="text"))


def frame(edition: Edition, kind: str, marks: dict[str, str], papers: list[str]) -> str:
    """Around the papers, whose styles are inlined and whose lines are cut already."""
    values = frames.context(edition) | {"web": False}
    values["mark"] = marks | {"papers": "@papers@", "ahead": "@ahead@"}
    if kind == "html":
        made = blocks.inliner().inline(render_to_string("mail/digest.html", values))
    else:
        text = render_to_string("mail/digest.txt", values, using="text")
        made = "\n".join(map(frames.wrap, text.split("\n")))
    with_list = phrases.without_glance if len(papers) == 1 else phrases.with_glance
    made = with_list(made).replace("@ahead@", marks["ahead"])
    return made.replace("@papers@", "".join(papers))
