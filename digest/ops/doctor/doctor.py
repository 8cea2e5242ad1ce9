"""Run all checks and return their findings, the worst first.

What asks the network runs side by side and never in a transaction.
"""

import logging
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings

from digest.endpoints import SmtpServer
from digest.ops.doctor import configuration, reported, servers
from digest.ops.doctor.findings import Finding, error, warning, worst_first
from digest.ops.doctor.network import Network, Sender, Unreachable
from digest.transport import relays

logger = logging.getLogger(__name__)

type Check = Callable[[], Iterable[Finding]]

AT_ONCE = 8  # network checks; each waits for one name server or host most of its time
PACKAGES = ("checkdmarc", "dkim")


def configured_sender(
    *, addresses: Sequence[str] = (), selectors: Sequence[str] = ()
) -> Sender:
    """Return the sender of the settings."""
    domain = settings.FROM_EMAIL.rpartition("@")[2].strip("<> ").lower()
    others = {
        name: server
        for name, server in relays.configured().items()
        if name != relays.MAIN and isinstance(server, SmtpServer)
    }
    return Sender(
        domain,
        settings.EHLO_NAME,
        relays.configured()[relays.MAIN],
        tuple(addresses),
        tuple(selectors),
        others,
    )


def examine(
    sender: Sender,
    network: Network,
    *,
    now: datetime,
    blocklists: bool = False,
    received: bytes | None = None,
) -> list[Finding]:
    """Return the findings on this installation and, if given, on a mail as received."""
    asking: list[Check] = [
        partial(servers.site, network, now=now),
        *(
            partial(servers.relay, name, server, network, now=now)
            for name, server in {relays.MAIN: sender.relay, **sender.others}.items()
        ),
    ]
    found = local(sender, now)
    if configuration.is_real(sender.domain):
        if all(map(find_spec, PACKAGES)):
            asking += record_checks(sender, network, blocklists=blocklists)
            if received is not None:
                asking.append(of_received(received, sender, network))
        else:
            found.append(packages_missing())
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="doctor") as pool:
        for some in pool.map(run, asking):
            found += some
    return worst_first(found)


def local(sender: Sender, now: datetime) -> list[Finding]:
    """Return what the settings and our own servers show; it uses the database."""
    found = [*configuration.sender_address(sender), *configuration.what_is_set(sender)]
    in_database = list(configuration.database())
    found += in_database
    if not {"database", "migrations"} & {one.code for one in in_database}:
        found += configuration.papers(now.date())
        found += configuration.events()
        found += reported.failures(sender.domain, now.date())
    return [*found, *configuration.broker(), *configuration.ranking()]


def record_checks(sender: Sender, network: Network, *, blocklists: bool) -> list[Check]:
    from digest.ops.doctor import domain_records, sender_records, spf

    sender_records.forget()
    checks = [spf.record, sender_records.dkim_keys, sender_records.dmarc]
    checks += [sender_records.reverse_names, domain_records.mx, domain_records.mta_sts]
    checks += [domain_records.tls_reports, domain_records.bimi]
    if blocklists:
        checks.append(sender_records.blocklists)
    return [partial(check, sender, network) for check in checks]


def of_received(raw: bytes, sender: Sender, network: Network) -> Check:
    from digest.ops.doctor import received

    return partial(received.judge, raw, sender, network)


def run(check: Check) -> list[Finding]:
    """Run a check of the network; a name server that is silent is a finding of its own.

    So is a record on which a check breaks: the others have to be told all the same.
    """
    found: list[Finding] = []
    try:
        found += check()  # what was found before the silence counts
    except Unreachable as failed:
        remedy = "Repair the domain's name servers, or ask another: --nameserver ADDRESS"
        what, why = f"{failed}.", "Receivers who cannot look up our records defer our mail."
        found.append(error("dns-silent", what, why=why, remedy=remedy))
    except Exception as failed:
        logger.exception("a check of doctor failed")
        what = f"A check could not be finished ({type(failed).__name__})."
        remedy = "See the log, and report it with the record that was read."
        found.append(error("check-failed", what, why="A fault of ours.", remedy=remedy))
    return found


def packages_missing() -> Finding:
    what = "The packages that check DNS records and received mails are not installed."
    why = "SPF, DKIM, DMARC and what belongs to them were not looked at."
    # It adds what is missing and removes nothing, wherever uv is.
    uv = shutil.which("uv") or f"{Path(sys.executable).parent / 'uv'}"
    remedy = f"{uv} sync --locked --inexact --no-default-groups --extra doctor"
    return warning("extra-missing", what, why=why, remedy=remedy)
