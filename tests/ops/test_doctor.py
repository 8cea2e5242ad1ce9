"""`doctor`: nothing is said of a sound installation, and each planted fault is named.

A DNS server, a mail server and a site with real certificates run on this machine; each row
of a table breaks one thing of a sound installation.
"""

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dkim
import pytest
import redis
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from digest.deliveries import heartbeats, ledger
from digest.endpoints import ProviderApi, SmtpServer, Tls
from digest.models import Delivery, Edition, Heartbeat
from digest.ops.doctor import configuration, doctor, sample_digest
from digest.ops.doctor.findings import Finding, Severity
from digest.ops.doctor.network import Network, Sender
from digest.transport import smtp_opening
from subscribers.addresses import address_hash
from subscribers.models import Suppression
from subscribers.suppression import suppress
from tests import dns_server, make
from tests.environment import POSTGRES
from tests.sink import Sink, in_thread

# The tables say nothing of the database; the last tests do, and run on both.
embedded = pytest.mark.embedded
DOMAIN = "papers.example.org"
STRONG = "Zk3-9vQw_x7LmT2bNc8RyU5sHd0EoJ4gAi6fPq1XtWz"
KEY = f"s1._domainkey.{DOMAIN}"
OUT = "192.0.2.10"
POLICY = f"version: STSv1\nmode: enforce\nmx: mail.{DOMAIN}\nmax_age: 604800\n"


def rsa_key(bits: int) -> tuple[bytes, str]:
    """Return a private key (PEM) and the TXT record of its public one."""
    key = rsa.generate_private_key(65537, bits)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return pem, f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"


PRIVATE, PUBLIC = rsa_key(2048)
_, SHORT = rsa_key(1024)


class SiteServer(ThreadingHTTPServer):
    pages: dict[str, tuple[int, str]]

    def handle_error(self, *args: object) -> None:
        """Say nothing: a client that ends TLS is meant."""


class Site(BaseHTTPRequestHandler):
    """The pages that doctor asks for, as its server's table has them."""

    server: SiteServer

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body = self.server.pages.get(
            f"{self.command} {self.path.partition('/u/')[0] or '/u/'}",
            (404, "no such page"),
        )
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = answer

    def log_message(self, *args: object) -> None:
        pass


@dataclass
class Installation:
    """A sound one; a fault changes it before doctor looks."""

    zone: dict[tuple[str, str], list[str]]
    pages: dict[str, tuple[int, str]]
    network: Network
    sender: Sender
    sink: Sink
    certificates: trustme.CA
    settings: object
    https: ssl.SSLContext = field(repr=False)
    blocklists: bool = False
    received: bytes | None = None

    def txt(self, name: str, *values: str) -> None:
        self.zone[name, "TXT"] = [dns_server.text(value) for value in values]

    def examine(self) -> list[Finding]:
        return doctor.examine(
            self.sender,
            self.network,
            now=timezone.now(),
            blocklists=self.blocklists,
            received=self.received,
        )


def sound_zone() -> dict[tuple[str, str], list[str]]:
    here = ["127.0.0.1"]
    return {
        (DOMAIN, "A"): here,
        (DOMAIN, "MX"): [f"10 mail.{DOMAIN}."],
        (DOMAIN, "TXT"): [dns_server.text(f"v=spf1 ip4:{OUT} -all")],
        (f"mail.{DOMAIN}", "A"): [OUT],
        ("10.2.0.192.in-addr.arpa", "PTR"): [f"mail.{DOMAIN}."],
        (KEY, "TXT"): [dns_server.text(PUBLIC)],
        (f"_dmarc.{DOMAIN}", "TXT"): [
            dns_server.text(f"v=DMARC1; p=quarantine; rua=mailto:dmarc@{DOMAIN}")
        ],
        (f"_mta-sts.{DOMAIN}", "TXT"): [dns_server.text("v=STSv1; id=1")],
        (f"mta-sts.{DOMAIN}", "A"): here,
        (f"_smtp._tls.{DOMAIN}", "TXT"): [
            dns_server.text(f"v=TLSRPTv1; rua=mailto:tls@{DOMAIN}")
        ],
        (f"default._bimi.{DOMAIN}", "TXT"): [
            dns_server.text(f"v=BIMI1; l=https://{DOMAIN}/logo.svg")
        ],
    }


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@dataclass
class Servers:
    """A name server and a site, for all tests: each begins with a sound table and pages."""

    zone: dict[tuple[str, str], list[str]]
    nameserver: str
    pages: dict[str, tuple[int, str]]
    https: ssl.SSLContext
    port: int
    certificate: trustme.LeafCert


@pytest.fixture(scope="module")
def servers(authority: trustme.CA) -> Iterator[Servers]:
    zone: dict[tuple[str, str], list[str]] = {}
    pages: dict[str, tuple[int, str]] = {}
    https = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = authority.issue_cert(DOMAIN, f"mta-sts.{DOMAIN}")
    certificate.configure_cert(https)
    with dns_server.running(zone) as nameserver, site(pages, https) as port:
        yield Servers(zone, nameserver, pages, https, port, certificate)


@contextmanager
def site(pages, context: ssl.SSLContext) -> Iterator[int]:
    with SiteServer(("127.0.0.1", 0), Site) as server:
        server.pages = pages
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def relay_certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def sound(
    authority: trustme.CA,
    servers: Servers,
    relay_certificate: ssl.SSLContext,
    tmp_path: Path,
    settings,
    monkeypatch: pytest.MonkeyPatch,
    db,
) -> Iterator[Installation]:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca))
    smtp_opening.trust.cache_clear()
    servers.zone.clear()
    servers.zone |= sound_zone()
    servers.pages |= {
        "GET /healthz": (200, "ok\n"),
        "POST /u/": (200, "You are unsubscribed.\n"),
        "GET /.well-known/mta-sts.txt": (200, POLICY),
    }
    servers.certificate.configure_cert(servers.https)
    configure(settings, servers.port)
    make.edition({make.paper(1): {"graphs": 1.0}})
    for loop in heartbeats.Loop:
        heartbeats.beat(loop, ledger.database_now())
    with in_thread(tmp_path / "sink", tls=relay_certificate) as sink:
        settings.MAILER_URL = f"{sink.url}?tls=starttls"
        relay = SmtpServer("127.0.0.1", sink.port, Tls.STARTTLS)
        yield Installation(
            zone=servers.zone,
            pages=servers.pages,
            network=Redirected(servers.nameserver, servers.port),
            sender=Sender(DOMAIN, settings.EHLO_NAME, relay, (OUT,), ("s1",)),
            sink=sink,
            certificates=authority,
            settings=settings,
            https=servers.https,
        )
    smtp_opening.trust.cache_clear()


def configure(settings, port: int) -> None:
    """The settings of a careful deployment."""
    settings.SITE_URL, settings.SITE_HOST = f"https://{DOMAIN}:{port}", DOMAIN
    settings.HTTPS = settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 3600
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.SECRET_KEY, settings.ADDRESS_KEY = STRONG + STRONG, STRONG
    settings.FROM_EMAIL, settings.CATCHER = f"Daily Papers <papers@{DOMAIN}>", False
    settings.POSTAL_ADDRESS, settings.ADMINS = "Sample Street 1, Anytown", ["a@b.org"]
    settings.EHLO_NAME, settings.REDIS_URL = f"mail.{DOMAIN}", ""
    settings.SENTENCE_EMBEDDINGS = False


class Redirected(Network):
    """The network with the test's port in the place of 443."""

    def __init__(self, nameserver: str, port: int) -> None:
        super().__init__(nameserver)
        self.port = port

    def connect(self, host: str, port: int):
        return super().connect(host, self.port if port == 443 else port)


def codes(found: list[Finding]) -> list[str]:
    return [one.code for one in found if one.is_fault]


@embedded
def test_o1_nothing_is_said_of_a_sound_installation(sound: Installation) -> None:
    assert sound.examine() == []


# -- records -------------------------------------------------------------------------------


def txt(name: str, *values: str) -> Callable[[Installation], None]:
    return lambda there: there.txt(name, *values)


def record(name: str, kind: str, *values: str) -> Callable[[Installation], None]:
    def plant(there: Installation) -> None:
        there.zone[name, kind] = list(values)

    return plant


def sends(**changes: Any) -> Callable[[Installation], None]:
    def plant(there: Installation) -> None:
        there.sender = replace(there.sender, **changes)

    return plant


def page(name: str, status: int, body: str) -> Callable[[Installation], None]:
    return lambda there: there.pages.update({name: (status, body)})


def sets(**values: object) -> Callable[[Installation], None]:
    def plant(there: Installation) -> None:
        for name, value in values.items():
            setattr(there.settings, name, value)

    return plant


def many_includes(there: Installation) -> None:
    names = [f"spf{number}.{DOMAIN}" for number in range(11)]
    for name in names:
        there.txt(name, "v=spf1 ip4:198.51.100.1 -all")
    there.txt(
        DOMAIN, f"v=spf1 ip4:{OUT} {' '.join(f'include:{one}' for one in names)} -all"
    )


def unknown_selector(there: Installation) -> None:
    there.sender = replace(there.sender, selectors=())
    assert there.examine() == []  # s1 is among the usual ones
    there.zone[f"of-their-own._domainkey.{DOMAIN}", "TXT"] = there.zone.pop((KEY, "TXT"))


def listed(there: Installation) -> None:
    there.blocklists = True
    there.zone["10.2.0.192.zen.spamhaus.org", "A"] = ["127.0.0.2"]


def expiring(there: Installation) -> None:
    soon = timezone.now() + timedelta(days=5)
    there.certificates.issue_cert(DOMAIN, not_after=soon).configure_cert(there.https)


def foreign(there: Installation) -> None:
    trustme.CA().issue_cert(DOMAIN).configure_cert(there.https)


def without_tls(there: Installation) -> None:
    assert there.sink.server
    there.sink.server.tls = None


def nobody_there(there: Installation) -> None:
    there.sender = replace(there.sender, relay=SmtpServer("127.0.0.1", 9, Tls.STARTTLS))


def wrong_name(there: Installation) -> None:
    relay = there.sender.relay
    assert isinstance(relay, SmtpServer)
    there.sender = replace(there.sender, relay=replace(relay, host="localhost"))


def tls_too_early(there: Installation) -> None:
    relay = there.sender.relay
    assert isinstance(relay, SmtpServer)
    there.sender = replace(there.sender, relay=replace(relay, tls=Tls.IMPLICIT))


DMARC = f"_dmarc.{DOMAIN}"
WEAK = PUBLIC.replace("k=rsa", "k=rsa; t=y")
SHA1 = PUBLIC.replace("k=rsa", "k=rsa; h=sha1")
ED25519 = f"v=DKIM1; k=ed25519; p={base64.b64encode(bytes(32)).decode()}"
# What is broken, the finding's code, and what its remedy has to say.
FAULTS = [
    (txt(DOMAIN, "unrelated"), "spf-missing", f'{DOMAIN}. TXT "v=spf1 ip4:{OUT} -all"'),
    (txt(DOMAIN, "v=spf1 -all", "v=spf1 mx -all"), "spf-several", "Keep one"),
    (txt(DOMAIN, f"v=spf1 ip4:{OUT} ipp4:1 -all"), "spf-broken", f"ip4:{OUT} -all"),
    (txt(DOMAIN, f"v=spf1 include:{DOMAIN} -all"), "spf-broken", f"ip4:{OUT} -all"),
    (many_includes, "spf-lookups", "Replace includes"),
    (txt(DOMAIN, f"v=spf1 ip4:{OUT} +all"), "spf-open", "-all"),
    (txt(DOMAIN, f"v=spf1 ip4:{OUT}"), "spf-open", "-all"),
    (
        txt(DOMAIN, "v=spf1 ip4:198.51.100.7 -all"),
        "spf-address",
        f'"v=spf1 ip4:{OUT} ip4:198.51.100.7 -all"',
    ),
    (sends(addresses=("2001:db8::1",)), "spf-address", "ip6:2001:db8::1"),
    (txt(KEY, *[]), "dkim-missing", f"{KEY}. TXT"),
    (txt(KEY, PUBLIC, SHORT), "dkim-several", "Keep one"),
    (txt(KEY, PUBLIC.replace("p=", "p=!")), "dkim-broken", f"{KEY}. TXT"),
    (txt(KEY, "v=DKIM1; k=rsa; p="), "dkim-revoked", f"{KEY}. TXT"),
    (txt(KEY, SHORT), "dkim-short", "2048"),
    (txt(KEY, WEAK), "dkim-test", f'{KEY}. TXT "{PUBLIC}"'),
    (txt(KEY, SHA1), "dkim-hash", f'{KEY}. TXT "{PUBLIC}"'),
    (txt(KEY, ED25519), "dkim-ed25519", "RSA-2048"),
    (unknown_selector, "dkim-unknown", "--dkim-selector"),
    (txt(DMARC, *[]), "dmarc-missing", f'{DMARC}. TXT "v=DMARC1; p=quarantine'),
    (txt(DMARC, "v=DMARC1; p=none", "v=DMARC1; p=reject"), "dmarc-several", "Keep one"),
    (txt(DMARC, "v=DMARC1; p=perhaps"), "dmarc-broken", f'{DMARC}. TXT "v=DMARC1'),
    (txt(DMARC, "v=DMARC1; p=reject"), "dmarc-reports", "p=reject; rua=mailto:dmarc@"),
    (
        txt(DMARC, f"v=DMARC1; p=reject; t=y; rua=mailto:d@{DOMAIN}"),
        "dmarc-test",
        f'"v=DMARC1; p=reject; rua=mailto:d@{DOMAIN}"',
    ),
    (record("10.2.0.192.in-addr.arpa", "PTR"), "ptr-missing", f"mail.{DOMAIN}"),
    (
        record("10.2.0.192.in-addr.arpa", "PTR", f"{DOMAIN}."),
        "ptr-unconfirmed",
        f"{DOMAIN}. A {OUT}",
    ),
    (sends(ehlo="nowhere.example.org"), "ehlo-unknown", "EHLO_NAME"),
    (record(DOMAIN, "MX"), "mx-missing", f"{DOMAIN}. MX 10"),
    (record(DOMAIN, "MX", "0 ."), "mx-null", f"{DOMAIN}. MX 10"),
    (record(DOMAIN, "MX", f"10 gone.{DOMAIN}."), "mx-unknown", f"gone.{DOMAIN}. A"),
    (record(f"mail.{DOMAIN}", "CNAME", f"{DOMAIN}."), "mx-alias", "MX 10"),
    (page("GET /.well-known/mta-sts.txt", 404, ""), "mta-sts-unreachable", "mode: enforce"),
    (page("GET /.well-known/mta-sts.txt", 200, "mode"), "mta-sts-broken", "mode: enforce"),
    (
        page("GET /.well-known/mta-sts.txt", 200, POLICY.replace("mail.", "other.")),
        "mta-sts-mx",
        f"mx: mail.{DOMAIN}",
    ),
    (txt(f"_smtp._tls.{DOMAIN}", "v=TLSRPTv1;"), "tls-rpt-broken", "v=TLSRPTv1; rua="),
    (record(DOMAIN, "SERVFAIL"), "dns-silent", "name servers"),
    (listed, "blocklist", "zen.spamhaus.org"),
    # servers
    (page("GET /healthz", 200, "parked"), "site-other", "A record"),
    (record(DOMAIN, "A"), "site-unreachable", "A record"),
    (page("POST /u/", 302, ""), "one-click", "deploy/nginx.conf"),
    (page("POST /u/", 403, ""), "one-click", "deploy/nginx.conf"),
    (expiring, "site-certificate-ends", "Renew"),
    (foreign, "site-certificate", DOMAIN),
    (without_tls, "relay-starttls", "smtps://"),
    (nobody_there, "relay-unreachable", "MAILER_URL"),
    # Of a name that is in no zone: senders find it in the hosts file, and so does doctor.
    (wrong_name, "relay-certificate", "MAILER_URL as its certificate does"),
    (tls_too_early, "relay-tls", "starttls"),
    (
        sends(others={"second": SmtpServer("127.0.0.1", 9, Tls.NONE)}),
        "relay-unreachable",
        "RELAYS (second)",
    ),
    # settings
    (sets(POSTAL_ADDRESS="1, Sample Town"), "postal-address", "POSTAL_ADDRESS="),
    (sets(ADMINS=[]), "admins", "ADMINS="),
    (sets(SITE_HOST="127.0.0.1"), "site-local", "SITE_URL="),
    (sets(HTTPS=False), "site-clear", f"SITE_URL=https://{DOMAIN}"),
    (sets(ADDRESS_KEY="changeme"), "digest.W002", "openssl rand"),
    (sets(REDIS_URL="redis://127.0.0.1:9/0"), "redis", "REDIS_URL"),
    (sends(domain="gmail.com"), "from-free-mail", "FROM_EMAIL="),
    (sends(domain="papers.example"), "from-sample", "FROM_EMAIL="),
    (
        sends(relay=ProviderApi("postmark")),
        "webhook-secret",
        "/webhooks/postmark/tracking/",
    ),
    (
        sends(relay=ProviderApi("postmark")),
        "spf-provider",
        f'"v=spf1 include:spf.mtasv.net ip4:{OUT} -all"',
    ),
    (sends(relay=ProviderApi("sparkpost")), "provider-headers", "MAILER_URL="),
    (lambda there: Heartbeat.objects.all().delete(), "worker", "Start beat"),
    (lambda there: Edition.objects.all().delete(), "papers", "manage.py fetch"),
]


@embedded
@pytest.mark.parametrize(
    ("plant", "code", "remedy"),
    FAULTS,
    ids=[f"{number}-{code}" for number, (_, code, _) in enumerate(FAULTS)],
)
def test_o1_each_fault_is_named_with_its_remedy(
    sound: Installation, plant: Callable[[Installation], None], code: str, remedy: str
) -> None:
    plant(sound)
    found = {one.code: one for one in sound.examine() if one.is_fault}
    assert code in found, list(found)
    assert remedy in found[code].remedy
    assert found[code].what and found[code].why


@embedded
def test_what_only_polishes_is_no_fault(sound: Installation) -> None:
    for name in (f"_mta-sts.{DOMAIN}", f"_smtp._tls.{DOMAIN}", f"default._bimi.{DOMAIN}"):
        sound.zone.pop((name, "TXT"))
    sound.txt(
        f"_dmarc.{DOMAIN}", "v=DMARC1; p=none; pct=50; rua=mailto:d@papers.example.org"
    )
    found = sound.examine()
    assert codes(found) == []
    assert {one.code for one in found} == {
        *("mta-sts-missing", "tls-rpt-missing", "bimi-missing"),
        *("dmarc-none", "dmarc-obsolete"),
    }


@embedded
def test_a_policy_of_the_parent_domain_counts(sound: Installation) -> None:
    sound.zone.pop((f"_dmarc.{DOMAIN}", "TXT"))
    parent = "v=DMARC1; p=none; sp=reject; rua=mailto:d@example.org"
    sound.txt("_dmarc.example.org", parent)
    assert sound.examine() == []


# -- a mail as received --------------------------------------------------------------------

SIGNED = [b"from", b"to", b"subject", b"date", b"message-id"]
SIGNED += [b"list-unsubscribe", b"list-unsubscribe-post"]


def signed(content: bytes, *, headers=SIGNED, domain=DOMAIN, **options) -> bytes:
    return bytes(
        dkim.sign(
            content, b"s1", domain.encode(), PRIVATE, include_headers=headers, **options
        )
    )


def sample_mail(sound: Installation) -> bytes:
    edition = Edition.objects.get()
    mail = sample_digest.compose(edition, "ann@gmail.com", now=make.NOON)
    return mail.compose()


def received(
    content: bytes, *, signature: bytes, verdicts: str = "spf=pass dkim=pass dmarc=pass"
) -> bytes:
    above = (
        f"Received: from mail.{DOMAIN} (mail.{DOMAIN} [{OUT}]) by mx.google.com with ESMTPS"
        f" id x (version=TLS1_3 cipher=TLS_AES_128_GCM_SHA256);\r\n Fri, 17 Apr 2026\r\n"
        f"Authentication-Results: mx.google.com; {verdicts}\r\n"
    )
    return above.encode() + signature + content


MAIL_FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "dkim-unsigned": lambda mail: received(mail, signature=b""),
    "dkim-invalid": lambda mail: received(
        mail.replace(b"Paper 1", b"Paper 2"), signature=signed(mail)
    ),
    "dkim-unaligned": lambda mail: received(
        mail, signature=signed(mail, domain="provider.net")
    ),
    "dkim-unsubscribe": lambda mail: received(
        mail, signature=signed(mail, headers=SIGNED[:-1])
    ),
    "dkim-headers": lambda mail: received(
        mail, signature=signed(mail, headers=[b"from", *SIGNED[5:]])
    ),
    "dkim-sha1": lambda mail: received(
        mail, signature=signed(mail, signature_algorithm=b"rsa-sha1")
    ),
    "dkim-length": lambda mail: received(mail, signature=signed(mail, length=True)),
    "received-spf": lambda mail: received(
        mail, signature=signed(mail), verdicts="spf=softfail (x) dkim=pass dmarc=pass"
    ),
    "received-dmarc": lambda mail: received(
        mail, signature=signed(mail), verdicts="spf=pass; dkim=pass; dmarc=fail"
    ),
    "received-clear": lambda mail: (
        received(mail, signature=signed(mail))
        .replace(b"ESMTPS", b"ESMTP")
        .replace(b" (version=TLS1_3 cipher=TLS_AES_128_GCM_SHA256)", b"")
    ),
    "one-click-headers": lambda mail: received(
        (bare := mail.replace(b"List-Unsubscribe-Post", b"X-Was")), signature=signed(bare)
    ),
    "unsubscribe-elsewhere": lambda mail: received(
        (moved := elsewhere(mail)), signature=signed(moved)
    ),
    "received-tracking": lambda mail: received(
        (with_pixel := pixel(mail)), signature=signed(with_pixel)
    ),
    "received-large": lambda mail: received(
        (grown := pixel(mail, b"x" * 110_000)), signature=signed(grown)
    ),
    "received-from": lambda mail: received(
        (other := mail.replace(b"<papers@papers.example.org>", b"<papers@example.org>")),
        signature=signed(other),
    ),
    "received-unreadable": lambda mail: b"this is no mail\r\n\r\n",
}


def elsewhere(mail: bytes) -> bytes:
    start = mail.index(b"List-Unsubscribe: <")
    end = mail.index(b">", start)
    return mail[:start] + b"List-Unsubscribe: <https://provider.net/u/1" + mail[end:]


def pixel(mail: bytes, more: bytes = b"") -> bytes:
    at = mail.rindex(b"</body>")
    return mail[:at] + b"<img src=3Dx>" + more + mail[at:]


@embedded
def test_nothing_is_said_of_a_sound_mail(sound: Installation) -> None:
    mail = sample_mail(sound)
    sound.received = received(mail, signature=signed(mail))
    assert sound.examine() == []
    sound.received = sound.received.replace(b"\r\n", b"\n")  # as a mail program saves it
    assert sound.examine() == []


@embedded
@pytest.mark.parametrize("code", MAIL_FAULTS)
def test_each_fault_of_a_received_mail_is_named(sound: Installation, code: str) -> None:
    sound.txt("s1._domainkey.provider.net", PUBLIC)
    sound.received = MAIL_FAULTS[code](sample_mail(sound))
    found = {one.code: one for one in sound.examine()}
    assert code in found, list(found)
    assert found[code].is_fault and found[code].remedy


@embedded
def test_of_a_thousand_signatures_ten_are_judged(sound: Installation) -> None:
    mail = sample_mail(sound)
    foreign = signed(mail, domain="provider.net")
    sound.received = received(mail, signature=foreign * 1000 + signed(mail))
    assert codes(sound.examine()) == ["dkim-invalid"]


@embedded
def test_strict_alignment_is_asked_of_a_signature(sound: Installation) -> None:
    sound.txt("s1._domainkey.example.org", PUBLIC)
    mail = sample_mail(sound)
    sound.received = received(mail, signature=signed(mail, domain="example.org"))
    assert codes(sound.examine()) == []
    sound.txt(DMARC, f"v=DMARC1; p=reject; adkim=s; rua=mailto:d@{DOMAIN}")
    assert codes(sound.examine()) == ["dkim-unaligned"]


# -- the command, and what runs ------------------------------------------------------------


def run(*options: str, capsys) -> tuple[int, str]:
    try:
        call_command("doctor", *options)
    except SystemExit as end:
        return int(str(end.code)), capsys.readouterr().out
    return 0, capsys.readouterr().out


@embedded
def test_the_command_ends_with_1_for_a_fault(sound: Installation, capsys) -> None:
    nameserver = f"127.0.0.1:{sound.network.resolver.port}"
    sound.zone.pop((f"_mta-sts.{DOMAIN}", "TXT"))  # its port is another here
    options = ["--nameserver", nameserver, "--ip", OUT, "--dkim-selector", "s1"]
    assert run(*options, capsys=capsys)[0] == 0
    sound.txt(DMARC, *[])
    status, said = run(*options, "--json", capsys=capsys)
    told = json.loads(said)
    assert (status, told["faults"]) == (1, 1)
    assert told["findings"][0]["code"] == "dmarc-missing"
    status, said = run(*options, capsys=capsys)
    assert status == 1 and f'set  {DMARC}. TXT "v=DMARC1' in said


@embedded
def test_a_test_digest_goes_out_beside_the_ledger(sound: Installation, capsys) -> None:
    nameserver = f"127.0.0.1:{sound.network.resolver.port}"
    run("--send-test", "Ann@Example.org", "--nameserver", nameserver, capsys=capsys)
    (mail,) = sound.sink.mails()
    assert mail.rcpt == ("Ann@example.org",)
    assert "[Test] Paper 1" in mail.message["Subject"]
    assert not Delivery.objects.exists()


@embedded
def test_no_test_digest_to_a_suppressed_address(sound: Installation) -> None:
    suppress(address_hash("ann@example.org"), Suppression.Reason.MANUAL, now=make.NOON)
    with pytest.raises(CommandError, match="suppressed"):
        call_command("doctor", "--send-test", "ann@example.org")
    assert sound.sink.mails() == []


@pytest.mark.django_db(transaction=True)
def test_a_database_that_may_lose_commits_is_named() -> None:
    make_sound, break_it = (
        ("SET synchronous_commit = on", "SET synchronous_commit = off")
        if connection.vendor == "postgresql"
        else ("PRAGMA synchronous = FULL", "PRAGMA synchronous = OFF")
    )
    with connection.cursor() as cursor:
        cursor.execute(break_it)
        found = told_of_synchronous()
        cursor.execute(make_sound)
    assert [one.code for one in found] == ["database-durability"]
    assert told_of_synchronous() == []


def told_of_synchronous() -> list[Finding]:
    """The run's own PostgreSQL is without fsync, which doctor tells as well."""
    return [one for one in configuration.database() if "synchronous" in one.what]


@pytest.mark.django_db
@pytest.mark.skipif(not POSTGRES, reason="about a setting of PostgreSQL")
def test_many_readers_are_worth_a_compressed_log(monkeypatch) -> None:
    make.reader("ann@example.org")
    readers = configuration.MANY, 0
    with connection.cursor() as cursor:
        for setting, told in (("off", [0, 1]), ("on", [0, 0])):
            cursor.execute(f"SET LOCAL wal_compression = {setting}")
            for most, count in zip(readers, told, strict=True):
                monkeypatch.setattr(configuration, "MANY", most)
                found = [one for one in configuration.database() if "its log" in one.what]
                assert len(found) == count and not any(one.is_fault for one in found)


@embedded
def test_a_redis_that_drops_keys_is_named(redis_server: str, settings) -> None:
    settings.REDIS_URL = redis_server
    assert list(configuration.broker()) == []
    with redis.Redis.from_url(redis_server) as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
    (found,) = configuration.broker()
    assert found.severity is Severity.WARNING
    assert found.remedy == "CONFIG SET maxmemory-policy noeviction"


@embedded
def test_a_redis_that_cannot_remember_is_named(redis_server: str, settings) -> None:
    settings.REDIS_URL = redis_server
    with redis.Redis.from_url(redis_server) as client:
        assert list(configuration.broker()) == [] and client.keys() == []
        client.execute_command("ACL", "SETUSER", "default", "-zadd")
    (found,) = configuration.broker()
    assert found.code == "redis-forgets" and "'zadd' command" in found.what
