"""Each block of docs/providers.md is a deployment that the settings and the checks take."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.core.mail import mailers
from django.test import override_settings

from digest import checks
from tests.configured import GIVEN, settings
from tests.environment import ROOT

pytestmark = pytest.mark.embedded

PAGE = (ROOT / "docs" / "providers.md").read_text()
BLOCKS = dict(
    re.findall(
        r"^## ([^\n]+)\n(?:(?!^## ).)*?```ini\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL
    )
)
READ = ("ANYMAIL", "MAILERS", "MAILER_URL", "SITE_URL", "SITE_HOST", "HTTPS")


def known_to_anymail(variable: str, provider: str) -> bool:
    """True if Anymail's code for that provider reads ANYMAIL_PROVIDER_… of that name."""
    setting = variable.removeprefix(f"ANYMAIL_{provider.upper()}_").lower()
    specs = [find_spec(f"anymail.{side}.{provider}") for side in ("backends", "webhooks")]
    code = "".join(Path(str(spec.origin)).read_text() for spec in specs if spec)
    return f'"{setting}"' in code


@pytest.mark.parametrize("section", BLOCKS)
def test_each_block_is_a_deployment_without_findings(section: str, tmp_path: Path) -> None:
    block = dict(line.split("=", 1) for line in BLOCKS[section].splitlines())
    read = settings(GIVEN | block, state=tmp_path)
    provider = block["MAILER_URL"].removeprefix("anymail://")
    for name in block:
        by_the_settings = name in read or name == "ANYMAIL_WEBHOOK_SECRET"
        assert (
            by_the_settings or name.startswith("AWS_") or known_to_anymail(name, provider)
        )
    with override_settings(**{name: read[name] for name in READ}):
        assert checks.reports_can_be_read(None) == []
        assert checks.connections_are_secret(None) == []
        found = [str(one.msg) for one in checks.secrets_are_strong(None)]
        assert not [words for words in found if "WEBHOOK" in words]
        mailers["default"].close()  # it was made: Anymail has all that it needs


def test_the_page_has_the_providers_of_its_first_table() -> None:
    assert len(BLOCKS) == 7
