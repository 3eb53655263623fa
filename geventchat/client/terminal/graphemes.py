"""Editing a line by what a user takes for a character, and showing it at a width all agree on.

Terminals differ in how many columns an emoji of several code points takes, and prompt_toolkit adds
up those of its parts. If the two disagree the cursor is elsewhere than the text, and what is drawn
next damages the line. So while such an emoji is typed its first part stands for it; what is sent
and what is printed above is whole.
"""

import unicodedata
from typing import Final

from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition, has_selection
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.formatted_text.utils import fragment_list_to_text
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from wcwidth import iter_graphemes

_EMOJI_STYLE: Final = "\ufe0f"
_TAGS: Final = range(0xE0000, 0xE0080)
_FLAG_LETTERS: Final = {0x1F1E6 + n: chr(ord("A") + n) for n in range(26)}
"""A flag is two of these, and its letters are what stands for it."""
_SYMBOLS: Final = ("So", "Sk")


@Condition
def _has_text() -> bool:
    return bool(get_app().current_buffer.text)


def steady(text: str) -> str:
    """Return a text for display in which every character takes the same columns everywhere."""
    if text.isascii():
        return text
    return "".join(_steady(grapheme) for grapheme in iter_graphemes(text))


class Steady(Processor):
    """Shows the input line as `steady` does, with the cursor where it belongs."""

    def apply_transformation(self, given: TransformationInput) -> Transformation:
        line = fragment_list_to_text(given.fragments)
        if line.isascii():
            return Transformation(given.fragments)
        styles = [style for style, text, *_ in given.fragments for _ in text]
        fragments: StyleAndTextTuples = []
        shown_at: list[int] = []  # for each code point of the line, and its end
        source_of: list[int] = []  # the other way round
        for grapheme in iter_graphemes(line):
            shown = _steady(grapheme)
            at, shown_from = len(shown_at), len(source_of)
            fragments.append((styles[at], shown))
            if shown == grapheme:
                shown_at += range(shown_from, shown_from + len(grapheme))
                source_of += range(at, at + len(grapheme))
            else:  # all of its parts are at its beginning
                shown_at += [shown_from] * len(grapheme)
                source_of += [at] * len(shown)
        shown_at.append(len(source_of))
        source_of.append(len(shown_at) - 1)
        return Transformation(
            fragments,
            source_to_display=lambda at: shown_at[min(at, len(shown_at) - 1)],
            display_to_source=lambda at: source_of[min(at, len(source_of) - 1)],
        )


def editing_keys() -> KeyBindings:
    """Return the keys that go over, or delete, whole characters."""
    keys = KeyBindings()

    @keys.add("backspace", filter=~has_selection)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.delete_before_cursor(_before(event))

    @keys.add("delete", filter=~has_selection)
    @keys.add("c-d", filter=_has_text)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.delete(_after(event))

    @keys.add("left")
    @keys.add("c-b")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.cursor_left(_before(event))

    @keys.add("right")
    @keys.add("c-f")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.cursor_right(_after(event))

    return keys


def _before(event: KeyPressEvent) -> int:
    """Return the length of the character before the cursor; 1 if there is none in the line."""
    document = event.current_buffer.document
    graphemes = list(iter_graphemes(document.current_line_before_cursor))
    return len(graphemes[-1]) if graphemes else 1


def _after(event: KeyPressEvent) -> int:
    document = event.current_buffer.document
    return len(next(iter_graphemes(document.current_line_after_cursor), " "))


def _steady(grapheme: str) -> str:
    if len(grapheme) == 1 or not any(map(_joins, grapheme[1:])):
        return grapheme
    flag = grapheme.translate(_FLAG_LETTERS)
    return flag if flag.isascii() else grapheme[0]


def _joins(character: str) -> bool:
    """Whether a code point makes an emoji of the one before."""
    return (
        unicodedata.category(character) in _SYMBOLS
        or character == _EMOJI_STYLE
        or ord(character) in _TAGS
    )
