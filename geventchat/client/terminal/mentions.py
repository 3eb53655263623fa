"""Finds a nick in a text, however either was typed.

Compared in one normal form, since systems differ in how they compose letters. A mark belongs to the
letter before it. A name ends where a word ends, or where another script begins: `kimさん` names
kim.
"""

import unicodedata
from collections.abc import Iterator
from typing import Final

from geventchat.protocol.names import INVISIBLE, fold

_WITHOUT_SPACES: Final = frozenset(
    "BOPOMOFO CJK HANGUL HIRAGANA IDEOGRAPHIC JAVANESE KHMER LAO MYANMAR THAI TIBETAN".split()
)
"""Scripts whose words, or endings such as `씨`, follow a name without a space."""
_SHORTEST_WITHOUT_SPACES: Final = 2
"""Shorter names occur within too many words of such scripts."""


def mentions(text: str, nick: str) -> list[tuple[int, int]]:
    """Return where a text mentions a nick: the begin and end of each place, in order."""
    name = fold(nick)
    shows_all = text.replace("\n", "").isprintable() and INVISIBLE.isdisjoint(text)
    if not name or (shows_all and name not in fold(text)):
        return []  # soon, for a long text too
    folded, starts = "", {}
    for start, letter in _letters(text):
        starts[len(folded)] = start
        folded += fold(letter)
    starts[len(folded)] = len(text)
    found, end = [], 0
    while (begin := folded.find(name, end)) >= 0:
        end = begin + len(name)
        # Not in the middle of a letter that stands for several, or has a mark.
        if begin in starts and end in starts and _apart(folded, begin, end):
            found.append((starts[begin], starts[end]))
        else:
            end = begin + 1
    return found


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


def _continues(character: str) -> bool:
    """Whether a character belongs to the letter before it."""
    return not character.isascii() and (
        unicodedata.category(character).startswith("M")
        or "\u1160" <= character <= "\u11ff"  # the rest of a syllable of Hangul
        or _is_invisible(character)
    )


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


def _in_word(character: str) -> bool:
    mark = unicodedata.category(character or " ").startswith("M")
    return mark or character.isalnum() or character == "_"


def _script(letter: str) -> str:
    """Return the first word of a letter's name, which is its script."""
    return unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]
