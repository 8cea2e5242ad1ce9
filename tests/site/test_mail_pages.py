"""A mail in the browser and the archive of editions: the same blocks, nobody's own."""

import re
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from digest import signing
from digest.deliveries.plan import plan_edition
from digest.deliveries.replay import preview
from digest.deliveries.send import send_due
from digest.models import Block, Delivery, Edition, Frame
from digest.privacy import personal_data
from digest.ranking.loaded import load
from digest.signing import Purpose
from subscribers import links
from subscribers.models import Link, Subscriber
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(sink, settings) -> str:
    """The address of the page of ann's mail, as it stands in the mail."""
    settings.MAILER_URL = sink.url
    make.topic("knots", label="Graphs & networks")
    make.reader("ann@example.org", "knots")
    edition = make.edition(
        {
            make.paper(1, upvotes=41, title="On <graphs>"): {"knots": 1.0},
            make.paper(2, upvotes=3, title="Something else"): {"other": 0.75},
        }
    )
    plan_edition(edition, make.NOON)
    send_due(lambda: make.NOON, edition_id=edition.pk)
    (mail,) = sink.mails()
    part = mail.message.get_body(("plain",))
    assert part
    text = str(part.get_content())
    return next(line for line in text.splitlines() if "/digest/" in line)


def test_the_link_in_a_mail_opens_its_papers_and_no_others(client, sent):
    path = sent.removeprefix("http://127.0.0.1:8000")
    response = client.get(path)
    page = response.content.decode()
    assert response.status_code == 200
    assert "On &lt;graphs&gt;" in page and ">Graphs &amp; networks</span>" in page
    assert "Something else" not in page and "1 paper<" in page


def test_the_page_of_a_mail_names_nobody_and_gives_no_right(client, sent):
    response = client.get(sent.removeprefix("http://127.0.0.1:8000"))
    page = response.content.decode()
    subscriber = Delivery.objects.get().subscriber
    assert subscriber
    assert subscriber.unsubscribe_token not in page and "/u/" not in page
    assert "ann@" not in page and "ann@" not in sent
    assert not [character for character in page if "\ufdd0" <= character <= "\ufdef"]
    assert response["X-Robots-Tag"].startswith("noindex")
    assert "no-store" in response["Cache-Control"]
    assert "Set-Cookie" not in response
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src" not in policy


@pytest.mark.parametrize("change", ["forged", "bounce", "nonsense", "not sent"])
def test_other_names_open_nothing(client, sent, change):
    row = Delivery.objects.get()
    other = Delivery.objects.create(
        edition=row.edition,
        due_at=make.NOON,
        not_before=make.NOON,
        expires_at=make.NOON,
    )
    name = {
        "forged": signing.name(Purpose.PAGE, row.pk)[:-1] + "0",
        "bounce": signing.name(Purpose.BOUNCE, row.pk),
        "nonsense": "x" * 50,
        "not sent": signing.name(Purpose.PAGE, other.pk),
    }[change]
    if change == "forged" and signing.read(Purpose.PAGE, name):
        name = name[:-1] + "1"
    assert client.get(f"/digest/{name}").status_code == 404


def test_get_is_all_that_the_page_takes(sent):
    path = sent.removeprefix("http://127.0.0.1:8000")
    assert Client(enforce_csrf_checks=True).post(path).status_code == 405


def test_the_archive_has_every_edition_without_personal_links(client, sent):
    response = client.get("/editions/daily/2026-04-17/")
    page = response.content.decode()
    assert "On &lt;graphs&gt;" in page and "Something else" in page
    assert "2 papers<" in page and ">Trending</span>" in page and "3\u00a0upvotes" in page
    assert "/u/" not in page and "/digest/" not in page
    assert not [character for character in page if "\ufdd0" <= character <= "\ufdef"]
    assert "public" in response["Cache-Control"]


def test_the_archive_of_a_week_is_where_its_mail_says(client):
    edition = make.edition({make.paper(1): {}}, kind="weekly")
    text = load(edition.pk).encoded.localized["en", "short"].text
    where = (text.closing + text.foot).replace(b"=\r\n", b"").decode(errors="replace")
    path = f"/editions/weekly/{edition.day}/"
    assert f"http://127.0.0.1:8000{path}" in where
    assert "11–17 April 2026" in client.get(path).content.decode()


@pytest.mark.parametrize("kind", ["mail", "edition"])
def test_both_lead_to_the_rest_of_the_site(client, sent, kind):
    path = sent.removeprefix("http://127.0.0.1:8000")
    html = client.get(path if kind == "mail" else "/editions/daily/2026-04-17/").text
    (nav,) = re.findall("<nav.*?</nav>", html, re.DOTALL)
    found = re.findall(r'href="http://127.0.0.1:8000([^"]+)"', nav)
    assert found == ["/", "/archive/", "/topics/", "/search/", "/subscribe/"]
    assert all(client.get(path).status_code == 200 for path in found)


# Pages that ann comes to from a mail, with the kind of token that opens each.
OF_PREFERENCES = ["", "newest/", "digests/", "saved/", "why/"]
HERS = [f"/preferences/{{preferences}}/{page}" for page in OF_PREFERENCES]
HERS += ["/confirm/{confirm}/", "/u/{unsubscribe}", "/p/{unsubscribe}", "/v/{page}/0"]


@pytest.mark.parametrize("path", [*HERS, "/digest/{page}"])
def test_a_known_reader_is_not_asked_to_subscribe(client, sent, path):
    ann, row = Subscriber.objects.get(), Delivery.objects.get()
    tokens = {
        purpose.value: links.make(ann, purpose, now=timezone.now())
        for purpose in (Link.Purpose.PREFERENCES, Link.Purpose.CONFIRM)
    }
    tokens |= {"unsubscribe": ann.unsubscribe_token}
    tokens |= {"page": signing.name(Purpose.PAGE, row.pk)}
    if path.startswith("/digest/"):  # the page is known to be hers in her own browser only
        assert ">Subscribe<" in client.get(path.format(**tokens)).text
        address = f"/preferences/{tokens['preferences']}/browsers/"
        client.post(address, {"action": "remember"})
    html = client.get(path.format(**tokens)).text
    assert "On &lt;graphs&gt;" in html or "/v/" not in path
    assert ">Subscribe<" not in html
    if not path.startswith(("/confirm", "/u", "/p/", "/v/")):
        assert re.search(r'/preferences/[\w-]+/"[^>]*>(Your p|P)references</a>', html)


@pytest.mark.parametrize("length", ["titles", "short", "abstracts"])
def test_the_newest_digest_has_the_length_that_the_reader_chose(client, length):
    make.topic("graphs")
    paper = make.paper(1, title="On graphs")
    make.edition({paper: {"graphs": 1.0}, make.paper(2): {"graphs": 0.5}})
    reader = make.reader("ann@example.org", "graphs")
    Subscriber.objects.update(length=length)
    token = links.make(reader, Link.Purpose.PREFERENCES, now=timezone.now())
    page = client.get(f"/preferences/{token}/newest/").text
    mail = preview(reader, Edition.objects.get(), now=make.NOON)
    _, html = (
        part.get_content()
        for part in message_from_bytes(mail, policy=policy.default).iter_parts()
    )
    assert (
        page.count("On graphs")
        == html.count("On graphs")
        == (1 if length == "titles" else 2)
    )


def test_a_mail_itself_has_no_navigation(sent, sink):
    (mail,) = sink.mails()
    assert b"<nav" not in mail.raw


@pytest.mark.parametrize("path", ["daily/2026-04-18/", "hourly/2026-04-17/", "daily/x/"])
def test_what_was_not_published_is_not_found(client, sent, path):
    assert client.get(f"/editions/{path}").status_code == 404


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_new_reader_reads_the_newest_digest_at_once(client, language):
    make.topic("graphs")
    make.edition({make.paper(1, title="On <graphs>"): {"graphs": 1.0}, make.paper(2): {}})
    reader = make.reader("ann@example.org", "graphs")
    Subscriber.objects.update(language=language)
    token = links.make(reader, Link.Purpose.PREFERENCES, now=timezone.now())
    page = client.get(f"/preferences/{token}/newest/")
    text = page.content.decode()
    assert "On &lt;graphs&gt;" in text and page["Content-Language"] == language
    assert "/v/" not in text and "/u/" not in text and "ann@" not in text
    assert f'/preferences/{token}/"' in text and '/preferences/"' not in text
    assert not Delivery.objects.exists() and not Frame.objects.exists()
    assert "no-store" in page["Cache-Control"]
    assert page["Referrer-Policy"] == "no-referrer"


def test_a_new_reader_for_whom_there_is_nothing_is_told_so(client):
    reader = make.reader("ann@example.org")
    token = links.make(reader, Link.Purpose.PREFERENCES, now=timezone.now())
    page = client.get(f"/preferences/{token}/newest/").content.decode()
    assert "No papers for you yet" in page
    assert client.get("/preferences/x/newest/").status_code == 404


@pytest.fixture
def past(client) -> str:
    """The page of the digests of ann, who got one a day for 25 days; bo got one of them."""
    make.topic("graphs")
    ann, bo = (make.reader(f"{name}@example.org", "graphs") for name in ("ann", "bo"))
    for number in range(25):
        day = make.DAY + timedelta(days=number)
        papers = [
            make.paper(100 + 2 * number, day=day, title=f"On gräphs, part {number}"),
            make.paper(101 + 2 * number, day=day, title=f"Something else {number}"),
        ]
        edition = make.edition({one: {"graphs": 1.0} for one in papers}, day=day)
        for reader in (ann, bo)[: 2 if number == 3 else 1]:
            Delivery.objects.create(
                edition=edition,
                subscriber=reader,
                state="accepted" if number else "expired",
                picks="0:0 1:0 en@abc" if reader == ann else "0:0 en@abc",
                due_at=make.NOON,
                not_before=make.NOON,
                expires_at=make.NOON,
            )
    token = links.make(ann, Link.Purpose.PREFERENCES, now=timezone.now())
    return f"/preferences/{token}/digests/"


def test_a_reader_sees_their_own_digests_newest_first_and_opens_each(client, past):
    page = client.get(past).content.decode()
    numbers = [int(number) for number in re.findall(r"part (\d+)", page)]
    assert numbers == list(range(24, 4, -1)) and "?page=2" in page
    second = client.get(f"{past}?page=2").content.decode()
    assert re.findall(r"part (\d+)", second) == ["4", "3", "2", "1"]  # not what expired
    names = re.findall(r'href="/digest/([^"]+)"', page)
    theirs = {signing.read(Purpose.PAGE, name) or 0 for name in names}
    owners = Delivery.objects.filter(pk__in=theirs).values_list("subscriber__email")
    assert len(theirs) == 20 and list(owners) == 20 * [("ann@example.org",)]
    assert "no-store" in client.get(past)["Cache-Control"]


@pytest.mark.each_row
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("part 7", ["On gräphs, part 7"]),
        ("GRÄPHS 11", ["On gräphs, part 11"]),
        ("else 3", ["Something else 3"]),
        ("part else", []),
        ("%_<script>", []),
        ("\0", None),
    ],
)
def test_past_digests_are_found_by_the_words_of_a_title(client, past, query, found):
    page = client.get(past, {"q": query}).content.decode()
    titles = re.findall(r'<li lang="en" dir="auto">(.*?)</li>', page)
    assert titles == found if found is not None else len(titles) == 40
    assert "<script>" not in page.partition("<main")[2]


def test_the_queries_of_past_digests_do_not_grow(client, past):
    with CaptureQueriesContext(connection) as many:
        client.get(past)
    Delivery.objects.exclude(pk=Delivery.objects.latest("pk").pk).delete()
    with CaptureQueriesContext(connection) as few:
        client.get(past)
    assert len(many) == len(few)


def test_the_download_names_the_papers_of_each_mail(past):
    for email, papers in (("ann@example.org", 2), ("bo@example.org", 1)):
        rows = personal_data(Subscriber.objects.get(email=email))["deliveries"]
        for row in rows:
            blocks = Block.objects.filter(edition__day=str(row["edition__day"]))
            best = blocks.order_by("position").values_list("paper__arxiv_id", flat=True)
            assert row["papers"] == list(best[:papers])
    assert len(rows) == 1


def test_past_digests_open_to_their_own_link_alone(client, past):
    assert client.get("/preferences/x/digests/").status_code == 404
    token = past.split("/")[2]
    assert f'href="{past}"' in client.get(f"/preferences/{token}/").content.decode()
    Link.objects.update(expires_at=timezone.now())
    assert client.get(past)["Location"] == f"/preferences/{token}/"
