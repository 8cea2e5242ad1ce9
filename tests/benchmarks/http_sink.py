"""A provider's API that takes everything; a process of its own, which prints its port."""

import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RESULT = (
    '{"To": "%s", "SubmittedAt": "2026-04-17T12:00:00Z", '
    '"MessageID": "0a129aee-e1cd-480d-b08d-4f48548ff48d", "ErrorCode": 0, "Message": "OK"}'
)


class Postmark(BaseHTTPRequestHandler):
    """Takes every message, as Postmark's /email and /email/batch answer it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        found = [to.decode() for to in re.findall(rb'"To": ?"([^"]+)"', body)]
        results = ", ".join(RESULT % to for to in found)
        answer = (f"[{results}]" if self.path.endswith("/batch") else results).encode()
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
