"""A fake provider in a thread, and mails of a small edition to hand over to it."""

from functools import partial
from threading import Thread

import pytest

from digest.editions.compose import Pick, Reader
from digest.ranking.loaded import load
from digest.transport.base import Mail
from tests import make
from tests.faults.outside import lines
from tests.faults.provider_server import Server

ACCOUNT = {"RESEND_API_KEY": "x", "BREVO_API_KEY": "x", "POSTMARK_SERVER_TOKEN": "x"}


@pytest.fixture
def journal(tmp_path):
    """journal(): the requests that came; journal("bodies"): with what was in them."""
    (tmp_path / "provider").mkdir()
    (tmp_path / "provider" / "bodies.jsonl").touch()
    return lambda name="requests": lines(tmp_path / "provider" / f"{name}.jsonl")


@pytest.fixture
def use(settings, tmp_path, journal):
    """use("resend"): from now on that provider is the transport, on a server of ours."""
    server = Server(tmp_path / "provider")
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()

    def use(name: str) -> Server:
        url = f"http://127.0.0.1:{server.server_port}/"
        settings.MAILER_URL = f"anymail://{name}"
        settings.MAILERS = {"default": {"BACKEND": f"anymail.backends.{name}.EmailBackend"}}
        settings.ANYMAIL = settings.ANYMAIL | ACCOUNT | {f"{name.upper()}_API_URL": url}
        settings.SEND_CONNECTIONS = 1
        return server

    yield use
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def mails():
    """mails("ann", …): a mail for each of these local parts, all different."""
    load.cache_clear()
    topic = make.topic("graphs")
    papers = {
        make.paper(number, upvotes=number, title=f'A "{{{{title}}}}" ü %x% \\ {number}'): {
            topic.slug: 1.0
        }
        for number in range(1, 6)
    }
    encoded = load(make.edition(papers).pk).encoded

    def made(*names: str) -> list[Mail]:
        found = []
        for number, name in enumerate(names, start=1):
            reader = Reader(number, f"{name}@example.org", f"{number:022}")
            picks = [Pick((number + step) % 5, 0) for step in range(3)]
            parts = partial(encoded.letter, reader, picks, sent_at=make.NOON)
            whole = partial(encoded.compose, reader, picks, sent_at=make.NOON)
            found.append(Mail(number, encoded.sender, reader.address, whole, parts))
        return found

    return made
