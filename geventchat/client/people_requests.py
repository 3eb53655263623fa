"""What an application asks about accounts, conversations and private rooms."""

from abc import abstractmethod
from typing import Final, Literal, Protocol, TypeVar

import gevent
from msgspec.structs import replace

from geventchat.client.keys import new_key
from geventchat.client.socket_link import Ended
from geventchat.protocol import events, requests
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import (
    Accounts,
    Answer,
    Blocked,
    Conversations,
    Hooks,
    Invited,
    Joined,
    Moderators,
    Muted,
    Read,
    Removed,
    Sent,
    Sessions,
    SignedIn,
)
from geventchat.protocol.requests import Request

DIRECT_SECONDS: Final = 30
"""How long a direct message is repeated, while the connection is lost."""
_PAUSE_SECONDS: Final = 0.05

A = TypeVar("A", bound=Answer)


class Asking(Protocol):
    """What a connection provides, by which the requests here are made."""

    @property
    @abstractmethod
    def nick(self) -> str:
        """The own nick."""

    @property
    @abstractmethod
    def _stores_directs(self) -> bool:
        """Whether direct messages to accounts are stored, and this connection resumes."""

    @abstractmethod
    def _id(self) -> str:
        """Return an id for the next request."""

    @abstractmethod
    def _ask(self, request: Request, kind: type[A]) -> A:
        """Send a request and wait for its answer."""

    @abstractmethod
    def _wait_connected(self) -> None:
        """Wait while the connection is lost. Raises Ended if it has ended."""

    @abstractmethod
    def say(self, room: str, text: str, *, key: str | None = None) -> int:
        """Send a message, wait until it is stored, and return its position."""


class PeopleRequests(Asking):
    """The part of a connection that needs the features `accounts`, `private`, `marks`, `hooks`.

    Each method waits for the answer, and raises what the others of a connection do.
    """

    # Accounts

    def register(self, nick: str, password: str, *, device: str | None = None) -> SignedIn:
        """Make an account of this connection, which keeps its rooms.

        From now on `session` is the token to sign in with. `device` is what `sessions` calls it.
        """
        asked = requests.Register(nick=nick, password=password, device=device, id=self._id())
        return self._ask(asked, SignedIn)

    def change_password(self, password: str, new: str) -> SignedIn:
        """Change the password of this account; all its other sessions end."""
        asked = requests.ChangePassword(password=password, new_password=new, id=self._id())
        return self._ask(asked, SignedIn)

    def sessions(self) -> list[events.Session]:
        """Return the sessions of this account."""
        return self._ask(requests.Sessions(id=self._id()), Sessions).sessions

    def revoke(self, session: str) -> list[events.Session]:
        """End a session by its `id`, and its connections; return those that are left."""
        return self._ask(requests.Revoke(session=session, id=self._id()), Sessions).sessions

    def accounts(
        self,
        action: Literal["list", "add", "remove", "password"],
        nick: str | None = None,
        password: str | None = None,
    ) -> Accounts:
        """List, make, remove or change accounts, as an operator.

        `list` begins after `nick`, and has a `next` unless it is the last page.
        """
        asked = requests.Accounts(action=action, nick=nick, password=password, id=self._id())
        return self._ask(asked, Accounts)

    # Conversations

    def direct(self, to: str, text: str, *, key: str | None = None) -> Sent:
        """Send a direct message.

        Between accounts it is stored in a conversation, `room`, and waits for the other; with the
        same `key` it is stored once. It is sent again if the connection is lost, within 30 s, and
        raises TimeoutError after that: then repeat it with its `key`.

        To a guest or from one it is delivered at most once, only if the nick is online.
        """
        asked = requests.Direct(to=to, text=text, key=key, id=self._id())
        if not self._stores_directs:
            return self._ask(asked, Sent)
        asked = replace(asked, key=key or new_key())
        late = TimeoutError(f"The server did not answer within {DIRECT_SECONDS} s.")
        with gevent.Timeout(DIRECT_SECONDS, late):
            try:
                return self._ask(asked, Sent)
            except Ended as ended:
                return self._direct_again(asked, ended)

    def _direct_again(self, lost: requests.Direct, ended: Ended) -> Sent:
        """Repeat a direct message, which may have been stored before the connection was lost.

        As a say, by the same key, since one to a guest must not be delivered twice. Raises Ended if
        it was to one.
        """
        while True:
            gevent.sleep(_PAUSE_SECONDS)  # the loss may not be noticed yet
            self._wait_connected()
            try:
                room = self.open(lost.to).room
                position = self.say(room, lost.text, key=lost.key)
            except Ended as again:
                ended = again
            except Refused as refused:
                if refused.code == "no_such_nick":
                    raise ended from None
                raise
            else:
                return Sent(to=lost.to, room=room, position=position, key=lost.key, stored=True)

    def open(self, nick: str) -> Joined:
        """Join the conversation with an account, which begins if there is none."""
        return self._ask(requests.Open(with_=nick, id=self._id()), Joined)

    def conversations(self, *, limit: int = 50, after: str | None = None) -> Conversations:
        """Return up to `limit` (1 to 200) conversations, the latest first.

        `after` is the `next` of the page before, which is None on the last.
        """
        asked = requests.Conversations(limit=limit, after=after, id=self._id())
        return self._ask(asked, Conversations)

    def block(self, nick: str, *, on: bool = True) -> list[events.Person]:
        """Refuse direct messages and invitations of an account; return all that are blocked."""
        return self._ask(requests.Block(nick=nick, on=on, id=self._id()), Blocked).blocked

    def blocked(self) -> list[events.Person]:
        """Return the accounts that are blocked."""
        # Unblocking oneself changes nothing, and is answered with the list.
        return self.block(self.nick, on=False)

    # Private rooms

    def create(self, room: str, *, history: Literal["all", "joined"] | None = None) -> Joined:
        """Make a private room; with `history="joined"` newcomers see only what follows."""
        return self._ask(requests.Create(room=room, history=history, id=self._id()), Joined)

    def invite(self, room: str, nick: str) -> Invited:
        """Invite an account into a private room."""
        return self._ask(requests.Invite(room=room, nick=nick, id=self._id()), Invited)

    def remove(self, room: str, nick: str) -> Removed:
        """Remove an account from a private room, or withdraw its invitation."""
        return self._ask(requests.Remove(room=room, nick=nick, id=self._id()), Removed)

    def moderator(self, room: str, nick: str, *, on: bool = True) -> Moderators:
        """Make a member a moderator of a private room, or no longer; return all of them."""
        return self._ask(requests.Moderator(room=room, nick=nick, on=on, id=self._id()), Moderators)

    def mute(self, room: str, nick: str, *, on: bool = True, seconds: int | None = None) -> Muted:
        """Mute a member of a private room, for so many seconds or until undone."""
        asked = requests.Mute(room=room, nick=nick, on=on, seconds=seconds, id=self._id())
        return self._ask(asked, Muted)

    # Marks and hooks

    def read(self, room: str, position: int) -> Read:
        """Note how far this account has read a room."""
        return self._ask(requests.Read(room=room, position=position, id=self._id()), Read)

    def hook(
        self,
        action: Literal["add", "list", "revoke"],
        *,
        room: str | None = None,
        hook: str | None = None,
    ) -> Hooks:
        """Make, list or revoke webhooks, as an operator or a moderator of the room.

        One that is made has its token, which is never shown again.
        """
        return self._ask(requests.Hook(action=action, room=room, hook=hook, id=self._id()), Hooks)
