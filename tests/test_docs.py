"""The documents are true to the code: commands, files, modules and links that they name."""

import os
import re
from pathlib import Path

import pytest

from tests import configuration
from tests.configured import GIVEN
from tests.environment import KEYS, ROOT

DOCUMENTS = sorted(
    [*ROOT.glob("docs/*.md"), *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING"))]
)
# Where the paths that a document names begin.
FOLDERS = (ROOT, ROOT / "digest", ROOT / "subscribers")
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def code(text: str) -> list[str]:
    """Return what stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def tree() -> str:
    """Return the picture of the rooms."""
    rooms = ARCHITECTURE.read_text().partition("\n## Rooms\n")[2]
    return rooms.split("```")[1]


def packages() -> set[Path]:
    found = (path for app in FOLDERS[1:] for path in app.rglob("*/__init__.py"))
    return {path.parent for path in found if "migrations" not in path.parts}


@pytest.mark.parametrize(
    "command",
    sorted(
        path.stem
        for path in ROOT.glob("*/management/commands/*.py")
        if path.stem != "__init__"
    ),
)
def test_each_command_is_in_a_table(command: str) -> None:
    text = "".join(
        (ROOT / file).read_text() for file in ("README.md", "docs/operations.md")
    )
    assert re.search(rf"^\| `{command}[ `]", text, re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_each_file_that_a_document_names_exists(document: Path) -> None:
    """A path has a slash and ends like a file of ours, or as a folder of the code."""
    path = re.compile(
        r"(?:[\w.-]+/)+[\w.-]+\.(?:py|md|toml|po|html|jsonl|css)|"
        r"(?:digest|subscribers|tests|docs)(?:/[\w-]+)*/"
    )
    named = filter(path.fullmatch, code(document.read_text()))
    missing = [
        text for text in named if not any((folder / text).exists() for folder in FOLDERS)
    ]
    assert missing == []


def test_each_file_that_the_code_names_exists() -> None:
    code = [path for app in FOLDERS[1:] for path in app.rglob("*.py")]
    files = {path.name for path in (*code, *ROOT.glob("*.py"), *ROOT.glob("tests/**/*.py"))}
    named = {
        (path.name, file)
        for path in code
        if "migrations" not in path.parts
        for file in re.findall(r"\b(\w+\.py)\b", path.read_text())
    }
    assert {(where, file) for where, file in named if file not in files} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_each_module_that_a_document_names_exists(document: Path) -> None:
    modules = re.findall(
        r"(?:\bpython -m |`)((?:tests|digest|subscribers)(?:\.\w+)*)\b(?!/)",
        document.read_text(),
    )
    missing = []
    for module in modules:
        path = ROOT.joinpath(*module.split("."))
        if path.is_dir() or path.with_suffix(".py").exists():
            continue
        # The last part is a function, a class or a constant of a module.
        file = path.parent.with_suffix(".py")
        named = rf"^(?:def |class |type )?{path.name}\b"
        if not (file.exists() and re.search(named, file.read_text(), re.MULTILINE)):
            missing.append(module)
    assert missing == []


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "CHANGELOG.md"], ids=name)
def test_each_link_between_documents_resolves(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    broken = []
    for link in links:
        if ":" in link:  # another site's
            continue
        file, _, anchor = link.partition("#")
        target = (document.parent / file) if file else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_picture_of_the_rooms_names_each_package_and_module() -> None:
    words = set(re.findall(r"\w+", tree()))
    modules = {path.stem for app in FOLDERS[1:] for path in app.glob("[a-z]*.py")}
    assert ({path.name for path in packages()} | modules) - words == set()


def test_the_table_of_rooms_names_each_of_their_files() -> None:
    text = ARCHITECTURE.read_text()
    rooms = re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)
    assert "ranking" in rooms
    files = {
        str(path.relative_to(ROOT / "digest"))
        for room in rooms
        for path in (ROOT / "digest" / room).rglob("[a-z]*.py")
    }
    assert sorted(file for file in files if f"`{file}`" not in text) == []


def test_each_room_and_module_of_the_picture_exists() -> None:
    """Under a heading `app/`, the first column of each line names rooms and modules."""
    missing, app = [], ROOT
    for line in tree().strip("\n").splitlines():
        indent = len(line) - len(line.lstrip())
        column = re.split(r"\s{2,}", line.strip())[0]
        if indent == 0:
            app = ROOT / column.split()[0]
            assert app.is_dir(), column
        elif indent == 2 and app.name in {"digest", "subscribers"}:
            for word in column.split():
                path = app / word
                if not (path.is_dir() or path.with_suffix(".py").exists()):
                    missing.append(f"{app.name}/{word}")
    assert missing == []


def test_the_configuration_page_is_what_the_settings_do() -> None:
    """If it is stale: `uv run python -m tests.configuration`."""
    assert configuration.PAGE.read_text() == configuration.page()


def test_what_a_deployment_must_give_is_marked_in_the_example(tmp_path: Path) -> None:
    entries = [entry for _, section in configuration.sections() for entry in section]
    marked = {entry.name for entry in entries if entry.required}
    assert marked == set(GIVEN) - {"DATABASE_URL"}
    assert all(entry.words for entry in entries)
    # Each example of the file is taken by the settings.
    examples = {entry.name: entry.example for entry in entries if entry.example}
    given = KEYS | examples | {"ENV_FILE": os.devnull}
    assert configuration.refusal(given, tmp_path) == ""


def test_no_merge_has_torn_an_entry_of_the_list_of_changes() -> None:
    lists = [
        part
        for part in (ROOT / "CHANGELOG.md").read_text().split("\n\n")
        if part.startswith("- ")
    ]
    entries = [entry for part in lists for entry in re.split(r"\n(?=- )", part.strip())]
    assert [entry for entry in entries if not entry.endswith(".")] == []
