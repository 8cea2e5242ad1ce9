"""Each reader gets the mail's own words in the language they chose."""

from html import unescape

import pytest

from digest.deliveries.plan import plan_edition
from digest.deliveries.send import send_due
from subscribers.models import Subscriber
from tests import make

pytestmark = pytest.mark.django_db


def test_one_slice_is_sent_in_each_readers_language(sink, settings):
    settings.MAILER_URL = sink.url
    make.topic("knots", label="Knots & links")
    for email, language in [("ann@example.org", "en"), ("bo@example.org", "de")]:
        reader = make.reader(email, "knots")
        Subscriber.objects.filter(pk=reader.pk).update(language=language)
    papers = {
        make.paper(1, upvotes=41, title="On knots"): {"knots": 1.0},
        make.paper(2, upvotes=1, title="On links"): {"knots": 0.5},
    }
    edition = make.edition(papers)
    plan_edition(edition, make.NOON)
    send_due(lambda: make.NOON, edition_id=edition.pk)
    (english,), (german,) = sink.to("ann@example.org"), sink.to("bo@example.org")
    assert english.message["Subject"] == "17 Apr · On knots +1"
    assert german.message["Subject"] == "17. Apr · On knots +1"
    for subtype in ("plain", "html"):
        one, other = (
            unescape(mail.message.get_body((subtype,)).get_content())
            for mail in (english, german)
        )
        assert "2 papers for you" in one and "2 Paper für dich" in other
        assert "Knots & links" in one and "Knots & links" in other
        assert "41\xa0upvotes" in one.replace(" ", "\xa0")
        assert "41\xa0Stimmen" in other.replace(" ", "\xa0")
        assert "17 April 2026" in one and "17. April 2026" in other
        assert "Unsubscribe" in one and "Abbestellen" in other
        assert "Unsubscribe" not in other and "On links" in other
    assert '<html lang="de"' in german.message.get_body(("html",)).get_content()
