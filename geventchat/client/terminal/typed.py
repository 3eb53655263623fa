"""What a typed line is: a text to send, or a command.

A private text must never be sent to a room by mistake. So a command is one behind blanks, what is
invisible and other slashes too, and a line that only looks like one is not sent at all.
"""

import difflib
import re
import unicodedata
from typing import Final

from geventchat.client.terminal.command import Command
from geventchat.client.terminal.commands import COMMANDS
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.protocol.names import INVISIBLE

_SLASHES: Final = "/\uff0f\u2044\u2215\u29f8\u2571"
"""The slash, and what an input method or a copied page has in its place."""
_SHOWN_CHARACTERS: Final = 40
"""Of an unknown command, since it may be pasted text."""
_PRIVATE: Final = ("msg", "query")
_PRIVATE_NAMES: Final = [
    name for name, command in COMMANDS.items() if command.name in _PRIVATE and len(name) > 2
]
_MISTYPED_SLASHES: Final = r"\\\uff3c\ufe68\u29f5\u30fb\u3001:?&67-"
"""What one gets on some keyboard or input method with a key beside that of the slash, or without
Shift."""
_ALMOST_PRIVATE: Final = re.compile(
    rf"(\W{{0,3}}[{_SLASHES}]\W?|[{_MISTYPED_SLASHES}][^\w\s]?)({'|'.join(_PRIVATE_NAMES)})\s+\S",
    re.IGNORECASE,
)


def read(line: str) -> str | tuple[Command, str]:
    """Return the text to send, or the command and its arguments.

    Raises NotUnderstood if it looks like a command, or a private text, and is none.
    """
    bare = _from_first_visible(line)
    escaped = bare.startswith("//")
    if escaped or not bare.startswith(tuple(_SLASHES)):
        if _ALMOST_PRIVATE.match(bare):
            raise NotUnderstood(
                "Not sent: it looks like a direct message. /msg NICK TEXT sends one, "
                "/say TEXT sends anything to the room."
            )
        return bare[1:] if escaped else line
    word = _first_word(bare[1:])
    rest = _from_first_visible(bare[1 + len(word) :])
    name = _name(word)
    if command := COMMANDS.get(name):
        return command, rest
    near = similar(name)
    head, slash, _ = name.partition("/")
    if slash and head and head not in COMMANDS and similar(head) not in _PRIVATE_NAMES:
        return line  # a path
    if not bare.startswith("/") and word and not near:
        return line  # a drawing
    hint = f"did you mean /{near}?" if near else "see /help."
    raise NotUnderstood(
        f"Unknown command /{word[:_SHOWN_CHARACTERS]}; {hint} Begin with // to send it as text."
    )


def read_plain(line: str) -> str:
    """Return the text to send in the original protocol, which has no commands.

    Raises NotUnderstood if it looks like a private text, of which there are none either.
    """
    bare = _from_first_visible(line)
    command = COMMANDS.get(_name(_first_word(bare[1:])))
    private = bare.startswith(tuple(_SLASHES)) and command and command.name in _PRIVATE
    if private or _ALMOST_PRIVATE.match(bare):
        raise NotUnderstood("Not sent: in plain mode there are no direct messages.")
    return line


def similar(name: str) -> str | None:
    """Return the name of a command that was probably meant."""
    if not name:
        return None
    names = [known for known in COMMANDS if len(known) > 2]
    longer = [known for known in names if known.startswith(name)]
    return next(iter(longer or difflib.get_close_matches(name[:_SHOWN_CHARACTERS], names)), None)


def _name(word: str) -> str:
    """Return a command's name as the table has it, however it was typed."""
    seen = "".join(character for character in word if not _is_unseen(character))
    return unicodedata.normalize("NFKC", seen).casefold()


def _first_word(text: str) -> str:
    """Return what comes before the first blank."""
    return re.split(r"\s", text, maxsplit=1)[0]


def _from_first_visible(text: str) -> str:
    for i, character in enumerate(text):
        if not _is_unseen(character):
            return text[i:]
    return ""


def _is_unseen(character: str) -> bool:
    return character in INVISIBLE or character.isspace() or not character.isprintable()
