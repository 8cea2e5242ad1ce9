"""LOG_FORMAT=json: what a line holds, and the id that leads from a tick to a report."""

import io
import json
import logging
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.conf import settings
from django.utils import timezone

from digest import celery, logs
from digest.deliveries import ledger
from digest.deliveries.plan import plan
from digest.deliveries.send import send_due
from digest.feedback import events
from digest.feedback.events import Report
from digest.models import Delivery
from tests import make
from tests.environment import ROOT, bare
from tests.test_logs import ADDRESS, PASSWORD, SECRETS, holds_a_secret

TICK = "1a2b3c4d-5e6f-4a1b-8c2d-000000000001"


@pytest.fixture
def lines():
    """What the JSON handler of the settings writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging_config: dict[str, Any] = settings.LOGGING
    options = logging_config["formatters"]["json"]
    handler.setFormatter(logs.Json(**{k: v for k, v in options.items() if k != "()"}))
    logging.root.addHandler(handler)
    before = logs.CONTEXT.set({})
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logs.CONTEXT.reset(before)
    logging.root.removeHandler(handler)


def test_s22_a_line_of_json_holds_no_secret_and_only_known_fields(lines) -> None:
    for text in SECRETS.values():
        try:
            raise ValueError(text)
        except ValueError:
            extra = {"request": text, "data": {"args": [text]}, "email": text}
            logging.getLogger("celery.task").exception("it has %s", text, extra=extra)
    told = lines()
    assert len(told) == len(SECRETS)
    assert holds_a_secret(json.dumps(told)) == []
    assert set(told[0]) == {"timestamp", "level", "logger", "message", "exc_info"}
    assert told[0]["exc_info"].startswith("Traceback") and told[0]["level"] == "ERROR"


@pytest.mark.django_db
def test_o9_one_id_leads_from_the_tick_to_the_providers_report(
    lines, sink, settings
) -> None:
    settings.MAILER_URL = sink.url
    make.edition({make.paper(1): {"graphs": 1.0}})
    make.reader("ann@example.org", "graphs")
    plan(make.NOON)
    request = SimpleNamespace(id="a-sender-s-own-id", root_id=TICK)
    celery.begin(task=cast("Any", SimpleNamespace(request=request)))
    assert send_due(ledger.DatabaseClock(), due=lambda: make.NOON)["accepted"] == 1
    logs.begin_run()  # the report comes in another process, an hour later
    row = Delivery.objects.get()
    report = Report("bounced", "key", timezone.now() + timedelta(hours=1), row.pk)
    events.take([report, report], now=timezone.now())
    told = {line["message"]: line for line in lines()}
    (claimed,) = [line for line in told.values() if line["message"].startswith("slice")]
    assert claimed["run"] == told["report: bounced"]["run"] == row.run == TICK[:8]
    assert told["report: bounced"]["delivery"] == row.pk
    assert "ann@" not in json.dumps(told)


@pytest.mark.django_db
@pytest.mark.usefixtures("lines")
def test_a_claim_outside_of_a_run_has_a_run_of_its_own() -> None:
    make.edition({make.paper(1): {"graphs": 1.0}})
    for name in ("ann", "bob"):
        make.reader(f"{name}@example.org", "graphs")
    plan(make.NOON)
    tokens = [ledger.claim(make.NOON, limit=1)[0].lease_token for _ in range(2)]
    assert [len(token) for token in tokens] == [22, 22]
    assert tokens[0][:8] != tokens[1][:8]


@pytest.mark.parametrize("written", ["json", "line", "xml"])
def test_a_variable_chooses_the_format_for_gunicorn_too(written: str, tmp_path) -> None:
    code = (
        "import logging, sys; g = logging.getLogger('gunicorn.error');"
        "g.addHandler(logging.StreamHandler()); g.propagate = False;"
        "import django; django.setup(); g.error('a %s', 'b@example.org')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=bare()
        | {"LOG_FORMAT": written, "STATE_DIR": str(tmp_path)}
        | {"DJANGO_SETTINGS_MODULE": "digest.settings"},
        capture_output=True,
        text=True,
    )
    if written == "xml":
        assert "LOG_FORMAT must be line or json" in done.stderr
    elif written == "json":
        assert json.loads(done.stderr)["message"] == "a ***@***"
    else:
        assert done.stderr == "a ***@***\n"
    assert ADDRESS not in done.stderr and PASSWORD not in done.stderr
