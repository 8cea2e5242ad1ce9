"""The canonical form, and what is refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscribers.addresses import BadAddress, address_hash, canonical, counting_key

ACCEPTED = {
    "ann@example.org": "ann@example.org",
    "  ann@example.org ": "ann@example.org",
    "Ann.B@EXAMPLE.Org": "Ann.B@example.org",
    "ann+papers@sub.example": "ann+papers@sub.example",
    "o'neil_x@a.test": "o'neil_x@a.test",
    "ann@münchen.test": "ann@xn--mnchen-3ya.test",
    "ann@ｇmail.com": "ann@gmail.com",
    "ann@\u212aelvin.org": "ann@kelvin.org",
    "a" * 64 + "@example.org": "a" * 64 + "@example.org",
}
REFUSED = [
    "",
    "ann",
    "@example.org",
    "ann@",
    "ann@localhost",
    "ann@x.localhost",
    "ann@x.invalid",
    "ann@x.local",
    "ann@example",
    "ann@[127.0.0.1]",
    "ann@127.0.0.1",
    "ann@[IPv6:::1]",
    "-oQ@example.org",
    "ann@-example.org",
    "a" * 65 + "@example.org",
    "ann@" + "x" * 64 + ".test",
    "a@" + ".".join(["x" * 60] * 5) + ".test",
    "ann@example.org,bob@example.org",
    "ann@example.org;bob@example.org",
    "ann@example.org bob@example.org",
    '"ann b"@example.org',
    '"a@b"@example.org',
    "ann(comment)@example.org",
    "ann@example.org (comment)",
    "<ann@example.org>",
    "Ann <ann@example.org>",
    "ann@example.org\r\nBcc: bob@example.org",
    "ann@example.org\n",
    "ann\x00@example.org",
    "ann\x85@example.org",
    "a\u200dnn@example.org",
    "ann@exam\u00adple.org",
    "mıke@example.org",
    "jörg@example.org",
    "ann\uff20example.org",
    ".ann@example.org",
    "ann..b@example.org",
    "ann@example..org",
    "\u202eann@example.org",
]


@pytest.mark.parametrize(("typed", "stored"), ACCEPTED.items())
def test_s6_an_address_is_stored_in_its_canonical_form(typed: str, stored: str) -> None:
    assert canonical(typed) == stored
    assert canonical(stored) == stored


@pytest.mark.parametrize("typed", REFUSED)
def test_s6_what_cannot_be_mailed_is_refused_with_words(typed: str) -> None:
    with pytest.raises(BadAddress) as refused:
        canonical(typed)
    assert len(str(refused.value)) > 10
    assert "\n" not in str(refused.value)


@given(st.text(max_size=80) | st.from_regex(r"\A[^@]{1,20}@[^@]{1,20}\.\w{2,5}\Z"))
def test_s6_whatever_is_typed_is_refused_or_plain_ascii(typed: str) -> None:
    try:
        address = canonical(typed)
    except BadAddress:
        return
    assert address.isascii()
    assert address.isprintable()
    assert address.count("@") == 1
    assert not set(address) & set(' ,;"<>()[]\\')
    assert canonical(address) == address


LOCALS = st.text("aB0.+-_ é@", max_size=66)
DOMAINS = st.sampled_from(
    ["example.org", "MÜNCHEN.de", "a", "a..de", "-a.de", "a.invalid", "b。de", "ẞ.de", ""]
)


@given(LOCALS, DOMAINS)
def test_s6_the_short_way_of_plain_names_gives_the_same(local: str, domain: str) -> None:
    def answer() -> str:
        try:
            return canonical(f"{local}@{domain}")
        except BadAddress as error:
            return str(error)

    short = answer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("subscribers.addresses.PLAIN_LOCAL", re.compile("(?!)"))
        assert short == answer()


def test_s6_addresses_that_differ_in_ascii_case_are_one_reader() -> None:
    assert address_hash("Ann@example.org") == address_hash("ann@EXAMPLE.org")
    assert address_hash("ann@example.org") != address_hash("anm@example.org")


def test_b1_the_hash_depends_on_the_address_key_only(settings) -> None:
    before = address_hash("ann@example.org")
    settings.SECRET_KEY = "another"
    assert address_hash("ann@example.org") == before
    settings.ADDRESS_KEY = "another"
    assert address_hash("ann@example.org") != before


def test_s2_tags_and_dots_count_as_one_mailbox() -> None:
    assert counting_key("a.n.n+x@example.org") == counting_key("Ann@example.org")
    assert counting_key("ann@example.org") != counting_key("ann@example.com")
    assert counting_key("+x@example.org") != counting_key("+y@example.org")
