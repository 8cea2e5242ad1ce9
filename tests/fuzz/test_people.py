"""Fuzz what readers type, follow and hand in: addresses, links, files to import."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import strategies as st

from digest import signing
from subscribers import links
from subscribers.addresses import BadAddress, address_hash, canonical, domain_hash, masked
from subscribers.import_export import load
from subscribers.import_file import BadFile, ImportFile
from subscribers.import_rows import KNOWN
from subscribers.models import Link
from tests import make
from tests.fuzz import explore
from tests.fuzz.inputs import ENCODABLE, TEXT, trees

PAGES = ["confirm", "block", "address", "preferences", "data", "u", "web", "vote", "papers"]
COLUMNS = ["email", "timezone", "send_hour", "cadence", "topics", "keywords", "language"]
COLUMNS += ["state", "legal_source", "authors", "days"]


def test_s31_fuzz_address() -> None:
    def check(typed: str) -> None:
        try:
            address = canonical(typed)
        except BadAddress as error:
            assert "\n" not in str(error)
            return
        assert canonical(address) == address and address.count("@") == 1
        assert not any(c.isspace() or not c.isprintable() for c in address)
        assert address_hash(address) == address_hash(canonical(typed))
        domain_hash(address), masked(address)

    parts = st.tuples(TEXT, TEXT)
    explore(
        TEXT | parts.map("@".join) | parts.map(lambda two: f"a{two[0]}@{two[1]}b.org"),
        check,
    )


@pytest.mark.django_db
def test_s31_fuzz_links_and_tokens(client: Any) -> None:
    client.raise_request_exception = False
    sound = st.text("abcXYZ09_-", min_size=22, max_size=22)
    tokens = TEXT | sound | st.tuples(st.sampled_from("19af"), sound).map("-".join)

    def check(example: tuple[str, str]) -> None:
        page, token = example
        path = f"/{page}/{quote(token, errors='replace')}/"
        for method in (client.get, client.post):
            assert method(path).status_code < 500, path
        for purpose in Link.Purpose:
            with pytest.raises(links.BadLink):
                links.read(token, purpose, now=make.NOON)
        for of in signing.Purpose:
            assert signing.read(of, token) is None
        assert signing.delivery_of(f"papers+{token}@example.org") is None

    explore(st.tuples(st.sampled_from(PAGES), tokens), check)


@pytest.mark.django_db
def test_s31_fuzz_import_files(tmp_path: Path) -> None:
    cells = st.lists(st.sampled_from(COLUMNS) | ENCODABLE, min_size=1, max_size=6)
    tables = st.tuples(st.sampled_from([",", ";", "\t"]), st.lists(cells, max_size=6)).map(
        lambda table: "\r\n".join(table[0].join(row) for row in [["email"], *table[1]])
    )
    lines = st.lists(trees(COLUMNS), max_size=5).map(
        lambda rows: "\n".join(map(json.dumps, rows))
    )
    encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])
    texts = st.tuples(tables | lines | ENCODABLE, encodings)
    contents = texts.map(lambda two: two[0].encode(two[1], "replace")) | st.binary()

    def check(example: tuple[str, bytes]) -> None:
        suffix, content = example
        path = tmp_path / f"people{suffix}"
        path.write_bytes(content)
        try:
            for row in load(
                ImportFile(path, KNOWN), legal_source="they asked", now=make.NOON
            ):
                assert row.line > 0
        except BadFile as error:
            assert "\n" not in str(error)

    explore(st.tuples(st.sampled_from([".csv", ".jsonl"]), contents), check)
