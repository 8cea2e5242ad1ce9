"""A DNS server on this machine: it answers from a table, and says NXDOMAIN to the rest."""

import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

# (name, kind) → the records, as a zone file has them.
type Zone = Mapping[tuple[str, str], list[str]]


class Server(socketserver.ThreadingUDPServer):
    zone: Zone


class Handler(socketserver.BaseRequestHandler):
    server: Server

    def handle(self) -> None:
        data, sock = self.request
        sock.sendto(
            answer(dns.message.from_wire(data), self.server.zone), self.client_address
        )


def answer(query: dns.message.Message, zone: Zone) -> bytes:
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.RA | dns.flags.AA
    question = query.question[0]
    name = question.name.to_text().rstrip(".").lower()
    kind = dns.rdatatype.to_text(question.rdtype)
    if (name, "SERVFAIL") in zone:
        reply.set_rcode(dns.rcode.SERVFAIL)
    elif records := zone.get((name, kind)):
        reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *records))
    elif not any(known == name for known, _ in zone):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply.to_wire()


@contextmanager
def running(zone: Zone) -> Iterator[str]:
    """Serve the table until the end of the block; changes of it count at once.

    Yield the server as 127.0.0.1:PORT.
    """
    with Server(("127.0.0.1", 0), Handler) as server:
        server.zone = zone
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def text(value: str) -> str:
    """A TXT record of this value, in strings of 255 characters at most."""
    cut = [value[at : at + 255] for at in range(0, len(value), 255)] or [""]
    return " ".join(f'"{piece}"' for piece in cut)
