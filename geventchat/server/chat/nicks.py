"""Who goes by which nick: one owner each, none that only looks like another."""

from typing import Final, Generic, TypeVar

from geventchat.protocol import names
from geventchat.protocol.errors import Refused

Owner = TypeVar("Owner")


class Nicks(Generic[Owner]):
    """Every nick in use or held, with its owner. Nothing here waits."""

    def __init__(self) -> None:
        self._owners: dict[str, tuple[Owner, str]] = {}
        """By folded nick: who has it, and what it looks like as it is spelled."""
        self._looks: dict[str, str] = {}
        self._guests = 0

    def guest(self) -> str:
        """Draw the next guest's name. It is nobody's until it is given."""
        self._guests += 1
        return f"{names.GUEST}{self._guests}"

    def take(self, text: str, owner: Owner) -> str:
        """Give a nick to an owner, who may have another spelling of it already; give its spelling.

        Raises Refused `bad_nick`, `nick_in_use` or `nick_too_similar`.
        """
        nick = names.nick(text)
        holder = self.owner(nick)
        if holder is not None and holder is not owner:
            raise Refused("nick_in_use", f"The nick {nick} is in use. Choose another.")
        alike = self._looks.get(names.skeleton(nick))
        if alike is not None and self._owners[alike][0] is not owner:
            text = f"The nick {nick} looks like another in use. Choose another."
            raise Refused("nick_too_similar", text)
        self.give(nick, owner)
        return nick

    def give(self, nick: str, owner: Owner) -> None:
        """Hand a nick that was checked before, or a guest's, to an owner."""
        self.free(nick)  # its spelling may have had another look
        folded, look = names.fold(nick), names.skeleton(nick)
        self._owners[folded] = owner, look
        self._looks[look] = folded

    def free(self, nick: str) -> None:
        """Let a nick go, however it is spelled; one that nobody has is no error."""
        folded = names.fold(nick)
        _, look = self._owners.pop(folded, (None, ""))
        if self._looks.get(look) == folded:
            del self._looks[look]

    def owner(self, text: str) -> Owner | None:
        """Give who goes by a nick, however it is spelled."""
        if len(text) > _LONGEST:
            return None
        owner, _ = self._owners.get(names.fold(text), (None, ""))
        return owner


_LONGEST: Final = 4 * names.MAX_NAME_LENGTH
