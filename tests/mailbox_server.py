"""A mailbox on a socket of this machine, by IMAP and POP3: what it holds, and how it fails.

It knows as much of RFC 9051 and RFC 1939 as a client that reads and deletes asks for.
"""

import base64
import re
import shlex
import socketserver
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

USER, PASSWORD = "papers", 'p/a "ss\\@w:örd'
PLAIN_ASCII = "plain"  # the password of a server without SASL


@dataclass
class Mailbox:
    """Letters by UID, their flags, and what is wrong with the server."""

    protocol: str
    letters: dict[int, bytes] = field(default_factory=dict)
    flags: dict[int, set[str]] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    secure: bool = True  # from the first byte; else after STARTTLS
    sasl: bool = True
    drop_in: int = 0  # hang up in the middle of this letter
    drop_at_end: bool = False  # die before the session is ended in order
    is_locked: bool = False
    sessions: int = 0
    logins: int = 0  # tried
    port: int = 0

    def add(self, *letters: bytes) -> None:
        for letter in letters:
            uid = max(self.letters, default=0) + 1
            self.letters[uid], self.flags[uid] = letter, set()

    @property
    def url(self) -> str:
        login = "papers:p%2Fa%20%22ss%5C%40w%3A%C3%B6rd@127.0.0.1"
        if not self.sasl:
            login = f"papers:{PLAIN_ASCII}@127.0.0.1"
        scheme = f"{self.protocol}s" if self.tls and self.secure else self.protocol
        options = "?tls=starttls" if self.tls and not self.secure else ""
        return f"{scheme}://{login}:{self.port}{options}"

    def lets_in(self, user: str, password: str) -> bool:
        self.logins += 1
        return (user, password) == (USER, PASSWORD if self.sasl else PLAIN_ASCII)


class Gone(Exception):
    """The server hangs up."""


class Session(socketserver.StreamRequestHandler, ABC):
    """One connection."""

    box: Mailbox
    user = ""

    def setup(self) -> None:
        self.deleted: list[int] = []
        if self.box.tls and self.box.secure:
            self.request = self.box.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        self.box.sessions += 1
        self.greet()
        try:
            while line := self.rfile.readline():
                self.answer(line.decode().rstrip("\r\n"))
        except (Gone, OSError):
            return
        finally:
            if isinstance(self.request, ssl.SSLSocket):
                self.request.close()

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def encrypt(self) -> None:
        assert self.box.tls
        self.request = self.box.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def send(self, uid: int, before: bytes, letter: bytes, after: bytes) -> None:
        if uid == self.box.drop_in:
            self.wfile.write(before + letter[: len(letter) // 2])
            raise Gone
        self.wfile.write(before + letter + after)

    @abstractmethod
    def greet(self) -> None: ...

    @abstractmethod
    def answer(self, line: str) -> None: ...


class Imap(Session):
    def greet(self) -> None:
        self.say("* OK at your service")

    def answer(self, line: str) -> None:
        tag, command, *rest = shlex.split(line)
        name = (command if command.upper() != "UID" else rest.pop(0)).lower()
        refused = getattr(self, f"do_{name}")(*rest)
        self.say(f"{tag} {refused or 'OK done'}")
        if name == "starttls":
            self.encrypt()
        elif name == "logout":
            raise Gone

    def do_capability(self) -> None:
        asked = " STARTTLS" if self.box.tls and not self.box.secure else ""
        self.say(f"* CAPABILITY IMAP4rev1{asked}{' AUTH=PLAIN' if self.box.sasl else ''}")

    def do_starttls(self) -> None: ...

    def do_authenticate(self, kind: str) -> str:
        assert kind == "PLAIN"
        self.say("+ ")
        given = base64.b64decode(self.rfile.readline()).decode().split("\0")[1:]
        return self.do_login(*given)

    def do_login(self, user: str, password: str) -> str:
        if self.box.lets_in(user, password):
            return ""
        return f"NO [AUTHENTICATIONFAILED] {user} may not come in with {password}"

    def do_select(self, folder: str) -> str:
        if folder != "INBOX":
            return "NO no such folder"
        self.say(f"* {len(self.box.letters)} EXISTS")
        return ""

    def do_search(self, *_: str) -> None:
        open_ = [uid for uid in self.box.letters if not self.box.flags[uid]]
        self.say(f"* SEARCH {' '.join(map(str, open_))}")

    def do_fetch(self, name: str, what: str) -> None:
        uid, most = int(name), int(re.findall(r"<0\.(\d+)>", what)[0])
        if uid in self.box.letters:
            letter = self.box.letters[uid][:most]
            before = f"* {uid} FETCH (UID {uid} BODY[]<0> {{{len(letter)}}}\r\n"
            self.send(uid, before.encode(), letter, b")\r\n")

    def do_store(self, name: str, _: str, flag: str) -> None:
        self.box.flags[int(name)].add(flag.strip("(\\)"))

    def do_close(self) -> None:
        if self.box.drop_at_end:
            raise Gone
        for uid in [uid for uid, has in self.box.flags.items() if "Deleted" in has]:
            del self.box.letters[uid], self.box.flags[uid]

    def do_logout(self) -> None: ...


class Pop3(Session):
    def greet(self) -> None:
        self.say("+OK at your service")
        self.numbers = dict(enumerate(self.box.letters, 1))

    def answer(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        getattr(self, f"do_{command.lower()}")(rest)

    def do_stls(self, _: str) -> None:
        self.say("+OK")
        self.encrypt()

    def do_capa(self, _: str) -> None:
        self.say(f"+OK\r\nTOP\r\n{'STLS' if self.box.tls else 'UIDL'}\r\n.")

    def do_user(self, user: str) -> None:
        self.user = user
        self.say("+OK")

    def do_pass(self, password: str) -> None:
        if self.box.is_locked:
            self.say("-ERR [IN-USE] somebody is here")
        elif self.box.lets_in(self.user, password):
            self.say("+OK")
        else:
            self.say(f"-ERR [AUTH] {self.user} may not come in with {password}")

    def do_list(self, _: str) -> None:
        sizes = [f"{n} {len(self.box.letters[uid])}" for n, uid in self.numbers.items()]
        self.say("\r\n".join(["+OK", *sizes, "."]))

    def do_retr(self, number: str) -> None:
        uid = self.numbers[int(number)]
        stuffed = re.sub(rb"(?m)^\.", b"..", self.box.letters[uid])
        self.send(uid, b"+OK\r\n", stuffed, b"\r\n.\r\n")

    def do_top(self, rest: str) -> None:
        number, count = map(int, rest.split())
        lines = self.box.letters[self.numbers[number]].split(b"\r\n")[:count]
        self.wfile.write(b"\r\n".join([b"+OK", *lines, b".", b""]))

    def do_dele(self, number: str) -> None:
        self.deleted.append(self.numbers[int(number)])
        self.say("+OK")

    def do_quit(self, _: str) -> None:
        if self.box.drop_at_end:
            raise Gone
        for uid in self.deleted:
            self.box.letters.pop(uid, None)
        self.say("+OK")
        raise Gone


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust the certificate hangs up: no traceback for that."""


@contextmanager
def serve(box: Mailbox) -> Iterator[Mailbox]:
    """Serve the mailbox in a thread; its `url` is valid within."""
    kind = type("Bound", (Imap if box.protocol == "imap" else Pop3,), {"box": box})
    with Server(("127.0.0.1", 0), kind) as server:
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
        thread.start()
        try:
            yield box
        finally:
            server.shutdown()
            thread.join()
