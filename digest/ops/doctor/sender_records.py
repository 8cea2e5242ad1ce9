"""The records that, with SPF, receivers ask for before they trust a mail: DKIM, DMARC, PTR.

Gmail, Yahoo and Outlook refuse bulk mail without SPF, DKIM and DMARC (Gmail 5.7.26, Outlook
550 5.7.515), and Gmail mail from addresses without PTR
(https://support.google.com/mail/answer/81126).
"""

import base64
import binascii
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

import checkdmarc.utils
from checkdmarc import dmarc as dmarc_records
from dkim.crypto import UnparsableKeyError, parse_public_key
from dkim.util import InvalidTagValueList, parse_tag_value

from digest.endpoints import SmtpServer
from digest.ops.doctor.findings import Finding, error, info, one_line, warning
from digest.ops.doctor.network import Network, Sender

# Where relays and providers usually publish their key; asked when no selector is given.
USUAL_SELECTORS = (
    *("default", "dkim", "mail", "smtp", "email", "mx", "key1", "s1", "s2", "k1", "k2"),
    *("selector1", "selector2", "pm", "google", "resend", "brevo1", "scph0000"),
)
RSA_LEAST, RSA_GOOD = 1024, 2048  # bits; RFC 8301
OBSOLETE = ("pct", "rf", "ri")  # removed by RFC 9989


# -- DKIM (RFC 6376, RFC 8301) -------------------------------------------------------------

DKIM_WHY = "Without a valid DKIM signature Gmail, Yahoo and Outlook refuse bulk mail."


def dkim_keys(sender: Sender, network: Network) -> Iterator[Finding]:
    """Check the key of each given selector; without one, look under the usual selectors."""
    for selector in sender.selectors:
        yield from dkim_key(selector, sender.domain, network)
    if sender.selectors:
        return
    found = [
        selector
        for selector in USUAL_SELECTORS
        if network.records(f"{selector}._domainkey.{sender.domain}", "TXT")
    ]
    for selector in found:
        yield from dkim_key(selector, sender.domain, network)
    if not found:
        what = f"No DKIM key of {sender.domain} is under one of the usual selectors."
        remedy = (
            "Publish the record that your mail server or provider shows, then give its "
            "selector to doctor (--dkim-selector NAME; a field on its page) or a mail "
            "as received (--received FILE)"
        )
        yield warning("dkim-unknown", what, why=DKIM_WHY, remedy=remedy)


def dkim_key(selector: str, domain: str, network: Network) -> Iterator[Finding]:
    """Find a missing, doubled, revoked, broken, weak or test-only key."""
    name = f"{selector}._domainkey.{domain}"
    records = network.records(name, "TXT")
    renew = f'{name}. TXT "v=DKIM1; k=rsa; p=…", with the key that your relay signs with'
    if not records:
        yield error(
            "dkim-missing", f"{name} has no TXT record.", why=DKIM_WHY, remedy=renew
        )
        return
    if len(records) > 1:
        what = f"{name} has {len(records)} TXT records."
        why = "Which of them a receiver takes is chance (RFC 6376 section 3.6.2.2)."
        yield error("dkim-several", what, why=why, remedy=f"Keep one: {renew}")
        return
    try:
        tags = parse_tag_value(records[0].encode())
        bits = key_bits(tags)
    except (InvalidTagValueList, ValueError, UnparsableKeyError, IndexError, KeyError):
        what = f"The key at {name} cannot be read."
        yield error("dkim-broken", what, why=DKIM_WHY, remedy=renew)
        return
    if bits == 0:
        what = f"The key at {name} is revoked (p= is empty)."
        yield error("dkim-revoked", what, why=DKIM_WHY, remedy=renew)
        return
    yield from key_strength(name, tags, bits)
    if b"y" in tags.get(b"t", b"").split(b":"):
        what = f"The key at {name} is marked as a test (t=y)."
        why = "Receivers may treat its mail as if it were not signed."
        remedy = f'Take out t=y: {name}. TXT "{without_tag(records[0], "t")}"'
        yield warning("dkim-test", what, why=why, remedy=remedy)
    if b"h" in tags and b"sha256" not in tags[b"h"].lower():
        what = f"The key at {name} does not allow SHA-256 (h={tags[b'h'].decode()})."
        why = "SHA-1 counts as no signature (RFC 8301)."
        remedy = f'Take out h=: {name}. TXT "{without_tag(records[0], "h")}"'
        yield error("dkim-hash", what, why=why, remedy=remedy)


def key_bits(tags: Mapping[bytes, bytes]) -> int:
    """Return the length of a key in bits; 0 for a revoked one. Raises ValueError and others."""
    if tags.get(b"v", b"DKIM1") != b"DKIM1":
        raise ValueError("not a DKIM record")
    try:
        key = base64.b64decode(b"".join(tags[b"p"].split()), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if not key:
        return 0
    if tags.get(b"k", b"rsa") == b"ed25519":
        if len(key) != 32:
            raise ValueError("not an Ed25519 key")
        return 256
    return int(parse_public_key(key)["modulus"]).bit_length()


def key_strength(name: str, tags: Mapping[bytes, bytes], bits: int) -> Iterator[Finding]:
    if tags.get(b"k", b"rsa") == b"ed25519":
        what = f"The key at {name} is Ed25519."
        why = "Gmail and Outlook verify RSA only: they need a second signature."
        remedy = "Sign with RSA-2048 as well, under a selector of its own."
        yield warning("dkim-ed25519", what, why=why, remedy=remedy)
    elif bits < RSA_GOOD:
        finding = error if bits < RSA_LEAST else warning
        what = f"The RSA key at {name} has {bits} bits."
        why = "Gmail ignores keys under 1024 bits, and 1024 can be broken: use 2048."
        remedy = (
            f'Make a key of 2048 bits and publish it: {name}. TXT "v=DKIM1; k=rsa; p=…"'
        )
        yield finding("dkim-short", what, why=why, remedy=remedy)


def without_tag(record: str, tag: str) -> str:
    kept = [part.strip() for part in record.split(";")]
    return "; ".join(part for part in kept if part and not part.startswith(f"{tag}="))


# -- DMARC (RFC 9989) ----------------------------------------------------------------------

DMARC_WHY = "Gmail, Yahoo and Outlook require DMARC of bulk senders (Outlook: 550 5.7.515)."


def dmarc(sender: Sender, network: Network) -> Iterator[Finding]:
    """Find a missing, doubled or broken DMARC record, and one that does or tells nothing."""
    good = (
        f'_dmarc.{sender.domain}. TXT "v=DMARC1; p=quarantine; '
        f'rua=mailto:dmarc@{sender.domain}"'
    )
    try:
        found = dmarc_records.get_dmarc_record(sender.domain, resolver=network.resolver)
    except dmarc_records.DMARCRecordNotFound:
        network.records(f"_dmarc.{sender.domain}", "TXT")  # raises Unreachable
        what = f"{sender.domain} has no DMARC record."
        yield error("dmarc-missing", what, why=DMARC_WHY, remedy=good)
        return
    except dmarc_records.MultipleDMARCRecords:
        what = f"_dmarc.{sender.domain} has more than one DMARC record."
        why = "Then none of them counts (RFC 9989 section 4.10)."
        yield error("dmarc-several", what, why=why, remedy=f"Keep one: {good}")
        return
    except dmarc_records.DMARCError as broken:
        what = f"The DMARC record of {sender.domain} is broken: {one_line(broken)}"
        yield error("dmarc-broken", what, why=DMARC_WHY, remedy=good)
        return
    where, tags = f"_dmarc.{found['location']}", found["parsed"]["tags"]
    yield from dmarc_policy(sender, where, f"{found['record']}", tags)
    for words in found["parsed"]["warnings"]:
        if "does not indicate that it accepts" in words:
            what = f"Reports of {where} would not be sent: {one_line(words)}"
            why = "Another domain has to agree to get your reports (RFC 9990)."
            remedy = f'{sender.domain}._report._dmarc.THEIR-DOMAIN. TXT "v=DMARC1;"'
            yield warning("dmarc-reports-elsewhere", what, why=why, remedy=remedy)


def dmarc_policy(
    sender: Sender, where: str, record: str, tags: Mapping[str, Any]
) -> Iterator[Finding]:
    inherited = where != f"_dmarc.{sender.domain}"
    policy = tags["sp" if inherited else "p"]["value"]
    if policy == "none":
        what = f"The DMARC policy of {sender.domain} is none."
        why = "It meets the minimum, and forged mail in your name is still delivered."
        remedy = f'When the reports are clean: {where}. TXT "v=DMARC1; p=quarantine; rua=…"'
        yield info("dmarc-none", what, why=why, remedy=remedy)
    if "rua" not in tags:
        what = f"The DMARC record at {where} asks for no reports (rua)."
        why = "Only reports tell who sends in your name, and whether your own mail passes."
        remedy = f'{where}. TXT "{record.rstrip("; ")}; rua=mailto:dmarc@{sender.domain}"'
        yield warning("dmarc-reports", what, why=why, remedy=remedy)
    old = [tag for tag in OBSOLETE if f"{tag}=" in record.replace(" ", "")]
    if old:
        what = (
            f"The DMARC record at {where} has tags that RFC 9989 removed: {', '.join(old)}."
        )
        kept = record
        for tag in old:
            kept = without_tag(kept, tag)
        why = "Receivers ignore them, pct among them: the policy applies to all mail."
        yield info("dmarc-obsolete", what, why=why, remedy=f'{where}. TXT "{kept}"')
    if tags.get("t", {}).get("value") == "y":
        what = f"The DMARC record at {where} is in test mode (t=y)."
        why = "Receivers apply the next weaker policy."
        kept = without_tag(record, "t")
        yield warning("dmarc-test", what, why=why, remedy=f'{where}. TXT "{kept}"')


# -- the address from which mail leaves ----------------------------------------------------


def reverse_names(sender: Sender, network: Network) -> Iterator[Finding]:
    """Find outbound addresses without a PTR record that leads back to them."""
    why = "Gmail refuses mail from such addresses (5.7.25), and others distrust it."
    for address in sender.outbound(network):
        if ipaddress.ip_address(address).is_loopback:
            continue
        names = network.names_of(address)
        remedy = f"Let the owner of {address} set its PTR record to {sender.ehlo}"
        if not names:
            what = f"{address} has no PTR record."
            yield error("ptr-missing", what, why=why, remedy=remedy)
        elif not any(address in network.addresses(name) for name in names):
            what = f"The PTR record of {address} is {names[0]}, which has other addresses."
            record = "AAAA" if ":" in address else "A"
            remedy = f"{names[0]}. {record} {address}"
            yield error("ptr-unconfirmed", what, why=why, remedy=remedy)
    if isinstance(sender.relay, SmtpServer) and not network.addresses(sender.ehlo):
        what = f"{sender.ehlo}, our name in EHLO, has no address."
        why = "Receivers compare it with the address that the mail comes from."
        remedy = "Set EHLO_NAME to the name in the PTR record of your mail server."
        yield warning("ehlo-unknown", what, why=why, remedy=remedy)


BLOCKLISTS = ("zen.spamhaus.org", "bl.spamcop.net", "b.barracudacentral.org")
DOMAIN_BLOCKLISTS = ("dbl.spamhaus.org",)
ASKED_WRONGLY = "127.255.255."  # Spamhaus does not answer public resolvers


def blocklists(sender: Sender, network: Network) -> Iterator[Finding]:
    """Find our addresses and our domain on the best known blocklists."""
    asked = [
        (address, f"{reversed_address(address)}.{zone}", zone)
        for address in sender.outbound(network)
        for zone in BLOCKLISTS
    ]
    asked += [
        (sender.domain, f"{sender.domain}.{zone}", zone) for zone in DOMAIN_BLOCKLISTS
    ]
    for listed, name, zone in asked:
        answers = network.records(name, "A")
        if any(answer.startswith(ASKED_WRONGLY) for answer in answers):
            what = f"{zone} does not answer this machine's name server."
            why = "It refuses public resolvers."
            remedy = "Run a resolver of your own and name it with --nameserver."
            yield info("blocklist-unasked", what, why=why, remedy=remedy)
        elif answers:
            what = f"{listed} is on the blocklist {zone} ({', '.join(answers)})."
            why = "Many receivers refuse all mail of what is listed there."
            remedy = f"Find the cause, then ask the list at https://{zone} to remove it."
            yield error("blocklist", what, why=why, remedy=remedy)


def reversed_address(address: str) -> str:
    """Return an address as blocklists are asked for it (RFC 5782)."""
    reverse = ipaddress.ip_address(address).reverse_pointer
    return reverse.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


def forget() -> None:
    """Forget what the library has been told by name servers, so that a fix is seen at once."""
    checkdmarc.utils.DNS_CACHE.clear()
