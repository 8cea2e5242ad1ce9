"""Readers imported in the browser: who may, which column is which, the trial, the steps."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from digest import front_end
from digest.models import Act
from subscribers import import_jobs
from subscribers.addresses import address_hash, canonical
from subscribers.models import Import, Subscriber, Suppression

pytestmark = pytest.mark.django_db
CSV = "email,state\nann@example.org,active\nbob@example.org,unsubscribed\n"
EVERY = reverse("console_imports")


@pytest.fixture(autouse=True)
def no_broker(monkeypatch) -> None:
    monkeypatch.setattr("digest.ops.console.imports.wake_imports", lambda: None)


def upload(client: Client, text: str = CSV, name: str = "readers.csv") -> Import:
    client.post(EVERY, {"file": SimpleUploadedFile(name, text.encode())})
    return Import.objects.latest("pk")


def page(one: Import) -> str:
    return reverse("console_import", args=[one.pk])


def start(typed: str) -> dict[str, str]:
    """The form to import what the page shows."""
    tried = Import.objects.get().changed_at.isoformat()
    return {"act": "import", "typed": typed, "tried": tried}


def work() -> None:
    import_jobs.work(seconds=60)


def log() -> list[tuple[str, str]]:
    return list(Act.objects.order_by("pk").values_list("what", "detail"))


def test_a_file_is_uploaded_tried_and_imported(admin_client) -> None:
    one = upload(admin_client)
    admin_client.post(page(one), {"act": "check", "legal_source": "asked at our desk"})
    work()
    tried = admin_client.get(page(one)).text
    assert "What would become of the rows" in tried and not Subscriber.objects.exists()
    for typed in ("", "3"):
        admin_client.post(page(one), start(typed))
    assert Import.objects.get().state == "checked"
    admin_client.post(page(one), start("2"))
    work()
    assert dict(Subscriber.objects.values_list("email", "state")) == {
        "ann@example.org": "active",
        "bob@example.org": "unsubscribed",
    }
    done = admin_client.get(page(one)).text
    assert "What became of the rows" in done and "Import 2 rows" not in done
    assert log() == [
        ("upload", f"Uploaded: {len(CSV)} bytes"),
        ("check", "Trial begun: nothing is stored by it"),
        ("import", "Import begun: 2 rows, legal source: asked at our desk"),
    ]
    admin_client.post(page(one), start("2"))
    assert len(log()) == 3  # once


def test_a_legal_source_is_one_plain_line(admin_client) -> None:
    one = upload(admin_client)
    source = " asked\0 at our\n desk\u202e "
    admin_client.post(page(one), {"act": "check", "legal_source": source})
    assert Import.objects.get().legal_source == "asked at our desk"


def test_what_somebody_tried_in_another_way_meanwhile_is_not_imported(admin_client) -> None:
    """A look at a trial that asks everybody starts none that makes everybody active."""
    one = upload(admin_client)
    admin_client.post(page(one), {"act": "check"})
    work()
    looked_at = start("2")
    admin_client.post(page(one), {"act": "check", "legal_source": "somebody else's"})
    work()
    told = admin_client.post(page(one), looked_at, follow=True).text
    assert "tried again meanwhile" in told
    assert Import.objects.get().state == "checked" and not Subscriber.objects.exists()


@pytest.mark.parametrize(
    ("text", "name", "chosen", "email"),
    [
        (CSV.partition("bob")[0], "a.csv", {}, "ann@example.org"),
        # The address is guessed from the first row, whatever its column is called.
        ("Adresse;Wer\nann@example.org;Ann\n", "a.csv", {}, "ann@example.org"),
        (
            "one,two\nann@example.org,eve@example.org\n",
            "a.csv",
            {"column-0": "", "column-1": "email"},
            "eve@example.org",
        ),
        ('{"adresse": "ann@example.org"}\n', "a.jsonl", {}, "ann@example.org"),
        (
            "Email Address,LEID,EUID,OPTIN_TIME\nann@example.org,1,2,2020-01-01 00:00:00\n",
            "subscribed.csv",
            {},
            "ann@example.org",
        ),
    ],
)
def test_columns_are_recognised_or_chosen(admin_client, text, name, chosen, email) -> None:
    one = upload(admin_client, text, name)
    shown = admin_client.get(page(one))
    assert "@example.org" in shown.text
    assert ("Recognised as an export of Mailchimp" in shown.text) == ("LEID" in text)
    admin_client.post(page(one), {"act": "check"} | chosen)
    work()
    one.refresh_from_db()
    assert one.tally == {"asked by mail to confirm": 1}
    admin_client.post(page(one), start("1"))
    work()
    assert [reader.email for reader in Subscriber.objects.all()] == [email]


@pytest.mark.parametrize(
    ("text", "next_step"),
    [
        ("email\n", "no row to import. Delete it, and upload another"),
        ("name,phone\nAnn,1\n", "choose email for one under “Imported as”"),
    ],
)
def test_a_file_that_brings_nobody_says_what_to_do_next(
    admin_client, text, next_step
) -> None:
    one = upload(admin_client, text)
    admin_client.post(page(one), {"act": "check"})
    work()
    assert next_step in admin_client.get(page(one)).text


def test_a_column_can_be_left_out(admin_client) -> None:
    one = upload(admin_client)
    admin_client.post(page(one), {"act": "check", "column-1": ""})
    work()
    one.refresh_from_db()
    assert one.tally == {"asked by mail to confirm": 2}  # nobody says that Bob has left


@pytest.mark.parametrize(
    ("text", "chosen", "words"),
    [
        (CSV, {"column-0": "password"}, "Choose each column from the list"),
        ("\n\n", {}, "no line that names the columns"),
        ('"email\n', {}, "never ends"),
    ],
)
def test_what_cannot_be_tried_says_why(admin_client, text, chosen, words) -> None:
    one = upload(admin_client, text)
    told = admin_client.post(page(one), {"act": "check"} | chosen, follow=True)
    assert words in told.text
    assert [what for what, _ in log()] == ["upload"]


def test_a_file_without_an_address_column_is_told_of_in_the_trial(admin_client) -> None:
    one = upload(admin_client, "name,town\nAnn,Ulm\n")
    admin_client.post(page(one), {"act": "check"})
    work()
    assert "it must name the columns" in admin_client.get(page(one)).text
    assert admin_client.post(page(one), start("0")).status_code == 302
    assert not Import.objects.filter(state="importing").exists()


def test_a_large_or_empty_file_is_refused(admin_client, monkeypatch) -> None:
    monkeypatch.setattr(import_jobs, "MOST_BYTES", 300)
    for text in ("", "x" * 400):
        file = {"file": SimpleUploadedFile("a.csv", text.encode())}
        assert admin_client.post(EVERY, file, follow=True).status_code == 200
    assert not Import.objects.exists() and log() == []


def test_the_body_is_not_read_before_it_is_known_who_asks(admin_user, monkeypatch) -> None:
    """Reading for a form's token would take a stranger's 32 MB."""
    read: list[str] = []
    monkeypatch.setattr(
        "django.http.HttpRequest._load_post_and_files", lambda self: read.append("read")
    )
    client = Client(enforce_csrf_checks=True)
    file = {"file": SimpleUploadedFile("a.csv", CSV.encode())}
    assert client.post(EVERY, file)["Location"].startswith(reverse("admin:login"))
    assert read == []


def test_an_upload_without_the_forms_token_is_refused(admin_user) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    file = {"file": SimpleUploadedFile("a.csv", CSV.encode())}
    assert client.post(EVERY, file).status_code == 403
    assert not Import.objects.exists()


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/admin/imports/", True),
        ("/admin/imports/1/", False),
        ("/admin/imports", False),
        ("/admin/today/", False),
        ("/imports/", False),
        ("/webhooks/ses/tracking/", True),
    ],
)
def test_only_the_page_of_uploads_takes_large_bodies(path, own) -> None:
    assert front_end.has_own_limit(path) is own


CLEANED = (
    "Email Address,LEID,EUID,CLEAN_TIME\n"
    "gone@example.org,1,2,2026-03-01 00:00:00\n"
    "lost@example.org,3,4,2026-03-02 00:00:00\n"
)


def test_a_bounced_address_that_was_imported_has_a_page_that_lifts_it(admin_client) -> None:
    """It has no reader: the operator types the address, of which the hash alone is known."""
    one = upload(admin_client, CLEANED, "cleaned of ann@example.org.csv")
    admin_client.post(page(one), {"act": "check"})
    work()
    admin_client.post(page(one), start("2"))
    work()
    assert not Subscriber.objects.exists()
    bar = Suppression.objects.get(email_hash=address_hash(canonical("gone@example.org")))
    there = reverse("console_suppression", args=[bar.pk])
    for listing in ("console_readers", "console_suppressions"):
        told = admin_client.get(reverse(listing), {"q": "Gone@Example.org"}).text
        assert f'href="{there}"' in told
    shown = admin_client.get(there).text
    assert "Does not exist" in shown and "1 Mar 2026, 00:00 UTC" in shown
    assert f'href="{page(one)}"><bdi>import {one.pk}, cleaned of …</bdi>' in shown
    assert "gone@" not in shown and "ann@" not in shown
    admin_client.post(there, {"act": "lift", "why": " "})
    bar.refresh_from_db()
    assert bar.reason == "bounced"
    admin_client.post(there, {"act": "lift", "why": "works again, called us"})
    lifted = admin_client.get(there).text
    bar.refresh_from_db()
    # It may subscribe again, and no import and no operator makes it a reader.
    assert bar.reason == "left" and "may subscribe again" in lifted
    said = "Suppression lifted; mail goes there once its holder has confirmed: works again"
    assert f"admin: {said}" in lifted and "A bar was lifted by an operator" in lifted
    assert log()[-1][0] == "lift" and log()[-1][1].startswith(said)
    admin_client.post(there, {"act": "lift", "why": "again"})
    assert len(log()) == 4
