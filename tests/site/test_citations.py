"""BibTeX and RIS of papers, hostile names among them; and which papers are similar."""

import json
from datetime import UTC, date, datetime

import pytest

from digest.models import Paper, StoredProjection
from digest.ranking.vectors import fit
from digest.site.citations import bibtex, citation_key, csl_json, ris
from digest.site.similar import similar_papers
from tests.site.conftest import NOW, MakePaper


def unsaved(**fields: object) -> Paper:
    values: dict[str, object] = {
        "arxiv_id": "1706.03762",
        "title": "Attention Is All You Need",
        "abstract": "The dominant models.",
        "authors": ["Ashish Vaswani", "Noam Shazeer"],
        "submitted_at": datetime(2017, 6, 12, tzinfo=UTC),
        "day": date(2026, 4, 17),
        "categories": ["cs.CL"],
    }
    return Paper(**values | fields)


def test_a_bibtex_entry_has_what_arxiv_recommends() -> None:
    assert bibtex([unsaved()]) == (
        "@misc{vaswani2017attention,\n"
        "  title = {{Attention Is All You Need}},\n"
        "  author = {Ashish Vaswani and Noam Shazeer},\n"
        "  year = {2017},\n"
        "  eprint = {1706.03762},\n"
        "  archivePrefix = {arXiv},\n"
        "  primaryClass = {cs.CL},\n"
        "  url = {https://arxiv.org/abs/1706.03762},\n"
        "}\n"
    )


def test_csl_json_is_what_reference_managers_read() -> None:
    hostile = unsaved(title='A "<b>"\u2028', authors=["Plato", "\u202eEve X"], abstract="")
    first, second = json.loads(csl_json([unsaved(), hostile]))
    assert first == {
        "id": "1706.03762",
        "type": "article",
        "title": "Attention Is All You Need",
        "author": [
            {"family": "Vaswani", "given": "Ashish"},
            {"family": "Shazeer", "given": "Noam"},
        ],
        "issued": {"date-parts": [[2017, 6, 12]]},
        "abstract": "The dominant models.",
        "number": "arXiv:1706.03762",
        "URL": "https://arxiv.org/abs/1706.03762",
    }
    assert second["title"] == hostile.title and "abstract" not in second
    assert second["author"][0] == {"literal": "Plato"}


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"authors": ["Zoltán Kovács"]}, "kovacs2017attention"),
        ({"authors": []}, "arxiv170603762"),
        ({"authors": ["李明"], "arxiv_id": "cs/0112017"}, "arxivcs0112017"),
        ({"authors": [" "]}, "arxiv170603762"),
        ({"title": "…", "submitted_at": None}, "vaswani2026"),
        ({"title": "On the Way to $\\infty$"}, "vaswani2017way"),
    ],
)
def test_the_key_is_letters_and_digits(fields: dict[str, object], key: str) -> None:
    assert citation_key(unsaved(**fields)) == key


@pytest.mark.parametrize("text", ["100% & more", "a_b", "{x}", "\\input{x}", "~^#$"])
def test_no_text_of_a_paper_is_a_command_of_latex(text: str) -> None:
    entry = bibtex([unsaved(title=text, authors=[text], categories=[])])
    title = entry.splitlines()[1].removeprefix("  title = {{").removesuffix("}},")
    assert "\\input" not in entry
    plain = title
    for command in ("textbackslash", "textasciitilde", "textasciicircum"):
        plain = plain.replace(f"\\{command}{{}}", "")
    for special in "&%$#_{}":
        plain = plain.replace(f"\\{special}", "")
    assert not set(plain) & set("\\&%$#_{}~^")


def test_ris_is_one_record_of_lines() -> None:
    lines = ris([unsaved(abstract="One.\n\nER  - \nTwo.")]).split("\r\n")
    assert lines[0] == "TY  - ELEC"
    assert "AU  - Vaswani, Ashish" in lines
    assert "AB  - One. ER - Two." in lines
    assert [line for line in lines if line.startswith("ER")] == ["ER  - "]


@pytest.mark.django_db
@pytest.mark.parametrize("order", ["fit", "date"])
def test_similar_papers_are_about_the_same(paper: MakePaper, order) -> None:
    about = "Diffusion models generate video from text with temporal attention."
    here = paper(title="Video diffusion", abstract=about)
    near = paper(title="Text to video diffusion models", abstract=about, upvotes=1)
    old = paper(
        title="Video generation by diffusion",
        abstract="We generate long video with diffusion models.",
        day=date(2026, 4, 1),
    )
    new = paper(
        title="Faster video generation",
        abstract="Sampling of video diffusion models is made faster.",
        day=date(2026, 4, 18),
    )
    paper(title="Theorem proving", abstract="We prove theorems in Lean with search trees.")
    found = similar_papers(here, order=order)
    assert set(found) == {near, old, new}
    if order == "date":
        assert found == [new, near, old]
    else:
        assert found[0] == near


@pytest.mark.django_db
def test_similar_papers_are_found_by_the_projection_that_ranks(paper: MakePaper) -> None:
    words = ["zorbing flimmer glapper"] * 4 + ["quuxing blarnix wibbler"] * 4
    made = [paper(title=each, abstract=f"{each} {each}") for each in words]
    assert similar_papers(made[0]) == [], "the shipped projection knows none of the words"
    fitted = fit([(each.arxiv_id, each.title, each.abstract) for each in made])
    StoredProjection.objects.create(
        version=fitted.version,
        fitted_at=NOW,
        adopted_at=NOW,
        content=fitted.content(),
    )
    assert set(similar_papers(made[0])) == set(made[1:4])
