"""Nicks and room names: which are valid, which are equal, which look alike.

Look-alikes follow the skeleton of Unicode Technical Standard 39; the table of confusable
characters is the one that the package confusable_homoglyphs ships.
"""

import json
import re
import unicodedata
from functools import cache
from importlib import resources
from typing import Final

from geventchat.protocol.errors import ErrorCode, Refused

MAX_NAME_LENGTH: Final = 32
"""Characters, after NFKC normalisation."""
LOBBY: Final = "lobby"
GUEST: Final = "guest-"
UNLISTED: Final = "."
"""What the names of rooms begin with that are in no list."""
CONVERSATION: Final = "@"
"""What the names of direct conversations begin with, which are made by servers alone."""
_CONVERSATION: Final = re.compile(r"@[A-Za-z0-9_-]{12,31}")
_RESERVED_ROOM: Final = f"Names that begin with {CONVERSATION} are for conversations."
_ADDRESS: Final = re.compile(
    r"([0-9]+(\.[0-9]+){2,}|[0-9a-f:.]*::[0-9a-f:.]*|([0-9a-f]{1,4}:){7}[0-9a-f]{1,4})([/%].*)?",
    re.IGNORECASE,
)
_RESERVED: Final = ("server", "system", "geventchat", "hook")

# Cc controls, Cf format (bidi and zero-width), Cs surrogates, Co private, Cn unassigned, Z* spaces.
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})
# Characters of other categories that show nothing: fillers, joiners, blanks, variation selectors.
INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\U00016fe4\U0001d159"
    + "".join(map(chr, range(0xFE00, 0xFE10)))
    + "".join(map(chr, range(0xE0100, 0xE01F0)))
)


def nick(text: str) -> str:
    """Return the normalised nick. Raises Refused `bad_nick`."""
    name = _normalise(text, "bad_nick", "A nick")
    if like_address(name):  # or an operator who bans an address would hit a user
        raise Refused("bad_nick", f"{name} looks like an IP address. Choose another nick.")
    look = skeleton(name)
    if look.startswith(skeleton(GUEST)) or look in map(skeleton, _RESERVED):
        raise Refused("bad_nick", f"The nick {name} is reserved. Choose another.")
    return name


def like_address(text: str) -> bool:
    """Whether a text looks like an IP address or network, valid or not."""
    return _ADDRESS.fullmatch(text) is not None


def room(text: str) -> str:
    """Return the normalised room name, as sent on the wire. Raises Refused `bad_room`.

    The name of a conversation is an id, and stays as it is.
    """
    if is_conversation(text):
        if _CONVERSATION.fullmatch(text) is None:
            raise Refused(
                "bad_room", f"Names that begin with {CONVERSATION} are for conversations."
            )
        return text
    name = fold(_normalise(text, "bad_room", "A room name"))
    if len(name) > MAX_NAME_LENGTH:  # folding may lengthen: ß becomes ss
        raise _bad_length("bad_room", "A room name")
    if name != LOBBY and skeleton(name) == skeleton(LOBBY):
        raise Refused("bad_room", f"The room name {name} looks like {LOBBY}. Choose another.")
    if is_conversation(name):  # spelled with another character that is an @ once it is normalised
        raise Refused("bad_room", _RESERVED_ROOM)
    return name


def is_conversation(room: str) -> bool:
    """Return whether a room with this name is a direct conversation."""
    return room.startswith(CONVERSATION)


def listed(room: str) -> bool:
    """Return whether a room with this normalised name can be found by others."""
    return not room.startswith((UNLISTED, CONVERSATION))


def endpoint(host: str, port: int) -> str:
    """Return HOST:PORT for people, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def fold(name: str) -> str:
    """Return the form in which equal names are identical, in whatever spelling they were typed."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def fold_room(name: str) -> str:
    """Return that form of a room's name. That of a conversation is an id, and stays as it is."""
    return name if is_conversation(name) else fold(name)


def skeleton(name: str) -> str:
    """Return the form in which names that look alike are identical.

    Mapped before and after casefolding: `I` looks like `l` but folds to `i`.
    """
    return _look(_look(name).casefold())


def _look(name: str) -> str:
    decomposed = unicodedata.normalize("NFD", name)
    return unicodedata.normalize("NFD", decomposed.translate(_prototypes()))


@cache
def _prototypes() -> dict[int, str]:
    """Map each confusable character to the one that stands for all its look-alikes."""
    source = resources.files("confusable_homoglyphs").joinpath("confusables.json")
    table: dict[str, list[dict[str, str]]] = json.loads(source.read_text("utf-8"))
    # The table wraps what is written right to left in U+200E, which no name holds.
    alike = {
        character.strip("\u200e"): [other["c"].strip("\u200e") for other in others]
        for character, others in table.items()
    }
    prototypes = {}
    for character, others in alike.items():
        # The table is symmetric: a prototype lists all that look like it, all others list it alone.
        # Of two that list only each other either would do, so take the lesser; but a sequence can
        # only be what a character stands for, never the other way round.
        prototype = others[0]
        if len(character) != 1 or len(others) != 1:
            continue
        mutual = alike.get(prototype) == [character]
        if not mutual or len(prototype) > 1 or prototype < character:
            prototypes[ord(character)] = prototype
    return prototypes


def _normalise(text: str, code: ErrorCode, what: str) -> str:
    if len(text) > 4 * MAX_NAME_LENGTH:  # before any work is done on it
        raise _bad_length(code, what)
    name = unicodedata.normalize("NFKC", text)
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        raise _bad_length(code, what)
    for character in name:
        if unicodedata.category(character) in _REFUSED_CATEGORIES or character in INVISIBLE:
            point = f"U+{ord(character):04X}"
            raise Refused(
                code,
                f"{what} must not contain spaces, control or invisible characters such as {point}.",
            )
    return name


def _bad_length(code: ErrorCode, what: str) -> Refused:
    return Refused(code, f"{what} must have 1 to {MAX_NAME_LENGTH} characters.")
