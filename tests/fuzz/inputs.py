"""What the fuzzers are made of: any text, and what parsers stumble over, mixed."""

from hypothesis import strategies as st

ODD = [
    "", " ", "\0", "\r\n", "\u2028", "\u202e", "\ud800", "\ufdd0", "é", "e\u0301", "😀", "ß",
    "İ", "@", ".", "..", "-", "--", "/", "\\", "%", "%00", "%ff", "{{", "}}", "{%", "<b>",
    "&lt;", "&#0;", "$", "\\alpha", "^{", "_{", "=", "=?utf-8?q?=00?=", "'", '"', "`", ";",
    ",", ":", "[", "]", "(", ")", "<", ">", "xn--a", "1e999", "-1", "0", "١", "A" * 70,
    "a" * 300, "null", "true", "2604.00001", "example.org", "ann@example.org",
]  # fmt: skip
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=40)
TEXT = st.lists(st.sampled_from(ODD) | ANY_TEXT, max_size=8).map("".join)
ENCODABLE = TEXT.map(lambda text: text.encode("utf-8", "replace").decode())
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | TEXT


def trees(keys: list[str]) -> st.SearchStrategy[object]:
    """What JSON may hold, with these names in its objects more often than others."""
    names = st.sampled_from(keys) | ANY_TEXT
    return st.recursive(
        SCALAR,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=8)
        ),
        max_leaves=30,
    )
