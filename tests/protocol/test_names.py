"""What may be a name, when two are the same, and when one looks like another."""

import tracemalloc
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import names
from geventchat.protocol.errors import Refused
from geventchat.protocol.names import fold, nick, room, skeleton

Rule = Callable[[str], str]

# Text whose normal forms are longer, shorter, or change again when they are folded.
_TRICKY = "ßẞſİıKŉǰΐΰﬁﬄﷺᾳᾼςΣµ①½Ａａ㈱\u0300\u0301\u0307\u0308\u0345\u1100\u1161\u11a8"
spelled = st.text(_TRICKY + "aA1lI-", max_size=12) | st.text(max_size=40)


def refused(rule: Rule, text: str) -> str:
    """Give the sentence with which a name is refused."""
    with pytest.raises(Refused) as caught:
        rule(text)
    assert caught.value.code == f"bad_{rule.__name__}"
    assert caught.value.text.endswith(".")
    return caught.value.text


def answered(rule: Rule, text: str) -> str:
    """Give the name that a text is, or the sentence with which it is refused."""
    try:
        return rule(text)
    except Refused as error:
        return error.text


either = pytest.mark.parametrize("rule", [nick, room])


# Normal form


def test_a_nick_keeps_its_spelling() -> None:
    for name in (
        "Ann",
        "ann",
        "Zoë",
        "Łukasz",
        "Ἀθηνᾶ",
        "日本",
        "🦊",
        "a.b_c/d#e:f",
        "<b>'\"&",
        "..",
        "a,b",
    ):
        assert nick(name) == name


def test_a_nick_is_kept_in_its_nfkc_form() -> None:
    assert nick("Ｂｏｂ") == "Bob"
    assert nick("ﬁn") == "fin"
    assert nick("Zoe\u0308") == "Zoë"
    assert nick("\u212aelvin") == "Kelvin"


def test_a_room_is_folded() -> None:
    for name in ("Tea", "TEA", "tea", "ＴＥＡ"):
        assert room(name) == "tea"
    assert room("Straße") == "strasse"
    assert room("ΣΊΣΥΦΟΣ") == "σίσυφοσ"


@pytest.mark.parametrize(
    ("one", "other"),
    [("Bob", "bOB"), ("Straße", "STRASSE"), ("Zoë", "zoe\u0308"), ("ΣΑΣ", "σας")],
)
def test_names_that_differ_in_case_alone_are_the_same(one: str, other: str) -> None:
    assert fold(nick(one)) == fold(nick(other))


@given(spelled)
def test_a_nick_that_was_accepted_is_its_own_normal_form(text: str) -> None:
    try:
        name = nick(text)
    except Refused:
        return
    assert nick(name) == name
    assert unicodedata.is_normalized("NFKC", name)
    assert 1 <= len(name) <= names.MAX_NAME_LENGTH


@given(spelled)
def test_a_room_that_was_accepted_is_its_own_normal_form(text: str) -> None:
    try:
        name = room(text)
    except Refused:
        return
    assert room(name) == fold(name) == name
    assert unicodedata.is_normalized("NFKC", name)  # folding alone takes ǰ apart
    assert 1 <= len(name) <= names.MAX_NAME_LENGTH


@given(st.text(st.characters() | st.characters(categories=["Cs", "Cf", "Mn"])))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    for rule in (nick, room):
        said = answered(rule, text)
        assert said.encode()  # it can be sent


# Length


@either
def test_a_name_has_1_to_32_characters(rule: Rule) -> None:
    assert nick("x" * 32) == room("x" * 32) == "x" * 32
    assert refused(rule, "").endswith(" must have 1 to 32 characters.")
    assert refused(rule, "x" * 33).endswith(" must have 1 to 32 characters.")


def test_characters_are_counted_not_bytes() -> None:
    assert nick("😀" * 32) == room("😀" * 32) == "😀" * 32


def test_the_normal_form_is_what_is_counted() -> None:
    assert nick("e\u0301" * 32) == "é" * 32
    assert nick("ﬁ" * 16) == "fi" * 16
    refused(nick, "ﬁ" * 17)


@given(spelled | st.sampled_from(["dev™", "ᴬnn", "ℂ", "İstanbul", "ΣΊΣΥΦΟΣ", "Straße"]))
def test_a_room_is_found_by_whatever_spelling_was_typed(text: str) -> None:
    try:
        name = room(text)
    except Refused:
        return
    assert fold(text) == name


def test_of_a_room_the_folded_form_is_counted() -> None:
    assert nick("ß" * 32) == "ß" * 32
    assert room("ß" * 16) == "s" * 32
    refused(room, "ß" * 17)


@either
@pytest.mark.parametrize("character", ["x", "\u0301", "\ufdfa", "\u200b"])
def test_a_name_far_too_long_is_refused_before_any_work_is_done(rule: Rule, character: str) -> None:
    text = character * 100_000
    tracemalloc.start()
    try:
        said = refused(rule, text)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < len(text)  # so nothing was made of it, not even a copy
    assert len(said) < 100


# Characters


@either
@pytest.mark.parametrize(
    "character",
    [
        pytest.param(character, id=f"U+{ord(character):04X}")
        for character in (
            "\0\n\t\x1b\x7f\x85\x9b"  # controls
            " \u1680\u2028\u2029"  # spaces and separators
            "\u061c\u200e\u200f\u202a\u202e\u2066\u2069"  # direction
            "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e"  # zero width
            "\u034f\u115f\u1160\u17b4\u180b\u2800\ufe0f\U00016fe4\U0001d159\U000e0100"  # blanks
            "\ufff9\U000e0041\U000e007f"  # annotation, tags
            "\ud800\udfff\ue000\U0010ffff\u0378"  # surrogates, private, unassigned
        )
    ],
)
def test_what_cannot_be_seen_is_refused_and_named(rule: Rule, character: str) -> None:
    for name in (character, f"a{character}", f"{character}a", f"a{character}b"):
        assert f" U+{ord(character):04X}." in refused(rule, name)


@either
@pytest.mark.parametrize("character", list("\u00a0\u2003\u3000\u00b4\u00a8\ufdfa\u3164\uffa0"))
def test_what_becomes_unseen_in_normal_form_is_refused(rule: Rule, character: str) -> None:
    refused(rule, f"a{character}b")


def test_every_space_and_control_is_refused() -> None:
    for point in range(0x3100):
        character = chr(point)
        if character.isspace() or unicodedata.category(character) in ("Cc", "Cf"):
            refused(nick, f"a{character}b")


# Reserved


@pytest.mark.parametrize(
    "name",
    [
        *("server", "Server", "SYSTEM", "geventchat", "GeventChat"),
        *("guest-", "guest-1", "Guest-1", "GUEST-Ann", "ｇｕｅｓｔ－１"),
        *("ѕerver", "sуstem", "systern", "gеventchat", "SЕRVЕR"),
        *("guеst-1", "guest‐1", "guest–1", "guest−1", "gueѕt-Ann"),
    ],
)
def test_a_reserved_nick_and_what_looks_like_one_is_refused(name: str) -> None:
    assert "reserved" in refused(nick, name)


@pytest.mark.parametrize("name", ["guest", "guest1", "Guest_1", "servers", "my-server", "guests"])
def test_a_nick_that_merely_resembles_a_reserved_one_is_a_nick(name: str) -> None:
    assert nick(name) == name


def test_reserved_nicks_may_be_rooms() -> None:
    assert room("Server") == "server"
    assert room("guest-1") == "guest-1"


@pytest.mark.parametrize("name", ["lobby", "Lobby", "LOBBY", "ｌｏｂｂｙ", "ⅼobby"])
def test_the_lobby_is_the_lobby_in_any_spelling(name: str) -> None:
    assert room(name) == "lobby"


@pytest.mark.parametrize("name", ["l0bby", "1obby", "lоbby", "lobbу", "LОBBY", "lסbby"])
def test_a_room_that_only_looks_like_the_lobby_is_refused(name: str) -> None:
    assert "looks like lobby" in refused(room, name)


@pytest.mark.parametrize("name", ["lobby2", "lobb", "hobby", "the-lobby"])
def test_a_room_that_merely_resembles_the_lobby_is_a_room(name: str) -> None:
    assert room(name) == name


# Look-alikes


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("paypal", "pаypаl", id="Cyrillic a"),
        pytest.param("Ann", "Αnn", id="Greek capital alpha"),
        pytest.param("Ill", "lIl", id="capital i and l"),
        pytest.param("l1l", "lll", id="one and l"),
        pytest.param("B0B", "BOB", id="zero and capital o"),
        pytest.param("b0b", "bob", id="zero and o"),
        pytest.param("corn", "com", id="r n and m"),
        pytest.param("M", "rn", id="capital m and r n"),
        pytest.param("Ann-Lee", "Ann‐Lee", id="hyphens"),
        pytest.param("it's", "it’s", id="apostrophes"),
        pytest.param("bob", "bסb", id="Hebrew samekh and o"),
        pytest.param("bob", "b\u0647b", id="Arabic heh and o"),
        pytest.param("all", "a\u0627\u0627", id="Arabic alef and l"),
        pytest.param("\u0908", "\u0930\u094d\u0907", id="one character and a sequence"),
        pytest.param("Zoë", "Zoe\u0308", id="normal forms"),
    ],
)
def test_names_that_look_alike_have_one_skeleton(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Ann", "Anna"), ("bob", "bod"), ("mia", "nia"), ("日", "月"), ("a", "á")]
)
def test_names_that_look_different_have_two_skeletons(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


@given(spelled)
def test_any_text_has_a_skeleton(text: str) -> None:
    assert skeleton(text) == skeleton(unicodedata.normalize("NFD", text))
