"""What is searched for, and the words of a text.

Case and accents do not matter. A character of a script without spaces is a word by itself, so a
run of them is found within a longer one.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

# Thai to Khmer, the scripts of China, Japan and Korea, and the further planes of Han.
_WITHOUT_SPACES: Final = (
    "\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3040-\u9fff\ua960-\ua97f"
    "\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff"
)
# Vowel signs of Indian scripts are parts of words, but not letters for `re`.
_IN_WORDS: Final = r"[^\W_]|[\u0900-\u0963\u0966-\u0dff]"
_WORD: Final = re.compile(rf"[{_WITHOUT_SPACES}]|(?:(?![{_WITHOUT_SPACES}])(?:{_IN_WORDS}))+")
_ASCII_WORD: Final = re.compile(r"[0-9a-z]+")
# Also the points of Hebrew and the vowels of Arabic, which most texts leave out.
_ACCENTS: Final = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f"
    "\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed]+"
)
# What a combining mark is to `re`, and the two letters that stand for one. With more than that in
# one run, to bring them into order takes a time that is quadratic in their number.
_RUN: Final = re.compile(r"(?:[^\w\s]|[\uff9e\uff9f]){30}")
_SHORT: Final = 500
"""So many characters at most take no time to speak of, whatever they are."""
_PART: Final = re.compile(rf".{{1,{_SHORT}}}\S{{0,{_SHORT}}}", re.DOTALL)
"""What is divided by that is no word, but a run without blanks; one character may stand for 18."""
_QUOTED: Final = re.compile(r'"([^"]*)"?|(\S+)')
MOST_PHRASES: Final = 16
"""Words and phrases of one search; further ones are ignored."""


def words(text: str, pause: Callable[[], None] | None = None) -> list[str]:
    """Return the words of a text, in order, in the form in which they are compared.

    `pause` is called now and then: the words of a frame may take 60 ms.
    """
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    found: list[str] = []
    for part in _PART.findall(text):
        found += _words(part)
        if pause is not None:
            pause()
    return found


def _words(text: str) -> list[str]:
    if len(text) > _SHORT:
        text = _RUN.sub(r"\g<0> ", text)
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    decomposed = unicodedata.normalize("NFKD", decomposed)  # folding may compose
    return _WORD.findall(unicodedata.normalize("NFC", _ACCENTS.sub("", decomposed)))


class Query:
    """All words and phrases that a post has to contain, in any order."""

    def __init__(self, text: str) -> None:
        """`text`: words; what is in quotation marks is a phrase. Anything else is no operator."""
        parts = [quoted or word for quoted, word in _QUOTED.findall(text)]
        phrases = dict.fromkeys(tuple(words(part)) for part in parts)
        self.phrases = [phrase for phrase in phrases if phrase][:MOST_PHRASES]

    def __bool__(self) -> bool:
        return bool(self.phrases)

    def matches(self, text: str, pause: Callable[[], None] | None = None) -> bool:
        """Return whether a text contains all of it. `pause` is called as by `words`."""
        whole = _joined(words(text, pause))
        return all(_joined(phrase) in whole for phrase in self.phrases)

    @property
    def match(self) -> str:
        """As FTS5 takes it: quoted, so that nothing of it is an operator."""
        return " AND ".join(f'"{" ".join(phrase)}"' for phrase in self.phrases)


def _joined(found: "list[str] | tuple[str, ...]") -> str:
    return f" {' '.join(found)} "
