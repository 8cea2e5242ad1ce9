"""The words of an announcement: an operator's Markdown or plain text, as HTML and text.

Of Markdown as a mail can show it: paragraphs, headings, lists, quotes, emphasis and links
to http, https and mailto. HTML is shown as it was typed, never as markup. Images, code
blocks and whatever mail programs render each in their own way are refused or stay text.
"""

import re
from functools import cache
from html import escape

from django.core.exceptions import ValidationError
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from digest.editions import text_layout
from digest.models import Announcement
from digest.papers.text import REMOVED

NOT_RENDERED = ["image", "code", "fence", "html_block", "html_inline", "backticks"]
LINK = re.compile(r"https?://[^\s<>\"]*[^\s<>\".,:;!?()\[\]']")
ALLOWED_LINK = re.compile(r"https?://[^/\s]|mailto:[^\s@]+@", re.IGNORECASE)
IMAGE = re.compile(r"!\[[^\[\]\n]*\][(\[]|<img\b", re.IGNORECASE)
# Also what a reader would take for our own signature separator.
SEPARATOR = re.compile(r"^-- ?$", re.MULTILINE)


@cache
def parser() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False}).disable(NOT_RENDERED)
    made.validateLink = is_allowed  # type: ignore[method-assign]
    made.core.ruler.push("headings", level_headings)
    return made


def is_allowed(url: str) -> bool:
    return ALLOWED_LINK.match(url) is not None


def level_headings(state: object) -> None:
    """Make each heading one of the second level: the mail has its own first."""
    for token in state.tokens:  # type: ignore[attr-defined]
        if token.type in {"heading_open", "heading_close"}:
            token.tag = "h2"


def clean(text: str, *, lines: bool = False) -> str:
    """Remove invisible and control characters; keep line breaks only with `lines`."""
    text = REMOVED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    if lines:
        return SEPARATOR.sub("---", text.expandtabs(4)).strip("\n")
    return " ".join(text.split())


def check(text: str) -> None:
    """Raise ValidationError for what a mail cannot show."""
    if IMAGE.search(text):
        raise ValidationError("Images are not supported: link to them instead.")


def in_mail(announcement: Announcement) -> dict[str, object]:
    """Return what the templates of its mails need beside a digest's."""
    body = clean(announcement.body, lines=True)
    made = markdown(body) if announcement.is_markdown else plain(body)
    # Markdown decodes HTML's entities, and so may have made what was removed; what no text
    # can hold became U+FFFD.
    html, text = (REMOVED.sub("", part.replace("\ufffd", "")) for part in made)
    direction = text_layout.direction(f"{announcement.title}\n{body}")
    return {
        "title": clean(announcement.title),
        "text_language": announcement.language,
        "direction": direction,
        "body_html": html,
        "body_text": text,
        "date": "",
    }


def plain(body: str) -> tuple[str, str]:
    """Return the paragraphs of plain text, with its links, as HTML and as text."""
    paragraphs = [part for part in re.split(r"\n\s*\n", body) if part.strip()]
    html = "".join(f"<p>{linked(part)}</p>\n" for part in paragraphs)
    text = "\n\n".join(
        "\n".join(text_layout.fill(line) for line in part.split("\n"))
        for part in paragraphs
    )
    return html, text


def linked(text: str) -> str:
    """Return text as HTML, with its addresses of pages as links."""
    pieces, end = [], 0
    for found in LINK.finditer(text):
        url = escape(found[0])
        pieces += [escape(text[end : found.start()]), f'<a href="{url}">{url}</a>']
        end = found.end()
    return "".join([*pieces, escape(text[end:])]).replace("\n", "<br>\n")


def markdown(body: str) -> tuple[str, str]:
    """Return Markdown as HTML and as text."""
    tokens = parser().parse(body)
    html = parser().renderer.render(tokens, parser().options, {})
    # XHTML's slash is the only thing that mail programs need not see.
    html = html.replace("<br />", "<br>").replace("<hr />", "<hr>")
    return html, blocks(SyntaxTreeNode(tokens))


def blocks(node: SyntaxTreeNode, *, tight: bool = False) -> str:
    """Return the blocks below a node as text, with an empty line between them."""
    return ("\n" if tight else "\n\n").join(block(child) for child in node.children)


def block(node: SyntaxTreeNode) -> str:
    match node.type:
        case "bullet_list" | "ordered_list":
            first = int(node.attrs.get("start", 1))
            is_numbered = node.type == "ordered_list"
            return "\n".join(
                hanging(f"{first + place}. " if is_numbered else "* ", item)
                for place, item in enumerate(node.children)
            )
        case "blockquote":
            return "\n".join(f"> {line}" for line in blocks(node).split("\n"))
        case "hr":
            return "* * *"
    return "\n".join(
        text_layout.fill(line) for line in "".join(map(inline, node.children)).split("\n")
    )


def hanging(mark: str, item: SyntaxTreeNode) -> str:
    """Return a list's item with its mark before the first line."""
    first, *rest = blocks(item, tight=True).split("\n")
    return "\n".join([mark + first, *(" " * len(mark) + line for line in rest)])


def inline(node: SyntaxTreeNode) -> str:
    """Return text without its emphasis; a link is its words and its address."""
    match node.type:
        case "text" | "text_special":
            return node.content
        case "softbreak":
            return " "
        case "hardbreak":
            return "\n"
    words = "".join(map(inline, node.children))
    if node.type != "link":
        return words
    url = str(node.attrs["href"])
    shown = url.removeprefix("mailto:")
    return words if words in {url, shown} else f"{words} ({shown})"
