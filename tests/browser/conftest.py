"""What the browser tests stand on."""

from pathlib import Path

import pytest
from pytest_django import Settings

from tests.site.test_mailbox import DIGEST, Catcher


@pytest.fixture(autouse=True)
def files_from_source(settings: Settings) -> None:
    """Serve styles and scripts as they stand: nobody has collected them."""
    settings.STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def caught_mail(settings: Settings, tmp_path: Path) -> None:
    """Open the mailbox of mails that were caught, with one in it."""
    settings.MAILBOX = True
    settings.MAILBOX_DIR = tmp_path
    Catcher(tmp_path).store(DIGEST)
