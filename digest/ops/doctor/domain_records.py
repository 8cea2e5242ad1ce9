"""The records with which mail comes back to us, and those that only polish: MX to BIMI."""

import ssl
from collections.abc import Iterator

from checkdmarc import mta_sts as sts_records

from digest.endpoints import SmtpServer
from digest.ops.doctor.findings import Finding, error, info, one_line, warning
from digest.ops.doctor.network import Network, Sender, Unreachable


def mx(sender: Sender, network: Network) -> Iterator[Finding]:
    """Find a From domain at which no bounce and no reply can arrive."""
    why = "Bounces come to that domain, and receivers refuse senders who take no mail."
    remedy = f"{sender.domain}. MX 10 mail.{sender.domain}."
    hosts = exchangers(sender, network)
    finding = error if isinstance(sender.relay, SmtpServer) else warning
    if not hosts:
        what = f"{sender.domain} has no MX record."
        yield finding("mx-missing", what, why=why, remedy=remedy)
        return
    if hosts == [""]:
        what = f'{sender.domain} says that it takes no mail (MX 0 ".").'
        yield finding("mx-null", what, why=why, remedy=remedy)
        return
    for host in hosts:
        if network.records(host, "CNAME"):
            what = f"{host}, a mail exchanger of {sender.domain}, is an alias (CNAME)."
            remedy = f"{sender.domain}. MX 10 with the name that {host} stands for"
            yield warning("mx-alias", what, why="RFC 2181 forbids it.", remedy=remedy)
        elif not network.addresses(host):
            what = f"{host}, a mail exchanger of {sender.domain}, has no address."
            yield finding("mx-unknown", what, why=why, remedy=f"{host}. A YOUR-ADDRESS")


def exchangers(sender: Sender, network: Network) -> list[str]:
    """Return the names in the MX records; "" for one that says: no mail (RFC 7505)."""
    records = sorted(network.records(sender.domain, "MX"))
    return [record.split()[1].rstrip(".").lower() for record in records]


STS_WHY = "With MTA-STS bounces and replies come to you over verified TLS only (RFC 8461)."


def mta_sts(sender: Sender, network: Network) -> Iterator[Finding]:
    """Find an MTA-STS policy that is announced and cannot be fetched or does not fit."""
    name = f"_mta-sts.{sender.domain}"
    records = [text for text in network.records(name, "TXT") if text.startswith("v=STSv1")]
    url = f"https://mta-sts.{sender.domain}/.well-known/mta-sts.txt"
    if not records:
        what = f"{sender.domain} has no MTA-STS policy."
        remedy = f'{name}. TXT "v=STSv1; id=1", and the policy at {url}'
        yield info("mta-sts-missing", what, why=STS_WHY, remedy=remedy)
        return
    hosts = [host for host in exchangers(sender, network) if host]
    good = "\n".join(
        ["version: STSv1", "mode: enforce", *(f"mx: {host}" for host in hosts)]
        + ["max_age: 604800"]
    )
    remedy = f"Serve at {url}:\n{good}"
    try:
        page = network.request("GET", url)
        if page.status != 200:
            raise Unreachable(f"{url} answers {page.status}")
        policy = sts_records.parse_mta_sts_policy(page.body.decode("ascii"))["policy"]
    except (Unreachable, ssl.SSLError, UnicodeDecodeError) as failed:
        what = f"The MTA-STS policy cannot be fetched: {one_line(failed)}"
        yield warning("mta-sts-unreachable", what, why=STS_WHY, remedy=remedy)
        return
    except sts_records.MTASTSPolicyError as broken:
        what = f"The MTA-STS policy at {url} is broken: {one_line(broken)}"
        yield warning("mta-sts-broken", what, why=STS_WHY, remedy=remedy)
        return
    patterns = list(policy["mx"])
    outside = [h for h in hosts if not sts_records.mx_in_mta_sts_patterns(h, patterns)]
    if outside and policy["mode"] != "none":
        what = f"The MTA-STS policy does not name the mail exchanger {outside[0]}."
        why = "Senders who keep to the policy cannot bring your bounces."
        yield warning("mta-sts-mx", what, why=why, remedy=remedy)


def tls_reports(sender: Sender, network: Network) -> Iterator[Finding]:
    """Tell where a domain asks for no TLS reports (RFC 8460), or wrongly."""
    name = f"_smtp._tls.{sender.domain}"
    good = f'{name}. TXT "v=TLSRPTv1; rua=mailto:tls@{sender.domain}"'
    records = [text for text in network.records(name, "TXT") if text.startswith("v=TLSRPT")]
    why = "These reports say when others cannot reach you over TLS (RFC 8460)."
    if not records:
        what = f"{sender.domain} asks for no TLS reports."
        yield info("tls-rpt-missing", what, why=why, remedy=good)
    elif len(records) > 1 or not any(
        f"rua={scheme}" in records[0].replace(" ", "") for scheme in ("mailto:", "https:")
    ):
        what = f"The TLS-RPT record at {name} cannot be used."
        yield warning("tls-rpt-broken", what, why=why, remedy=good)


def bimi(sender: Sender, network: Network) -> Iterator[Finding]:
    """Tell whether mailboxes could show a logo (BIMI); nothing depends on it."""
    name = f"default._bimi.{sender.domain}"
    good = f'{name}. TXT "v=BIMI1; l=https://{sender.domain}/logo.svg; a="'
    why = "Some mailboxes show a sender's logo, with DMARC at quarantine or reject."
    records = [text for text in network.records(name, "TXT") if text.startswith("v=BIMI1")]
    if not records:
        what = f"{sender.domain} has no BIMI record."
        yield info("bimi-missing", what, why=why, remedy=good)
    elif "l=https://" not in records[0].replace(" ", ""):
        what = f"The BIMI record at {name} names no logo over https."
        yield info("bimi-broken", what, why=why, remedy=good)
