"""Invented papers for the gallery: plain, long, short, in other scripts, and hostile."""

import json
from dataclasses import replace
from datetime import date

from digest.models import Paper
from digest.papers.ingest import SAMPLES
from digest.papers.records import PaperRecord, parse_entry

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
        made(replace(record, title=record.title.removeprefix("Sample: ")), place)
        for place, record in enumerate(records, start=1)
    ]
    for paper in papers[::2]:
        paper.code_url = "https://github.com/example/code"
    return papers


def made(record: PaperRecord, place: int) -> Paper:
    return Paper(
        arxiv_id=f"2604.{place:05}",
        title=record.title,
        abstract=record.abstract,
        authors=list(record.authors),
        author_count=len(record.authors),
        organization=record.organization,
        upvotes=record.upvotes or 0,
        comments=record.comments or 0,
    )


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
