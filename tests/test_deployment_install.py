"""What an operator installs: without extras it names the one that lacks, with one it runs a day.

That it runs a whole day without any is said by test_story.py.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests import migrated
from tests.environment import DEPLOYMENT, KEYS, ROOT, bare
from tests.faults import outside
from tests.installation import sync
from tests.providers import reports
from tests.test_story import DAY, HOUR, entries

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EMBEDDED = PYPROJECT["dependency-groups"]["embedded"]
# The only files that may import what the embedded group brings.
EMBEDDED_ONLY = {"digest/ops/mailbox/catcher.py"}
# Files that alone may import what an extra brings, and only once that is known to be there.
USED_BY_EXTRAS = {
    "digest/ranking/sentences.py": "embeddings",
    "digest/error_tracking.py": "sentry",
    "digest/ops/doctor/sender_records.py": "doctor",
    "digest/ops/doctor/domain_records.py": "doctor",
    "digest/ops/doctor/received.py": "doctor",
    "digest/ops/doctor/spf.py": "doctor",
}
ANN = "ann@example.org"
OURS = {"digest", "subscribers", "manage", "tests"}
# A public key as SendGrid gives it.
PUBLIC_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnfZJJGsa0PMKsKgRF7lj9tKVix8cm6ZwBVKxaz002Mqc"
    "ar8J7qUMhRevew3PU7UDWPSLcXncqm1ETw5AcQxL8w=="
)
# The provider, a variable of its own, and the extra that brings what it needs.
EXTRAS = [  # a day with the first two in each run, with the others by night
    ("amazon_ses", {"ANYMAIL_AMAZON_SES_SESSION_PARAMS": "{}"}, "ses"),
    ("resend", {"ANYMAIL_RESEND_SIGNING_SECRET": "whsec_c2VjcmV0"}, "resend"),
    ("postal", {"ANYMAIL_POSTAL_WEBHOOK_KEY": "k"}, "postal"),
    (
        "sendgrid",
        {"ANYMAIL_SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": PUBLIC_KEY},
        "sendgrid",
    ),
]
# Run commands, and hand a provider's report to the site: JSON of them on stdin.
A_DAY = """
import django, json, os, sys
django.setup()
from django.core.management import call_command
from django.test import Client
from subscribers.models import Suppression
told = json.load(sys.stdin)
for words in told["commands"]:
    call_command(*words, stdout=sys.stderr)
report = told["report"]
headers = {"Authorization": "Basic bmV3OmEtc2VjcmV0"}
forged = {name: value[::-1] for name, value in report["headers"].items()}
url = f"/webhooks/{os.environ['PROVIDER']}/tracking/"
for sent in (forged, report["headers"]):
    answer = Client().post(url, report["body"], "application/json", headers=headers | sent)
    print(answer.status_code, *Suppression.objects.values_list("reason", flat=True))
"""


def deployed(provider: str, variables: dict[str, str], state: Path) -> dict[str, str]:
    """A deployment that sends with `provider` and takes its reports."""
    return (
        bare()
        | DEPLOYMENT
        | KEYS
        | variables
        | {
            "DATABASE_URL": f"sqlite:///{state}/db.sqlite3",
            "MAILER_URL": f"anymail://{provider}",
            "ANYMAIL_WEBHOOK_SECRET": "new:a-secret",
            "DJANGO_SETTINGS_MODULE": "digest.settings",
            "STATE_DIR": str(state),
            "PROVIDER": provider,
            "SECURE_SSL_REDIRECT": "false",
            "SITE_URL": "http://testserver",
        }
    )


@pytest.mark.embedded
@pytest.mark.parametrize(("provider", "variables", "extra"), EXTRAS)
@pytest.mark.parametrize("by", ["MAILER_URL", "its own variable"])
def test_a_provider_without_its_package_is_one_line_that_names_the_extra(
    installed: Path,
    provider: str,
    variables: dict[str, str],
    extra: str,
    by: str,
    tmp_path: Path,
) -> None:
    env = deployed(provider, {} if by == "MAILER_URL" else variables, tmp_path)
    if by != "MAILER_URL":  # its reports still come while another sends
        env["MAILER_URL"] = "smtp://127.0.0.1:9"
    done = run([f"{installed}/bin/python", "manage.py", "check"], env)
    assert done.returncode == 1
    (line,) = (done.stdout + done.stderr).splitlines()
    assert f"--extra {extra}" in line
    assert (by if by == "MAILER_URL" else next(iter(variables))) in line


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("provider", "extra"),
    [(provider, extra) for provider, _, extra in EXTRAS[:2]]
    + [
        pytest.param(provider, extra, marks=pytest.mark.nightly)
        for provider, _, extra in EXTRAS[2:]
    ],
)
def test_j1_a_day_with_a_provider_and_its_extra_alone(
    installed: Path, provider: str, extra: str, tmp_path: Path
) -> None:
    shutil.copytree(installed, tmp_path / "venv", symlinks=True, copy_function=os.link)
    sync(tmp_path / "venv", "--extra", extra)
    migrated.copy_to(tmp_path / "db.sqlite3")
    papers, readers = tmp_path / "papers.json", tmp_path / "readers.csv"
    papers.write_text(json.dumps(entries(DAY)))
    readers.write_text(f"email,topics,timezone,send_hour\n{ANN},graphs,UTC,{HOUR}\n")
    report = reports.bounce(provider, ANN)
    with outside.provider(tmp_path / "provider", provider) as there:
        env = deployed(provider, there.env | report.variables, tmp_path)
        commands = (
            f"fetch --from {papers}",
            f"publish --day {DAY}",
            f"subscribers import {readers} --legal-source asked",
            f"deliver --day {DAY}",
        )
        told = {
            "commands": [words.split() for words in commands],
            "report": {"body": report.body, "headers": report.headers},
        }
        python = [f"{tmp_path}/venv/bin/python", "-W", "ignore", "-c", A_DAY]
        done = run(python, env, text=json.dumps(told))
        assert there.arrived() == [ANN], done.stderr
    assert done.stdout == report.answers, done.stderr


def run(
    command: list[str], env: dict[str, str], *, text: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=env, input=text, capture_output=True, text=True
    )


def distribution(requirement: str) -> str:
    """The normalised name in a requirement like `kombu[redis]>=5.7` (PEP 503)."""
    found = re.match(r"[\w.-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def third_party(tree: ast.Module) -> set[str]:
    """The top-level packages that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names} - OURS - set(sys.stdlib_module_names)


def test_c30_every_package_that_is_imported_is_declared() -> None:
    declared = {distribution(one) for one in PROJECT["dependencies"]}
    # Files that alone may import what a group or an extra brings.
    only = dict.fromkeys(EMBEDDED_ONLY, {distribution(one) for one in EMBEDDED})
    for file, extra in USED_BY_EXTRAS.items():
        extras = PROJECT["optional-dependencies"][extra]
        only[file] = {distribution(one) for one in extras}
    providing: Callable[[str], list[str]] = packages_distributions().get  # type: ignore[assignment]
    undeclared = {}
    for path in [
        ROOT / "manage.py",
        *ROOT.glob("digest/**/*.py"),
        *ROOT.glob("subscribers/**/*.py"),
    ]:
        for name in third_party(ast.parse(path.read_text())):
            providers = {distribution(one) for one in providing(name) or [name]}
            file = str(path.relative_to(ROOT))
            if not providers & (declared | only.get(file, set())):
                undeclared[name] = file
    assert undeclared == {}
