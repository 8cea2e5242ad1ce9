"""Judge a digest as it was received: what the relay, the provider and the way made of it.

Only a received mail shows whether the signature covers the unsubscribe headers (RFC 8058
section 4) and what a receiver thought of it (RFC 8601).
"""

import email
import email.policy
import re
from collections.abc import Iterator, Mapping
from email.message import EmailMessage

import dkim
from checkdmarc.utils import get_base_domain
from django.conf import settings
from dkim.util import parse_tag_value

from digest.editions.compose import MOST_HTML
from digest.ops.doctor import spf
from digest.ops.doctor.findings import Finding, error, info, one_line, warning
from digest.ops.doctor.network import Network, Sender
from digest.ops.doctor.sender_records import DKIM_WHY, DMARC_WHY, dkim_key

ONE_CLICK = "List-Unsubscribe=One-Click"
UNSUBSCRIBE = (b"list-unsubscribe", b"list-unsubscribe-post")
BASIC = (b"from", b"to", b"subject", b"date", b"message-id")
RESULT = re.compile(r"\b(spf|dkim|dmarc)\s*=\s*([a-z]+)", re.IGNORECASE)
# A receiver may leave further ones unread (RFC 6376 section 6.1), and each costs a look-up.
MOST_SIGNATURES = 10
COMMENT = re.compile(r"\([^()]{0,500}\)")
BY_TLS = re.compile(r"\bwith (?:UTF8)?(?:ESMTPS|LMTPS)|\bTLS|version=TLS", re.IGNORECASE)
PIXEL = re.compile(r"<img\b[^>]{0,500}", re.IGNORECASE)
CLIPPED = (
    102 * 1024
)  # Gmail shows no more HTML, and the foot with the way out is at its end


class Signature:
    """One DKIM-Signature field of a mail, and whether it is valid."""

    def __init__(self, raw: bytes, place: int, network: Network) -> None:
        self.tags: Mapping[bytes, bytes] = {}
        self.failure = ""
        judge = dkim.DKIM(raw, minkey=0, timeout=5)

        def look_up(name: bytes | str, timeout: int = 5) -> bytes:
            text = name.decode() if isinstance(name, bytes) else name
            return "".join(network.records(text.rstrip("."), "TXT")[:1]).encode()

        try:
            if not judge.verify(place, dnsfunc=look_up):
                self.failure = "the signature or the body hash does not match"
        except dkim.DKIMException as failed:
            self.failure = one_line(failed)
        self.tags = judge.signature_fields

    def tag(self, name: str) -> str:
        return self.tags.get(name.encode(), b"").decode("ascii", "replace").strip()

    @property
    def headers(self) -> set[bytes]:
        return {name.strip().lower() for name in self.tags.get(b"h", b"").split(b":")}


def judge(raw: bytes, sender: Sender, network: Network) -> Iterator[Finding]:
    """Find what Gmail, Yahoo and Outlook would hold against this mail.

    Raises Unreachable when the signer's key cannot be looked up.
    """
    message = email.message_from_bytes(raw, policy=email.policy.default)
    domain = domain_of(f"{message.get('From', '')}")
    if not domain:
        what = "This is no mail: it has no From."
        remedy = "Save the whole source of the mail (Gmail: “Show original”, “Download”)."
        yield error(
            "received-unreadable", what, why="Nothing can be judged.", remedy=remedy
        )
        return
    if domain != sender.domain:
        what = f"The mail is from {domain}, and FROM_EMAIL is of {sender.domain}."
        why = "Then it is not ours, or the relay rewrites the sender."
        remedy = f"Let the relay keep From, or set FROM_EMAIL to an address of {domain}."
        yield warning("received-from", what, why=why, remedy=remedy)
    yield from signatures(raw, message, domain, network)
    yield from verdicts(message)
    yield from unsubscribe_headers(message)
    yield from the_way(message)
    yield from content(message)


def domain_of(field: str) -> str:
    return field.rpartition("@")[2].strip("<> ").rstrip(".").lower()


def aligned(domain: str, other: str, *, strict: bool = False) -> bool:
    """Return whether two domains count as one for DMARC (RFC 9989 section 4.5)."""
    if strict or domain == other:
        return domain == other
    return bool(get_base_domain(domain) == get_base_domain(other))


def is_strict(domain: str, tag: bytes, network: Network) -> bool:
    """Return whether the domain's DMARC record asks for strict alignment by this tag."""
    for record in network.records(f"_dmarc.{domain}", "TXT"):
        if record.startswith("v=DMARC1"):
            return bool(parse_tag_value(record.rstrip("; ").encode()).get(tag) == b"s")
    return False


# -- DKIM ----------------------------------------------------------------------------------


def signatures(
    raw: bytes, message: EmailMessage, domain: str, network: Network
) -> Iterator[Finding]:
    """Find a mail that no signature of its own domain vouches for."""
    count = min(len(message.get_all("DKIM-Signature", [])), MOST_SIGNATURES)
    all_of_them = [Signature(raw, place, network) for place in range(count)]
    # dkimpy needs another package for Ed25519, and no large receiver verifies it.
    judged = [one for one in all_of_them if not one.tag("a").startswith("ed25519")]
    remedy = (
        "Let the relay or provider sign with a key of this domain: see its manual on DKIM."
    )
    if not judged:
        what = "The mail has no DKIM signature with RSA."
        yield error("dkim-unsigned", what, why=DKIM_WHY, remedy=remedy)
        return
    valid = [one for one in judged if not one.failure]
    if not valid:
        what = (
            f"The DKIM signature of {judged[0].tag('d')} is not valid: {judged[0].failure}."
        )
        remedy = (
            f"Publish the key that the relay signs with at {judged[0].tag('s')}._domainkey."
            f"{judged[0].tag('d')}, and let nothing change the mail after it is signed."
        )
        yield error("dkim-invalid", what, why=DKIM_WHY, remedy=remedy)
        return
    strict = is_strict(domain, b"adkim", network)
    ours = [one for one in valid if aligned(one.tag("d").lower(), domain, strict=strict)]
    if not ours:
        what = f"The mail is signed by {valid[0].tag('d')}, and its From is of {domain}."
        why = "Signatures of other domains do not count for DMARC (RFC 9989)."
        yield error("dkim-unaligned", what, why=why, remedy=remedy)
        return
    yield from coverage(ours[0])
    yield from dkim_key(ours[0].tag("s"), ours[0].tag("d"), network)


def coverage(signature: Signature) -> Iterator[Finding]:
    """Find a signature that leaves out what it has to cover, or is made weakly."""
    signed = signature.tag("h")
    wanted = [name for name in UNSUBSCRIBE if name not in signature.headers]
    basic = [name for name in BASIC if name not in signature.headers]
    names = ":".join(name.decode().title() for name in (*BASIC, *UNSUBSCRIBE))
    remedy = (
        f"OpenDKIM: SignHeaders {names.replace(':', ',')}; rspamd: sign_headers = {names}"
    )
    if wanted:
        missing = b", ".join(wanted).decode()
        what = f"The signature does not cover {missing} (h={signed})."
        why = "Then Gmail and Yahoo show no one-click unsubscribe (RFC 8058 section 4)."
        yield error("dkim-unsubscribe", what, why=why, remedy=remedy)
    if basic:
        what = f"The signature does not cover {b', '.join(basic).decode()} (h={signed})."
        why = "Others can resend the mail with that changed, in your name."
        yield warning("dkim-headers", what, why=why, remedy=remedy)
    if signature.tag("a") == "rsa-sha1":
        what = "The signature is made with SHA-1."
        why = "Receivers count it as none (RFC 8301)."
        yield error("dkim-sha1", what, why=why, remedy="Sign with rsa-sha256.")
    if signature.tag("l"):
        what = (
            f"The signature covers the first {signature.tag('l')} bytes of the body only."
        )
        why = "Others can append to the mail in your name; Gmail distrusts it."
        yield warning("dkim-length", what, why=why, remedy="Sign without l=.")


# -- what the receiver says ----------------------------------------------------------------


def verdicts(message: EmailMessage) -> Iterator[Finding]:
    """Find what the receiver's own server, in its uppermost field, did not let pass."""
    fields = message.get_all("Authentication-Results", [])
    if not fields:
        what = "The mail has no Authentication-Results field."
        remedy = "Send the test to a mailbox at Gmail, Outlook or Yahoo, and judge that."
        why = "So only our own look at the signature is judged."
        yield info("received-verdicts", what, why=why, remedy=remedy)
        return
    results: dict[str, set[str]] = {}
    for kind, word in RESULT.findall(COMMENT.sub("", f"{fields[0]}")):
        results.setdefault(kind.lower(), set()).add(word.lower())
    table = {
        "spf": (spf.WHY, "See the SPF findings; the server's address has to be in it."),
        "dkim": (DKIM_WHY, "See the DKIM findings on this mail."),
        "dmarc": (DMARC_WHY, "Let SPF or DKIM pass for the very domain of FROM_EMAIL."),
    }
    for kind, (why, remedy) in table.items():
        said = results.get(kind, set())
        if said and "pass" not in said:
            what = f"The receiver says {kind}={'/'.join(sorted(said))}."
            yield error(f"received-{kind}", what, why=why, remedy=remedy)


def unsubscribe_headers(message: EmailMessage) -> Iterator[Finding]:
    """Find a mail without our one-click headers, or with somebody else's."""
    links = message.get_all("List-Unsubscribe", [])
    post = [one_line(value) for value in message.get_all("List-Unsubscribe-Post", [])]
    link = one_line(links[0]) if links else ""
    remedy = "Switch off the provider's own unsubscribe headers and links."
    if len(links) != 1 or "https://" not in link or post != [ONE_CLICK]:
        what = "The mail has not exactly one https List-Unsubscribe with its -Post."
        why = "Gmail and Yahoo require one-click unsubscription of bulk senders (RFC 8058)."
        yield error("one-click-headers", what, why=why, remedy=remedy)
    elif settings.SITE_URL not in link:
        what = f"List-Unsubscribe leads to {link[:80]}, not to {settings.SITE_URL}."
        why = "Who unsubscribes there stays subscribed here, until the provider reports it."
        yield warning("unsubscribe-elsewhere", what, why=why, remedy=remedy)


def the_way(message: EmailMessage) -> Iterator[Finding]:
    """Find a mail that came to the receiver in clear text."""
    fields = [one_line(value) for value in message.get_all("Received", [])]
    last = next((one for one in fields if one.startswith("from ")), "")
    if last and not BY_TLS.search(last):
        what = f"The receiver got the mail without TLS: {last[:120]}"
        why = "Gmail requires TLS of bulk senders."
        remedy = "Postfix: smtp_tls_security_level = may, on the server that delivers."
        yield error("received-clear", what, why=why, remedy=remedy)


def content(message: EmailMessage) -> Iterator[Finding]:
    """Find a body that a provider has changed, or that is too large."""
    part = message.get_body(("html",))
    html = part.get_payload(decode=True) if part else b""
    if not isinstance(html, bytes) or not html:
        what = "The mail has no HTML part."
        remedy = "Let the relay pass mails on unchanged."
        yield warning("received-parts", what, why="It was changed.", remedy=remedy)
        return
    if len(html) > CLIPPED:
        what = f"The HTML has {len(html)} bytes."
        why = f"Gmail clips it after {CLIPPED}; we send {MOST_HTML} at most, so it grew."
        remedy = "Switch off the provider's tracking, which rewrites links."
        yield warning("received-large", what, why=why, remedy=remedy)
    text = html.decode("utf-8", "replace")
    tracked = [f"{settings.SITE_URL}/u/" not in text, PIXEL.search(text) is not None]
    if any(tracked):
        did = "rewrites the links" if tracked[0] else "adds a picture to count openings"
        what = f"The provider {did} of the mail."
        why = (
            "We track nobody and say so; pixels need consent of their own (CNIL 2026-042)."
        )
        remedy = "Switch off open and click tracking at the provider."
        yield warning("received-tracking", what, why=why, remedy=remedy)
