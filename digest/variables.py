"""Read all variables, from the environment and then from the file .env.

Blanks, line ends and quotes around a value are removed, as some ways of setting a variable
leave them. For any variable, NAME_FILE names a file that contains the value of NAME. An
invalid value raises ImproperlyConfigured with one line, which names the variable and
repeats no secret.
"""

import json
import math
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from email.utils import getaddresses
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from dotenv.parser import parse_stream
from email_validator import validate_email

YES = {"1", "on", "true", "y", "yes"}
NO = {"0", "false", "n", "no", "off"}
QUOTES = "\"'"
NO_TEXT = {"Cc", "Cs", "Zl", "Zp"}  # Unicode: control, surrogate, line and paragraph ends
FILE = "_FILE"
# How alike two names are of which one is a slip: one letter of ten, or two that changed places.
ALIKE = 0.85
# In the environment, so that child processes know it too: the names that a .env file gave.
FROM_FILE = "NAMES_IN_ENV_FILE"
# https://arxiv.org/category_taxonomy: each archive and what it is divided into.
ARXIV = frozenset(
    f"{archive}.{part}"
    for archive, parts in {
        "astro-ph": "CO EP GA HE IM SR",
        "cond-mat": "dis-nn mes-hall mtrl-sci other quant-gas soft stat-mech str-el supr-con",
        "cs": "AI AR CC CE CG CL CR CV CY DB DC DL DM DS ET FL GL GR GT HC IR IT LG LO MA MM "
        "MS NA NE NI OH OS PF PL RO SC SD SE SI SY",
        "econ": "EM GN TH",
        "eess": "AS IV SP SY",
        "math": "AC AG AP AT CA CO CT CV DG DS FA GM GN GR GT HO IT KT LO MG MP NA NT OA OC "
        "PR QA RA RT SG SP ST",
        "nlin": "AO CD CG PS SI",
        "physics": "acc-ph ao-ph app-ph atm-clus atom-ph bio-ph chem-ph class-ph comp-ph "
        "data-an ed-ph flu-dyn gen-ph geo-ph hist-ph ins-det med-ph optics plasm-ph pop-ph "
        "soc-ph space-ph",
        "q-bio": "BM CB GN MN NC OT PE QM SC TO",  # codespell:ignore
        "q-fin": "CP EC GN MF PM PR RM ST TR",
        "stat": "AP CO ME ML OT TH",  # codespell:ignore
    }.items()
    for part in parts.split()
) | {
    *("gr-qc", "hep-ex", "hep-lat", "hep-ph", "hep-th", "math-ph", "nucl-ex", "nucl-th"),
    "quant-ph",
}
DOMAIN = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")


def bare(name: str) -> str:
    """Return a name as it sounds: without its suffix, lines between words, and case."""
    return name.removesuffix(FILE).replace("_", "").casefold()


def is_domain(text: str) -> bool:
    return bool(DOMAIN.fullmatch(text))


def load_file(path: Path, *, environ: MutableMapping[str, str], must_exist: bool) -> None:
    """Add the variables of a .env file to `environ`, except those that are set.

    All are added, so that libraries see theirs too (AWS_…, PGPASSWORD, HTTPS_PROXY).
    """
    try:
        with open(path, encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except FileNotFoundError:
        if must_exist:
            raise ImproperlyConfigured(f"ENV_FILE names {path}: no such file.") from None
        return
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ImproperlyConfigured(f"cannot read {path}: {reason}.") from None
    given = {name.removesuffix(FILE) for name in environ}
    added = []
    for one in bindings:
        if one.error or (one.key and one.value is None) or "\0" in (one.value or ""):
            line = one.original.line + one.original.string.count("\n", 0, -1)
            raise ImproperlyConfigured(f"{path}, line {line}: write NAME=value.")
        if one.key and one.value is not None and one.key.removesuffix(FILE) not in given:
            environ[one.key] = one.value
            added.append(one.key)
    if added:
        environ[FROM_FILE] = ",".join(added)


def for_child(**values: str) -> dict[str, str]:
    """Return a child process's environment: this one's, replaced by `values`.

    The child reads no .env file, as this process has read it.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.removesuffix(FILE) not in values
    }
    names = os.environ.get(FROM_FILE, "").split(",")
    told = ",".join(name for name in names if name.removesuffix(FILE) not in values)
    return kept | {"ENV_FILE": os.devnull, FROM_FILE: told} | values


@dataclass(frozen=True)
class Variables:
    """The variables as typed values. Each method raises ImproperlyConfigured."""

    environ: Mapping[str, str]
    known: dict[str, None] = field(default_factory=dict)  # the names that were read

    def text(self, name: str, default: str = "") -> str:
        """Return the value, or the default if it is unset or empty."""
        self.known[name] = None
        value, file = self.environ.get(name, ""), self.environ.get(name + FILE, "")
        if value and file:
            raise ImproperlyConfigured(f"set {name} or {name}{FILE}, not both.")
        if file:
            value = content(Path(file), name + FILE)
        return cleaned(name, value) or default

    def source(self, name: str) -> str:
        """Return where the value comes from: a file, .env, the environment or the default."""
        in_file = self.in_file()
        for given, words in ((name + FILE, f"the file named in {name}{FILE}"), (name, "")):
            if self.environ.get(given):
                place = ".env" if given in in_file else "the environment"
                return f"{words}, set in {place}" if words else place
        return "the default"

    def misspelled(self) -> dict[str, str]:
        """Return the variable that is meant by each name that is nearly one, but not read.

        A variable that has a value is meant by no other name. Complete once all were read.
        """
        given = {name.removesuffix(FILE) for name, value in self.environ.items() if value}
        meant = {bare(name): name for name in self.known if name not in given}
        meant.pop(bare("ENV_FILE"), None)  # ENV is many programs' own
        return {
            name: meant[close]
            for name in sorted(given - set(self.known))
            for close in get_close_matches(bare(name), meant, n=1, cutoff=ALIKE)
        }

    def refuse_misspelled(self) -> None:
        """Refuse a name of the .env file that is nearly one of ours.

        Who writes TESTMODE_TO there must not find out from the readers. The environment has
        many names that are not for us: of those `check` warns.
        """
        in_file = {name.removesuffix(FILE) for name in self.in_file()}
        for name, meant in self.misspelled().items():
            if name in in_file:
                raise ImproperlyConfigured(f"{name} in .env is no variable: write {meant}.")

    def in_file(self) -> list[str]:
        """Return the names that the .env file gave."""
        return self.environ.get(FROM_FILE, "").split(",")

    def named(self, prefix: str) -> list[str]:
        """Return the names that begin with `prefix` and have a value."""
        names = {
            name.removesuffix(FILE) for name in self.environ if name.startswith(prefix)
        }
        return [name for name in sorted(names) if self.text(name)]

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name).lower()
        if value and value not in YES | NO:
            raise ImproperlyConfigured(f"{name} must be true or false.")
        return value in YES if value else default

    def number(self, name: str, default: float, *, least: float, most: float) -> float:
        """Return a number from `least` to `most`."""
        try:
            value = float(self.text(name) or default)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            wanted = f"a number from {least:.0f} to {most:.0f}"
            raise ImproperlyConfigured(f"{name} must be {wanted}.")
        return value

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        """Return a whole number from `least` to `most`."""
        value = self.number(name, default, least=least, most=most)
        if not value.is_integer():
            raise ImproperlyConfigured(f"{name} must be a whole number.")
        return int(value)

    def day(self, name: str) -> date | None:
        if not (value := self.text(name)):
            return None
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ImproperlyConfigured(f"{name} must be a date like 2026-04-17.") from None

    def several(self, name: str) -> list[str]:
        """Return the values between commas, without the empty ones."""
        values = [cleaned(name, value) for value in self.text(name).split(",")]
        return [value for value in values if value]

    def codes(self, name: str, *, like: str) -> list[str]:
        """Return arXiv's categories between commas. Of any other it never has a paper."""
        values = self.several(name)
        if not set(values) <= ARXIV:
            raise ImproperlyConfigured(
                f"{name} must be arXiv's categories, like {like}, or empty."
            )
        return values

    def mailbox(self, name: str, default: str = "", *, optional: bool = False) -> str:
        """Return one address, with or without a name before it (RFC 5322 section 3.4)."""
        value = self.text(name, default)
        if value or not optional:
            check_mailbox(name, value)
        return value

    def mailboxes(self, name: str) -> list[str]:
        """Return the addresses between commas."""
        values = self.several(name)
        for value in values:
            check_mailbox(name, value)
        return values

    def rates(
        self,
        name: str,
        *,
        of: Callable[[str], object] = is_domain,
        like: str = "gmail.com=20,outlook.com=10",
    ) -> dict[str, float]:
        """Return numbers by domain, or by what else is `like` that."""
        rates = {}
        for pair in self.several(name):
            domain, _, rate = (part.strip().lower() for part in pair.partition("="))
            is_new = domain not in rates
            try:
                rates[domain] = float(rate)
            except ValueError:
                rates[domain] = math.nan
            if not (is_new and 0 < rates[domain] < 1e6 and of(domain)):
                raise ImproperlyConfigured(f"{name} must be like {like}.")
        return rates

    def folder(self, name: str, default: Path, *, base: Path) -> Path:
        """Return an absolute path; a relative one is below `base`, not the working folder."""
        value = self.text(name)
        return (base / Path(value).expanduser()).resolve() if value else default

    def path(self, name: str, default: str, *, taken: Collection[str]) -> str:
        """Return the path of a page, without the slashes around it.

        It begins with none of those taken by other pages.
        """
        value = self.text(name, default).strip("/")
        if value.partition("/")[0] in taken:
            raise ImproperlyConfigured(f"{name} must not be a path of the site's own.")
        if not re.fullmatch(r"\w[\w.~-]*(/\w[\w.~-]*)*", value, re.ASCII):
            raise ImproperlyConfigured(f"{name} must be a path like back-room.")
        return value

    def option(self, name: str) -> Any:
        """Return a library's option: true, false, JSON in brackets, or else text."""
        value = self.text(name)
        if value.lower() in {"true", "false"}:
            return value.lower() == "true"
        if value[:1] not in {"{", "["}:
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ImproperlyConfigured(
                f"{name} must be valid JSON, as it starts with a bracket."
            ) from None


def check_mailbox(name: str, value: str) -> None:
    """Raise ImproperlyConfigured unless the value is one address that mail can carry."""
    found = getaddresses([value])
    try:
        ((_, address),) = found
        validate_email(
            address, check_deliverability=False, test_environment=True, allow_smtputf8=True
        )
    except ValueError:
        raise ImproperlyConfigured(
            f"{name} must be an address, like Daily Papers <papers@papers.example.org>."
        ) from None
    if not address.isascii():
        raise ImproperlyConfigured(
            f"{name}: the address must be ASCII: write xn--… for the domain."
        )


def check_hook(name: str, url: str, *, mastodon: bool = False) -> str:
    """Return the URL of somebody's webhook: https, or http inside our own network.

    If `mastodon`, also mastodon://TOKEN@HOST, for an account there. Raises
    ImproperlyConfigured.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    is_own = not re.search("[.:]", host) or re.fullmatch(r"127(\.[0-9]{1,3}){3}|::1", host)
    allowed = {"https", "http" if is_own else "", "mastodon" if mastodon else ""}
    if not host or re.search(r"[\s\"<>\\^`{|}]", url) or parts.scheme not in allowed:
        raise ImproperlyConfigured(f"{name} must be like https://host/path.")
    if parts.scheme == "mastodon" and not parts.username:
        raise ImproperlyConfigured(f"{name} must be like mastodon://TOKEN@host.")
    return url


def content(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ImproperlyConfigured(
            f"{name} names a file that cannot be read: {reason}."
        ) from None


def cleaned(name: str, value: str) -> str:
    """Return the value without blanks and quotes around it. Raises ImproperlyConfigured."""
    value = value.strip()
    if len(value) > 1 and value[0] in QUOTES and value[0] == value[-1]:
        value = value[1:-1].strip()
    if any(quote in value[:1] + value[-1:] and value.count(quote) % 2 for quote in QUOTES):
        raise ImproperlyConfigured(f"{name} has a quote at one end only.")
    if any(unicodedata.category(character) in NO_TEXT for character in value):
        raise ImproperlyConfigured(f"{name} must be one line of plain text.")
    return value
