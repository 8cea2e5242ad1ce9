"""Fetch a day from the source at argv[1]: what came of it, the megabytes and seconds it took."""

import resource
import sys
import time
from datetime import date

from django.conf import settings

from digest.papers.sources import SourceError, daily_papers


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    settings.SOURCE_URL = sys.argv[1]
    before, start = peak(), time.process_time()
    try:
        daily_papers.fetch_day(date(2026, 4, 17))
        print("read")
    except SourceError as error:
        print(error)
    print(peak() - before, time.process_time() - start)


if __name__ == "__main__":
    main()
