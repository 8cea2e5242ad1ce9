"""A link scanner: it fetches the confirmation link of a mail, and never posts.

`python -m tests.faults.scanner` prints the reader's state after it.
"""

from datetime import UTC, datetime

import django


def main() -> None:
    django.setup()
    from django.conf import settings
    from django.test import Client

    from subscribers import links
    from subscribers.models import Link
    from tests import make

    now = datetime.now(UTC)
    reader = make.reader("new@example.org", "graphs", state="pending", at=now)
    url = f"/confirm/{links.make(reader, Link.Purpose.CONFIRM, now=now)}/"
    client = Client(headers={"host": settings.SITE_HOST})
    assert client.get(url).status_code == 200
    client.head(url)
    client.options(url)
    reader.refresh_from_db()
    print(reader.state)


if __name__ == "__main__":
    main()
