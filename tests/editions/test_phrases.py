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
        ("en", date(2026, 9, 3), "3 September 2026", "3 Sep"),
        ("en", date(2026, 9, 1), "1–3 September 2026", "1–3 Sep"),
        ("en", date(2026, 8, 20), "20 August–3 September 2026", "20 Aug–3 Sep"),
        ("de", date(2026, 8, 20), "20. August–3. September 2026", "20. Aug–3. Sep"),
    ],
)
def test_days_are_written_in_one_way(language, first, headline, subject):
    with translation.override(language):
        assert phrases.dates(first, date(2026, 9, 3)) == (headline, subject)
