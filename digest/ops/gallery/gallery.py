"""Write a sample of each kind of mail, with its lint findings and size. No database.

`index.html` shows them side by side, at the width of a phone and of a desktop.
"""

import email
import email.policy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.text import slugify

from digest.editions import blocks
from digest.editions.compose import Pick, Reader
from digest.editions.encode import encode
from digest.editions.frames import frame_content
from digest.editions.reasons import Reason, Why
from digest.models import Announcement, Block, Edition, Paper
from digest.ops.gallery.mail_lint import lint
from digest.papers.ingest import SAMPLES, paper_of
from digest.papers.records import parse_entry
from subscribers.models import Length, Notice, Schedule, Subscriber
from subscribers.notices.message import Claim, compose
from subscribers.preferences import Preferences

DAY = date(2026, 4, 17)
TOPICS = [("agents", "Agents"), ("graphs", "Graphs")]
ADDRESS = "ann@example.org"
TOKEN = "A" * 22


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One mail written to files, with its size and lint findings."""

    name: str
    slug: str
    subject: str
    html_bytes: int
    mail_bytes: int
    findings: Sequence[str]


def make(folder: Path, *, now: datetime) -> list[Exhibit]:
    """Write all mails and the index into the folder; return the mails written."""
    shown = [exhibit(folder, name, content) for name, content in mails(now)]
    index = render_to_string("digest/gallery.html", {"shown": shown, "now": now})
    (folder / "index.html").write_text(index, encoding="utf-8")
    return shown


def exhibit(folder: Path, name: str, content: bytes) -> Exhibit:
    write(folder, slugify(name), content)
    message = email.message_from_bytes(content, policy=email.policy.default)
    return Exhibit(
        name=name,
        slug=slugify(name),
        subject=str(message["Subject"]),
        html_bytes=len(content.rpartition(b"Content-Transfer-Encoding")[2]),
        mail_bytes=len(content),
        findings=lint(content, postal_address=settings.POSTAL_ADDRESS),
    )


def write(folder: Path, name: str, content: bytes) -> list[Path]:
    """Write the mail as .eml and its parts as .html and .txt; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    message = email.message_from_bytes(content, policy=email.policy.default)
    paths = [folder / f"{name}.eml"]
    paths[0].write_bytes(content)
    for kind, suffix in (("html", "html"), ("plain", "txt")):
        if part := message.get_body((kind,)):
            paths.append(folder / f"{name}.{suffix}")
            paths[-1].write_text(part.get_content(), encoding="utf-8")
    return paths


def mails(now: datetime) -> Iterator[tuple[str, bytes]]:
    """Yield (name, mail as sent) for each kind of mail."""
    papers = typical(DAY)
    yield "Digest, typical", digest(papers, now)
    yield "Digest, German", digest(papers, now, language="de")
    for length in (Length.TITLES, Length.ABSTRACTS):
        yield f"Digest, {length.value}", digest(papers, now, length=length)
    yield "Digest, seven papers", digest(papers[:7], now)
    yield "Digest, of the week", digest(papers, now, kind=Edition.Kind.WEEKLY)
    yield "Digest, after a pause", digest(papers, now, kind=Edition.Kind.MISSED)
    yield "Digest, with reasons", digest(papers, now, reasons=REASONS)
    yield "Digest, of a day with few papers", digest(papers[:2], now, has_few=True)
    yield "Digest, shortest", digest(shortest(), now)
    yield "Digest, longest", digest(longest(), now)
    yield "Digest, right to left", digest(right_to_left(), now)
    yield "Digest, CJK", digest(chinese_japanese_korean(), now)
    yield "Digest, hostile", digest(hostile(), now)
    yield "Digest, samples", digest(sample(DAY), now)
    yield "Announcement", announcement(now)
    for kind in Notice.Kind:
        yield f"Single, {kind.value}", single(kind, now)
        yield f"Single, {kind.value}, German", single(kind, now, language="de")


def digest(
    papers: Sequence[Paper],
    now: datetime,
    *,
    language: str = "en",
    kind: str = Edition.Kind.DAILY,
    length: str = Length.SHORT,
    reasons: Sequence[Reason] = (),
    has_few: bool = False,
) -> bytes:
    """Return the digest of a reader who gets all these papers, ten at most."""
    edition = Edition(pk=1, kind=kind, day=DAY, published_at=now, has_few=has_few)
    made = [block(paper, place) for place, paper in enumerate(papers)]
    encoded = encode(edition, made, around=frame_content(edition, topics=TOPICS))
    topics = [0, 1, None]
    picks = [
        Pick(place, topics[place % 3], tuple(reasons[place : place + 1]))
        for place in range(min(len(papers), 10))
    ]
    reader = Reader(1, ADDRESS, TOKEN, language, length)
    return encoded.compose(reader, picks, sent_at=now)


def announcement(now: datetime) -> bytes:
    edition = Edition(pk=1, kind=Edition.Kind.ANNOUNCEMENT, day=DAY, published_at=now)
    title = "A change of hours"
    Announcement(subject=title, title=title, body=WORDS, edition=edition)
    encoded = encode(edition, [], around=frame_content(edition, topics=TOPICS))
    return encoded.compose(Reader(1, ADDRESS, TOKEN), [], sent_at=now)


def block(paper: Paper, place: int) -> Block:
    html, text = blocks.block(paper)
    return Block(
        position=place, title=paper.title, upvotes=paper.upvotes, html=html, text=text
    )


def single(kind: Notice.Kind, now: datetime, *, language: str = "en") -> bytes:
    preferences = Preferences(
        topics=tuple(slug for slug, _ in TOPICS),
        timezone="Europe/Berlin",
        cadence=Schedule.Cadence.WEEKDAYS,
        language=language,
    )
    subscriber = Subscriber(pk=1, email=ADDRESS, unsubscribe_token=TOKEN)
    claim = Claim(
        notice=Notice(pk=1, subscriber=subscriber, kind=kind, created_at=now),
        subscriber=subscriber,
        preferences=preferences,
        topics=[label for _, label in TOPICS],
        token=TOKEN,
    )
    return compose(claim, now=now).message().as_bytes()


WORDS = """From *May* on, digests leave an hour **earlier**.

## What you can do

- Nothing, if your hour suits you.
- Choose another in [your preferences](https://papers.example/preferences/).
"""
REASONS = [
    Reason(Why.AUTHOR, "Ada Example"),
    Reason(Why.INSTITUTION, "Sample Institute"),
    Reason(Why.KEYWORD, "chain of thought"),
    Reason(Why.WRITTEN, "how small models learn to reason"),
    Reason(
        Why.LIKED, "Rewards That Cannot Be Gamed by Counting Words and Other Long Titles"
    ),
    Reason(Why.NEAREST, "agents that write and test software"),
    Reason(Why.SEARCH, "speech -music"),
    Reason(Why.TRENDING),
    Reason(Why.EXPLORED),
]
HOSTILE = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "</td></tr></table></body></html>",
    "{{ 7|add:7 }}{% debug %}${7*7}#{7*7}<%= 7*7 %>",
    "%recipient.email% *|EMAIL|* [[data:name]] -name- {{{contact.EMAIL}}}",
    "=?utf-8?q?=0D=0ABcc:_x=40example.org?=",
    "]]>--daily-papers-daily-20260417--",
    "&lt;b&gt; &amp;#0; &#x202e; \\u202e",
    "A" * 290,
    ". . .. … ￼ 𝕱𝖗𝖆𝖐𝖙𝖚𝖗 👩‍🔬 e\u0301\u0327",
]
ARABIC = "نموذج صغير يتعلم القراءة من اليمين إلى اليسار"
ARABIC_TEXT = "نقدم نموذجا صغيرا يقرأ النصوص الطويلة. يعمل على 128 GPU بدقة 3.5%. " * 6
HEBREW = "מודל קטן שקורא טקסט ארוך (BERT) בעברית"
HEBREW_TEXT = "אנו מציגים מודל קטן שקורא טקסט ארוך. הוא פועל על מעבד אחד. " * 6
JAPANESE = "長い文章を読む小さな言語モデルについて"
JAPANESE_TEXT = (
    "本論文では、長い文章を読む小さな言語モデルを提案する。計算量は半分になる。" * 14
)
CHINESE = "面向长文本的小型语言模型"
CHINESE_TEXT = "我们提出一种小型语言模型，可以阅读很长的文本。实验表明其效果良好。" * 16
KOREAN = "긴 글을 읽는 작은 언어 모델"
KOREAN_TEXT = "우리는 긴 글을 읽는 작은 언어 모델을 제안한다. 계산량은 절반이다. " * 10


def typical(day: date) -> list[Paper]:
    lines = SAMPLES.read_text().splitlines()
    records = [parse_entry(json.loads(line), day=day) for line in lines]
    papers = [
        paper_of(
            replace(
                record,
                title=record.title.removeprefix("Sample: "),
                arxiv_id=f"2604.{place:05}",
            ),
            now=datetime.combine(day, time(), UTC),
        )
        for place, record in enumerate(records, start=1)
    ]
    for paper in papers[::2]:
        paper.code_url = "https://github.com/example/code"
    return papers


def paper(place: int, title: str, abstract: str = "", **fields: object) -> Paper:
    authors = ["Ada Example", "Bo Sample", "Cleo Placeholder", "Dan Invented"]
    values: dict[str, object] = {"authors": authors, "author_count": 4, "upvotes": place}
    values |= fields
    return Paper(arxiv_id=f"2604.{place:05}", title=title, abstract=abstract, **values)


def shortest() -> list[Paper]:
    return [paper(1, "Q", authors=[], author_count=0, upvotes=0)]


def longest() -> list[Paper]:
    """Return more papers than a mail has room for."""
    url = "https://example.org/" + "long/" * 90
    names = ["図" * 120] * 3
    return [
        paper(
            place,
            f"{CHINESE * 30}",
            CHINESE_TEXT * 3,
            authors=names,
            author_count=3000,
            upvotes=10**place,
            code_url=url,
            project_url=url,
        )
        for place in range(1, 11)
    ]


def right_to_left() -> list[Paper]:
    arabic = paper(1, ARABIC, ARABIC_TEXT, authors=["فاطمة الزهراء", "Ada Example"])
    hebrew = paper(2, HEBREW, HEBREW_TEXT, organization="מכון לדוגמה")
    return [arabic, hebrew, paper(3, "A title in English", "With an abstract in it.")]


def chinese_japanese_korean() -> list[Paper]:
    texts = [(JAPANESE, JAPANESE_TEXT), (CHINESE, CHINESE_TEXT), (KOREAN, KOREAN_TEXT)]
    return [paper(place, *text) for place, text in enumerate(texts, start=1)]


def hostile() -> list[Paper]:
    return [
        paper(place, f"T {text}", f"A {text} z. " * 3, organization=text[:200])
        for place, text in enumerate(HOSTILE, start=1)
    ]


def sample(day: date) -> list[Paper]:
    papers = typical(day)[:2]
    for one in papers:
        one.is_sample = True
    return papers
