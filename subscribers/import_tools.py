"""The exports of other newsletter tools, recognised by their columns.

Each tool says in its own way who has left and who must not be written to. Here a row becomes
one of ours: `state`, `suppressed` and the dates, as import_rows.py reads them. A tool that
only uses other words for its states (Kit) needs no entry: they stand in import_rows.py.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tool:
    """How one tool writes its readers; all names as import_file.name_of gives them."""

    name: str
    marks: frozenset[str]  # columns that tell its export from all others
    columns: Mapping[str, str] = field(default_factory=dict)  # its name of ours
    words: Mapping[str, str] = field(default_factory=dict)  # its state: ours
    # A column that says by being filled, or by this value, what became of the reader.
    decides: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)

    def read(self, theirs: Mapping[str, object]) -> dict[str, object]:
        """Return the row in our words."""
        row = {self.columns.get(name, name): value for name, value in theirs.items()}
        word = str(row.get("state") or "").strip().lower()
        row |= {"state": self.words[word]} if word in self.words else {}
        for (column, value), ours in self.decides.items():
            given = str(theirs.get(column) or "").strip().lower()
            if given and value in ("", given):
                row |= ours
        return row

    @property
    def reads(self) -> frozenset[str]:
        """The columns that are not ignored although we have none of that name."""
        return frozenset([*self.columns, *(column for column, _ in self.decides)])


FILLED = ""
LEFT = {"state": "unsubscribed"}

TOOLS = (
    # An export in three files: the subscribed, the unsubscribed, the cleaned.
    Tool(
        "Mailchimp",
        frozenset({"leid", "euid"}),
        {
            "optin_time": "created_at",
            "confirm_time": "confirmed_at",
            "unsub_time": "unsubscribed_at",
            "clean_time": "suppressed_at",
        },
        decides={
            ("unsub_time", FILLED): LEFT,
            ("clean_time", FILLED): {"suppressed": "bounced"},
        },
    ),
    Tool("listmonk", frozenset({"uuid", "attributes", "state"})),
    Tool(
        "Substack",
        frozenset({"email_disabled", "active_subscription"}),
        decides={("email_disabled", "true"): LEFT},
    ),
    Tool(
        "Ghost",
        frozenset({"subscribed_to_emails"}),
        {"deleted_at": "unsubscribed_at"},
        decides={
            ("subscribed_to_emails", "false"): LEFT,
            ("deleted_at", FILLED): LEFT,
        },
    ),
    Tool(
        "Buttondown",
        frozenset({"email", "creation_date", "type"}),
        {
            "type": "state",
            "creation_date": "created_at",
            "unsubscription_date": "unsubscribed_at",
        },
        {
            **dict.fromkeys(
                ["regular", "premium", "gifted", "trialed", "past_due", "churning"],
                "active",
            ),
            **dict.fromkeys(["unactivated", "upcoming", "churned", "paused"], "pending"),
            "removed": "unsubscribed",
            "blocked": "blocklisted",
            "spammy": "blocklisted",
            "undeliverable": "bounced",
        },
    ),
)


def tool_of(columns: Collection[str]) -> Tool | None:
    """Return the tool whose export has these columns; None for a file of ours or another's."""
    return next((tool for tool in TOOLS if tool.marks <= set(columns)), None)
