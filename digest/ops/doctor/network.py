"""What doctor asks of the network, and about whom: DNS records, TLS sessions and pages.

Every name but a mail server's is resolved by one resolver, the machine's own or a name server
that is given, so that what is found is what that server answers now, without a cache.
"""

import http.client
import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import dns.exception
import dns.resolver
import dns.reversename

from digest.endpoints import ProviderApi, SmtpServer, Tls

PATIENCE = 5.0  # seconds for one connection, or one name
MOST_BYTES = 64 * 1024


class Unreachable(Exception):
    """A name server, a server or a page did not answer; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Page:
    """The answer to a request, its body cut at MOST_BYTES."""

    status: int
    body: bytes
    certificate_ends_at: datetime | None


class Network:
    """The network as one resolver shows it.

    Raises Unreachable where nobody answers; a name or record that does not exist is an
    empty list.
    """

    def __init__(self, nameserver: str = "") -> None:
        """Take the machine's resolver, or the name server ADDRESS or ADDRESS:PORT."""
        self.resolver = dns.resolver.Resolver(configure=not nameserver)
        if nameserver:
            host, _, port = nameserver.partition(":")
            self.resolver.nameservers, self.resolver.port = [host], int(port or 53)
        self.resolver.timeout, self.resolver.lifetime = 2.0, PATIENCE

    def records(self, name: str, kind: str) -> list[str]:
        """Return the records of a name, the strings of a TXT record joined."""
        try:
            answer = self.resolver.resolve(name, kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            kind = type(error).__name__
            raise Unreachable(f"DNS does not answer for {name} ({kind})") from None
        if kind == "TXT":
            return [b"".join(row.strings).decode("utf-8", "replace") for row in answer]
        return [row.to_text() for row in answer]

    def addresses(self, host: str) -> list[str]:
        """Return the IPv4 and IPv6 addresses of a host; of an address, itself."""
        try:
            socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
        except OSError:
            return [*self.records(host, "A"), *self.records(host, "AAAA")]
        return [host]

    def names_of(self, address: str) -> list[str]:
        """Return the names in an address' PTR records."""
        reverse = dns.reversename.from_address(address).to_text()
        return [name.rstrip(".").lower() for name in self.records(reverse, "PTR")]

    def connect(self, host: str, port: int) -> socket.socket:
        """Open a TCP connection to the first of the host's addresses that answers."""
        addresses = self.addresses(host)
        if not addresses:
            raise Unreachable(f"{host} has no address in DNS")
        return reach(host, port, addresses)

    def request(self, method: str, url: str, body: bytes = b"") -> Page:
        """Request a page and follow no redirect. Raises ssl.SSLError, Unreachable."""
        parts = urlsplit(url)
        is_tls, host = parts.scheme == "https", parts.hostname or ""
        ends_at, connected = None, self.connect(host, parts.port or (443 if is_tls else 80))
        if is_tls:
            secured = secure(connected, host)
            ends_at, connected = end_of(secured), secured
        connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
        connection.sock = connected
        headers = {"User-Agent": "daily-papers-doctor"}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        with closing(connection):
            try:
                connection.request(method, parts.path or "/", body or None, headers)
                answer = connection.getresponse()
                return Page(answer.status, answer.read(MOST_BYTES), ends_at)
            except (OSError, http.client.HTTPException) as error:
                reason = type(error).__name__
                raise Unreachable(f"{host} does not answer ({reason})") from None

    def certificate_of_relay(self, server: SmtpServer) -> datetime | None:
        """Return until when a mail server's certificate is valid; None without TLS.

        Its name is looked up as senders do: it may be in a hosts file and not in DNS.
        Raises ssl.SSLError, smtplib.SMTPException, Unreachable.
        """
        connected = reach(server.host, server.port, known_here(server.host))
        if server.tls is Tls.NONE:
            connected.close()
            return None
        if server.tls is Tls.IMPLICIT:
            with secure(connected, server.host) as secured:
                return end_of(secured)
        with closing(connected):
            session = Greeted(connected)
            session.ehlo()
            code, _ = session.docmd("STARTTLS")
            if code != 220:
                raise smtplib.SMTPNotSupportedError
            with secure(connected, server.host) as secured:
                return end_of(secured)


@dataclass(frozen=True, slots=True)
class Sender:
    """What is known of the mail that goes out, from the settings and the command line."""

    domain: str  # of From, and with a mail server of the envelope sender
    ehlo: str
    relay: SmtpServer | ProviderApi
    addresses: Sequence[str] = ()  # from which mail leaves, if given
    selectors: Sequence[str] = ()  # of DKIM, if given
    others: Mapping[str, SmtpServer] = field(default_factory=dict)  # of RELAYS, by name

    def outbound(self, network: Network) -> list[str]:
        """Return the addresses from which mail leaves: given, or guessed from the relay.

        None of a provider, whose addresses are its own affair.
        """
        if self.addresses:
            return list(self.addresses)
        hosts = [
            self.ehlo if server.is_local else server.host
            for server in (self.relay, *self.others.values())
            if isinstance(server, SmtpServer)
        ]
        found = [address for host in hosts for address in network.addresses(host)]
        return list(dict.fromkeys(found))


def known_here(host: str) -> list[str]:
    """Return the addresses that this machine knows of a host. Raises Unreachable."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable(f"this machine knows no address of {host}") from None
    return [str(address[0]) for *_, address in found]


def reach(host: str, port: int, addresses: Sequence[str]) -> socket.socket:
    """Open a TCP connection to the first address that answers. Raises Unreachable."""
    reasons = []
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=PATIENCE)
        except OSError as error:
            reasons.append(f"{address}: {error.strerror or error}")
    raise Unreachable(f"{host}:{port} does not answer ({'; '.join(reasons)})")


class Greeted(smtplib.SMTP):
    """An SMTP client on a connection that is open already, after the greeting."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(local_hostname="localhost", timeout=PATIENCE)
        self.sock, self.file = connected, None
        self.getreply()


def secure(connected: socket.socket, host: str) -> ssl.SSLSocket:
    """Begin TLS, with the machine's authorities, for this name. Raises ssl.SSLError."""
    try:
        return ssl.create_default_context().wrap_socket(connected, server_hostname=host)
    except ssl.SSLError:
        connected.close()
        raise
    except OSError as error:
        connected.close()
        raise Unreachable(f"{host} ends the connection ({type(error).__name__})") from None


def end_of(secured: ssl.SSLSocket) -> datetime:
    """Return until when the peer's certificate is valid."""
    certificate = secured.getpeercert() or {}
    return datetime.fromtimestamp(
        ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC
    )
