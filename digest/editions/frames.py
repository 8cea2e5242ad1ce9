"""What stands around the papers of a mail, in each language, with its places left open.

Also all else of a mail that is neither block nor reader: sender, site, topic labels. It
is kept (Frame) as it was when it was first used, so that a mail can be made again to the
byte after templates and settings have changed; the next process makes mails of the new.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from urllib.parse import urlsplit

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import pgettext

from digest.editions import text_layout
from digest.editions.blocks import inliner
from digest.editions.phrases import MARKS, languages
from digest.models import Edition, Frame


@dataclass(frozen=True, slots=True)
class Spoken:
    """The frame in one language; the marks are still in."""

    html: str
    text: str


@dataclass(frozen=True, slots=True)
class FrameContent:
    """All of an edition's mails that is neither in a block nor a reader's own."""

    sender: str  # as settings.FROM_EMAIL
    site: str  # as settings.SITE_URL
    topics: Sequence[tuple[str, str]]  # (slug, label) in the ranking's columns
    spoken: Mapping[str, Spoken]  # by language
    # Between the parts of each mail; "" in frames of a time when it was not random.
    boundary: str = ""

    @property
    def fingerprint(self) -> str:
        """Of all but the boundary, which is the choice of the first process to keep it."""
        same = replace(self, boundary="random") if self.boundary else self
        return hashlib.blake2b(same.as_json().encode(), digest_size=6).hexdigest()

    def as_json(self) -> str:
        values = asdict(self)
        if not self.boundary:
            del values["boundary"]
        return json.dumps(values, sort_keys=True)


def frame_content(edition: Edition, *, topics: Sequence[tuple[str, str]]) -> FrameContent:
    """As the templates and settings are now."""
    return FrameContent(
        sender=settings.FROM_EMAIL,
        site=settings.SITE_URL,
        topics=[(slug, label) for slug, label in topics],
        spoken={language: rendered(edition, language) for language in languages()},
        boundary=random_boundary(),
    )


def random_boundary() -> str:
    """Return a boundary that no paper can know, as it is chosen after they are frozen.

    Quoted-printable text never holds "=_" (RFC 2045 section 6.7).
    """
    return f"=_{secrets.token_hex(16)}"


def keep(edition: Edition, used: FrameContent) -> FrameContent:
    """Store it, if that was not done yet, and return what is stored: with one boundary.

    Safe to run twice and at once.
    """
    row = Frame(edition=edition, fingerprint=used.fingerprint, data=used.as_json())
    Frame.objects.bulk_create([row], ignore_conflicts=True)
    return kept(edition, used.fingerprint)


def kept(edition: Edition, fingerprint: str) -> FrameContent:
    """Raises Frame.DoesNotExist."""
    data = json.loads(Frame.objects.get(edition=edition, fingerprint=fingerprint).data)
    spoken = {code: Spoken(**texts) for code, texts in data["spoken"].items()}
    topics = [(slug, label) for slug, label in data["topics"]]
    boundary = data.get("boundary", "")
    return FrameContent(data["sender"], data["site"], topics, spoken, boundary)


def rendered(edition: Edition, language: str) -> Spoken:
    with translation.override(language):
        text = render_to_string("mail/digest.txt", context(edition), using="text")
    lines = [fits(line) for line in text.split("\n")]
    # A part must not end in a soft line break (RFC 2045 section 6.7), so with a hard one.
    html = page_frame(edition, language, web=False) + "\n"
    return Spoken(html=html, text="\n".join(lines))


def fits(line: str) -> str:
    """A long line as several. The line of a signature ends with a space: it is let be."""
    return text_layout.fill(line) if text_layout.width(line) > text_layout.LINE else line


def page_frame(edition: Edition, language: str, *, web: bool) -> str:
    """The HTML frame; for the web without anything that is one reader's own."""
    with translation.override(language):
        html = render_to_string("mail/digest.html", context(edition) | {"web": web})
    return inliner().inline(html)


def context(edition: Edition) -> dict[str, object]:
    weekly = edition.kind == Edition.Kind.WEEKLY
    site = settings.SITE_URL
    return {
        "weekly": weekly,
        # Translators: Django's date format, in a mail's headline
        "date": date_format(edition.day, pgettext("date format", "j F Y")),
        "mark": MARKS,
        "site": site,
        "day_url": f"{site}/editions/weekly/{edition.day}/"
        if weekly
        else f"{site}/papers/{edition.day}/",
        "host": urlsplit(site).netloc,
        "postal_address": settings.POSTAL_ADDRESS,
    }
