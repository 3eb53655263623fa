"""Folds who joined and left a room into few lines.

The first change after a quiet time is shown after two seconds, those that follow are collected for
longer and longer, so a line that drops again and again, or a crowd, costs some 4 lines in
10 minutes. Who came and went in between is not mentioned at all.
"""

from collections import deque
from typing import Final

FIRST_SECONDS: Final = 2.0
MAX_SECONDS: Final = 512.0
MEMORY_SECONDS: Final = 600.0
"""Lines shown within this time make the next one wait, each four times longer."""
_NAMED: Final = 5
"""Nicks in one line; then their number."""


class Comings:
    """What changed among the members of the room on the screen and is not shown yet."""

    def __init__(self) -> None:
        self._joined: dict[str, bool] = {}
        """Whether each has spoken since: then everybody knows that they are here."""
        self._left: dict[str, None] = {}  # an ordered set
        self._renamed: dict[str, str] = {}
        """Former nick by nick."""
        self._since: float | None = None
        self._shown: deque[float] = deque()

    def join(self, nick: str) -> None:
        """Note that somebody joined."""
        if nick in self._left:
            del self._left[nick]
        else:
            self._joined[nick] = False

    def leave(self, nick: str) -> None:
        """Note that somebody left."""
        if nick in self._joined:
            del self._joined[nick]
        else:
            self._left[self._renamed.pop(nick, nick)] = None

    def rename(self, nick: str, new: str) -> None:
        """Note that somebody changed nicks."""
        if nick in self._joined and not self._joined.pop(nick):
            self.join(new)
            return
        former = self._renamed.pop(nick, nick)
        if former != new:
            self._renamed[new] = former

    def speaks(self, nick: str) -> list[str]:
        """Return what has to be shown before a post of somebody: a new nick."""
        if nick in self._joined:
            self._joined[nick] = True
        former = self._renamed.pop(nick, None)
        return [] if former is None else [f"{former} is now known as {nick}"]

    def clear(self) -> None:
        """Forget what is not shown yet, when another room is on the screen."""
        self._joined.clear()
        self._left.clear()
        self._renamed.clear()

    def due(self, now: float) -> list[str]:
        """Return the lines to show at a time in monotonic seconds; to be asked every second."""
        if not (self._joined or self._left or self._renamed):
            self._since = None
            return []
        if self._since is None:
            self._since = now
        while self._shown and self._shown[0] < now - MEMORY_SECONDS:
            self._shown.popleft()
        wait = min(FIRST_SECONDS * 4 ** len(self._shown), MAX_SECONDS)
        if now - self._since < wait:
            return []
        self._since = None
        renamed = [f"{former} is now known as {nick}" for nick, former in self._renamed.items()]
        parts = [
            _sentence([nick for nick, spoke in self._joined.items() if not spoke], "joined"),
            _sentence(list(self._left), "left"),
            *renamed[:_NAMED],
        ]
        if len(renamed) > _NAMED:
            parts.append(f"{len(renamed) - _NAMED} others changed nicks")
        self.clear()
        if not any(parts):
            return []
        self._shown.append(now)
        return ["; ".join(part for part in parts if part)]


def _sentence(names: list[str], did: str) -> str:
    if not names:
        return ""
    more = len(names) - _NAMED
    if more > 1:
        return f"{', '.join(names[:_NAMED])} and {more} others {did}"
    return f"{' and '.join(filter(None, (', '.join(names[:-1]), names[-1])))} {did}"
