"""Direct conversations: by their two accounts, and those of each account by their last post.

Nothing here waits.
"""

from collections.abc import Iterator

from sortedcontainers import SortedList

from geventchat.server.people.account import Account
from geventchat.server.people.private import PrivateRoom


class Conversations:
    """All conversations. A list of some costs what it returns."""

    def __init__(self) -> None:
        self._by_pair: dict[tuple[str, ...], PrivateRoom] = {}
        self._latest: dict[str, SortedList] = {}
        """By account: the negative time of the last post, the name, and the conversation."""
        self._active = 0
        """The latest time of a post, in ms since 1970; posts of one millisecond are told apart."""

    def add(self, conversation: PrivateRoom) -> None:
        """Add a conversation between two accounts that have none."""
        self._by_pair[_pair(*conversation.between)] = conversation
        for account in conversation.between:
            self._latest.setdefault(account, SortedList()).add(_place(conversation))

    def remove(self, conversation: PrivateRoom) -> None:
        """Remove a conversation that the store has lost."""
        self._by_pair.pop(_pair(*conversation.between))
        for account in conversation.between:
            self._latest[account].remove(_place(conversation))

    def between(self, one: Account, other: Account) -> PrivateRoom | None:
        """Return the conversation of two accounts."""
        return self._by_pair.get(_pair(one.id, other.id))

    def said(self, conversation: PrivateRoom, position: int, time: int) -> None:
        """Note its newest post."""
        for account in conversation.between:
            self._latest[account].remove(_place(conversation))
        conversation.newest = position
        conversation.active = self._active = max(time, self._active + 1)
        for account in conversation.between:
            self._latest[account].add(_place(conversation))

    def latest(
        self, account: Account, after: tuple[int, str] | None = None
    ) -> Iterator[PrivateRoom]:
        """Yield those of an account, the latest first, after a time and a name.

        Not to be used after the next change.
        """
        order = self._latest.get(account.id, ())
        if order and after is not None:
            order = order.irange((-after[0], f"{after[1]}\0"))
        for *_, conversation in order:
            yield conversation


def _pair(*accounts: str) -> tuple[str, ...]:
    return tuple(sorted(accounts))


def _place(conversation: PrivateRoom) -> tuple[int, str, PrivateRoom]:
    # No two names are equal, so the conversations themselves are never compared.
    return -conversation.active, conversation.name, conversation
