"""`python -m tests.mail`: the long proofs over many mails, and new golden pictures.

PAPERS_DATA=folder uv run python -m tests.mail --digests 10000
uv run python -m tests.mail --pictures
"""

import argparse
import os
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mail")
    parser.add_argument("--digests", type=int, metavar="N", help="compose and lint N")
    parser.add_argument("--pictures", action="store_true", help="take them anew")
    options = parser.parse_args()
    if not (options.digests or options.pictures):
        parser.error("say what to do")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "digest.settings")
    import django

    django.setup()
    if options.pictures:
        take_pictures()
    if options.digests:
        from tests.mail import many

        return many.report(options.digests) + many.heights(40)
    return 0


def take_pictures() -> None:
    from playwright.sync_api import sync_playwright

    from digest.ops.gallery import gallery
    from tests.conftest import installed_chromium
    from tests.mail import pictures
    from tests.mail.conftest import NOW, Specimen

    mails = {name: Specimen(name, raw) for name, raw in gallery.mails(NOW)}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=installed_chromium(), args=["--no-sandbox"]
        )
        context = chromium.new_context()
        for name, width, scheme, golden in pictures.views():
            picture = pictures.taken(context, mails[name].html, width=width, scheme=scheme)
            golden.parent.mkdir(exist_ok=True)
            picture.save(golden, optimize=True)
            print(golden)


if __name__ == "__main__":
    sys.exit(main())
