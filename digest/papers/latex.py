r"""Repair damaged LaTeX, by allow-list.

arXiv's abstracts hold TeX, and the daily lists lose its backslashes: `3.5times` for
`3.5\times`, `64{times}64`, `N{+}D`. Certain cases become Unicode; uncertain ones stay as
they are. URLs are never changed. Every pattern is linear and takes signs away.
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
    "deg": "°", "textgreater": ">", "textless": "<", "textasciitilde": "~", "textdegree": "°",
    "ding": "", "xspace": "", "left": "", "right": "",
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
# Unicode has these letters raised and lowered, and no others.
RAISED = str.maketrans(
    "0123456789+-=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWαβγδθ",
    "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵅᵝᵞᵟᶿ",
)
LOWERED = str.maketrans(
    "0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"
)
LETTERS_APART = 2  # a longer word is hard to read raised or lowered
# Commands that lost their backslash and are no English words.
LOST = (
    "leq|geq|neq|infty|rightarrow|leftarrow|leftrightarrow|varepsilon|nabla|cdot|ldots|cdots"
    "|subseteq|forall|propto"
)
GREEK = "|".join(
    name
    for name, symbol in SYMBOLS.items()
    if len(symbol) == 1 and symbol > "Ͱ" and symbol < "Ͽ"
)

# Excluded from the rules: URLs, with the words of a link that was \href{URL}{words}, and
# $math$; a closing dollar before a digit is money, unless TeX follows the opening one.
APART = re.compile(
    r"(?P<url>https?://[^\s{}]++)\{(?P<words>[^{}\\]{1,120})\}(?![\w/{])"
    r"|https?://[^\s{}]+(?:\{[^\s{}]{0,40}\})?"
    r"|(?<![\\$\w])\$(?:(?! )(?P<math>[^$]{1,80})(?<! )\$(?![\w$])|(?P<tex>\\[^$]{1,80})\$)"
)
POINTERS = {"here", "link", "this link", "this url", "url", "this https url", "https url"}
# The alternatives exclude each other (words are ASCII letters only, as Greek letters
# are in a class of their own) and the repeat is possessive: no text matches in two ways,
# so a text that does not match fails in linear time.
MATH_WORDS = "|".join(sorted({w for w in SYMBOLS.values() if w.isascii() and w.isalpha()}))
CERTAIN_MATH = re.compile(
    rf"(?:(?:{MATH_WORDS})(?![A-Za-z])|[A-Za-z](?![A-Za-z])|[^\W_A-Za-z]"
    r"|[ .,:;()\[\]|/=+*<>!%~'-]|[^\w\s\x00-\x7f])++"
)

OURS = re.compile(
    r"(?<!\\)\{?\\(?:ours|name|implname|(?:our)?(?:method|model|framework|approach)(?:name)?)"
    r"(?![A-Za-z{])(?:\{\}|\})?",
    re.IGNORECASE,
)
NAME_LIMIT = 40


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


def _raised(found: re.Match[str]) -> str:
    """Raise an exponent; one with a character that cannot be raised loses its braces only."""
    inside = found["braced"] or found["bracketed"] or found["bare"]
    if inside.isalpha() and len(inside) > LETTERS_APART:
        return f"^{inside}"
    raised = inside.translate(RAISED)
    if all(one != other for one, other in zip(inside, raised, strict=True)):
        return raised
    return found[0] if found["braced"] is None else f"^({inside})"


def _lowered(found: re.Match[str]) -> str:
    """Lower an index, or take the braces off one with a letter that cannot be lowered."""
    inside = found["braced"] or found["bare"]
    if inside.isalpha() and len(inside) > LETTERS_APART:
        return f"_{inside}"
    lowered = inside.translate(LOWERED)
    if all(one != other or one == "." for one, other in zip(inside, lowered, strict=True)):
        return lowered
    return f"_{inside}"


def _dashes(found: re.Match[str]) -> str:
    return "—" if len(found[0]) == 3 else "–"


Change = str | Callable[[re.Match[str]], str]
# What every match of a rule contains one of, which is found faster than the match; the rule.
RULES: list[tuple[tuple[str, ...], re.Pattern[str], Change]] = [
    # \"{\i}, \c{c}, and inside a word \"\i, \'e: before one it may be a quotation mark,
    # and a bare \' before s or t an apostrophe.
    (
        ("\\",),
        re.compile(
            r"""\\(?P<accent>["'`^~=.]|[cvHukr](?=\{))(?:\{\\?(?P<braced>[A-Za-z])\}"""
            r"""|(?:(?<=[^\W\d_]..)|(?<=\{..))(?:\\(?P<dotless>[ij])(?![A-Za-z])"""
            r"""|(?P<bare>(?<=["'`])[aceinouyzACEINOUYZ]|(?<=[~^=.])[A-Za-z])))"""
        ),
        _accented,
    ),
    (("{",), re.compile(r"\{([À-ɏ])\}"), r"\1"),
    (("times",), re.compile(r"(?<=\d)\\?times(?=\d|[A-Z]|\b)"), "×"),
    (
        ("{",),
        re.compile(rf"\{{\\?({'|'.join(re.escape(k) for k in BRACED)})\}}"),
        lambda found: BRACED[found[1]],
    ),
    (("{",), re.compile(rf"(?:\\|\b)(?:{FONTS})\{{([^{{}}\\]*)\}}"), r"\1"),
    (("circ",), re.compile(r"\^\{?\\?circ\b\}?"), "°"),
    (("\\",), re.compile(r"\\([A-Za-z]+)(?:\{\})?"), _symbol),
    (("\\",), re.compile(r"\\[,;: ]"), " "),
    (("\\",), re.compile(r"(?<!\\)\\([%&$#_])"), r"\1"),
    # Exponents and indices: T^2PO, pass^k, 10^(-9), x^{i+1}; L_2, v_i, p_{0.5}, G_{stack}.
    (
        ("^",),
        re.compile(
            r"(?<=[\w)\]}])\^(?:\{(?P<braced>[\w+=.-]{1,12})\}|\((?P<bracketed>-?[0-9]{1,3})\)"
            r"|(?P<bare>-?[0-9]{1,3}|[A-Za-zθ](?![A-Za-z])))"
        ),
        _raised,
    ),
    (("^",), re.compile(r"(?<=\w)\^(?:\*|\{\*\}|\{?\\?star\b\}?)"), "*"),
    (
        ("_",),
        re.compile(
            r"(?<![\w./@-])(?P<base>[A-Za-zΑ-ω])_"
            r"(?:\{(?P<braced>[\w+=.-]{1,12})\}|(?P<bare>[0-9]{1,2}|[a-z])(?![\w]))"
        ),
        lambda found: found["base"] + _lowered(found),
    ),
    (("_{",), re.compile(r"_\{([\w.+-]{1,20})\}"), r"_\1"),
    (("^",), re.compile(r"(?<=\w)\^\{?\\?top\b\}?"), "ᵀ"),
    # What lost its backslash: 1024 times 1024, leq 4B, approx 0.5, nabla^2, chi_1.
    ((" times ",), re.compile(r"(?<=\d) times (?=\d)"), " × "),
    ((*LOST.split("|"),), re.compile(rf"(?<![A-Za-z\\])({LOST})(?![A-Za-z])"), lambda found: SYMBOLS[found[1]]),
    (("approx",), re.compile(r"(?<![A-Za-z\\])approx(?= ?[0-9])"), "≈"),
    (("_", "^",), re.compile(rf"(?<![A-Za-z\\])({GREEK})(?=[_^])"), lambda found: SYMBOLS[found[1]]),
    # Thousands, fonts, colours, braces around one word, Markdown.
    (("{,}",), re.compile(r"(?<=[0-9])\{,\}(?=[0-9])"), ","),
    (("{\\",), re.compile(r"\{\\(?:em|it|bf|sc|tt|rm|sl)\b ?([^{}\\]{0,120})\}"), r"\1"),
    (("{",), re.compile(r"\{(?:em|it|bf|sc|tt) ([^{}\\]{1,120})\}"), r"\1"),
    (("color{",), re.compile(r"\\(?:text)?color\{[^{}\\]{0,20}\}"), ""),
    (("\\",), re.compile(r"\\[()\[\]]"), ""),
    (("\\",), re.compile(r"(?<![\\\w:])\\([A-Za-z]{3,30})(?![A-Za-z{])"), r"\1"),
    (("{",), re.compile(r"(?<![\\A-Za-z])\{([\w%.°Δ-]{1,20})\}"), r"\1"),
    (("{",), re.compile(r"(?<=[a-z])\{([A-Z]{1,12})\}"), r"\1"),
    (("~",), re.compile(r"(?<=[A-Za-z])~(?=[A-Za-z])"), " "),
    (("**",), re.compile(r"(?<![\d*\w])\*\*(?! )([^*]{1,80})(?<! )\*\*(?!\*)"), r"\1"),
    (("--",), re.compile(r"(?<=[^\s-])---?(?=[^\s-])|(?<= )---?(?= )"), _dashes),
    # Quotation marks: ``a'', ``a", ''a'', "a'', and what is left of a pair.
    (("``",), re.compile(r"``(?! )([^`\"]{1,200}?)(?:''|\"|``)"), "“\\1”"),
    (("''",), re.compile(r"(?<![\w'])''(?=[\w])([^'\"]{1,120})''(?!')"), "“\\1”"),
    (("''",), re.compile(r"(?<![\w\"])\"(?=\w)([^'\"]{1,120})''(?!')"), "“\\1”"),
    (("``",), re.compile(r"``(?=\w)"), "“"),
    (("''",), re.compile(r"(?<=[A-Za-z][A-Za-z.,!?)])''(?!')"), "”"),
]  # fmt: skip
SIGNS = {"$"}.union(*(signs for signs, _, _ in RULES))
# Without those in which another one stands.
SIGNS = {sign for sign in SIGNS if not any(one in sign for one in SIGNS - {sign})}


def with_name(text: str, title: str) -> str:
    r"""Return an abstract with the name of the work for \ours, \method and their like.

    The name is the one word of the title before its colon; without one the text stays.
    """
    if "\\" not in text:
        return text
    name, colon, _ = title.partition(":")
    name = name.strip()
    if not colon or not name or " " in name or len(name) > NAME_LIMIT:
        return text
    return OURS.sub(lambda _: name, text)


def is_plain(text: str) -> bool:
    """Return True if no rule can change the text, as is so for nearly all names."""
    for sign in SIGNS:  # noqa: SIM110  any() takes half as long again
        if sign in text:
            return False
    return True


def mend(text: str) -> str:
    """Repair `text` in one pass; the caller repeats it until nothing changes."""
    mended: list[str] = []
    end = 0
    for apart in APART.finditer(text):
        mended += _by_rules(text[end : apart.start()]), _kept(apart)
        end = apart.end()
    return "".join([*mended, _by_rules(text[end:])])


def _by_rules(text: str) -> str:
    for signs, pattern, change in RULES:
        if any(sign in text for sign in signs):
            text = pattern.sub(change, text)
    return text


def _kept(apart: re.Match[str]) -> str:
    """Return a URL, after its link's words if they say more, or what $…$ becomes if plain."""
    if url := apart["url"]:
        words = apart["words"].strip(" .:")
        says_more = (
            "://" not in words and words not in url and words.lower() not in POINTERS
        )
        return f"{words}: {url}" if says_more else url
    inside = apart["math"] or apart["tex"]
    if not inside:
        return apart[0]
    inside = re.sub(r"\^([0-9n])(?![A-Za-z0-9])", lambda m: m[1].translate(RAISED), inside)
    inside = re.sub(r"_([0-9])(?![A-Za-z0-9])", lambda m: m[1].translate(LOWERED), inside)
    inside = _by_rules(inside)
    return inside if CERTAIN_MATH.fullmatch(inside) else apart[0]
