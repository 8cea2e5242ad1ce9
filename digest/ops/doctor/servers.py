"""The servers that a digest needs: the relay that takes it, the site that its links open."""

import smtplib
import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings

from digest import front_end
from digest.endpoints import ProviderApi, SmtpServer
from digest.ops.doctor.findings import Finding, error, one_line, warning
from digest.ops.doctor.network import Network, Unreachable
from digest.ops.doctor.sample_digest import NOBODYS_TOKEN
from digest.transport.relays import MAIN, several
from digest.transport.smtp import Connection
from digest.transport.smtp_opening import what_to_try

RENEW = timedelta(days=14)
ONE_CLICK = b"List-Unsubscribe=One-Click"  # RFC 8058 section 3.1


def relay(
    name: str, server: SmtpServer | ProviderApi, network: Network, *, now: datetime
) -> Iterator[Finding]:
    """Find a mail server that does not answer, refuses the login or has a bad certificate."""
    if not isinstance(server, SmtpServer):
        return
    variable = "MAILER_URL" if name == MAIN else f"RELAYS ({name})"
    lost = "No mail can go out." if not several() else f"Nothing can go out by {name}."
    where = f"{server.host}:{server.port}"
    try:
        ends_at = network.certificate_of_relay(server)
    except Unreachable as failed:
        what = f"The mail server cannot be reached: {failed}"
        remedy = f"Correct host and port in {variable}, or open the firewall for them."
        yield error("relay-unreachable", what, why=lost, remedy=remedy)
        return
    except ssl.SSLCertVerificationError as failed:
        either = f"Name the host in {variable} as its certificate does, or install one"
        remedy = f"{either} for this name, with its chain: {where}"
        yield bad_certificate("relay-certificate", where, failed, remedy)
        return
    except ssl.SSLError as failed:
        what = f"TLS with {where} fails ({failed.reason or 'no reason given'})."
        why = f"{variable} asks for it, so no mail goes out there."
        remedy = what_to_try(server, failed) or "Enable TLS 1.2 or newer on the server."
        yield error("relay-tls", what, why=why, remedy=remedy)
        return
    except smtplib.SMTPException:
        what = f"{where} does not offer STARTTLS."
        why = f"{variable} asks for it, so no mail goes out there."
        remedy = (
            f"Begin the URL with smtps:// if {where} is a port for TLS, as 465 is;"
            " or enable STARTTLS on the server."
        )
        yield error("relay-starttls", what, why=why, remedy=remedy)
        return
    if ends_at:
        yield from days_left("relay-certificate-ends", where, ends_at, now)
    connection = Connection(server, may_pipeline=False)
    if refusal := connection.open():
        what = f"{where} refuses us: {one_line(f'{refusal.reason} {refusal.reply}')}"
        remedy = (
            f"Correct user and password in {variable}, or what the server complains of."
        )
        yield error("relay-refuses", what, why=lost, remedy=remedy)
    connection.close()


def site(network: Network, *, now: datetime) -> Iterator[Finding]:
    """Find a site that readers, or the one-click requests of Gmail and Yahoo, cannot reach."""
    if front_end.is_loopback(settings.SITE_HOST):
        what = f"SITE_URL is {settings.SITE_URL}, which only this machine can open."
        why = "Every link in a mail begins with it, the unsubscribe link among them."
        remedy = "SITE_URL=https://papers.example.org, with your own host"
        yield error("site-local", what, why=why, remedy=remedy)
        return
    if not settings.HTTPS:
        what = f"SITE_URL is {settings.SITE_URL}: without TLS."
        why = "One-click unsubscription has to be https (RFC 8058), and pages show tokens."
        remedy = f"SITE_URL=https://{settings.SITE_HOST}"
        yield error("site-clear", what, why=why, remedy=remedy)
    remedy = "Start the web server and its proxy, and point the host's A record to it."
    try:
        health = network.request("GET", f"{settings.SITE_URL}/healthz")
    except Unreachable as failed:
        what = f"The site cannot be reached: {failed}"
        why = "Readers cannot open a link of their mail, nor unsubscribe."
        yield error("site-unreachable", what, why=why, remedy=remedy)
        return
    except ssl.SSLError as failed:
        remedy = f"Install a valid certificate for this name with its chain: {settings.SITE_HOST}"
        yield bad_certificate("site-certificate", settings.SITE_HOST, failed, remedy)
        return
    if health.certificate_ends_at:
        where, ends_at = settings.SITE_HOST, health.certificate_ends_at
        yield from days_left("site-certificate-ends", where, ends_at, now)
    if health.status != 200 or health.body.strip() != b"ok":
        what = f"{settings.SITE_URL}/healthz answers {health.status}, and not as we do."
        why = "The host of SITE_URL is not this site."
        yield error("site-other", what, why=why, remedy=remedy)
        return
    yield from one_click(network)


def one_click(network: Network) -> Iterator[Finding]:
    """Find a proxy that does not let the mail programs' unsubscribe request through."""
    url = f"{settings.SITE_URL}/u/{NOBODYS_TOKEN}"
    try:
        status = f"{(answer := network.request('POST', url, ONE_CLICK)).status}"
        good = answer.status == 200
    except (Unreachable, ssl.SSLError) as failed:
        status, good = one_line(failed), False
    if not good:
        what = f"A POST to {settings.SITE_URL}/u/… is not answered with 200: {status}."
        why = "Gmail and Yahoo unsubscribe readers by it, without cookies and redirects."
        remedy = "Let the proxy pass POST /u/ to the web server: see deploy/nginx.conf."
        yield error("one-click", what, why=why, remedy=remedy)


def bad_certificate(code: str, where: str, failed: ssl.SSLError, remedy: str) -> Finding:
    reason = getattr(failed, "verify_message", "") or failed.reason or "TLS failed"
    what = f"The certificate of {where} is not accepted: {reason.rstrip('.')}."
    why = "Clients that verify it, as ours does, end the connection."
    return error(code, what, why=why, remedy=remedy)


def days_left(code: str, where: str, ends_at: datetime, now: datetime) -> Iterator[Finding]:
    if ends_at - now < RENEW:
        what = f"The certificate of {where} ends in {(ends_at - now).days} days."
        why = "Then no connection is made any more."
        remedy = "Renew it now, and let certbot or the proxy renew it by itself."
        yield warning(code, what, why=why, remedy=remedy)
