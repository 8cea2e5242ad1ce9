"""The exports of other newsletter tools, recognised by their columns.

Each tool says in its own way who has left and who must not be written to. Here a row becomes
one of ours: `state`, `suppressed` and the dates, as import_rows.py reads them. A tool that
only uses other words for its states (Kit) needs no entry: they stand in import_rows.py.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

FILLED = ""
NOT_FILLED = {"", "0", "-", "f", "false", "n", "no", "none", "null"}


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
            if value == given if value else given not in NOT_FILLED:
                row |= ours
        return row

    @property
    def reads(self) -> frozenset[str]:
        """The columns that are not ignored although we have none of that name."""
        return frozenset([*self.columns, *(column for column, _ in self.decides)])


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

# Columns that say by being filled, with a date or a yes, what became of a reader.
OTHER = Tool(
    "another tool",
    frozenset(),
    decides={
        (column, FILLED): ours
        for ours, columns in (
            (
                LEFT,
                "unsub_time unsub_date unsubscribe_date unsubscribe_time unsubscribed"
                " unsubscribed_date unsubscribed_on unsubscribed_time unsubscription_date"
                " is_unsubscribed has_unsubscribed unsubscribed_from_all_email"
                " opt_out opt_out_date opt_out_time optout optout_date opted_out"
                " opted_out_at has_opted_out_of_email email_opt_out",
            ),
            (
                {"suppressed": "bounced"},
                "clean_time cleaned cleaned_at bounced bounced_at bounce_date bounce_time"
                " hard_bounced hard_bounce is_bounced",
            ),
            (
                {"suppressed": "complained"},
                "complained complained_at complaint_date marked_as_spam spam_complaint",
            ),
            (
                {"suppressed": "manual"},
                "blocklisted blacklisted is_blocklisted is_blacklisted email_blacklisted"
                " email_blocklisted do_not_email do_not_contact",
            ),
        )
        for column in columns.split()
    },
)


def tool_of(columns: Collection[str]) -> Tool | None:
    """Return the tool whose export has these columns, OTHER if only they say who has left.

    None for a file of ours, or one that says it in no way we know.
    """
    names = set(columns)
    found = next((tool for tool in TOOLS if tool.marks <= names), None)
    return found or (OTHER if OTHER.reads & names else None)
