"""The message of one single mail: its template triplet in the reader's language.

send.py hands it over.
"""

import re
import secrets
import textwrap
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime, parseaddr
from functools import partial

import css_inline
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation

from subscribers import links
from subscribers.addresses import keyed_hash, masked
from subscribers.language import offered
from subscribers.models import Link, Notice, Subscriber
from subscribers.preferences import Preferences, day_and_hour, next_hour

PURPOSES = {
    Notice.Kind.CONFIRM: Link.Purpose.CONFIRM,
    Notice.Kind.REMINDER: Link.Purpose.CONFIRM,
    Notice.Kind.ADDRESS: Link.Purpose.ADDRESS,
    Notice.Kind.DATA: Link.Purpose.DATA,
    Notice.Kind.WELCOME: Link.Purpose.PREFERENCES,
    Notice.Kind.ALREADY: Link.Purpose.PREFERENCES,
    Notice.Kind.PREFERENCES: Link.Purpose.PREFERENCES,
}
# To the reader's own mailbox only: /u/ belongs in no mail that may reach a stranger.
WITH_WAY_OUT = {
    Notice.Kind.WELCOME,
    Notice.Kind.ALREADY,
    Notice.Kind.PREFERENCES,
    Notice.Kind.MOVED,
}


# With room for one character that is encoded, as no line starts with SMTP's dot, the two
# dashes of a delimiter or an mbox's From.
BODY_WIDTH = 74
GUARDED = re.compile(r"^(?:\.|-(?=-)|F(?=rom ))", re.MULTILINE)


class SevenBitMail(EmailMultiAlternatives):
    """Parts in quoted-printable, headers never folded.

    Python folds a long List-Unsubscribe or Message-ID into encoded words, which no
    mail program reads (RFC 8058 and RFC 5322 3.6.4 allow none).
    """

    def message(self, *, policy: Policy | None = None) -> EmailMessage:
        narrow = (policy or SMTP).clone(cte_type="7bit", max_line_length=BODY_WIDTH)
        built = super().message(policy=narrow)
        for part in built.iter_parts():
            part.set_content(
                part.get_content(),
                subtype=part.get_content_subtype(),
                cte="quoted-printable",
            )
            part.set_payload(GUARDED.sub(escaped, str(part.get_payload())))
        built.policy = built.policy.clone(max_line_length=998)
        # Short, as it is not folded; no quoted-printable text can hold it (RFC 2045 6.7).
        built.set_boundary(f"=_{secrets.token_hex(8)}")
        return built


def escaped(character: re.Match[str]) -> str:
    return f"={ord(character[0]):02X}"


@dataclass(frozen=True)
class Claim:
    """One notice that is ours to hand over, and what its templates need."""

    notice: Notice
    subscriber: Subscriber
    preferences: Preferences
    topics: list[str]
    token: str

    @property
    def kind(self) -> Notice.Kind:
        return Notice.Kind(self.notice.kind)

    @property
    def address(self) -> str:
        return self.notice.email or self.subscriber.email


def compose(claim: Claim, *, now: datetime) -> EmailMultiAlternatives:
    """Compose the mail of one notice in its reader's language.

    To confirm, it holds no word that a stranger chose.
    """
    name = f"mail/{claim.kind}"
    context = links_of(claim) | {
        "masked_email": masked(claim.address),
        "subscriber": claim.subscriber,
        "schedule": claim.preferences.schedule,
        "topics": claim.topics,
        "preferences": claim.preferences,
        "site_url": settings.SITE_URL,
        "postal_address": settings.POSTAL_ADDRESS,
    }
    with translation.override(offered(claim.preferences.language)):
        if claim.kind == Notice.Kind.WELCOME:
            context |= day_and_hour(next_hour(claim.preferences.schedule, now))
            context["welcome"] = settings.WELCOME_TEXT
        subject = render_to_string(f"{name}.subject.txt", context, using="text")
        text = render_to_string(f"{name}.txt", context, using="text")
        html = render_to_string(f"{name}.html", context, using="html")
    message = SevenBitMail(
        subject=" ".join(subject.split()),
        body=wrapped(text),
        from_email=settings.FROM_EMAIL,
        to=[claim.address],
        headers=headers(claim, now=now),
    )
    inliner = css_inline.CSSInliner(load_remote_stylesheets=False)
    message.attach_alternative(inliner.inline(html), "text/html")
    if claim.kind in WITH_WAY_OUT:
        message.extra_headers |= one_click(claim.subscriber)
    return message


def wrapped(text: str) -> str:
    """Lines of at most 72 characters; a link, being one word, is never broken."""
    fill = partial(textwrap.fill, width=72, break_long_words=False, break_on_hyphens=False)
    lines = text.split("\n")
    return "\n".join(fill(line) if len(line) > 72 else line for line in lines)


def links_of(claim: Claim) -> dict[str, object]:
    found: dict[str, object] = {}
    if purpose := PURPOSES.get(claim.kind):
        found[f"{purpose}_url"] = links.url(purpose, claim.token)
        if purpose in {Link.Purpose.CONFIRM, Link.Purpose.ADDRESS}:
            found["block_url"] = links.url("block", claim.token)
    if claim.kind == Notice.Kind.WELCOME:
        found["newest_url"] = links.url("newest", claim.token)
    if claim.kind in WITH_WAY_OUT:
        token = claim.subscriber.unsubscribe_token
        found["unsubscribe_url"] = links.unsubscribe_url(token)
    return found


def headers(claim: Claim, *, now: datetime) -> dict[str, str]:
    """Return the headers of every single mail: RFC 3834 for automatic mail, and its own name.

    The name holds no number: who got two mails could count what went to others in between,
    and so learn whether a form has made us write to an address.
    """
    digest = keyed_hash(f"notice {claim.notice.pk}")[:24]
    domain = parseaddr(settings.FROM_EMAIL)[1].rpartition("@")[2]
    return {
        "Message-ID": f"<notice-{digest}@{domain}>",
        "Date": format_datetime(now),
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }


def one_click(subscriber: Subscriber) -> dict[str, str]:
    """Return the headers of one-click unsubscribe (RFC 8058)."""
    url = links.unsubscribe_url(subscriber.unsubscribe_token)
    return {
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
