"""Nicks: each has one owner, and none looks like another."""

from collections.abc import Callable
from itertools import count
from typing import Final, Generic, TypeVar

from geventchat.protocol import names
from geventchat.protocol.errors import Refused

Owner = TypeVar("Owner")


class Nicks(Generic[Owner]):
    """All nicks in use or held, with their owners. Nothing here waits."""

    def __init__(self, whose: Callable[[Owner], str] = lambda _: "is in use") -> None:
        """`whose`: returns what is said of a nick of this owner to others who want it."""
        self._whose = whose
        self._owners: dict[str, tuple[Owner, str]] = {}
        """Owner and skeleton by folded nick; the skeleton is that of its current spelling."""
        self._skeletons: dict[str, str] = {}
        """The nick, as it is spelled, by skeleton."""
        self.numbers: Callable[[], int] = count(1).__next__
        """Returns the number of the next guest, which nobody else gets."""
        self._newest = 0
        """The number of the newest guest."""
        self._unused: list[int] = []
        """Numbers that were taken back, the next one last."""

    def guest(self) -> str:
        """Return the name of the next guest; it is not assigned yet."""
        self._newest = self._unused.pop() if self._unused else self.numbers()
        return f"{names.GUEST}{self._newest}"

    def take_back(self, guest: str) -> None:
        """Give a guest's number to the next one, if it is the newest and was never shown."""
        if guest == f"{names.GUEST}{self._newest}":
            self._unused.append(self._newest)
            self._newest -= 1

    def keep(self, guest: str) -> None:
        """Note that other nodes may know of a guest: its number is not taken back."""
        if guest == f"{names.GUEST}{self._newest}":
            self._newest = 0

    def take(self, text: str, owner: Owner) -> str:
        """Assign a nick and return it normalized; the owner may have another spelling of it.

        Raises Refused `bad_nick`, `nick_in_use` or `nick_too_similar`.
        """
        nick = self.check(text, owner)
        self.give(nick, owner)
        return nick

    def check(self, text: str, owner: Owner | None = None) -> str:
        """Return a nick that an owner, or somebody new, may take, normalized. Raises as `take`."""
        nick = names.nick(text)
        holder = self.owner(nick)
        if holder is not None and holder is not owner:
            text = f"The nick {nick} {self._whose(holder)}. Choose another."
            raise Refused("nick_in_use", text)
        similar = self._skeletons.get(names.skeleton(nick), "")
        holder, _ = self._owners.get(names.fold(similar), (None, ""))
        if holder is not None and holder is not owner:
            text = f"The nick {nick} looks like {similar}, which {self._whose(holder)}."
            raise Refused("nick_too_similar", f"{text} Choose another.")
        return nick

    def give(self, nick: str, owner: Owner) -> None:
        """Assign a nick that was checked before, or a guest's, to an owner."""
        self.free(nick)  # its former spelling may have another skeleton
        folded, skeleton = names.fold(nick), names.skeleton(nick)
        self._owners[folded] = owner, skeleton
        self._skeletons[skeleton] = nick

    def free(self, nick: str) -> None:
        """Release a nick in any spelling; no error if it is not in use."""
        folded = names.fold(nick)
        _, skeleton = self._owners.pop(folded, (None, ""))
        if names.fold(self._skeletons.get(skeleton, "")) == folded != "":
            del self._skeletons[skeleton]

    def owner(self, text: str) -> Owner | None:
        """Return the owner of a nick in any spelling."""
        if len(text) > _LONGEST:
            return None
        owner, _ = self._owners.get(names.fold(text), (None, ""))
        return owner


_LONGEST: Final = 4 * names.MAX_NAME_LENGTH
