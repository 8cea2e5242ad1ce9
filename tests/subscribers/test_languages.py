"""Single mails as they are sent: each reader's in the reader's own language."""

import pytest
from django.utils import translation

from subscribers import subscriptions
from subscribers.models import Notice, Schedule, Subscriber
from subscribers.notices import send
from tests.sink import Sink
from tests.subscribers.conftest import NOW, ORIGIN, ask

pytestmark = pytest.mark.usefixtures("topics")
Cadence = Schedule.Cadence


def test_each_reader_is_written_to_in_their_own_language(mailer: Sink) -> None:
    for email, code in (("ann@example.org", "en"), ("bo@example.org", "de")):
        subscriptions.subscribe(*ask(email, language=code), origin=ORIGIN, now=NOW)
    with translation.override("de"):  # what a process happens to speak is of no account
        send.send_open_notices(now=NOW)
        assert translation.get_language() == "de"
    subjects = {got.rcpt[0]: got.message["Subject"] for got in mailer.mails()}
    assert subjects == {
        "ann@example.org": "Please confirm your subscription to Daily Papers",
        "bo@example.org": "Bitte bestätige dein Abo von Daily Papers",
    }
    assert set(Notice.objects.values_list("state", flat=True)) == {"accepted"}


@pytest.mark.parametrize(
    ("cadence", "days", "english", "german"),
    [
        (Cadence.DAILY, (), "Every day at 07:00 (UTC)", "Jeden Tag um 07:00 Uhr (UTC)"),
        (Cadence.WEEKDAYS, (), "Monday to Friday at 07", "Montag bis Freitag um 07"),
        (Cadence.CHOSEN, (1, 5), "Tuesday, Saturday at 07", "Dienstag, Samstag um 07"),
        (Cadence.WEEKLY, (6,), "Once a week, on Sunday", "Einmal pro Woche, am Sonntag"),
    ],
)
def test_the_mail_to_confirm_says_when_in_the_readers_language(
    mailer: Sink,
    cadence: Schedule.Cadence,
    days: tuple[int, ...],
    english: str,
    german: str,
) -> None:
    for email, code in (("ann@example.org", "en"), ("bo@example.org", "de")):
        asked = ask(email, language=code, cadence=cadence, days=days)
        subscriptions.subscribe(*asked, origin=ORIGIN, now=NOW)
    send.send_open_notices(now=NOW)
    said = {"ann@example.org": english, "bo@example.org": german}
    for got in mailer.mails():
        for part in got.message.iter_parts():
            assert said[got.rcpt[0]] in part.get_content()
    assert len(mailer.mails()) == 2


def test_a_language_that_is_offered_no_more_falls_back_to_english(mailer: Sink) -> None:
    subscriptions.subscribe(*ask("ann@example.org"), origin=ORIGIN, now=NOW)
    Subscriber.objects.update(language="fr")
    send.send_open_notices(now=NOW)
    (got,) = mailer.mails()
    assert got.message["Subject"] == "Please confirm your subscription to Daily Papers"
    _, html = got.message.iter_parts()
    assert '<html lang="en"' in html.get_content()
    assert "Every day at 07:00" in html.get_content()
