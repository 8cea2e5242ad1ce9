"""A row of a file of readers as a person: state, dates and preferences, checked."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

from django.utils.datastructures import MultiValueDict

from subscribers.addresses import BadAddress, address_hash, canonical, key_fingerprint
from subscribers.fields import plain
from subscribers.import_file import Row
from subscribers.models import Subscriber, Suppression
from subscribers.preferences import Preferences
from subscribers.preferences_form import PreferencesForm, chosen
from subscribers.suppression import LEFT

State = Subscriber.State
Reason = Suppression.Reason

LISTS = {"topics", "days"}
LINES = {"interests", "keywords", "watched_authors", "muted_authors"}
LINES |= {"watched_institutions", "muted_institutions", "searches"}
PREFERENCES = ["topics", "interests", "keywords", "watched_authors", "muted_authors"]
PREFERENCES += ["most_papers", "timezone", "send_hour", "cadence", "days"]
PREFERENCES += ["weekday", "language", "length", "trending"]
PREFERENCES += ["watched_institutions", "muted_institutions", "searches", "wants_missed"]
INSTANTS = ["created_at", "confirmed_at", "unsubscribed_at"]
COLUMNS = ["email", "state", *PREFERENCES, *INSTANTS, "paused_until"]
COLUMNS += ["suppressed", "suppressed_at", "email_hash", "address_key"]
KNOWN = frozenset([*COLUMNS, "legal_source"])

# The words of other tools for the same states and bars.
STATES = {state.value: state for state in State} | {
    "subscribed": State.ACTIVE,
    "enabled": State.ACTIVE,
    "confirmed": State.ACTIVE,
    "unconfirmed": State.PENDING,
    "left": State.UNSUBSCRIBED,
    "opted out": State.UNSUBSCRIBED,
    "cancelled": State.UNSUBSCRIBED,
    "cold": State.ACTIVE,
    "inactive": State.UNSUBSCRIBED,
}
BARS = {reason.value: reason for reason in Reason} | {
    "suppressed": Reason.MANUAL,
    "blocklisted": Reason.MANUAL,
    "blacklisted": Reason.MANUAL,
    "disabled": Reason.MANUAL,
    "cleaned": Reason.BOUNCED,
    "bounce": Reason.BOUNCED,
    "complaint": Reason.COMPLAINED,
    "spam": Reason.COMPLAINED,
}


# Zones as other tools write them behind an instant: " UTC", " +0000", " +0000 UTC".
ZONE = re.compile(r"(?: UTC)?(?: ([+-]\d\d:?\d\d))?(?: (?:UTC|[+-]\d{4}))?$")


# Columns that the form looks at together, in its order; the others each for themselves.
WHEN = ("cadence", "days", "weekday")
PARTS = [(name,) for name in PreferencesForm.base_fields if name not in WHEN] + [WHEN]
type Cell = tuple[str, ...]
type Cells = tuple[tuple[str, Cell], ...]


class Unusable(Exception):
    """A row cannot be used; the message names the column."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """A row that can be used. Without `preferences` only its opt-out or bar counts."""

    line: int
    email_hash: str
    email: str = ""  # canonical
    preferences: Preferences | None = None
    state: State | None = None  # None: the file says none
    bar: Suppression.Reason | None = None
    legal_source: str = ""
    created_at: datetime | None = None
    confirmed_at: datetime | None = None
    unsubscribed_at: datetime | None = None
    suppressed_at: datetime | None = None
    paused_until: date | None = None

    @property
    def suppression(self) -> Suppression.Reason | None:
        """The reason under which the address is suppressed from now on."""
        return self.bar or (LEFT if self.state == State.UNSUBSCRIBED else None)

    @property
    def is_barred(self) -> bool:
        return self.bar not in (None, LEFT)

    @property
    def is_out(self) -> bool:
        return self.is_barred or self.state == State.UNSUBSCRIBED

    @property
    def becomes(self) -> State:
        if self.state in (State.UNSUBSCRIBED, State.PENDING):
            return self.state
        return (self.state or State.ACTIVE) if self.legal_source else State.PENDING


class Part:
    """A few fields of the form, and what it made of the last few thousand values of theirs."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names, self.form = names, PreferencesForm(MultiValueDict())
        self.form.fields = {name: self.form.fields[name] for name in names}
        self.checked = lru_cache(maxsize=4096)(self.check)

    def check(self, cells: tuple[Cell | None, ...]) -> dict[str, object] | str:
        """Return the values that these cells say, or what is wrong with the first."""
        given = zip(self.names, cells, strict=True)
        self.form.data = MultiValueDict({name: [*cell] for name, cell in given if cell})
        self.form.full_clean()
        for name, errors in self.form.errors.items():
            return f"{name}: {errors[0]}"
        return {name: self.form.cleaned_data[name] for name in self.names}


class Reader:
    """Turns rows into people by the rules of the sign-up form.

    Values repeat from row to row, each in its column, and checking them is most of the work:
    what the form made of the last few thousand of each is remembered.
    """

    def __init__(self, legal_source: str, now: datetime) -> None:
        self.legal_source, self.now = legal_source, now
        self.fingerprint = key_fingerprint()
        self.parts = [Part(names) for names in PARTS]
        self.together = lru_cache(maxsize=4096)(self.put_together)

    def person(self, row: Row) -> Person:
        """Return the row's person. Raises Unusable."""
        values = row.values
        if row.wrong:
            raise Unusable(row.wrong)
        state, bar = state_of(values)
        instants = {
            name: self.instant(values, name) for name in [*INSTANTS, "suppressed_at"]
        }
        if state is None and bar is None and instants["unsubscribed_at"]:
            state = State.UNSUBSCRIBED
        is_ours = text(values, "address_key") == self.fingerprint
        source = plain(text(values, "legal_source")) or self.legal_source
        if not source and is_ours and instants["confirmed_at"]:
            source = f"confirmed at {instants['confirmed_at']:%Y-%m-%d}, in our own export"
        out = bar not in (None, LEFT) or state == State.UNSUBSCRIBED
        email = self.email(values)
        email_hash = address_hash(email) if email else ""
        email_hash = email_hash or self.hash_of(values, out=out, is_ours=is_ours)
        preferences = self.preferences(values, out=out) if email else None
        return Person(
            line=row.line,
            email=email,
            email_hash=email_hash,
            preferences=None if bar and state is None else preferences,
            state=state,
            bar=bar,
            legal_source=source[:500],
            paused_until=day_of(values) if state == State.PAUSED else None,
            **instants,
        )

    def email(self, values: dict[str, object]) -> str:
        """Return the canonical address, empty for none. Raises Unusable."""
        if not (given := text(values, "email")):
            return ""
        try:
            return canonical(given)
        except BadAddress as error:
            raise Unusable(f"email: {error}") from None

    def hash_of(self, values: dict[str, object], *, out: bool, is_ours: bool) -> str:
        email_hash = text(values, "email_hash")
        if not email_hash or not out:
            raise Unusable("no email")
        if not is_ours:
            raise Unusable("email_hash: it was made with another ADDRESS_KEY")
        if not re.fullmatch("[0-9a-f]{64}", email_hash):
            raise Unusable("email_hash: not 64 hex digits")
        return email_hash

    def preferences(self, values: dict[str, object], *, out: bool) -> Preferences | None:
        """Return what the row asks for; None if it cannot be used, but its opt-out can."""
        found = self.together(posted(values))
        if isinstance(found, Preferences):
            return found
        if out:
            return None  # an opt-out counts whatever the preferences beside it
        raise Unusable(found)

    def put_together(self, cells: Cells) -> Preferences | str:
        """Return the preferences that these cells say, or what is wrong with the first."""
        cleaned: dict[str, object] = {}
        given = dict(cells)
        for part in self.parts:
            found = part.checked(tuple(map(given.get, part.names)))
            if isinstance(found, str):
                return found
            cleaned |= found
        return chosen(cleaned)

    def instant(self, values: dict[str, object], name: str) -> datetime | None:
        given = text(values, name)
        if not given:
            return None
        try:
            found = parsed(given)
            found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise Unusable(f"{name}: not an instant like 2026-04-17T08:00+00:00") from None
        return min(found, self.now)


def parsed(given: str) -> datetime:
    """Parse an instant as ISO 8601 has it, or other tools. Raises ValueError."""
    try:
        return datetime.fromisoformat(given)
    except ValueError:
        return datetime.fromisoformat(ZONE.sub(r"\1", given))


def text(values: dict[str, object], name: str) -> str:
    value = values.get(name)
    return "" if value is None else str(value).strip()


def state_of(
    values: dict[str, object],
) -> tuple[Subscriber.State | None, Suppression.Reason | None]:
    """Return the state and the bar that a row names. Raises Unusable."""
    word = text(values, "state").lower().replace("_", " ").replace("-", " ")
    reason = text(values, "suppressed").lower()
    if reason and reason not in BARS:
        raise Unusable("suppressed: not a reason that we know")
    bar = BARS.get(reason)
    if bar == LEFT:  # only a pending reader has come back from that
        is_back = STATES.get(word) == State.PENDING
        return (State.PENDING, LEFT) if is_back else (State.UNSUBSCRIBED, None)
    if not word or word in STATES:
        return STATES.get(word), bar
    if word not in BARS:
        raise Unusable("state: not a state that we know, like active or unsubscribed")
    return None, bar or BARS[word]


def day_of(values: dict[str, object]) -> date | None:
    given = text(values, "paused_until")
    try:
        return date.fromisoformat(given) if given else None
    except ValueError:
        raise Unusable("paused_until: not a date like 2026-04-17") from None


def posted(values: dict[str, object]) -> Cells:
    """Return the row's preferences as the form would have posted them: names and values."""
    data: dict[str, Cell] = {}
    for name in PREFERENCES:
        value = values.get(name)
        if value is None:
            continue
        if isinstance(value, str) and name not in LISTS:
            data[name] = (value,) if value else ()
            continue
        if isinstance(value, list) and name in LINES:
            value = "\n".join(map(str, value))
        many: list[object] = [value]
        if name in LISTS:
            one_cell = re.split(r"[\s,;|]+", str(value).strip(" ,;|"))
            many = value if isinstance(value, list) else [*one_cell]
        data[name] = tuple(str(one) for one in many if one is not None and one != "")
    return tuple(data.items())
