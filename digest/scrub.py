"""Mask secrets and personal data, by their shape, in all text that leaves the process.

Logs and the ADMINS' mails pass through here. Shapes and not names or values: a password
is found in an exception's words as well as in a setting, and nothing must be kept in step.
Each pattern looks at a bounded stretch from where it begins, so text of any length is
scrubbed in linear time.
"""

import re

MASK = "***"

# smtp://user:password@host, redis://:password@host, https://key@host: as far as the last
# @ before a space, as a password that was not percent-encoded may hold one itself.
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
# A token that stands alone: 22 characters of base64url which are not words of a program,
# as ConnectionRefusedError or a name in small letters are.
TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-]))"
    r"(?=[a-z0-9_-]*+[A-Z])(?=[A-Z0-9_-]*+[a-z])"
    r"(?!(?:_*+[A-Z]?[a-z]{2,22}+)++(?![A-Za-z0-9_-]))"
    r"[A-Za-z0-9_-]{22}"
)
# The name of a delivery, in the address of a mail's page or of a vote.
NAME = re.compile(r"\b[1-9a-f][0-9a-f]{0,15}-[0-9a-f]{24}\b")
# The asterisk is left out of the local part, or what is masked already would match.
ADDRESS = re.compile(
    r"[\w.!#$%&+/?^`{|}~-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63}){1,20}"
)
# PostgreSQL repeats the values of the row that it refused.
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
