"""A provider's API that takes everything; a process of its own, which prints its port."""

import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Postmark(BaseHTTPRequestHandler):
    """Takes every message, as Postmark's /email answers it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        found = re.search(rb'"To": ?"([^"]+)"', body)
        to = found[1].decode() if found else "nobody"
        answer = (
            f'{{"To": "{to}", "SubmittedAt": "2026-04-17T12:00:00Z", '
            f'"MessageID": "0a129aee-e1cd-480d-b08d-4f48548ff48d", '
            f'"ErrorCode": 0, "Message": "OK"}}'
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        """Nothing: the output is the port."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Postmark)
    print(server.server_port, flush=True)
    server.serve_forever()
