"""A reverse proxy as operators have them: it may end TLS, and says what its table says."""

import http.client
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme

PER_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@contextmanager
def reverse_proxy(
    backend: int, *, says: Mapping[str, str], tls: str = "", port: int = 0
) -> Iterator[int]:
    """Serve a backend's port at another one. Yield that.

    `says` are headers put in place of the browser's; `{host}` in one is what the browser
    asked for. `tls` is the name on the certificate; without it the proxy speaks HTTP.
    """

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            host = self.headers.get("Host", "")
            sent = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in PER_CONNECTION
            }
            name = host.rpartition(":")[0] or host
            sent |= {
                header: value.format(host=host, name=name) for header, value in says.items()
            }
            connection = http.client.HTTPConnection("127.0.0.1", backend, timeout=30)
            with closing(connection):
                connection.request(self.command, self.path, body, sent)
                answer = connection.getresponse()
                content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in PER_CONNECTION | {"date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = pass_on

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # browsers open connections that they do not use

    server = Server(("127.0.0.1", port), Passing)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert(tls).configure_cert(context)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
