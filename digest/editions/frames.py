"""Frames: the parts of a mail around its papers, in each language, with open places.

A frame also holds the other values of a mail that are neither a block nor specific to the
reader: sender, site, topic labels. It is stored (Frame) as first used, so that a mail can
be rebuilt to the byte after templates and settings have changed; the next process uses
the new ones.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from urllib.parse import urlsplit

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from digest.editions import phrases, text_layout
from digest.editions.blocks import inliner
from digest.editions.phrases import MARKS, languages
from digest.models import Edition, Frame

# Fields that older frames were stored without.
LATER = ("boundary", "expires", "inbox", "subject")


@dataclass(frozen=True, slots=True)
class LocalizedFrame:
    """The frame in one language, with its marks."""

    html: str
    text: str
    date: str = ""  # in the subject; "" in frames stored before it was there


@dataclass(frozen=True, slots=True)
class FrameContent:
    """Everything in an edition's mails that is neither a block nor specific to a reader."""

    sender: str  # as settings.FROM_EMAIL
    site: str  # as settings.SITE_URL
    topics: Sequence[tuple[str, str]]  # (slug, label) in the ranking's columns
    spoken: Mapping[str, LocalizedFrame]  # by language
    # Between the parts of each mail; "" in frames stored before it was random.
    boundary: str = ""
    expires: bool = False  # whether mails say when they expire; older ones do not
    inbox: bool = False  # as settings.BOUNCES_PIPED
    subject: str = ""  # of an announcement; an edition of papers has it from its papers

    @property
    def fingerprint(self) -> str:
        """Hash everything but the boundary, which the first process to store it chooses."""
        same = replace(self, boundary="random") if self.boundary else self
        return hashlib.blake2b(same.as_json().encode(), digest_size=6).hexdigest()

    def as_json(self) -> str:
        values = asdict(self)
        for name in LATER:  # as they were stored without
            if not values[name]:
                del values[name]
        for texts in values["spoken"].values():
            if not texts["date"]:
                del texts["date"]
        return json.dumps(values, sort_keys=True)


def frame_content(edition: Edition, *, topics: Sequence[tuple[str, str]]) -> FrameContent:
    """Return the frame as templates and settings are now."""
    return FrameContent(
        sender=settings.FROM_EMAIL,
        site=settings.SITE_URL,
        topics=[(slug, label) for slug, label in topics],
        spoken={language: render(edition, language) for language in languages()},
        boundary=random_boundary(),
        expires=True,
        inbox=settings.BOUNCES_PIPED,
        subject=edition.announcement.subject if is_announcement(edition) else "",
    )


def is_announcement(edition: Edition) -> bool:
    return edition.kind == Edition.Kind.ANNOUNCEMENT


def template(edition: Edition) -> str:
    """Return the name of the mail's templates, without their ending."""
    return "mail/announcement" if is_announcement(edition) else "mail/digest"


def random_boundary() -> str:
    """Return a boundary that no paper can contain, as it is chosen after they are frozen.

    Quoted-printable text never holds "=_" (RFC 2045 section 6.7).
    """
    return f"=_{secrets.token_hex(16)}"


def store_frame(edition: Edition, used: FrameContent) -> FrameContent:
    """Store the frame unless it is stored already; return the stored one and its boundary.

    Safe to run twice and at once.
    """
    row = Frame(edition=edition, fingerprint=used.fingerprint, data=used.as_json())
    Frame.objects.bulk_create([row], ignore_conflicts=True)
    return load_frame(edition, used.fingerprint)


def load_frame(edition: Edition, fingerprint: str) -> FrameContent:
    """Return a stored frame. Raises Frame.DoesNotExist."""
    data = json.loads(Frame.objects.get(edition=edition, fingerprint=fingerprint).data)
    spoken = {code: LocalizedFrame(**texts) for code, texts in data["spoken"].items()}
    topics = [(slug, label) for slug, label in data["topics"]]
    rest = {key: data[key] for key in LATER if key in data}
    return FrameContent(data["sender"], data["site"], topics, spoken, **rest)


def render(edition: Edition, language: str) -> LocalizedFrame:
    with translation.override(language):
        text = render_to_string(f"{template(edition)}.txt", context(edition), using="text")
        _, date = phrases.dates(*days(edition))
    lines = [wrap(line) for line in text.split("\n")]
    # A part must not end in a soft line break (RFC 2045 section 6.7), so with a hard one.
    html = page_frame(edition, language, web=False) + "\n"
    return LocalizedFrame(html=html, text="\n".join(lines), date=date)


def wrap(line: str) -> str:
    """Wrap a long line; keep a signature separator, which ends with a space."""
    return text_layout.fill(line) if text_layout.width(line) > text_layout.LINE else line


def page_frame(edition: Edition, language: str, *, web: bool, preferences: str = "") -> str:
    """Return the HTML frame; for the web without reader-specific parts.

    `preferences` is the address of a known reader's; others are offered to subscribe.
    """
    given = {"web": web, "preferences": preferences}
    with translation.override(language):
        html = render_to_string(f"{template(edition)}.html", context(edition) | given)
    return inliner().inline(html)


def days(edition: Edition) -> tuple[date, date]:
    """Return the first and the last day of the edition."""
    return edition.first_day, edition.day


def public_pages(language: str) -> str:
    """Return what the addresses of public pages in that language begin with."""
    site = settings.SITE_URL
    return site if language == settings.LANGUAGE_CODE else f"{site}/{language}"


def context(edition: Edition) -> dict[str, object]:
    of_one_day = edition.kind == Edition.Kind.DAILY
    site = settings.SITE_URL
    pages = public_pages(translation.get_language())
    found: dict[str, object] = {
        "kind": edition.kind,
        "has_few": edition.has_few,
        "date": phrases.dates(*days(edition))[0],
        "mark": MARKS,
        "site": site,
        "pages": pages,  # the public ones, in this language
        "day_url": f"{pages}/papers/{edition.day}/"
        if of_one_day
        else f"{pages}/editions/{edition.kind}/{edition.day}/",
        "host": urlsplit(site).netloc,
        "postal_address": settings.POSTAL_ADDRESS,
        "footer": settings.FOOTER_TEXT.translate(phrases.WITHOUT_MARKS),
    }
    if not is_announcement(edition):
        return found
    # Here, as Markdown's parser takes a megabyte or two of each worker.
    from digest.editions.announcement import in_mail

    return found | in_mail(edition.announcement)
