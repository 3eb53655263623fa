"""Devices of accounts: each checks that it is in the rooms of its account, and what it hears."""

from itertools import count

from geventchat.protocol import events, requests
from geventchat.protocol.requests import Cursor, SignIn
from geventchat.server.people.account import Account
from tests.server.clients import AT_FIRST, PRIVATE, ClientConnection, RichClient
from tests.server.hub_harness import Harness

_ids = count(1)


class Device(RichClient):
    """A client of an account: its rooms are those of the account, on whatever connection."""

    def __init__(self, harness: Harness, name: str, account: Account) -> None:
        super().__init__(harness, name)
        self.account = account
        _, self._token, _ = harness.hub.people.logins.begin(account, None)
        self._asked: dict[str, tuple[str, Cursor | None]] = {}
        """The room and the cursor of each join without an answer, by its id."""
        self._asked_hello: dict[str, Cursor | None] = {}

    def connect(self) -> None:
        self.listen()
        rooms = {*AT_FIRST, *self.hearing, *(room for room, _ in self.unacknowledged.values())}
        if self.connection is not None:
            self.connection.open = False
        self.hearing, self.rosters, self._asked, self.welcome = {}, {}, {}, False
        self.connection = ClientConnection(self.harness)
        self._asked_hello = {room: self.cursors.get(room) for room in sorted(rooms)}
        hello = requests.Hello(
            version=1,
            client=self.client,
            rooms=self._asked_hello,
            account=SignIn(session=self._token),
        )
        self._asked_hello = dict(self._asked_hello)
        self.connection.request(hello, b"\x1e")
        for key, (where, text) in self.unacknowledged.items():
            self.connection.request(requests.Say(room=where, text=text, key=key))

    def may_change(self, room: str) -> bool:
        return room in self.hearing

    def say(self, room: str, text: str) -> None:
        if self.connection and self.connection.active:
            self.unacknowledged[text] = room, text
            self.said.add(text)
            self.connection.request(requests.Say(room=room, text=text, key=text))

    def join(self, room: str, *, fresh: bool) -> None:
        if self.connection and self.connection.active:
            number = str(next(_ids))
            cursor = None if fresh else self.cursors.get(room)
            self._asked[number] = room, cursor
            asked = requests.Join(room=room, id=number)
            if cursor is not None:
                asked = requests.Join(
                    room=room,
                    epoch=cursor.epoch,
                    position=cursor.position,
                    change=cursor.change,
                    id=number,
                )
            self.connection.request(asked)

    def invite(self, other: Account) -> None:
        """Invite an account into the private room."""
        if self.connection and self.connection.active:
            self.connection.request(requests.Invite(room=PRIVATE, nick=other.nick))

    def remove(self, other: Account) -> None:
        """Remove an account from the private room."""
        if self.connection and self.connection.active:
            self.connection.request(requests.Remove(room=PRIVATE, nick=other.nick))

    def _joined(self, joined: events.Joined, cursor: Cursor | None) -> None:
        if joined.recovered is False:  # it was here before, and is a newcomer now
            assert joined.room == PRIVATE
            cursor = None
        super()._joined(joined, cursor)

    def leave(self, room: str) -> None:
        if self.connection and self.connection.active:
            self.connection.request(requests.Leave(room=room, id=str(next(_ids))))

    def _take(self, connection: ClientConnection, frame: bytes) -> None:
        event = events.decode(frame) if self.welcome else None
        match event:
            case events.Joined(room=room, id=number) if number is not None:
                asked, cursor = self._asked.pop(number)
                assert asked == room
                if room in self.hearing:  # followed already: nothing is replayed
                    assert event.recovered is None
                else:
                    self._joined(event, cursor)
            case events.Joined(room=room):
                assert room not in self.hearing
                self._joined(event, self._asked_hello.pop(room, None))
            case events.Left(room=room):
                self._asked_hello.pop(room, None)
                self.hearing.pop(room, None)
                # Whether it was said before the room was left elsewhere, is not known.
                said = self.unacknowledged.items()
                self.unacknowledged = {key: each for key, each in said if each[0] != room}
            case events.Error(code="not_joined" | "forbidden", key=key, id=number):
                self.unacknowledged.pop(key or "", None)
                self._asked.pop(number or "", None)
            case events.Error(code="no_such_nick" | "no_such_post"):
                pass
            case events.Invited() | events.Removed() | events.Moderators():
                pass
            case _:
                super()._take(connection, frame)

    def check(self) -> None:
        self.listen()
        if self.connection is None or not self.connection.active:
            return
        assert self.welcome
        assert not self.unacknowledged
        assert not self._asked
        assert set(self.hearing) == set(self.account.rooms)
        self._check_posts()
