"""The operator's pages in a real browser: log in, see, steer; axe finds nothing."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

import dns.resolver
import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from digest.deliveries.plan import plan
from digest.models import Announcement, BackOff, Delivery, Edition, ReportedCount
from digest.ops.doctor import sample_digest
from subscribers.models import Import, Subscriber, Suppression
from subscribers.suppression import suppress
from tests import dns_server, make
from tests.accessibility import ALL, CONTRAST, findings
from tests.browser.test_pages import SMALL
from tests.feedback.test_domain_reports import dmarc, row
from tests.ops.test_doctor import (
    DOMAIN,
    PUBLIC,
    received,
    rsa_key,
    signed,
    sound_zone,
)
from tests.ops.test_doctor import (
    KEY as DKIM_KEY,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.embedded,
    pytest.mark.django_db(transaction=True),
]
KEY = "3132333435363738393031323334353637383930"  # of the app, in hex: that of RFC 6238
LOOKS: list[tuple[Literal["light", "dark"], int]] = [("light", 360), ("dark", 1200)]
RULES = {"light": ALL, "dark": CONTRAST}  # in the dark all but the colours is the same


@pytest.fixture(autouse=True)
def site() -> Edition:
    edition = make.edition({make.paper(1): {"graphs": 1.0}})
    for number in range(12):
        when = make.schedule("UTC", number)
        make.reader(f"reader-{number}@example.org", "graphs", "robots", when=when)
    plan(make.NOON)
    first = Delivery.objects.order_by("pk").first()
    assert first is not None and first.subscriber is not None
    Delivery.objects.filter(pk=first.pk).update(
        state="refused", reason="no mailbox", reply="550 " + "x" * 200, outcome_at=make.NOON
    )
    bounced = Suppression.Reason.BOUNCED
    suppress(first.subscriber.email_hash, bounced, now=make.NOON)
    ReportedCount.objects.create(
        kind="dmarc",
        reporter="google.com",
        name="r1",
        day=timezone.now().date(),
        domain="example.org",
        source="2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        passed=False,
        detail="DKIM fail, SPF fail, quarantine",
        count=120_000,
    )
    owner = User.objects.create_superuser("owner", password="a-long-password")
    TOTPDevice.objects.create(user=owner, key=KEY)
    return edition


@pytest.fixture
def page(live_server: LiveServer, browser: BrowserContext) -> Page:
    """The first page after password and code of the login that an operator is sent to."""
    page = browser.new_page()
    page.goto(live_server.url + reverse("console_today"))
    enter_password(page)
    page.get_by_label("Code").fill(f"{totp(bytes.fromhex(KEY)):06}")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("heading", name="Today", exact=True).wait_for()
    return page


def enter_password(page: Page) -> None:
    page.get_by_label("Username").fill("owner")
    page.get_by_label("Password").fill("a-long-password")
    page.get_by_role("button", name="Log in").click()
    page.get_by_label("Code").wait_for()


def test_an_edition_is_paused_and_resumed_and_cancelled(page: Page) -> None:
    page.get_by_role("link", name="Daily edition of 17 Apr 2026").click()
    page.get_by_label("Reason to pause").fill("a wrong title")
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("Paused: a wrong title.").wait_for()
    assert Edition.objects.get().hold == "paused"
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("status").get_by_text("Resumed.").wait_for()
    assert Edition.objects.get().hold == ""
    page.get_by_text("Cancel this edition").click()
    page.get_by_label("Reason to cancel").fill("wrong papers")
    page.get_by_label("Type 2026-04-17 to confirm").fill("2026-04-17")
    page.get_by_role("button", name="Cancel for good").click()
    page.get_by_role("status").get_by_text("Cancelled").wait_for()
    assert not Delivery.objects.filter(is_open=True).exists()


def test_a_reader_is_helped(page: Page, live_server: LiveServer) -> None:
    reader = Subscriber.objects.get(email="reader-3@example.org")
    page.goto(live_server.url + reverse("console_reader", args=[reader.pk]))
    for act, says in [
        ("Pause", "Paused: as asked"),
        ("Resume", "Resumed"),
        ("Suppress", "Suppressed: as asked"),
        ("Lift the suppression", "Suppression lifted: as asked"),
    ]:
        if act != "Resume":
            page.get_by_label("Reason", exact=True).fill("as asked")
        page.get_by_role("button", name=act, exact=True).click()
        page.get_by_role("status").get_by_text(says).wait_for()


# What has the focus: its words, its form's buttons, and whether it is seen to have it.
FOCUSED = """() => {
  const it = document.activeElement, box = it.getBoundingClientRect(), css = getComputedStyle(it);
  const buttons = [...(it.form?.querySelectorAll("button") || [])].map((one) => one.innerText);
  return {
    words: (it.labels?.[0] || it).innerText.trim(), buttons: buttons.join(),
    shown: css.outlineStyle !== "none" && parseFloat(css.outlineWidth) >= 2,
    inside: box.width > 0 && box.top < innerHeight && box.bottom > 0,
    over: it === document.body,
  };
}"""


def tab_to(page: Page, words: str, *, button: str = "") -> None:
    """Press Tab until this has the focus, which must be seen at every stop."""
    for _ in range(60):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUSED)
        assert found["shown"] and found["inside"], found
        if found["words"] == words and button in found["buttons"]:
            return
    raise AssertionError(f"{words} is not reached")


def test_an_operator_needs_no_mouse(
    live_server: LiveServer, browser: BrowserContext
) -> None:
    page = browser.new_page()
    page.goto(live_server.url + reverse("console_today"))
    keys = page.keyboard

    def fill(words: str, text: str, *, button: str = "") -> None:
        tab_to(page, words, button=button)
        keys.type(text)

    def says(words: str) -> None:
        page.get_by_role("status").get_by_text(words).wait_for()

    def follow(words: str, *, to: str) -> None:
        tab_to(page, words)
        with page.expect_navigation(url=to):
            keys.press("Enter")

    page.get_by_label("Username").focus()  # where the page itself puts it
    keys.type("owner")
    fill("Password", "a-long-password")
    keys.press("Enter")
    page.get_by_label("Code").wait_for()
    page.get_by_label("Code").focus()
    keys.type(f"{totp(bytes.fromhex(KEY)):06}")
    keys.press("Enter")
    page.get_by_role("heading", name="Today", exact=True).wait_for()

    tab_to(page, "Skip to the content")
    keys.press("Enter")  # past the operators' tabs, too
    follow("Daily edition of 17 Apr 2026", to="**/editions/*/")
    fill("Reason to pause", "a wrong title")
    keys.press("Enter")
    says("Paused: a wrong title.")
    tab_to(page, "Resume")
    keys.press("Space")
    says("Resumed.")
    tab_to(page, "Cancel this edition")
    keys.press("Space")
    fill("Reason to cancel", "wrong papers")
    fill("Type 2026-04-17 to confirm", "2026-04-17")
    tab_to(page, "Cancel for good")
    keys.press("Space")
    says("Cancelled")

    follow("Readers", to="**/readers/")
    fill("The whole address", "reader-3@example.org")
    with page.expect_navigation(url="**?q=*"):
        keys.press("Enter")
    reader = Subscriber.objects.get(email="reader-3@example.org")
    follow(f"{reader.masked_email} ({reader.pk})", to=f"**/{reader.pk}/")
    for act, told in (("Suppress", "Suppressed"), ("Lift the suppression", "lifted")):
        fill("Reason", "as asked", button=act)
        tab_to(page, act)
        keys.press("Space")
        says(told)
    # No trap: the Tab that follows the last link leaves the page.
    for _ in range(120):
        keys.press("Tab")
        if page.evaluate(FOCUSED)["over"]:
            return
    raise AssertionError("the focus never leaves the page")


def test_mail_is_steered_and_readers_are_written_to(
    page: Page, live_server: LiveServer, tmp_path: Path
) -> None:
    """Each form of these pages is posted once."""

    def press(name: str, says: str) -> None:
        page.get_by_role("button", name=name, exact=True).first.click()
        page.get_by_text(says).first.wait_for()

    soon = timezone.now() + timedelta(hours=1)
    BackOff.objects.create(name="*", resting_until=soon, changed_at=soon, cause="535 no")
    page.goto(live_server.url + reverse("console_relays"))
    press("End the rest", "Rest ended")
    Delivery.objects.filter(is_open=True).update(state="unknown", outcome_at=make.NOON)
    page.goto(live_server.url + reverse("console_unknown"))
    page.get_by_role("checkbox", name="Delivery").first.check()
    press("Mark as sent", "1 ")
    assert Delivery.objects.filter(state="accepted").count() == 1
    page.goto(live_server.url + reverse("console_announcement_new"))
    page.get_by_label("Subject", exact=True).fill("A new home")
    page.get_by_label("Title", exact=True).fill("We move")
    page.get_by_label("Body", exact=True).fill("Nothing *changes*.")
    press("Save the draft", "Draft")
    page.get_by_label("Type the subject").fill("A new home")
    press("Start sending", "Started")
    file = tmp_path / "readers.csv"
    file.write_text("email\nnew@example.org\n")
    page.goto(live_server.url + reverse("console_imports"))
    page.get_by_label("File").set_input_files(file)
    press("Upload", "Columns")
    press("Try all rows", "A worker does it")
    bar = Suppression.objects.get()
    page.goto(live_server.url + reverse("console_suppression", args=[bar.pk]))
    page.get_by_label("Reason", exact=True).fill("as asked")
    press("Lift the suppression", "Suppression lifted: as asked")
    assert not Suppression.objects.exists()
    report = tmp_path / "report.xml"
    report.write_bytes(dmarc(row(ip="192.0.2.77"), end=int(timezone.now().timestamp())))
    page.goto(live_server.url + reverse("console_reports"))
    page.get_by_label("A report").set_input_files(report)
    press("Take it in", "Reports read: 1")


@pytest.fixture
def zone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[tuple[str, str], list[str]]]:
    """The records of a sound domain, told by a name server that stands in resolv.conf."""
    settings.FROM_EMAIL = f"Daily Papers <papers@{DOMAIN}>"
    settings.SITE_URL = f"https://{DOMAIN}:9"
    zone = sound_zone()
    with dns_server.running(zone) as nameserver:
        host, port = nameserver.split(":")

        def read_resolv_conf(resolver: dns.resolver.Resolver, file: object) -> None:
            resolver.nameservers, resolver.port = [host], int(port)

        monkeypatch.setattr(dns.resolver.Resolver, "read_resolv_conf", read_resolv_conf)
        yield zone


def test_a_wrong_dkim_record_is_found_and_mended(
    page: Page, zone: dict[tuple[str, str], list[str]], site: Edition, tmp_path: Path
) -> None:
    """A record that cannot be read, then the key of another: only a received mail shows that."""
    mail = sample_digest.compose(site, "ann@gmail.com", now=make.NOON).compose()
    arrived = received(mail, signature=signed(mail))
    findings = page.get_by_role("article").filter(has_text="DKIM")

    def run() -> None:
        page.get_by_role("button", name="Run the checks").click()
        page.get_by_role("heading", name="to mend").wait_for()

    def finding(what: str, remedy: str) -> None:
        found = findings.filter(has=page.get_by_role("heading", name=what))
        expect(found).to_be_visible()
        expect(found.locator("pre")).to_contain_text(remedy)

    zone[DKIM_KEY, "TXT"] = [dns_server.text(PUBLIC.replace("p=", "p=!"))]
    page.get_by_role("link", name="Doctor").click()
    run()
    finding(f"The key at {DKIM_KEY} cannot be read", f'{DKIM_KEY}. TXT "v=DKIM1; k=rsa; p=')
    zone[DKIM_KEY, "TXT"] = [dns_server.text(rsa_key(2048)[1])]
    run()
    expect(findings).to_have_count(0)
    page.get_by_text("Judge a mail as it was received").click()
    page.get_by_label("Or pasted").fill(arrived.decode())
    run()
    finding(f"The DKIM signature of {DOMAIN} is not valid", f"at s1._domainkey.{DOMAIN}")
    zone[DKIM_KEY, "TXT"] = [dns_server.text(PUBLIC)]
    saved = tmp_path / "mail.eml"
    saved.write_bytes(arrived)
    page.get_by_text("Judge a mail as it was received").click()
    page.get_by_label("The source as a file").set_input_files(saved)
    run()
    expect(page.get_by_text("The received mail was judged, too.")).to_be_visible()
    expect(findings).to_have_count(0)


def test_the_pages_are_accessible_at_each_width(
    page: Page, live_server: LiveServer, site: Edition
) -> None:
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    reader = Delivery.objects.values_list("subscriber", flat=True).order_by("pk")[0]
    # The last page is the doctor's, with its findings.
    now = timezone.now()
    draft = Announcement.objects.create(subject="A new home", title="We move", body="*Hi*")
    file = Import.objects.create(
        name="readers.csv",
        content=b"email,topics\nnew@example.org,graphs\n",
        columns={"email": "email", "topics": "topics"},
        created_at=now,
        changed_at=now,
    )
    one_each = {"edition": site.pk, "reader": reader}
    one_each |= {"announcement": draft.pk, "import": file.pk}
    one_each["suppression"] = Suppression.objects.get().pk
    paths = [reverse(f"console_{name}", args=[pk]) for name, pk in one_each.items()]
    why = reverse("console_why", args=[site.pk, reader])
    paths += [why, f"{why}?paper={site.blocks.get().paper.arxiv_id}", f"{why}?paper=x"]
    names = "today charts editions readers suppressions relays unknown notices imports"
    names += " announcements announcement_new reports settings audit account doctor"
    paths += [reverse(f"console_{name}") for name in names.split()]

    def look(path: str) -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(SMALL) == [], path
        assert errors == [], path
        assert findings(page, RULES[scheme]) == "", path
        errors.clear()  # axe itself is no part of the page

    for scheme, width in LOOKS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        for path in paths:
            page.goto(live_server.url + path)
            if path == paths[-1]:
                page.get_by_role("button", name="Run the checks").click()
                page.get_by_role("heading", name="to mend").wait_for()
            look(path)
    TOTPDevice.objects.update(confirmed=False)
    page.goto(live_server.url + reverse("console_account"))
    page.get_by_role("img", name="QR code").wait_for()
    look("enrolment")
    scheme, width = LOOKS[0]
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    look("enrolment")
    page.get_by_label("The six digits").fill(f"{totp(bytes.fromhex(KEY), drift=1):06}")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Your recovery codes").wait_for()
    look("recovery codes")
    page.goto(live_server.url + reverse("console_account"))
    page.get_by_role("button", name="Log out").click()
    page.goto(live_server.url + reverse("console_today"))
    look("login")
    enter_password(page)
    look("second step")
