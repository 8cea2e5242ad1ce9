"""Open an SMTP session by smtplib: greeting, EHLO, TLS, AUTH. It blocks, for OPEN_TIMEOUT at most."""

import contextlib
import smtplib
import socket
import ssl
import threading
from functools import cache
from io import BufferedReader

from django.conf import settings

from digest.endpoints import SmtpServer, Tls

OPEN_TIMEOUT = 30.0
MOST_REPLY_BYTES = 8192
MOST_REPLY_LINES = 100
ENDLESS = "a reply without an end"
# How OpenSSL names a greeting in clear text that it reads as TLS.
NO_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)
SILENT = "timed out without a greeting"


@cache
def trust() -> ssl.SSLContext:
    """Return the system's certificates; reading them takes a tenth of a second."""
    return ssl.create_default_context()


class Replies:
    """What smtplib reads replies from, bounded in lines and bytes for each reply."""

    def __init__(self, file: BufferedReader) -> None:
        self.file = file
        self.begin()

    def begin(self) -> None:
        self.lines, self.bytes = MOST_REPLY_LINES, MOST_REPLY_BYTES

    def readline(self, size: int = -1) -> bytes:
        line = self.file.readline(size)
        self.lines, self.bytes = self.lines - 1, self.bytes - len(line)
        if min(self.lines, self.bytes) < 0:
            raise smtplib.SMTPServerDisconnected(ENDLESS)
        return line

    def close(self) -> None:
        self.file.close()


class Opening(smtplib.SMTP):
    """smtplib's client as far as AUTH, ended as a whole after OPEN_TIMEOUT.

    A timeout of the socket alone begins anew with each byte.
    """

    def __init__(self, server: SmtpServer) -> None:
        # Named, or smtplib asks DNS for this machine's name, which no relay can verify.
        super().__init__(local_hostname=settings.EHLO_NAME, timeout=OPEN_TIMEOUT)
        self._host = server.host  # the name that STARTTLS verifies
        self.server = server
        self.greeted = self.late = False
        self.handle: socket.socket | None = None
        self.timer = threading.Timer(OPEN_TIMEOUT, self.end)
        self.timer.daemon = True

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = socket.create_connection((host, port), timeout)
        self.handle = sock.dup()  # wrapped by TLS, the socket itself is another object
        self.timer.start()
        if self.server.tls is Tls.IMPLICIT:
            return trust().wrap_socket(sock, server_hostname=host)
        return sock

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock:
            self.file = Replies(self.sock.makefile("rb"))
        if self.file:
            self.file.begin()
        return super().getreply()

    def end(self) -> None:
        self.late = True
        if self.handle:
            with contextlib.suppress(OSError):
                self.handle.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        """Stop the timer: what comes now has deadlines of its own."""
        self.timer.cancel()
        if self.handle:
            self.handle.close()


def opened(server: SmtpServer) -> tuple[smtplib.SMTP, socket.socket]:
    """Return a client that may send mail, and its socket. Raises OSError or smtplib.SMTPException."""
    client = Opening(server)
    with contextlib.ExitStack() as stack:
        stack.callback(client.close)
        try:
            code, said = client.connect(server.host, server.port)
            if code != 220:
                raise smtplib.SMTPConnectError(code, said)
            client.greeted = True
            client.ehlo_or_helo_if_needed()
            if server.tls is Tls.STARTTLS:
                client.starttls(context=trust())
                client.ehlo()
            if server.user:
                client.login(server.user, server.password)
        except (OSError, smtplib.SMTPException) as error:
            # smtplib hides the socket's own timeout, which may come before the timer's.
            is_late = client.late or isinstance(error.__context__, TimeoutError)
            if client.handle and (is_late or isinstance(error, TimeoutError)):
                words = "timed out while opening" if client.greeted else SILENT
                raise TimeoutError(words) from error
            raise
        finally:
            client.finish()
        stack.pop_all()
    if client.sock is None or client.late:
        raise smtplib.SMTPServerDisconnected("closed while opening")
    return client, client.sock


def what_to_try(server: SmtpServer, error: Exception) -> str:
    """Return what in a relay's URL may be wrong where no session was opened; "" if unknown.

    What Python and OpenSSL say of it names neither the host nor the setting.
    """
    where = f"{server.host}:{server.port}"
    implicit = server.tls is Tls.IMPLICIT
    match error:
        case ssl.SSLCertVerificationError():
            return f"the certificate has to be valid for {server.host}, the host in the URL"
        case ssl.SSLError() if implicit and error.reason in NO_TLS:
            return f"{where} does not begin with TLS: try smtp:// with ?tls=starttls"
        case socket.gaierror():
            return f"no address is known of {server.host}: correct the host in the URL"
        case ConnectionRefusedError():
            return f"nothing listens at {where}: correct host and port in the URL"
        case TimeoutError() if f"{error}" == SILENT and not implicit:
            return f"{where} says nothing: try smtps:// if it is a port for TLS, as 465"
        case smtplib.SMTPNotSupportedError() if "STARTTLS" in f"{error}":
            return f"try smtps:// with its port, or another than {where}"
        case smtplib.SMTPNotSupportedError():
            return f"{where} takes no login: leave it out, or try the port 587"
    return ""
