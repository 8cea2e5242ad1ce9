"""Mask secrets and personal data in all text that leaves the process, by their shape.

Logs and the ADMINS' mails are scrubbed here. Matching shapes rather than names or values
finds a password in an exception's message as well as in a setting, without a list to
maintain. Each pattern matches a bounded length, so scrubbing takes linear time.
"""

import re

MASK = "***"

# smtp://user:password@host, redis://:password@host, https://key@host: up to the last @
# before a space, as a password that was not percent-encoded may contain one.
CREDENTIALS = re.compile(r"(?<=://)([^\s:/\"'<>]{0,200})(:\S{0,500})?@")
# password=…, "api_key": "…", Authorization: Basic …
NAMED = re.compile(
    r"""((?:passw(?:or)?d|passphrase|secret|token|api_?key|address_key|authorization)
         \w{0,30}["'\\]{0,4}\s{0,3}[=:]\s{0,3}(?:(?:basic|bearer|token)\s)?)
        ("[^"\n]{1,500}"|'[^'\n]{1,500}'|["'\\]{0,4}[^\s"'\\,;&)}\]]{1,500})""",
    re.IGNORECASE | re.VERBOSE,
)
# The path of a page behind a link of ours, percent-encoded or not.
LINK = re.compile(
    r"((?:/|%2f)(?:confirm|block|address|preferences|data|u)(?:/|%2f))"
    r"[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])",
    re.IGNORECASE,
)
# A token: 22 characters of base64url that are not an identifier, such as
# ConnectionRefusedError or a name in lower case.
TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-]))"
    r"(?=[a-z0-9_-]*+[A-Z])(?=[A-Z0-9_-]*+[a-z])"
    r"(?!(?:_*+[A-Z]?[a-z]{2,22}+)++(?![A-Za-z0-9_-]))"
    r"[A-Za-z0-9_-]{22}"
)
# The name of a delivery, in the address of a mail's page or of a vote.
NAME = re.compile(r"\b[1-9a-f][0-9a-f]{0,15}-[0-9a-f]{24}\b")
# The local part excludes the asterisk, or a masked address would match again.
ADDRESS = re.compile(
    r"[\w.!#$%&+/?^`{|}~-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63}){1,20}"
)
# PostgreSQL repeats the values of a rejected row.
DETAIL = re.compile(r"(?<![A-Z])((?:DETAIL|CONTEXT): ).*")

MASKS = (
    (CREDENTIALS, lambda found: f"{found[1]}:{MASK}@" if found[2] else f"{MASK}@"),
    (NAMED, lambda found: found[1] + MASK),
    (DETAIL, lambda found: found[1] + MASK),
    (LINK, lambda found: found[1] + MASK),
    (TOKEN, lambda _: MASK),
    (NAME, lambda _: MASK),
    (ADDRESS, lambda _: f"{MASK}@{MASK}"),
)


def scrub(text: str) -> str:
    """Return the text with every password, token and address masked."""
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return text
