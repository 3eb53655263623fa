import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("rub\x7fout", r"rub\x7fout"),
        ("two\nlines\r\tand a tab", r"two\nlines\r\tand a tab"),
        ("evil\u202egnp.exe", r"evil\u202egnp.exe"),
        ("\u2066isolated\u2069", r"\u2066isolated\u2069"),
        ("ze\u200bro", r"ze\u200bro"),
        ("line\u2028separator", r"line\u2028separator"),
        ("\U000e0041tag", r"\U000e0041tag"),
        ("\U0001f3f4\U000e0067", "\U0001f3f4" r"\U000e0067"),
        ("\u202bembedded\u202c", r"\u202bembedded\u202c"),
        ("\u05d0\u202d\u05d1", "\u05d0" r"\u202d" "\u05d1"),
        ("\ufeffmark", r"\ufeffmark"),
    ],
)
def test_what_would_act_on_a_terminal_is_spelt_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text", ["", "hello", "Grüße, κόσμε, 世界", "مرحبا", "👍🏽", "a\u00a0b\u3000c"]
)
def test_ordinary_text_comes_back_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner
        "\u05e9\u05dc\u05d5\u05dd\u200f (abc)",  # Hebrew, with a mark before the bracket
        "\u061c\u0627\u0644\u0639\u0631\u0628\u064a\u0629 C++\u200e",
        "\u0915\u094d\u200d\u0937",  # Hindi, with a joiner
        "\u1797\u17b6\u179f\u17b6\u200b\u1781\u17d2\u1798\u17c2\u179a",  # Khmer, between two words
        "\u182e\u1823\u1829\u182d\u1823\u182f\u180e\u1820",  # Mongolian
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f1e9\U0001f1ea",
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland
    ],
)
def test_what_a_script_or_an_emoji_needs_is_shown_as_typed(text: str) -> None:
    assert visible(text) == text
    assert visible(f"{text}\x1b") == rf"{text}\x1b"


def test_what_is_kept_is_kept_and_nothing_else() -> None:
    assert visible("one\ntwo\tthree\x1b", keep="\n") == "one\ntwo\\tthree\\x1b"
    assert visible("one\ntwo") == r"one\ntwo"


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Lu"])))
def test_no_control_survives_and_the_rest_can_be_encoded(text: str) -> None:
    shown = visible(text)

    shown.encode()
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Zl", "Zp"}
