"""Why a reader got a paper, or did not: page, console and command say the same."""

import html
import io
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation

from digest.deliveries import explain
from digest.deliveries.plan import plan_edition
from digest.deliveries.send import send_due
from digest.editions.reasons import Why
from digest.models import Delivery, Edition, Paper
from digest.ops.gallery import gallery
from digest.ranking import directions, ranking
from digest.ranking.loaded import lay_out, load
from digest.ranking.standing import standing
from subscribers import links
from subscribers.models import Link, Subscriber
from tests import make

pytestmark = pytest.mark.django_db
SPEECH = "Automatic speech recognition of spoken audio with a small acoustic encoder. " * 5


@pytest.fixture
def ann(sink, settings) -> Subscriber:
    """A reader of knots, at most three papers, whose mail of the edition went out."""
    settings.MAILER_URL = sink.url
    make.topic("knots", label="Knots")
    reader = make.reader("ann@example.org", "knots")
    Subscriber.objects.filter(pk=reader.pk).update(
        most_papers=3, muted_authors=["Max Mute"]
    )
    papers: dict[Paper, dict[str, float]] = {
        make.paper(1, title="First <knot>", upvotes=9): {"knots": 1.0},
        make.paper(2, title="Second knot", upvotes=8): {"knots": 1.0},
        make.paper(3, title="Third knot", upvotes=7): {"knots": 1.0},
        make.paper(4, title="Fourth knot", upvotes=6): {"knots": 0.5},
        make.paper(5, title="Muted knot", authors=["Max Mute"]): {"knots": 1.0},
        make.paper(6, title="Heard in Noise", abstract=SPEECH): {"films": 1.0},
    }
    make.paper(7, title="Elsewhere")
    send(make.edition(papers))
    return reader


def send(edition: Edition) -> None:
    plan_edition(edition, make.NOON)
    send_due(lambda: make.NOON, edition_id=edition.pk)


def had(reader: Subscriber) -> None:
    """The week's mail would have the first paper again."""
    paper = Paper.objects.get(arxiv_id="2604.00001")
    Edition.objects.update(kind="weekly")
    load.cache_clear()
    Delivery.objects.update(picks="", state="expired", intent_at=None)
    send(make.edition({paper: {"knots": 1.0}}))


def fields(**values: object) -> Callable[[Subscriber], None]:
    def change(reader: Subscriber) -> None:
        Subscriber.objects.filter(pk=reader.pk).update(directions=None, **values)
        directions.refresh()

    return change


def ledger(**values: object) -> Callable[[Subscriber], None]:
    def change(reader: Subscriber) -> None:
        Delivery.objects.filter(subscriber=reader).update(**values)

    return change


def forget(reader: Subscriber) -> None:
    Delivery.objects.filter(subscriber=reader).delete()


NOTHING = fields()
# what is asked about, what was changed since the mail, and what the answer says
CASES = [
    ("2604.00001", NOTHING, ["number 1 of 3 in your mail of 17 April 2026", "reason: Knots."]),
    ("2604.00001", ledger(state="unknown"), ["number 1 of 3", "We do not know whether that mail arrived."]),
    ("2604.00004", NOTHING, ["number 4 of the 4 papers that match; you get 3 at most",
     "topic Knots 0.50; popularity 0.", "the last paper that comes has 1."]),
    ("2604.00005", NOTHING, ["You muted Max Mute, so it never comes."]),
    ("2604.00006", NOTHING, ["It matches nothing in your preferences"]),
    ("2604.00006", fields(interests="speech recognition\ncompilers"),
     ["number 1 of your mail", "changed since", "closeness to “speech recognition” 5."]),
    ("2604.00006", fields(interests="compilers for quantum annealing hardware", most_papers=3),
     ["It matches nothing in your preferences", "Its closeness to “compilers for quantum annealing hardware” is"]),
    ("2604.00007", NOTHING, ["It is not in the edition of 17 April 2026."]),
    ("2604.00001", had, ["You had it already in an earlier mail"]),
    ("2604.00002", forget,
     ["No mail of the edition of 17 April 2026 was due to you.", "number 2 of your mail"]),
    ("2604.00002", ledger(state="expired", reason="too late", picks=""),
     ["No mail of 17 April 2026 went to you: it would have come too late."]),
    ("2604.00002", ledger(state="pending", picks=""),
     ["Your mail of 17 April 2026 has not gone out yet.", "number 2 of your mail"]),
    ("Fourth  KNOT", NOTHING, ["number 4 of the 4"]),
    ("https://arxiv.org/abs/2604.00004v2", NOTHING, ["number 4 of the 4"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "change", "said"),
    CASES,
    ids=[f"{n}-{case[2][0][:30]}" for n, case in enumerate(CASES)],
)
def test_page_console_and_command_give_the_same_answer(
    client: Client, admin_client: Client, ann, typed, change, said
) -> None:
    change(ann)
    edition = Edition.objects.order_by("pk")[0]
    out = io.StringIO()
    weekly = ["--weekly"] if edition.kind == "weekly" else []
    call_command("replay", ann.email, "2026-04-17", "--paper", typed, *weekly, stdout=out)
    lines = out.getvalue().splitlines()
    assert all(any(words in line for line in lines) for words in said), lines
    token = links.make(ann, Link.Purpose.PREFERENCES, now=timezone.now())
    asked = {"edition": f"{edition.kind}-{edition.day}", "paper": typed}
    console = reverse("console_why", args=[edition.pk, ann.pk])
    for get, path in (
        (client.get, f"/preferences/{token}/why/"),
        (admin_client.get, console),
    ):
        with CaptureQueriesContext(connection) as queries:
            response = get(path, asked)
        assert response.status_code == 200
        assert all(html.escape(line) in response.content.decode() for line in lines)
        assert not [q for q in queries if not q["sql"].startswith("SELECT")]


def test_the_parts_of_a_score_are_all_of_it(ann) -> None:
    fields(interests="speech recognition\nknots", keywords=["knot"], profile=b"\x40\x20")(
        ann
    )
    laid = lay_out(Edition.objects.get().pk)
    for position in range(6):
        found = standing(laid, ann.pk, position, until=make.NOON)
        if found.terms and found.place:
            (rest,) = [term for term in found.terms if term.why is Why.TRENDING]
            least = ranking.POPULARITY_BESIDE_CLOSENESS * laid.popular[position]
            assert rest.points == pytest.approx(float(least), abs=1e-3)
            assert sum(term.points for term in found.terms) == pytest.approx(
                found.score, abs=1e-3
            )


def test_a_mail_without_room_says_how_many_it_held(ann, sink) -> None:
    long: dict[Paper, dict[str, float]] = {
        make.paper(
            100 + n,
            title=f"{n} {gallery.CHINESE * 40}"[:500],
            abstract=gallery.CHINESE_TEXT * 8,
            upvotes=n,
        ): {"knots": 1.0}
        for n in range(20)
    }
    Subscriber.objects.update(most_papers=20, length="abstracts")
    edition = make.edition(long, day=make.DAY - timedelta(days=3))
    send(edition)
    last = Paper.objects.get(arxiv_id="2604.00100")
    lines = explain.explain(ann, edition, last).lines
    assert "number 20 of 20" in lines[0] and "had room for" in lines[1]
    first = Paper.objects.get(arxiv_id="2604.00119")
    assert len(explain.explain(ann, edition, first).lines) == 1


def test_a_near_duplicate_names_the_paper_that_came_instead(ann) -> None:
    pair = {
        make.paper(100 + n, title="Heard in Noise", abstract=SPEECH, upvotes=n): {
            "knots": 1.0
        }
        for n in range(2)
    }
    edition = make.edition(pair, day=make.DAY - timedelta(days=1))
    lines = explain.explain(ann, edition, Paper.objects.get(arxiv_id="2604.00100")).lines
    assert any("nearly the same as “Heard in Noise”" in line for line in lines)


def test_the_page_lists_the_mail_and_what_it_left_out(client: Client, ann) -> None:
    token = links.make(ann, Link.Purpose.PREFERENCES, now=timezone.now())
    assert (
        f"/preferences/{token}/why/"
        in client.get(f"/preferences/{token}/").content.decode()
    )
    page = client.get(f"/preferences/{token}/why/").content.decode()
    came, left_out = page.split("In the edition, but not in this mail")
    assert "First &lt;knot&gt;" in came and "Fourth knot" in left_out
    assert "First &lt;knot&gt;" not in left_out


@pytest.mark.each_row
@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"paper": "2604.99999"}, 200, "No paper here has that id or title."),
        ({"paper": "a"}, 200, "No paper here has that id or title."),
        ({"paper": "knot"}, 200, "Which paper do you mean?"),
        ({"paper": "%_\0'<b>"}, 400, "Null characters"),
        ({"paper": "%_'<b>"}, 200, "No paper here has that id or title."),
        ({"paper": "x" * 999}, 400, "That is too long"),
        ({"edition": "weekly-1999-01-01"}, 400, "Select a valid choice"),
    ],
)
def test_whatever_is_typed_has_an_answer(client, ann, query, status, words) -> None:
    token = links.make(ann, Link.Purpose.PREFERENCES, now=timezone.now())
    response = client.get(f"/preferences/{token}/why/", query)
    assert response.status_code == status and words in response.content.decode()
    assert "<b>" not in response.content.decode()


def test_a_link_opens_the_page_for_its_own_reader_only(client, ann) -> None:
    bo = make.reader("bo@example.org")
    token = links.make(bo, Link.Purpose.PREFERENCES, now=timezone.now())
    assert "Fourth knot" in client.get(f"/preferences/{token}/why/").content.decode()
    assert client.get("/preferences/x/why/").status_code == 404
    old = links.make(ann, Link.Purpose.PREFERENCES, now=timezone.now() - timedelta(days=9))
    assert client.get(f"/preferences/{old}/why/").status_code == 303
    client.force_login(User.objects.create_user("staff", is_staff=True))
    edition = Edition.objects.get()
    assert client.get(reverse("console_why", args=[edition.pk, ann.pk])).status_code == 403


def test_without_a_mail_or_an_edition_it_says_so(client, db) -> None:
    bo = make.reader("bo@example.org")
    token = links.make(bo, Link.Purpose.PREFERENCES, now=timezone.now())
    assert client.get(f"/preferences/{token}/why/").status_code == 200


def test_the_answer_is_in_the_readers_language(ann) -> None:
    paper = Paper.objects.get(arxiv_id="2604.00001")
    with translation.override("de"):
        (line,) = explain.explain(ann, Edition.objects.get(), paper).lines
    assert "Nummer 1 von 3 in deiner Mail vom 17. April 2026. Der Grund: Knots." in line


@pytest.mark.parametrize("words", ["2604.99999", "knot"])
def test_the_command_explains_one_paper_or_none(ann, words) -> None:
    with pytest.raises(CommandError):
        call_command("replay", ann.email, "2026-04-17", "--paper", words)


def test_laying_out_says_the_same_as_loading(ann) -> None:
    edition = Edition.objects.get()
    laid, loaded = lay_out(edition.pk), load(edition.pk)
    assert (laid.papers == loaded.papers).all() and laid.titles == loaded.titles
