r"""Repair damaged LaTeX, by allow-list.

arXiv's abstracts hold TeX, and the daily lists lose its backslashes: `3.5times` for
`3.5\times`, `64{times}64`, `N{+}D`. Certain cases become Unicode; uncertain ones stay as
they are. URLs are never changed. Every pattern is linear and only shortens.
"""

import re
import unicodedata
from collections.abc import Callable

SYMBOLS = {
    "times": "×", "cdot": "·", "pm": "±", "mp": "∓", "div": "÷", "to": "→",
    "rightarrow": "→", "leftarrow": "←", "leftrightarrow": "↔", "Rightarrow": "⇒",
    "uparrow": "↑", "downarrow": "↓", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥",
    "neq": "≠", "ne": "≠", "ll": "≪", "gg": "≫", "approx": "≈", "sim": "~",
    "simeq": "≃", "equiv": "≡", "propto": "∝", "infty": "∞", "in": "∈", "notin": "∉",
    "subset": "⊂", "subseteq": "⊆", "cup": "∪", "cap": "∩", "forall": "∀",
    "exists": "∃", "nabla": "∇", "partial": "∂", "sum": "∑", "prod": "∏", "int": "∫",
    "ell": "ℓ", "circ": "∘", "ast": "*", "star": "⋆", "dagger": "†", "ldots": "…",
    "dots": "…", "cdots": "⋯", "otimes": "⊗", "oplus": "⊕", "langle": "⟨",
    "rangle": "⟩", "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ",
    "epsilon": "ε", "varepsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ",
    "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ",
    "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "upsilon": "υ", "phi": "φ",
    "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "Gamma": "Γ", "Delta": "Δ",
    "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ",
    "Psi": "Ψ", "Omega": "Ω", "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ",
    "aa": "å", "AA": "Å", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "eg": "e.g.",
    "ie": "i.e.", "log": "log", "exp": "exp", "min": "min", "max": "max", "sin": "sin",
    "cos": "cos", "tanh": "tanh", "ln": "ln", "arg": "arg", "lim": "lim", "Pr": "Pr",
}  # fmt: skip
BRACED = {
    "=": "=", "+": "+", "-": "-", "<": "<", ">": ">", "times": "×", "to": "→",
    "sim": "~", "approx": "≈", "pm": "±", "leq": "≤", "geq": "≥", "rightarrow": "→",
    "infty": "∞",
}  # fmt: skip
ACCENTS = {
    '"': "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303",
    "=": "\u0304", ".": "\u0307", "c": "\u0327", "v": "\u030c", "H": "\u030b",
    "u": "\u0306", "k": "\u0328", "r": "\u030a",
}  # fmt: skip
FONTS = (
    "text|textit|textbf|texttt|textsc|textrm|emph|mathrm|mathbf|mathit|mathcal"
    "|boldsymbol|operatorname"
)
RAISED = str.maketrans("0123456789+-n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ")
LOWERED = str.maketrans("0123456789+-", "₀₁₂₃₄₅₆₇₈₉₊₋")

# Excluded from the rules: URLs (group 1) and $math$ (group 2 or 3);
# a closing dollar before a digit is money, unless TeX follows the opening one.
APART = re.compile(
    r"(https?://[^\s{}]+)"
    r"|(?<![\\$\w])\$(?:(?! )([^$]{1,80})(?<! )\$(?![\w$])|(\\[^$]{1,80})\$)"
)
# The alternatives exclude each other (words are ASCII letters only, as Greek letters
# are in a class of their own) and the repeat is possessive: no text matches in two ways,
# so a text that does not match fails in linear time.
MATH_WORDS = "|".join(sorted({w for w in SYMBOLS.values() if w.isascii() and w.isalpha()}))
CERTAIN_MATH = re.compile(
    rf"(?:(?:{MATH_WORDS})(?![A-Za-z])|[A-Za-z](?![A-Za-z])|[^\W_A-Za-z]"
    r"|[ .,:;()\[\]|/=+*<>!%~'-]|[^\w\s\x00-\x7f])++"
)


def _accented(found: re.Match[str]) -> str:
    letter = found["braced"] or found["dotless"] or found["bare"]
    composed = unicodedata.normalize("NFC", letter + ACCENTS[found["accent"]])
    return composed if len(composed) == 1 else found[0]


def _symbol(found: re.Match[str]) -> str:
    symbol = SYMBOLS.get(found[1])
    if symbol is None:
        return found[0]
    runs_on = found.start() and found.string[found.start() - 1].isalnum()
    return f" {symbol}" if runs_on and symbol == found[1] else symbol


def _dashes(found: re.Match[str]) -> str:
    return "—" if len(found[0]) == 3 else "–"


Change = str | Callable[[re.Match[str]], str]
RULES: list[tuple[re.Pattern[str], Change]] = [
    # \"{\i}, \c{c}, and inside a word \"\i, \'e: before one it may be a quotation mark,
    # and a bare \' before s or t an apostrophe.
    (
        re.compile(
            r"""\\(?P<accent>["'`^~=.]|[cvHukr](?=\{))(?:\{\\?(?P<braced>[A-Za-z])\}"""
            r"""|(?:(?<=[^\W\d_]..)|(?<=\{..))(?:\\(?P<dotless>[ij])(?![A-Za-z])"""
            r"""|(?P<bare>(?<=["'`])[aceinouyzACEINOUYZ]|(?<=[~^=.])[A-Za-z])))"""
        ),
        _accented,
    ),
    (re.compile(r"\{([À-ɏ])\}"), r"\1"),
    (re.compile(r"(?<=\d)\\?times(?=\d|[A-Z]|\b)"), "×"),
    (
        re.compile(rf"\{{\\?({'|'.join(re.escape(k) for k in BRACED)})\}}"),
        lambda found: BRACED[found[1]],
    ),
    (re.compile(rf"(?:\\(?:{FONTS})|\b(?:textit|textbf|texttt))\{{([^{{}}\\]*)\}}"), r"\1"),
    (re.compile(r"\^\{?\\?circ\b\}?"), "°"),
    (re.compile(r"\\([A-Za-z]+)(?:\{\})?"), _symbol),
    (re.compile(r"\\[,;: ]"), " "),
    (re.compile(r"(?<!\\)\\([%&$#_])"), r"\1"),
    (re.compile(r"\^\{([0-9+-]{1,6}|n)\}"), lambda found: found[1].translate(RAISED)),
    (re.compile(r"_\{([0-9+-]{1,6})\}"), lambda found: found[1].translate(LOWERED)),
    (re.compile(r"(?<=[^\s-])---?(?=[^\s-])|(?<= )---?(?= )"), _dashes),
    (re.compile(r"``([^`']{1,200})''"), "“\\1”"),
]  # fmt: skip


def mend(text: str) -> str:
    """Repair `text` in one pass; the caller repeats it until nothing changes."""
    mended: list[str] = []
    end = 0
    for apart in APART.finditer(text):
        mended += _by_rules(text[end : apart.start()]), _kept(apart)
        end = apart.end()
    return "".join([*mended, _by_rules(text[end:])])


def _by_rules(text: str) -> str:
    for pattern, change in RULES:
        text = pattern.sub(change, text)
    return text


def _kept(apart: re.Match[str]) -> str:
    """Return a URL unchanged, or the inside of $…$ if it becomes plain characters."""
    inside = apart[2] or apart[3]
    if not inside:
        return apart[0]
    inside = re.sub(r"\^([0-9n])(?![A-Za-z0-9])", lambda m: m[1].translate(RAISED), inside)
    inside = re.sub(r"_([0-9])(?![A-Za-z0-9])", lambda m: m[1].translate(LOWERED), inside)
    inside = _by_rules(inside)
    return inside if CERTAIN_MATH.fullmatch(inside) else apart[0]
