"""Which texts mention a nick, and where."""

import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import mentions as mentions_of
from geventchat.protocol.mentions import Names, mentions


@pytest.mark.parametrize(
    ("nick", "text", "found"),
    [
        ("anna", "Anna, come", ["Anna"]),
        ("anna", "anna ANNA (anna) anna's", ["anna", "ANNA", "anna", "anna"]),
        ("anna", "@anna: hi", ["@anna"[1:]]),
        ("anna", "ａｎｎａ!", ["ａｎｎａ"]),
        ("José", "Jose\u0301: hi", ["Jose\u0301"]),
        ("José", "JOSÉ", ["JOSÉ"]),
        ("Zoë", unicodedata.normalize("NFD", "hi Zoë"), ["Zoe\u0308"]),
        ("한나", unicodedata.normalize("NFD", "한나!"), [unicodedata.normalize("NFD", "한나")]),
        ("Strauß", "STRAUSS?", ["STRAUSS"]),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ", ["ΣΊΣΥΦΟΣ"]),
        ("bob", "b\u200bob bob\u200d", ["b\u200bob", "bob\u200d"]),
        ("का", "का है", ["का"]),
        ("kim", "kimさん", ["kim"]),
        ("kim", "你好kim你好", ["kim"]),
        ("kim", "kim은 kimу", ["kim", "kim"]),
        ("bob2", "bob2さん", ["bob2"]),
        ("田中", "田中さん 田中君", ["田中", "田中"]),
        ("さくら", "さくらさん", ["さくら"]),
        ("สมชาย", "คุณสมชายครับ", ["สมชาย"]),
        ("민수", "민수야", ["민수"]),
        ("マリー", "マリーさん", ["マリー"]),
        ("c++", "c++!", ["c++"]),
        ("(^_^)", "hi(^_^)you", ["(^_^)"]),
    ],
)
def test_a_nick_is_found_however_it_was_typed(nick: str, text: str, found: list[str]) -> None:
    assert [text[begin:end] for begin, end in mentions(text, nick)] == found


@pytest.mark.parametrize(
    ("nick", "text"),
    [
        ("anna", "annabel hanna anna_ 1anna anna2"),
        ("Rob", "Rob\u0301in"),
        ("Rob", "Rob\u0301"),
        ("Rob", "Roba\u030a"),
        ("Jose", "José Jose\u0301"),
        ("क", "का"),
        ("का", "काम"),
        ("マリ", "マリー"),
        ("か", "かさ"),
        ("s", "ß"),
        ("", "anything"),
    ],
)
def test_a_part_of_another_word_is_no_mention(nick: str, text: str) -> None:
    assert mentions(text, nick) == []


NICKS = [
    "kim", "Kim-2", "ann", "a", "Zoë", "zo", "学", "学校", "さん", "김", "@x", "--", "İ", "ß", "ﬁn",
    "o'neil", "x_y", "user-1", "user-12", "user", "नमस", "ก", "42",
]  # fmt: skip
PIECES = st.one_of(
    st.sampled_from(
        [*NICKS, " ", ", ", "-", "'", "\u200b", "\u0301", "\n", "s", "さん", "씨", "2", "_"]
    ),
    st.characters(),
)


@given(st.lists(PIECES, max_size=12).map("".join), st.sets(st.sampled_from(NICKS)))
def test_all_names_at_once_find_what_each_finds_alone(text: str, nicks: set[str]) -> None:
    names: Names[str] = Names()
    for nick in nicks:
        names.put(nick, nick)
    assert sorted(names.mentioned(text)) == sorted(each for each in nicks if mentions(text, each))


def test_a_name_that_was_removed_is_found_no_more() -> None:
    names: Names[int] = Names()
    names.put("Ann", 1)
    names.put("aNN", 2)
    names.remove("ann", 1)  # it has another value
    assert names.mentioned("ANN!") == [2]
    names.remove("ANN", 2)
    assert (names.mentioned("ann"), len(names), names._sizes) == ([], 0, {})


def test_a_text_is_searched_as_quickly_among_many_names_as_among_few() -> None:
    names: Names[int] = Names()
    for number in range(10_000):
        names.put(f"user-{number}", number)
    assert names.mentioned("user-7, user-77: user-") == [7, 77]
    assert len(list(names._looked_up("user-7 " * 3))) == 3
    assert names._sizes == {"user": {6: 10, 7: 90, 8: 900, 9: 9_000}}


def test_only_the_first_thousand_characters_of_a_text_are_searched() -> None:
    """Nothing else runs meanwhile, a turn may have hundreds of texts, a text thousands of marks."""
    names: Names[int] = Names()
    names.put("ann", 1)
    for filler in ("- ", "é "):
        assert names.mentioned(filler * 498 + "ann") == [1]
        assert names.mentioned(filler * 500 + "ann") == []
        assert mentions(filler * 498 + "ann", "ann") == [(996, 999)]
        assert mentions(filler * 500 + "ann", "ann") == []


@pytest.mark.parametrize("text", ["\ufdfa" * 1_000, "\ufdfa\u200d" * 500])
def test_a_text_that_is_longer_in_normal_form_is_searched_as_quickly(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Some characters stand for up to 18."""
    names: Names[int] = Names()
    names.put("ann", 1)
    begun: list[int] = []
    beginnings = mentions_of._beginnings

    def noted(folded: str) -> Iterator[tuple[int, str]]:
        for begin, key in beginnings(folded):
            begun.append(begin)
            yield begin, key

    monkeypatch.setattr(mentions_of, "_beginnings", noted)
    assert names.mentioned(text) == []
    assert 0 < len(begun) <= 2 * mentions_of.SEARCHED


@pytest.mark.parametrize("text", ["ann " * 250, "annさ" * 250])
def test_a_name_that_is_found_is_looked_at_once(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    names: Names[int] = Names()
    names.put("ann", 1)
    looked: list[int] = []
    is_whole = mentions_of._is_whole

    def note(folded: str, starts: Any, begin: int, end: int) -> bool:
        looked.append(begin)
        return is_whole(folded, starts, begin, end)

    monkeypatch.setattr(mentions_of, "_is_whole", note)
    assert names.mentioned(text) == [1]
    assert looked == [0]
