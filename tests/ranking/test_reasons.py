"""Reasons: each names what brought the paper, in the mail, on its page and when replayed."""

import html
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from django.test import Client
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from digest import signing
from digest.deliveries import ledger
from digest.deliveries.plan import plan_edition
from digest.deliveries.replay import replay
from digest.deliveries.send import send_due
from digest.editions import phrases
from digest.editions.compose import EncodedEdition, Pick, Reader
from digest.editions.picks import format_picks, parse_picks
from digest.editions.reasons import LONGEST_NAME, MOST_REASONS, Reason, Why, named
from digest.models import Delivery, Edition, Paper, Vote
from digest.privacy import forget
from digest.ranking import directions, votes
from digest.ranking.directions import Kind, pack
from digest.ranking.loaded import load
from digest.ranking.matching import NOBODY, found_in
from digest.ranking.select import select
from digest.ranking.vectors import Direction, shipped
from subscribers.models import Subscriber, Trending
from tests import make

VIDEO = "A video diffusion model that generates long clips with temporal consistency. "
SPEECH = "Automatic speech recognition of spoken audio with a small acoustic encoder. "
WRITTEN = "recognition of spoken <b>speech</b> in noise"
SERIES = "tabular data and time series forecasting"


@pytest.fixture
def papers(db: None) -> list[Paper]:
    make.topic("knots", label="Graphs & networks")
    names = [f"Author {number}" for number in range(6)]
    return [
        make.paper(1, title="Frames in Motion", abstract=VIDEO * 5, upvotes=3),
        make.paper(2, title="Heard in Noise", abstract=SPEECH * 5, authors=[*names, "José Núñez"]),
        make.paper(3, title="The KV-Cache", abstract="Of memory.", organization="Example & Sons AI"),
        make.paper(4, title="Knots", abstract="Of ropes.", upvotes=90),
    ]  # fmt: skip


@pytest.fixture
def edition(papers: list[Paper]) -> Edition:
    return make.edition(
        {paper: {"knots": 1.0} if paper.pk == papers[3].pk else {} for paper in papers}
    )


def likes(reader: Subscriber) -> None:
    """Yesterday's paper about the same as the first of today, liked."""
    old = make.paper(99, title="Clips & Cuts", abstract=VIDEO * 5, day=make.DAY)
    votes.cast(reader.pk, old, Vote.Value.MORE, now=make.NOON)


def fields(**values: object) -> Callable[[Subscriber], None]:
    def change(reader: Subscriber) -> None:
        Subscriber.objects.filter(pk=reader.pk).update(directions=None, **values)

    return change


# what a reader chose; the paper; the reason in English and in German
CASES = [
    ("author", fields(watched_authors=["jose nunez"]), "Heard in Noise",
     "By José Núñez", "Von José Núñez"),
    ("institution", fields(watched_institutions=["example & sons"]), "The KV-Cache",
     "From Example & Sons AI", "Von Example & Sons AI"),
    ("keyword", fields(keywords=["KV cache"]), "The KV-Cache",
     "Mentions “KV cache”", "Erwähnt „KV cache“"),
    ("written", fields(interests=WRITTEN), "Heard in Noise",
     f"Close to what you wrote: “{WRITTEN}”",
     f"Nah an dem, was du geschrieben hast: „{WRITTEN}“"),
    ("the second of two interests", fields(interests=f"{VIDEO[:70]}\n{WRITTEN}"),
     "Heard in Noise", f"Close to what you wrote: “{WRITTEN}”",
     f"Nah an dem, was du geschrieben hast: „{WRITTEN}“"),
    ("liked", likes, "Frames in Motion",
     "Like “Clips & Cuts”, which you liked", "Ähnlich wie „Clips & Cuts“, das dir gefiel"),
    ("nearest", fields(interests=SERIES, profile=b""), None,
     f"Among the nearest to what you wrote: “{SERIES}”",
     f"Mit am nächsten an dem, was du geschrieben hast: „{SERIES}“"),
    ("author and keyword", fields(watched_authors=["José Núñez"], keywords=["speech"]),
     "Heard in Noise", "By José Núñez; Mentions “speech”", "Von José Núñez; Erwähnt „speech“"),
    ("search", fields(searches=["kv caches", "author:Nunez spoken audio"]), "Heard in Noise",
     "Your search “author:Nunez spoken audio”", "Deine Suche „author:Nunez spoken audio“"),
    ("topic", fields(), "Knots", "Graphs & networks", "Graphs & networks"),
    ("keyword and topic", fields(keywords=["ropes"]), "Knots",
     "Mentions “ropes”; Graphs & networks", "Erwähnt „ropes“; Graphs & networks"),
    ("trending", fields(trending=Trending.TO_FILL_UP), "Frames in Motion",
     "Trending: little today matches your interests",
     "Im Trend: heute wenig zu deinen Interessen"),
]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_each_reason_names_what_brought_the_paper(
    edition: Edition, client: Client, sink, settings, case, language: str
) -> None:
    settings.MAILER_URL = sink.url
    _, change, title, *said = case
    ann = make.reader("ann@example.org", "knots")
    change(ann)
    Subscriber.objects.filter(pk=ann.pk).update(language=language)
    directions.refresh()
    plan_edition(edition, make.NOON)
    assert send_due(lambda: make.NOON)["accepted"] == 1
    reason = said[language == "de"]
    delivery = Delivery.objects.select_related("edition", "subscriber").get()
    with translation.override(language):
        shown = [pick.why for pick in replay(delivery).picks if title in {None, pick.title}]
    assert reason in shown
    (mail,) = sink.mails()
    assert replay(delivery).content == mail.raw
    text, rich = (str(part.get_content()) for part in mail.message.iter_parts())
    assert f"{reason} " in " ".join(text.split())
    assert html.escape(reason) in rich and "<b>" not in rich
    page = client.get(f"/digest/{signing.name(signing.Purpose.PAGE, delivery.pk)}")
    assert html.escape(reason) in page.content.decode()


def test_who_keeps_a_search_and_no_topic_gets_what_it_finds(edition: Edition) -> None:
    ann, bob = make.reader("ann@example.org"), make.reader("bob@example.org")
    everything = select(load(edition.pk), [(1, ann.pk)])[0].picks
    fields(searches=["kv cache"])(ann)
    fields(searches=["nothing of it"])(bob)
    found, nothing = select(load(edition.pk), [(1, ann.pk), (2, bob.pk)])
    titles = load(edition.pk).titles
    assert [titles[pick.position] for pick in found.picks] == ["The KV-Cache"]
    assert not nothing.picks and len(everything) == len(titles)


def test_two_reasons_at_most_and_the_certain_ones_first(edition: Edition) -> None:
    ann = make.reader("ann@example.org", "knots")
    fields(
        keywords=["speech", "audio"], interests=SPEECH[:70], watched_authors=["José Núñez"]
    )(ann)
    directions.refresh()
    (digest,) = select(load(edition.pk), [(1, ann.pk)])
    (first, *_) = digest.picks
    assert [reason.why for reason in first.reasons] == [Why.AUTHOR, Why.KEYWORD]
    assert all(len(pick.reasons) <= MOST_REASONS for pick in digest.picks)


def test_what_is_near_the_mean_of_likes_but_like_none_of_them_is_not_called_so(
    edition: Edition,
) -> None:
    loaded = load(edition.pk)
    version = shipped().version
    points = loaded.points[version]
    assert points is not None
    near = points[loaded.encoded.titles.index("Frames in Motion")]
    for part, picked in ((0.9, True), (0.3, False)):
        liked = Direction(part * near / float(near @ near), 0)
        stored = [(Kind.LIKED, 0, Direction(9 * near, 0)), (Kind.LIKE, 5, liked)]
        people = [NOBODY._replace(directions=pack(version, 1, stored))]
        found = found_in(loaded, people)
        assert found.closeness
        assert found.closeness.brought()[Why.LIKED].any() == picked
        assert found.likes is not None
        assert found.likes.any() == picked


def test_what_a_reason_names_is_erased_with_the_reader(edition: Edition) -> None:
    ann = make.reader("ann@example.org", "knots")
    fields(keywords=["ropes"])(ann)
    plan_edition(edition, make.NOON)
    rows = ledger.claim(make.NOON, limit=1)
    (digest,) = select(load(edition.pk), [(rows[0].delivery_id, ann.pk)])
    stored = format_picks(load(edition.pk).encoded, digest.reader, digest.picks)
    ledger.intend(rows, {rows[0].delivery_id: stored}, now=make.NOON)
    assert "ropes" in Delivery.objects.get().picks
    forget(Subscriber, ann)
    assert "ropes" not in Delivery.objects.get().picks


NAMES = st.text(max_size=200)
REASONS = st.builds(named, st.sampled_from(Why), NAMES)


@given(NAMES)
def test_a_name_is_one_short_line_that_opens_no_mark(name: str) -> None:
    found = named(Why.KEYWORD, name).name
    assert len(found) <= LONGEST_NAME and found == " ".join(found.split())
    assert not any("\ufdd0" <= char <= "\ufdef" or char < " " for char in found)


@given(st.lists(st.lists(REASONS, max_size=2).map(tuple), min_size=1, max_size=20))
def test_what_is_stored_of_picks_is_what_comes_back(
    reasons: list[tuple[Reason, ...]],
) -> None:
    picks = [Pick(place, place % 3 or None, some) for place, some in enumerate(reasons)]
    encoded = cast(
        EncodedEdition, SimpleNamespace(fingerprint="1f2e3d4c5b6a", is_mail=lambda *_: True)
    )
    stored = format_picks(encoded, Reader(1, "", "", "de"), picks)
    found = parse_picks(stored)
    assert found is not None and list(found.picks) == picks
    assert (found.language, found.fingerprint) == ("de", "1f2e3d4c5b6a")
    assert parse_picks(stored + "\nnonsense") is None


@pytest.mark.parametrize("old", ["0:12 3:- 7:1 de@1f2e3d4c5b6a", "0:- en@1f2e"])
def test_rows_of_before_are_read_as_they_were(old: str) -> None:
    found = parse_picks(old)
    assert found is not None and not any(pick.reasons for pick in found.picks)


def test_every_reason_has_words_but_the_topic() -> None:
    assert set(phrases.REASONS) == set(Why) - {Why.TOPIC}
