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
    ],
)
def test_what_would_act_on_a_terminal_is_spelt_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text", ["", "hello", "Grüße, κόσμε, 世界", "مرحبا", "👍🏽", "a\u00a0b\u3000c"]
)
def test_ordinary_text_comes_back_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_what_is_kept_is_kept_and_nothing_else() -> None:
    assert visible("one\ntwo\tthree\x1b", keep="\n") == "one\ntwo\\tthree\\x1b"
    assert visible("one\ntwo") == r"one\ntwo"


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Lu"])))
def test_no_control_survives_and_the_rest_can_be_encoded(text: str) -> None:
    shown = visible(text)

    shown.encode()
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Zl", "Zp"}
