import json
import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.papers.latex import RULES, is_plain, mend, with_name
from digest.papers.text import (
    ABSTRACT_LIMIT,
    TITLE_LIMIT,
    URL_LIMIT,
    clean_line,
    clean_text,
    safe_url,
)

TEX = st.sampled_from(
    ["\\", "{", "}", "$", "times", "\\times", "{=}", "--", "\\%", "``", "''", '\\"', "\\i"]
    + ["^", "_", "textit{", "\\alpha", "3", "a", " ", "https://x--y.org/_{2}", "circ"]
)
HOSTILE = st.text(st.characters(exclude_categories=[])) | st.lists(TEX).map("".join)
FORBIDDEN = {"Cc", "Cs", "Zl", "Zp"}
INVISIBLE = "\u00ad\u061c\u200b\u200d\u200f\u202e\u2066\ufeff\U000e0041\u2060\u180e"


@given(HOSTILE)
def test_cleaning_twice_changes_nothing_more(text):
    assert clean_text(clean_text(text)) == clean_text(text)
    assert clean_line(clean_line(text, 20), 20) == clean_line(text, 20)


@given(HOSTILE)
def test_what_comes_out_is_one_visible_line_in_nfc(text):
    cleaned = clean_text(text)
    assert not {unicodedata.category(c) for c in cleaned} & FORBIDDEN
    assert not set(cleaned) & set(INVISIBLE)
    assert "  " not in cleaned and cleaned == cleaned.strip()
    assert unicodedata.is_normalized("NFC", cleaned)
    cleaned.encode()


@given(HOSTILE, st.integers(min_value=2, max_value=40))
def test_no_line_is_longer_than_its_limit(text, limit):
    assert len(clean_line(text, limit)) <= limit


@pytest.mark.parametrize("line_break", list("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\t"))
def test_every_kind_of_line_break_becomes_a_space(line_break):
    assert clean_line(f"A title{line_break} \nin two lines") == "A title in two lines"


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x7f", "\ud800", *INVISIBLE])
def test_invisible_characters_vanish(character):
    assert clean_line(f"Ti{character}tle") == "Title"


def test_what_looks_like_markup_or_a_header_stays_as_text_on_one_line():
    title = "Let's <think>\r\nBcc: eve@example.org {{ 7*7 }} <script>alert(1)</script>"
    assert clean_line(title) == title.replace("\r\n", " ")


@pytest.mark.parametrize(
    ("lost", "mended"),
    [
        ("is 3.5times faster, 7times smaller", "is 3.5× faster, 7× smaller"),
        ("images of 64{times}64 and 64times64times4", "images of 64×64 and 64×64×4"),
        ("on 8timesA800 GPUs, 2\\times", "on 8×A800 GPUs, 2×"),
        ("N{+}D, n{=}3, D{to}infty", "N+D, n=3, D→∞"),
        ("by 38.8\\% and R\\&D", "by 38.8% and R&D"),
        ("na\\\"{\\i}vely, Erd\\H{o}s, Schr\\\"odinger", "naïvely, Erdős, Schrödinger"),
        ("one -- two, safety--security, a---b", "one – two, safety–security, a—b"),
        ("$O(n\\log n)$ and $x_1^2$", "O(n log n) and x₁²"),
        ("$3\\times 10^{-4}$, TRC^{2}, 360^{circ}", "3× 10⁻⁴, TRC², 360°"),
        ("the $\\alpha$-fair \\textbf{bold} one", "the α-fair bold one"),
        ("a ``quoted'' word", "a “quoted” word"),
        ("τ^2-Bench, A^2D, T^2PO, O(n^3), pass^k", "τ²-Bench, A²D, T²PO, O(n³), passᵏ"),
        ("p < 10^(-10), 10^-4, x^{i+1}, R^{mxn}", "p < 10⁻¹⁰, 10⁻⁴, xⁱ⁺¹, R^mxn"),
        ("an L_2 norm of v_i, π_{0.5} and p_{gen}", "an L₂ norm of vᵢ, π₀.₅ and p_gen"),
        ("slow A^* search", "slow A* search"),
        ("64 times 288 times 512", "64 × 288 × 512"),
        ("leq 4B, 72.5 rightarrow 76.8, approx 0.5", "≤ 4B, 72.5 → 76.8, ≈ 0.5"),
        ("nabla^2DFT and chi_1 of infty-RoPE", "∇²DFT and χ₁ of ∞-RoPE"),
        ("4{,}851 of 1{,}879", "4,851 of 1,879"),
        ("{S}imple {P}aper, brea{K}ing, {text}", "Simple Paper, breaKing, text"),
        ("{\\em DeepSpeak} and {bf MASK}, 360{\\deg}", "DeepSpeak and MASK, 360°"),
        ("we propose \\ours, a model", "we propose ours, a model"),
        ("**C**urriculum and **Roads to Rome**", "Curriculum and Roads to Rome"),
        ("a ``world model\" or ''plug-in'' or \"fast''", "a “world model” or “plug-in” or “fast”"),
        ("on OmniDocBench~v1.5", "on OmniDocBench v1.5"),
        ("at https://a.example/b{https://a.example/b}.", "at https://a.example/b."),
        ("see https://a.example/FE2E/{here}.", "see https://a.example/FE2E/."),
        ("we https://a.example{open our code} to all", "we open our code: https://a.example to all"),
        ("text{length}3, mathrm{Cal}, λ^star, q^{*}, v_t^top", "length3, Cal, λ*, q*, vₜᵀ"),
    ],
)  # fmt: skip
def test_lost_latex_is_mended(lost, mended):
    assert clean_text(lost) == mended


@pytest.mark.parametrize(
    "text",
    [
        "costs $5 and then $10",
        "sometimes, 3 times as fast, a timestamp",
        "run it with --flag, see https://a--b.example/x_2/3times",
        "$\\mathcal{L}_{foo}$ and \\unknown{x}",
        "states in {-1, 0, 1} of {(patch, ID)} pairs",
        "get https://a.example/{id}/papers",
        "2**3 * 4**5, N_E, snake_case_name, ^_^ and ~5%",
        "(approx. 30 GB), 5 runs at all times 3 of us",
        "f''(x) and 5'' wide",
        'don\\\'t say \\"agent\\"',
        "tool_call",
    ],
)
def test_what_is_not_certain_is_left_alone(text):
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("title", "abstract"),
    [
        ("DELTA: Dense tracking", "We introduce DELTA, a method."),
        ("Beyond Words: A tale", "We introduce Approach, a method."),
        ("No name", "We introduce Approach, a method."),
    ],
)
def test_a_macro_for_the_work_s_name_is_the_name_of_the_title(title, abstract):
    assert clean_text(with_name("We introduce \\Approach, a method.", title)) == abstract


@given(st.text(), TEX)
def test_a_text_that_no_rule_can_change_is_told_at_once(text, tex):
    for one in (text, tex, text + tex):
        if is_plain(one):
            assert mend(one) == one


@given(st.text(), TEX)
def test_a_rule_that_is_passed_over_for_want_of_its_signs_would_change_nothing(text, tex):
    for one in (text, tex, text + tex):
        for signs, pattern, _ in RULES:
            assert any(sign in one for sign in signs) or not pattern.search(one)


def test_a_recorded_text_that_no_rule_can_change_is_told_at_once(data_folder):
    path = data_folder / "hf_daily_dev_2026-01_2026-05.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines()[::20]:
        paper = json.loads(line)
        for text in (paper["title"], paper["abstract"], *paper["authors"]):
            assert not is_plain(text) or mend(text) == text


def test_hardly_any_recorded_abstract_keeps_leftovers(data_folder):
    leftovers = re.compile(
        r"(?<=[\w)\]}])\^[\w{(+*-]|(?<![\w/.@])[A-Za-zΑ-ω]_(?:\d|\{)|\{[^{},]{1,60}\}"
        r"|\\[A-Za-z]+|``|''|\d ?times ?\d|\b(?:leq|geq|infty|rightarrow|mathcal|mathbb)\b"
        r"|\*\*[^*\s][^*]{0,80}\*\*"
    )
    path = data_folder / "hf_daily_dev_2026-01_2026-05.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [
        line
        for line in lines
        if leftovers.search(
            re.sub(r"https?://\S+", "", clean_text(json.loads(line)["abstract"]))
        )
    ]
    assert len(kept) <= 0.01 * len(lines)


def test_a_long_text_is_cut_with_an_ellipsis():
    assert clean_line("x" * 600) == "x" * (TITLE_LIMIT - 1) + "…"
    assert len(clean_text("word " * 9_000)) <= ABSTRACT_LIMIT


@pytest.mark.parametrize("grapheme", ["n\u0303\u0323", "👍🏽", "🇩🇪"])
def test_a_cut_never_splits_a_grapheme(grapheme):
    whole = clean_line(grapheme, 20)
    for limit in range(4, 12):
        shown = clean_line(grapheme * 10, limit)
        assert shown.endswith("…")
        assert shown[:-1] == whole * (len(shown[:-1]) // len(whole))


@pytest.mark.parametrize(
    "unit",
    ["a\u0301\u0323", "\u0301\u0323", "{=}", "$x", "$ ", "\\", "``", "\\textit{", "{", "🇩"]
    + ["http://", "-", "1times", "a\n", "^{", "\\'"],
)
def test_a_hostile_megabyte_is_cleaned_at_once(unit):
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()  # of ours alone: the machine may be busy
    clean_text(text)
    assert time.process_time() - start < 3


MATH_UNITS = ["α", "ß", "×", "log ", "min", "1", "x ", "≤", "α×", "(", "lo", "\\alpha", "-"]


@pytest.mark.parametrize("end", ["ab$", "_$", "\\foo$", " $", "$"])
@pytest.mark.parametrize("unit", MATH_UNITS)
def test_hostile_math_is_judged_at_once(unit, end):
    """Each reading of a formula is tried once: 80 characters of it cost nothing."""
    text = "".join(f"${unit * n}{end} " for n in range(2, 40))
    start = time.process_time()
    clean_text(text)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "url",
    ["https://example.org/", "http://127.0.0.1:8000/a?b=c#d", "HTTPS://Example.org/x"],
)
def test_a_web_address_is_kept(url):
    assert safe_url(f" {url}\n") == url


@pytest.mark.parametrize(
    "value",
    ["", "javascript:alert(1)", "data:text/html,x", "ftp://example.org", "//example.org"]
    + ["https://", "https:///x", "https://user@example.org", "https://exa mple.org"]
    + ["https://example.org/\r\nBcc:x", 'https://example.org/"><script>', "https://[::1"]
    + ["https://example.org:99999/", "https://ex\u202eample.org", "example.org", "\0"]
    + ["https://example.org/" + "x" * URL_LIMIT, "https://exämple.org"],
)
def test_anything_else_is_no_link(value):
    assert safe_url(value) == ""
