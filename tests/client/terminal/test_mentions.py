"""Which texts mention a nick, and where."""

import unicodedata

import pytest

from geventchat.client.terminal.mentions import mentions


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
