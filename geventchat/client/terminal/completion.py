"""Tab completion of commands, nicks and rooms."""

from collections.abc import Iterable
from typing import Final

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from geventchat.client.terminal.commands import COMMANDS
from geventchat.client.terminal.view import View
from geventchat.protocol.names import fold

MAX_OFFERS: Final = 40
"""As many as fit a small screen without paging."""


class NameCompleter(Completer):
    """Completes the word before the cursor."""

    def __init__(self, view: View) -> None:
        self._view = view

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        word, offers = completions(document.text_before_cursor, self._view)
        return [Completion(offer, start_position=-len(word)) for offer in offers]


def completions(typed: str, view: View) -> tuple[str, list[str]]:
    """Return the word before the cursor and its completions."""
    typed = typed.lstrip()
    words = typed.split(" ")
    word = words[-1]
    if typed.startswith("/") and not typed.startswith("//"):
        if len(words) == 1:
            return word, [f"/{name} " for name in _commands(word[1:])]
        command = COMMANDS.get(words[0][1:].casefold())
        kinds = command.arguments.split() if command else []
        kind = kinds[min(len(words) - 1, len(kinds)) - 1].strip("[]") if kinds else ""
        if kind == "COMMAND":
            return word, _commands(word)
        if kind == "ROOM":
            rooms = (room.title for room in view.rooms.values())
            return word, _beginning(word, {*rooms, *view.invitations.rooms})
        if kind not in ("NICK", "TEXT"):
            return word, []
        after = " "
    else:
        after = ": " if len(words) == 1 else " "
    room = view.room()
    nicks = set(room.nicks) if room else set()
    if typed.startswith("/"):
        nicks |= {room.partner for room in view.rooms.values() if room.partner}
    at = "@" if word.startswith("@") else ""
    after = " " if at else after
    return word, _beginning(word, (at + nick + after for nick in nicks if nick != view.nick))


def _commands(word: str) -> list[str]:
    """Return the commands that begin with a word; those of other chats only if none does."""
    own = {command.name for command in COMMANDS.values()}
    return _beginning(word, own) or _beginning(word, COMMANDS)


def _beginning(word: str, names: Iterable[str]) -> list[str]:
    start = fold(word)
    return sorted((name for name in names if fold(name).startswith(start)), key=fold)[:MAX_OFFERS]
