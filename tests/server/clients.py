"""Clients of a hub that check all they receive: each post after their cursor, once, in order."""

from collections import deque
from dataclasses import dataclass

import gevent

from geventchat.protocol import events, requests
from geventchat.protocol.requests import Cursor
from tests.server.hub_harness import Harness
from tests.server.links import FakeLink

FRESH = 3
AT_FIRST = ["lobby", "attic"]
ROOMS = [*AT_FIRST, "cellar"]


@dataclass
class Membership:
    """What one membership has received so far."""

    first: range
    """Positions from which it may start."""
    last: int | None = None

    def hear(self, position: int) -> None:
        if self.last is None:
            assert position in self.first, (position, self)
        else:
            assert position == self.last + 1, (position, self)
        self.last = position


class ClientConnection:
    """One connection of a client, and what it received."""

    def __init__(self, harness: Harness) -> None:
        self.link = FakeLink()
        self.session = harness.session(self.link)
        self.reader = gevent.spawn(self.session.run)
        self._read = 0
        self.open = True
        """Whether the client may still send."""
        self.blocked = False
        """Whether its link ever accepted only a part: only then it may be closed as slow."""
        self.wanted: set[str] = set()
        """The rooms it has requested to join."""
        self.asked: dict[str, deque[Cursor | None]] = {room: deque() for room in ROOMS}
        """The cursor for each `joined` that is still to come."""

    def frames(self) -> list[bytes]:
        """Return the frames received since the last connection."""
        *frames, rest = bytes(self.link.taken[self._read :]).split(b"\0")
        self._read = len(self.link.taken) - len(rest)
        return frames

    def check(self) -> None:
        """Check that it received whole frames, and nothing after `bye`."""
        *frames, rest = bytes(self.link.taken).split(b"\0")
        assert self.link.lost or not rest
        assert not [frame for frame in frames[:-1] if frame.startswith(b'{"type":"bye"')]

    def request(self, request: requests.Request, mark: bytes = b"") -> None:
        self.link.say(mark + requests.encode(request))

    @property
    def active(self) -> bool:
        """Whether the client is connected and has not asked to end."""
        return self.open and not self.reader.ready() and not self.link.lost


class RichClient:
    """A client program: it keeps its cursors, and repeats unacknowledged messages."""

    def __init__(self, harness: Harness, name: str) -> None:
        self.harness = harness
        self.client = name * 16
        self.connection: ClientConnection | None = None
        self.cursors: dict[str, int] = {}
        self.hearing: dict[str, Membership] = {}
        self.unacknowledged: dict[str, tuple[str, str]] = {}
        self.welcome = False

    def connect(self) -> None:
        """Connect, or reconnect and resume."""
        self.listen()
        wanted = set(AT_FIRST)
        if self.connection is not None:
            self.connection.open = False
            wanted = self.connection.wanted | {room for room, _ in self.unacknowledged.values()}
        self.hearing = {}
        self.welcome = False
        self.connection = ClientConnection(self.harness)
        rooms = {room: self.ask(self.connection, room) for room in sorted(wanted)}
        hello = requests.Hello(version=1, client=self.client, rooms=rooms)
        self.connection.request(hello, b"\x1e")
        for key, (where, text) in self.unacknowledged.items():
            self.connection.request(requests.Say(room=where, text=text, key=key))

    def ask(self, connection: ClientConnection, room: str, *, fresh: bool = False) -> Cursor | None:
        """Record a requested room; return its cursor."""
        cursor = None
        if not fresh and room in self.cursors:
            cursor = Cursor(self.harness.timeline.epoch, self.cursors[room])
        connection.wanted.add(room)
        connection.asked[room].append(cursor)
        return cursor

    def say(self, room: str, text: str) -> None:
        if self.connection and self.connection.active and room in self.connection.wanted:
            self.unacknowledged[text] = room, text
            self.connection.request(requests.Say(room=room, text=text, key=text))

    def join(self, room: str, *, fresh: bool) -> None:
        if self.connection and self.connection.active and room not in self.connection.wanted:
            cursor = self.ask(self.connection, room, fresh=fresh)
            if cursor is None:
                self.connection.request(requests.Join(room=room))
            else:
                epoch, position = cursor.epoch, cursor.position
                self.connection.request(requests.Join(room=room, epoch=epoch, position=position))

    def leave(self, room: str) -> None:
        if self.connection and self.connection.active and room in self.connection.wanted:
            self.listen()
            self.connection.wanted.remove(room)
            self.connection.request(requests.Leave(room=room))

    def listen(self) -> None:
        """Process received frames."""
        if self.connection is not None:
            for frame in self.connection.frames():
                self._take(self.connection, frame)

    def _take(self, connection: ClientConnection, frame: bytes) -> None:
        if not self.welcome:  # received while it was still a plain member
            self.welcome = b'"welcome"' in frame
            return
        event = events.decode(frame)
        match event:
            case events.Joined(room=room):
                assert room not in self.hearing
                self._joined(event, connection.asked[room].popleft())
            case events.Post(room=room, position=position, text=text, key=key):
                stored = self.harness.timeline._rooms[room].posts[position][0]
                assert (text, key) == (stored.text, stored.key)
                self.hearing[room].hear(position)
                self.cursors[room] = position
                self.unacknowledged.pop(text, None)
            case events.Sent(key=key):
                self.unacknowledged.pop(key or "", None)
            case events.Left(room=room):
                del self.hearing[room]
            case events.Bye(code=code):
                assert code == "replaced" or (code == "slow" and connection.blocked)
                self.hearing = {}
                connection.open = False
            case events.Presence() | events.Renamed() | events.Error(code="nick_in_use"):
                pass
            case _:
                raise AssertionError(event)

    def _joined(self, joined: events.Joined, cursor: Cursor | None) -> None:
        if cursor is None:
            assert joined.recovered is None
            first = range(max(joined.position - FRESH, 0) + 1, joined.position + 1)
            self.hearing[joined.room] = Membership(first or range(1, 2))
            self.cursors.pop(joined.room, None)
        else:
            assert joined.recovered is True
            first = range(cursor.position + 1, cursor.position + 2)
            self.hearing[joined.room] = Membership(first, cursor.position)

    def check(self) -> None:
        """Check at rest that it received everything."""
        self.listen()
        if self.connection is None or not self.connection.active:
            return
        assert self.welcome
        assert not self.unacknowledged
        assert set(self.hearing) == self.connection.wanted
        for where, hearing in self.hearing.items():
            assert (hearing.last or 0) == self.harness.timeline.position(where)


class PlainClient:
    """A plain client: it receives the lobby except its own messages."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.connection: ClientConnection | None = None
        self.said: set[str] = set()
        self.heard: list[int] = []

    def connect(self) -> None:
        if self.connection is not None:
            self.connection.link.shut()
            self.connection.open = False
        self.connection = ClientConnection(self.harness)
        self.said = set()
        self.heard = []
        lobby = self.harness.hub.rooms.get("lobby")
        self.delivered = lobby.position if lobby else self.harness.timeline.position("lobby")
        self.stored = self.harness.timeline.position("lobby")

    def say(self, room: str, text: str) -> None:
        """Post in the lobby, whatever the room: a plain client has no other."""
        if self.connection and self.connection.active:
            self.said.add(text)
            self.connection.link.say(text.encode())

    def listen(self) -> None:
        if self.connection is None:
            return
        for frame in self.connection.frames():
            if frame.startswith(b"* geventchat: "):
                assert frame.startswith(b"* geventchat: Disconnected: not reading")
                assert self.connection.blocked
                self.connection.open = False
                continue
            text = frame.decode()
            assert text not in self.said
            self.heard.append(self._posts()[text])

    def check(self) -> None:
        self.listen()
        if self.connection is None:
            return
        others = [each for text, each in self._posts().items() if text not in self.said]
        first = self.heard[0] if self.heard else len(self._posts()) + 1
        assert first > self.delivered
        if self.connection.active:
            assert self.heard == [each for each in others if each >= first]
            assert not [each for each in others if self.stored < each < first]
        elif self.heard:
            assert self.heard == [each for each in others if first <= each <= self.heard[-1]]

    def _posts(self) -> dict[str, int]:
        record = self.harness.timeline._rooms.get("lobby")
        if record is None:
            return {}
        return {post.text: position for position, (post, _) in record.posts.items()}
