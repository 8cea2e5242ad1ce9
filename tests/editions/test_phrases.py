"""The catalogues: complete in every language, and compiled as they are written."""

import re
from datetime import date

import pytest
from django.conf import settings
from django.utils import translation

from digest.editions import phrases

OTHERS = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]


@pytest.mark.parametrize("code", OTHERS)
def test_every_phrase_of_a_block_is_spoken(code):
    for name in phrases.PHRASES:
        for number in (0, 1, 2):
            with translation.override(code):
                said = phrases.translate(phrases.phrase(name, number))
            assert said and not re.search("[\ufdd0-\ufdef]", said)


def test_a_phrase_that_is_not_there_is_refused():
    with pytest.raises(KeyError):
        phrases.phrase("nonsense")


@pytest.mark.parametrize(
    ("language", "first", "headline", "subject"),
    [
        ("en", date(2026, 8, 3), "3 August 2026", "3 Aug"),
        ("en", date(2026, 8, 1), "1–3 August 2026", "1–3 Aug"),
        ("en", date(2026, 7, 20), "20 July–3 August 2026", "20 Jul–3 Aug"),
        ("de", date(2026, 7, 20), "20. Juli–3. August 2026", "20. Jul–3. Aug"),
    ],
)
def test_days_are_written_in_one_way(language, first, headline, subject):
    with translation.override(language):
        assert phrases.dates(first, date(2026, 8, 3)) == (headline, subject)
