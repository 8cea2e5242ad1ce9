"""Every page that a reader meets, in German: no words of the English one are left.

All that people and papers say begins with Xq here, so any other words that are the same are
ours. What stands in `lang="en"` is a paper's; a screen reader is told so.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, QueryDict
from django.template.loader import render_to_string
from django.test.client import ClientHandler, RequestFactory
from django.utils import timezone, translation

from digest import signing
from digest.deliveries.plan import plan_edition
from digest.deliveries.send import send_due
from digest.models import Delivery
from digest.papers import search_index
from digest.papers.fullness import Fullness, State
from digest.site import search, views
from digest.site.limits import PREVIEWS, SEARCHES
from subscribers import links
from subscribers.forms import PauseForm, SignUpForm
from subscribers.models import Link, Subscriber, Topic
from tests import make
from tests.sink import Sink

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

DAY = make.DAY.replace(month=5, day=15)  # in May, which German spells otherwise
NOON = make.NOON.replace(month=5, day=15)
# Runs of words that are right in both languages.
SAME = {"Daily Papers", "DAILY PAPERS", "Hugging Face", "Google DeepMind"}
SAME |= {
    "how diffusion models learn to generate video"
}  # an interest is written in English
WEB_OR_DATA = re.compile(r"https?://\S+|\S*[@…]\S*|(?i:\S*xq\w*)|[A-Z]\w+/[A-Z]\w+")
VOID = {"meta", "link", "input", "img", "br", "hr"}
SPOKEN = {"title", "alt", "placeholder", "aria-label", "data-save", "data-saved"}
SPOKEN |= {"data-copy", "data-copied", "data-not-saved"}
DESCRIBED = {"description", "og:title", "og:description"}
UNSPOKEN = {"script", "style", "code", "pre", "kbd"}
type Walk = dict[str, str]
type Named = tuple[str, str]


class Seen(HTMLParser):
    """The texts that a reader of a page sees or hears, but for those in another language."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.language = ""
        self.within = [("", True)]  # open elements, and whether they are in the language
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        language = values.get("lang", "")
        if tag == "html":
            self.language = language
        ours = language in ("", self.language) and (self.within[-1][1] or bool(language))
        ours = ours and values.get("name") != "timezone"  # names of cities
        if ours:
            self.texts += [values[name] for name in SPOKEN & set(values)]
        if ours and values.get("name", values.get("property")) in DESCRIBED:
            self.texts.append(values["content"])
        if tag not in VOID:
            self.within.append((tag, ours and tag not in UNSPOKEN))

    def handle_endtag(self, tag: str) -> None:
        while len(self.within) > 1 and self.within.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.within[-1][1]:
            self.texts.append(data)


def runs(page: str) -> set[str]:
    """Return the runs of words of a page, without links, addresses and what people said."""
    found = set()
    for text in Seen(page).texts:
        ours = WEB_OR_DATA.sub(" . ", text.replace(settings.POSTAL_ADDRESS, ""))
        parts = re.split(r"[^A-Za-zÀ-ž’\-\s]+|\n", ours)
        found |= {" ".join(part.split()) for part in parts if " " in part.strip()}
    return found - SAME


def paper_texts(page: str) -> list[str]:
    """Return what is a paper's own and not marked as English; a page's title cannot be."""
    body = page[page.find("<body") :] if "<body" in page else ""
    texts = Seen('<html lang="de">' + body).texts
    return [text for text in texts if re.search("Xq(?:title|abstract|summary|first)", text)]


def test_what_is_seen_and_heard_is_found_in_a_page() -> None:
    page = (
        '<html lang="de"><title>A one</title><p title="B two">C three, Xqname d four <b '
        'lang="en">E five<i lang="de">F six</i></b><code>g h</code> G seven'
    )
    assert runs(page) == {"A one", "B two", "C three", "d four", "F six", "G seven"}


# -- the walk --------------------------------------------------------------------------


@pytest.fixture
def walk(sink: Sink, settings, monkeypatch) -> Callable[[str], Walk]:
    """Return every page and mail in one language, by its name."""
    settings.MAILER_URL = sink.url
    for module in (views, search):
        monkeypatch.setattr(module, "PAGE_LENGTH", 2)
    topic = Topic.objects.all()[0]
    papers = [
        make.paper(
            number,
            day=DAY - timedelta(days=number > 5),
            upvotes=number,
            title=f"Xqtitle Xqword{number}",
            abstract="Xqabstract xqone. " * 30,
            authors=[f"Xqfirst Xqname{name}" for name in range(5)],
            author_count=5,
            comments=2,
            summary="Xqsummary xqtwo." if number % 2 else "",
            organization="Xqorg" if number % 3 else "",
            code_url="https://example.org/xq",
            project_url="https://example.org/xq",
        )
        for number in range(1, 8)
    ]
    search_index.index(papers)
    edition = make.edition({paper: {topic.slug: 1.0} for paper in papers[:5]}, day=DAY)
    for language in ("en", "de"):
        reader = make.reader(f"{language}@example.org", topic.slug)
        Subscriber.objects.filter(pk=reader.pk).update(language=language)
    plan_edition(edition, NOON)
    send_due(lambda: NOON, edition_id=edition.pk)
    return lambda language: dict(pages(language, sink))


class Browser:
    """Asks for pages; Django's test client would copy the context of every template."""

    def __init__(self, language: str) -> None:
        self.handler = ClientHandler(enforce_csrf_checks=False)
        self.requests = RequestFactory(headers={"Accept-Language": language})

    def answer(self, request: WSGIRequest) -> HttpResponse:
        answered = self.handler(request.environ)
        assert isinstance(answered, HttpResponse) and answered.status_code < 500
        return answered

    def page(self, path: str) -> Named:
        return path, self.answer(self.requests.get(path)).content.decode()

    def press(self, path: str, **posted: object) -> Named:
        response = self.answer(self.requests.post(path, posted))
        if response.status_code == 303:
            response = self.answer(self.requests.get(response["Location"]))
        return f"{path} {posted}", response.content.decode()


def pages(language: str, sink: Sink) -> Iterator[Named]:
    """Yield (name, page): what everybody may see, then one reader's, and their mail."""
    base = "" if language == settings.LANGUAGE_CODE else f"/{language}"
    browser = Browser(language)
    for path in PUBLIC:
        yield browser.page(base + path)
    for path, posted in PRESSED:
        yield browser.press(base + path, **posted)
    yield from personal(language, browser)
    yield from of_other_states(language)
    (mail,) = sink.to(f"{language}@example.org")
    for kind in ("html", "plain"):
        part = mail.message.get_body((kind,))
        assert part
        yield f"mail, {kind}", part.get_content()


PUBLIC = [
    "/", f"/papers/{DAY}/", "/papers/2604.00001/", "/papers/2604.00001/?similar=date",
    "/papers/2026-05-30/", "/papers/9999.00001/", "/papers/xqday/", "/nothing/at/all/",
    f"/weeks/{DAY}/", "/weeks/2026-01-05/", "/months/2026-05/", "/months/2026-01/",
    "/weeks/0001-01-01/", "/months/9999-12/", "/archive/", "/authors/Xqfirst Xqname1/",
    "/authors/Xqnobody/", "/organizations/Xqorg/", "/organizations/Xqnone/", "/saved/",
    "/saved/?ids=2604.00001,2604.00002", "/topics/", "/topics/graphs/",
    "/topics/pretraining/?page=2", "/topics/grafs/", f"/topics/pretraining/weeks/{DAY}/",
    "/topics/pretraining/months/2026-05/", "/topics/graphs/weeks/2026-01-05/",
    "/topics/graphs/months/2026-01/", "/search/", "/search/?q=xqtitle",
    "/search/?q=xqtitle&page=2", "/search/?q=xqtitle+xqnever", "/search/?q=xqtitel",
    "/search/?q=xqnever", "/search/?q=author:xqnever", "/search/?q=9999.00001", "/privacy/",
    "/subscribe/", "/subscribe/done/", "/preferences/", "/preferences/sent/",
    f"/editions/daily/{DAY}/", "/feeds/all.atom", "/feeds/topics/graphs.atom",
    "/feeds/search.atom",
]  # fmt: skip
PRESSED: list[tuple[str, dict[str, object]]] = [
    ("/subscribe/", {"step": "address", "email": "xq@example.org"}),
    ("/subscribe/", {"email": "xq@example.org"}),
    ("/subscribe/", {"email": ""}),
    ("/preferences/", {"email": ""}),
    ("/preview/", {"topics": "pretraining"}),
    ("/preview/", {"interests": "Xqnothing"}),
    ("/preview/", {"send_hour": "99"}),
]
WRONG: list[dict[str, object]] = [
    {"email": "xq"},
    {"email": "xq@"},
    {"email": "xq@xq@x"},
    {"email": "-x@x.org"},
    {"email": '"x"@x.org'},
    {"email": "x\u00ad@x.org"},
    {"email": "ö@x.org"},
    {"email": f"{'x' * 65}@x.org"},
    {"email": f"x@{'x' * 250}.org"},
    {"email": "x@x.org", "topics": "xq", "cadence": "chosen", "interests": "x" * 501},
    {"email": "x@x.org", "keywords": "\n".join(map(str, range(40))), "timezone": "Xq"},
    {"email": "x@x.org", "searches": "x" * 9999, "weekday": "9", "days": ["9"]},
    {"email": "x@x.org", "trending": "9", "most_papers": "99", "language": "x"},
    {"email": "x@x.org", "cadence": "x", "send_hour": "x", "length": "x"},
]


def of_other_states(language: str) -> Iterator[Named]:
    """Yield what the site says of mistakes and in states in which it is not now."""
    with translation.override(language):
        for name in ("400.html", "403.html", "500.html", "503.html"):
            yield name, render_to_string(name)
        yield "closed", render_to_string("subscribers/closed.html")
        for limit in (SEARCHES, PREVIEWS):
            yield limit.name, render_to_string("digest/too_often.html", {"limit": limit})
        for wrong in WRONG:
            form = SignUpForm(QueryDict(urlencode(wrong, doseq=True)))
            assert form.errors, wrong
            yield str(wrong), form.errors.as_text()
        for until in ("2020-01-01", "x"):
            yield f"pause {until}", PauseForm({"until": until}, today=DAY).errors.as_text()
        for found in Fullness:
            for papers, is_held in ((0, False), (0, True), (1, True), (2, True)):
                state = State(DAY, found, papers, is_held)
                yield str(state), render_to_string("digest/_state.html", {"state": state})


def personal(language: str, browser: Browser) -> Iterator[Named]:
    """Yield the pages behind links, as a reader goes from one to the next."""
    ann = Subscriber.objects.get(email=f"{language}@example.org")
    page, press = browser.page, browser.press
    name = signing.name(signing.Purpose.PAGE, Delivery.objects.get(subscriber=ann).pk)
    mine = f"/preferences/{link(ann, 'preferences')}/"
    for purpose in ("preferences", "data", "address"):
        yield page(f"/{purpose}/{link(ann, purpose)}/")
        yield page(f"/{purpose}/{link(ann, purpose, ago=9)}/")
    yield page("/confirm/xq/")
    yield press(f"/preferences/{link(ann, 'preferences', ago=9)}/", action="again")
    for path in BEHIND_A_LINK:
        yield page(mine + path)
    yield press(mine, action="pause", until="x")
    yield press(f"{mine}feed/", action="make")
    ann.refresh_from_db()
    yield page(f"/feeds/mine/{ann.feed_token}.atom")
    yield press(f"{mine}saved/", action="add", ids="2604.00001 2604.00002")
    yield page(f"/digest/{name}")
    for choice in ("", "/more", "/less"):
        yield page(f"/v/{name}/0{choice}")
    for action in ("more", "less", "back", "more"):
        yield press(f"/v/{name}/0", action=action)
    yield page(mine)
    yield from leaving(ann, mine, name, browser)


BEHIND_A_LINK = [
    "?saved=1&moved=1", "saved/", "saved/?added=0", "saved/?added=1", "newest/",
    "digests/", "digests/?q=xqtitle", "digests/?q=xqnone", "why/", "why/?paper=xqtitle",
    "why/?paper=xqnever", f"why/?paper={'x' * 500}", "why/?paper=2604.00001",
    "why/?paper=2604.00007",
]  # fmt: skip


def link(reader: Subscriber, purpose: str, *, ago: int = 0) -> str:
    """Make a link `ago` days ago; to a new address, if it is for one."""
    email = f"new-{reader.language}@example.org" if purpose == "address" else ""
    made = timezone.now() - timedelta(days=ago)
    return links.make(reader, Link.Purpose(purpose), now=made, email=email)


def leaving(ann: Subscriber, mine: str, name: str, browser: Browser) -> Iterator[Named]:
    """Yield what a reader sees who pauses, moves, leaves, comes back and blocks us."""
    page, press = browser.page, browser.press
    door, out = f"/p/{ann.unsubscribe_token}", f"/u/{ann.unsubscribe_token}"
    for path in (door, out):
        yield page(path)
    yield press(door)
    for action in ("weekly", "pause", "link"):
        yield press(out, action=action)
    yield page(mine)
    yield press(mine, action="pause")
    yield press(mine, action="resume")
    yield press(f"/address/{link(ann, 'address')}/")
    yield press(out, action="unsubscribe")
    yield page(out)
    yield page(f"/v/{name}/0")
    yield page(f"/preferences/{link(ann, 'preferences')}/")
    yield press(out, action="undo")
    confirm = link(ann, "confirm")
    yield page(f"/confirm/{confirm}/")
    yield press(f"/confirm/{confirm}/")
    yield press(f"/confirm/{confirm}/", again="once more")
    yield page(f"/block/{confirm}/")
    yield press(f"/block/{confirm}/")
    yield press(f"/data/{link(ann, 'data')}/", action="erase")
    yield page(f"/v/{name}/1")


def test_no_words_of_the_english_pages_are_left_in_german(
    walk: Callable[[str], Walk],
) -> None:
    english, german = walk("en"), walk("de")
    assert len(english) == len(german) > 120
    left: dict[str, set[str]] = {}
    for ours, (path, theirs) in zip(english.values(), german.items(), strict=True):
        if both := runs(ours) & runs(theirs):
            left[path] = both
    assert left == {}
    unmarked = {path: paper_texts(page) for path, page in german.items()}
    assert {path: texts for path, texts in unmarked.items() if texts} == {}
