"""Citations of papers: BibTeX for LaTeX, RIS and CSL-JSON for reference managers."""

import json
import re
from collections.abc import Callable, Iterable

from digest.models import Paper
from digest.papers.words import STOP_WORDS, folded

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
} | {character: f"\\{character}" for character in "&%$#_{}"}
WORDS = re.compile(r"[a-z0-9]+")


def bibtex(papers: Iterable[Paper]) -> str:
    """Return one @misc entry each, as arXiv recommends for its e-prints."""
    return "\n".join(bibtex_entry(paper) for paper in papers)


def bibtex_entry(paper: Paper) -> str:
    fields = {
        "title": f"{{{in_bibtex(paper.title)}}}",  # double braces keep capitals
        "author": " and ".join(in_bibtex(str(name)) for name in paper.authors),
        "year": str(year(paper)),
        "eprint": paper.arxiv_id if paper.has_arxiv_id else "",
        "archivePrefix": "arXiv" if paper.has_arxiv_id else "",
        "primaryClass": in_bibtex(next(iter(paper.categories), "")),
        "url": paper.abstract_url,
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{citation_key(paper)},", *lines, "}", ""])


def in_bibtex(text: str) -> str:
    return "".join(SPECIAL.get(character, character) for character in text)


def citation_key(paper: Paper) -> str:
    """Return a key like vaswani2017attention; the arXiv id makes up for missing authors."""
    first = str(paper.authors[0]) if paper.authors else ""
    family = "".join(WORDS.findall(folded(first.split()[-1] if first.split() else "")))
    title = [word for word in WORDS.findall(folded(paper.title)) if word not in STOP_WORDS]
    if not family:
        site = "arxiv" if paper.has_arxiv_id else ""
        return site + "".join(WORDS.findall(paper.arxiv_id))
    return f"{family}{year(paper)}{title[0] if title else ''}"


def ris(papers: Iterable[Paper]) -> str:
    """Return one electronic article each; lines end in CRLF."""
    return "".join(ris_entry(paper) for paper in papers)


def ris_entry(paper: Paper) -> str:
    issued = paper.submitted_at.date() if paper.submitted_at else paper.day
    lines = [
        ("TY", "ELEC"),
        ("TI", paper.title),
        *(("AU", inverted(str(name))) for name in paper.authors),
        ("PY", str(issued.year)),
        ("DA", issued.strftime("%Y/%m/%d")),
        ("AB", " ".join(paper.abstract.split())),
        *(("KW", str(word)) for word in paper.keywords),
        ("PB", "arXiv"),
        ("AN", f"arXiv:{paper.arxiv_id}" if paper.has_arxiv_id else ""),
        ("UR", paper.abstract_url),
        ("ER", ""),
    ]
    return "".join(f"{tag}  - {value}\r\n" for tag, value in lines if value or tag == "ER")


def csl_json(papers: Iterable[Paper]) -> str:
    """Return a list in CSL-JSON, which Zotero, pandoc and citation.js read."""
    return json.dumps([csl_item(paper) for paper in papers], ensure_ascii=False, indent=1)


def csl_item(paper: Paper) -> dict[str, object]:
    issued = paper.submitted_at.date() if paper.submitted_at else paper.day
    item = {
        "id": paper.arxiv_id,
        "type": "article",
        "title": paper.title,
        "author": [csl_name(str(name)) for name in paper.authors],
        "issued": {"date-parts": [[issued.year, issued.month, issued.day]]},
        "abstract": paper.abstract,
        "number": f"arXiv:{paper.arxiv_id}" if paper.has_arxiv_id else "",
        "URL": paper.abstract_url,
    }
    return {name: value for name, value in item.items() if value}


def csl_name(name: str) -> dict[str, str]:
    given, _, family = name.rpartition(" ")
    return {"family": family, "given": given} if given else {"literal": family}


def inverted(name: str) -> str:
    """Return "Family, Given", as RIS wants it; a single name stays."""
    given, _, family = name.rpartition(" ")
    return f"{family}, {given}" if given else family


def year(paper: Paper) -> int:
    return (paper.submitted_at or paper.day).year


# File name's ending → (content type, writer).
FORMATS: dict[str, tuple[str, Callable[[Iterable[Paper]], str]]] = {
    "bib": ("application/x-bibtex", bibtex),
    "ris": ("application/x-research-info-systems", ris),
    "json": ("application/vnd.citationstyles.csl+json", csl_json),
}
