"""SPF (RFC 7208): the record that says which servers may send in a domain's name."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from checkdmarc import spf as spf_records
from dns.exception import DNSException
from dns.resolver import NXDOMAIN, NoAnswer

from digest.endpoints import ProviderApi
from digest.ops.doctor.findings import Finding, error, one_line, warning
from digest.ops.doctor.network import Network, Sender, Unreachable

WHY = "Receivers reject or distrust mail from servers that SPF does not name."
# The record that a provider's customers include in theirs, as its manual says.
INCLUDES = {
    "amazon_ses": "amazonses.com",
    "brevo": "spf.brevo.com",
    "mailersend": "_spf.mailersend.net",
    "mailgun": "mailgun.org",
    "mailjet": "spf.mailjet.com",
    "mandrill": "spf.mandrillapp.com",
    "postmark": "spf.mtasv.net",
    "sendgrid": "sendgrid.net",
    "sparkpost": "sparkpostmail.com",
}


def record(sender: Sender, network: Network) -> Iterator[Finding]:
    """Find a missing, doubled, broken or powerless SPF record, and one without our relay."""
    outbound = sender.outbound(network)
    good = f'{sender.domain}. TXT "{suggested(sender, outbound)}"'
    # By a provider the envelope sender is often the provider's own: DKIM has to align then.
    finding = warning if isinstance(sender.relay, ProviderApi) else error
    try:
        found = spf_records.get_spf_record(sender.domain, resolver=network.resolver)
    except spf_records.SPFRecordNotFound as missing:
        cause = missing.error
        if isinstance(cause, DNSException) and not isinstance(cause, (NXDOMAIN, NoAnswer)):
            raise Unreachable(f"DNS does not answer for {sender.domain}") from None
        what = f"{sender.domain} has no SPF record."
        yield finding("spf-missing", what, why=WHY, remedy=good)
        return
    except spf_records.MultipleSPFRTXTRecords:
        what = f"{sender.domain} has more than one SPF record."
        why = "Then none of them counts (RFC 7208 section 4.5)."
        yield error("spf-several", what, why=why, remedy=f"Keep one: {good}")
        return
    except (spf_records.SPFTooManyDNSLookups, spf_records.SPFTooManyVoidDNSLookups) as many:
        what = f"The SPF record of {sender.domain} needs too many look-ups: {many}"
        why = "Receivers stop at 10 and treat SPF as broken (RFC 7208 section 4.6.4)."
        remedy = f"Replace includes that you do not use by addresses: {good}"
        yield error("spf-lookups", what, why=why, remedy=remedy)
        return
    except spf_records.SPFError as broken:
        what = f"The SPF record of {sender.domain} is broken: {one_line(broken)}"
        yield error("spf-broken", what, why=WHY, remedy=good)
        return
    parsed = found["parsed"]
    yield from ending(sender, parsed, good)
    yield from names_us(sender, parsed, outbound, f"{found['record']}")


def ending(sender: Sender, parsed: Mapping[str, Any], good: str) -> Iterator[Finding]:
    if parsed["redirect"] or parsed["all"] in {"fail", "softfail"}:
        return
    says = "lets every server send" if parsed["all"] == "pass" else "forbids no server"
    finding = error if parsed["all"] == "pass" else warning
    what = f"The SPF record of {sender.domain} {says} mail in its name."
    why = "Anybody's spam then counts as yours."
    yield finding("spf-open", what, why=why, remedy=f"End it with ~all or -all: {good}")


def names_us(
    sender: Sender, parsed: Mapping[str, Any], outbound: Sequence[str], record: str
) -> Iterator[Finding]:
    version, *terms = record.split()
    include = include_of(sender)
    if include and not includes(parsed, include):
        remedy = " ".join([version, f"include:{include}", *terms])
        what = f"The SPF record of {sender.domain} does not include {include}."
        remedy = f'{sender.domain}. TXT "{remedy}"'
        yield warning("spf-provider", what, why=WHY, remedy=remedy)
    missing = [address for address in outbound if not allows(parsed, address)]
    if missing:
        remedy = " ".join([version, *map(ip_term, missing), *terms])
        what = f"The SPF record of {sender.domain} does not allow {', '.join(missing)}."
        remedy = f'{sender.domain}. TXT "{remedy}"'
        if not sender.addresses:
            remedy += "; or name the addresses from which your mail leaves with --ip"
        yield error("spf-address", what, why=WHY, remedy=remedy)


def suggested(sender: Sender, outbound: Sequence[str]) -> str:
    if isinstance(sender.relay, ProviderApi):
        return f"v=spf1 include:{include_of(sender) or 'YOUR-PROVIDER'} ~all"
    terms = [ip_term(address) for address in outbound] or ["mx"]
    return " ".join(["v=spf1", *terms, "-all"])


def ip_term(address: str) -> str:
    return f"ip{ipaddress.ip_address(address).version}:{address}"


def includes(parsed: Mapping[str, Any], domain: str) -> bool:
    for part in nested(parsed):
        if domain in {part.get("value"), part.get("domain")}:
            return True
        if part.get("parsed") and includes(part["parsed"], domain):
            return True
    return False


def nested(parsed: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the terms of a record, its redirect among them."""
    return [*parsed["mechanisms"], *filter(None, [parsed["redirect"]])]


def allows(parsed: Mapping[str, Any], address: str) -> bool:
    """Return whether a term of the record, or of one it includes, passes this address."""
    return any(passes(part, address) for part in nested(parsed))


def passes(part: Mapping[str, Any], address: str) -> bool:
    if part.get("action", "pass") != "pass":
        return False
    if part.get("parsed"):
        return allows(part["parsed"], address)
    hosts = [host["addresses"] for host in part.get("hosts", ())]
    networks = [*part.get("addresses", ()), *(one for host in hosts for one in host)]
    if part["mechanism"] in {"ip4", "ip6"}:
        networks.append(part["value"])
    known = ipaddress.ip_address(address)
    return any(known in ipaddress.ip_network(one, strict=False) for one in networks)


def include_of(sender: Sender) -> str:
    """Return the SPF record of the sender's provider; empty for a mail server."""
    return INCLUDES.get(getattr(sender.relay, "name", ""), "")
