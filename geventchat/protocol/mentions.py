"""Finds a nick in a text, however either was typed.

Compared in one normal form, since systems differ in how they compose letters. A mark belongs to the
letter before it. A name ends where a word ends, or where another script begins: `kimさん` names
kim.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Final, Generic, TypeVar

from geventchat.protocol.names import INVISIBLE, fold

_WITHOUT_SPACES: Final = frozenset(
    "BOPOMOFO CJK HANGUL HIRAGANA IDEOGRAPHIC JAVANESE KHMER LAO MYANMAR THAI TIBETAN".split()
)
"""Scripts whose words, or endings such as `씨`, follow a name without a space."""
_SHORTEST_WITHOUT_SPACES: Final = 2
"""Shorter names occur within too many words of such scripts."""


SEARCHED: Final = 1_000
"""Characters of a text that are looked at: to fold a long run of marks takes seconds."""
_LOOKS: Final = 1_000
"""Places and lengths of a text that are tried, which bounds a search to some 1 ms for any text.

A turn may have hundreds of texts, and nothing else runs while they are searched.
"""
_PLACES: Final = 2 * SEARCHED
"""Places of a text in normal form that are looked at: one character may stand for 18."""
_KNOWN: Final = 4_096
"""Characters of which is remembered what they are: it takes longer to find out."""
_WORDS: Final = re.compile(r"\w+|[^\w\s]")

_ASCII_WORDS: Final = re.compile(r"[a-z0-9_]+")

_T = TypeVar("_T")


def mentions(text: str, nick: str) -> list[tuple[int, int]]:
    """Return where a text mentions a nick: the begin and end of each place, in order."""
    name, text = fold(nick), text[:SEARCHED]
    if not name or (_shows_all(text) and name not in fold(text)):
        return []
    folded, starts = _spelled(text)
    found, end = [], 0
    while (begin := folded.find(name, end)) >= 0:
        end = begin + len(name)
        if _is_whole(folded, starts, begin, end):
            found.append((starts[begin], starts[end]))
        else:
            end = begin + 1
    return found


class Names(Generic[_T]):
    """Nicks, of which it finds those that a text mentions, by the rule of `mentions`.

    What that costs depends on the text, hardly on the number of nicks: a nick is looked up where a
    word, or another sign, begins; or anywhere, if its word has letters beyond ASCII.
    """

    def __init__(self) -> None:
        self._values: dict[str, _T] = {}
        """By folded nick."""
        self._sizes: dict[str, dict[int, int]] = {}
        """How many nicks there are of each length, by how they begin: see `_beginning`."""

    def __len__(self) -> int:
        return len(self._values)

    def put(self, nick: str, value: _T) -> None:
        """Add a nick, or give it another value."""
        name = fold(nick)
        if name not in self._values:
            sizes = self._sizes.setdefault(_beginning(name), {})
            sizes[len(name)] = sizes.get(len(name), 0) + 1
        self._values[name] = value

    def remove(self, nick: str, value: _T) -> None:
        """Remove a nick, if it has that value."""
        name = fold(nick)
        if self._values.get(name) is not value:
            return
        del self._values[name]
        sizes = self._sizes[_beginning(name)]
        sizes[len(name)] -= 1
        if not sizes[len(name)]:
            del sizes[len(name)]
        if not sizes:
            del self._sizes[_beginning(name)]

    def mentioned(self, text: str) -> list[_T]:
        """Return the values of the nicks that a text mentions, each once."""
        if not self._values:
            return []
        text = text[:SEARCHED]
        if text.isascii():
            folded = text.lower()
            if self._sizes.keys().isdisjoint(_WORDS.findall(folded)):
                return []
            starts = range(len(folded) + 1)
            return self._found(folded, starts)
        if _shows_all(text) and next(self._looked_up(fold(text)), None) is None:
            return []
        folded, spelled = _spelled(text)
        return self._found(folded, spelled)

    def _found(self, folded: str, starts: "dict[int, int] | range") -> list[_T]:
        names: dict[str, None] = {}
        for begin, name in self._looked_up(folded):
            if name not in names and _is_whole(folded, starts, begin, begin + len(name)):
                names[name] = None
        return [self._values[name] for name in names]

    def _looked_up(self, folded: str) -> Iterator[tuple[int, str]]:
        """Yield where the letters of a nick stand, and which."""
        values, looked = self._values, 0
        for begin, key in islice(_beginnings(folded), _PLACES):
            sizes = self._sizes.get(key)
            if sizes is None:
                continue
            looked += len(sizes)
            if looked > _LOOKS:
                break
            for size in sizes:
                name = folded[begin : begin + size]
                if name in values:
                    yield begin, name


def _beginning(name: str) -> str:
    """Return how a name begins: its first word or sign; of a word beyond ASCII one character."""
    match = _WORDS.match(name)
    word = match[0] if match is not None else name[:1]
    return word if word.isascii() else name[0]


def _beginnings(folded: str) -> Iterator[tuple[int, str]]:
    """Yield the places of a text where a name may begin, and how it would."""
    for match in _WORDS.finditer(folded):
        begin, word = match.start(), match[0]
        if word.isascii():
            yield begin, word
            continue
        yield from enumerate(word, begin)
        for part in _ASCII_WORDS.finditer(word):  # kimさん
            yield begin + part.start(), part[0]


def _shows_all(text: str) -> bool:
    return text.replace("\n", "").isprintable() and INVISIBLE.isdisjoint(text)


_folded: Final = lru_cache(_KNOWN)(fold)
"""For single characters: others may be long."""


def _spelled(text: str) -> tuple[str, dict[int, int]]:
    """Return a text in normal form, and where the letters that begin in it do so in the text."""
    folded, starts = [], {}
    size = 0
    for start, letter in _letters(text):
        starts[size] = start
        folded.append(_folded(letter) if len(letter) == 1 else fold(letter))
        size += len(folded[-1])
    starts[size] = len(text)
    return "".join(folded), starts


def _is_whole(folded: str, starts: "dict[int, int] | range", begin: int, end: int) -> bool:
    """Return whether a name there is neither part of a word, nor has part of a letter."""
    # Not in the middle of a letter that stands for several, or has a mark.
    return begin in starts and end in starts and _apart(folded, begin, end)


def _letters(text: str) -> Iterator[tuple[int, str]]:
    """Yield each letter with its marks, without what is invisible, and where it begins."""
    begin, letter = 0, ""
    for i, character in enumerate(text):
        if letter and not _continues(character):
            yield begin, letter
            begin, letter = i, ""
        if not _is_invisible(character):
            letter += character
    if text:
        yield begin, letter


@lru_cache(_KNOWN)
def _continues(character: str) -> bool:
    """Whether a character belongs to the letter before it."""
    return not character.isascii() and (
        unicodedata.category(character).startswith("M")
        or "\u1160" <= character <= "\u11ff"  # the rest of a syllable of Hangul
        or _is_invisible(character)
    )


@lru_cache(_KNOWN)
def _is_invisible(character: str) -> bool:
    return character in INVISIBLE or unicodedata.category(character) == "Cf"


def _apart(text: str, begin: int, end: int) -> bool:
    """Whether neither side of a name continues the word."""
    name, before, after = text[begin:end], text[begin - 1 : begin], text[end : end + 1]
    return not (_joined(before, name[0], name) or _joined(after, name[-1], name))


def _joined(outside: str, inside: str, name: str) -> bool:
    """Whether the character beside a name is of one word with the name's own beside it."""
    if not (_in_word(outside) and _in_word(inside)):
        return False
    script = _script(outside)
    if outside.isalpha() and inside.isalpha() and script != _script(inside):
        return False
    if outside.isalpha() and script in _WITHOUT_SPACES:
        return len(name) < _SHORTEST_WITHOUT_SPACES
    return True


@lru_cache(_KNOWN)
def _in_word(character: str) -> bool:
    mark = unicodedata.category(character or " ").startswith("M")
    return mark or character.isalnum() or character == "_"


@lru_cache(_KNOWN)
def _script(letter: str) -> str:
    """Return the first word of a letter's name, which is its script."""
    return unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]
