"""Clients of a hub that check all they receive: each post after their cursor, once, in order.

And that every post they know is in the end as it is stored, however it changed meanwhile; and of
the others in a room, that each person comes and goes in turn, on however many connections.
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import gevent

from geventchat.protocol import events, requests
from geventchat.protocol.requests import Cursor
from tests.server.hub_harness import Harness
from tests.server.links import FakeLink

FRESH = 3
AT_FIRST = ["lobby", "attic"]
ROOMS = [*AT_FIRST, "cellar"]
PRIVATE = "plans"
"""A private room, whose newcomers see nothing of before."""


class Roster:
    """Who is in a room, as far as presence has told.

    Only of the others: that one has left is told to who has come back meanwhile, too.
    """

    def __init__(self, own: set[str]) -> None:
        self._own = own
        self._present: dict[str, bool] = {}

    def hear(self, presence: events.Presence) -> None:
        nick = presence.nick or ""
        if nick in self._own:
            return
        match presence.event:
            case "join":
                assert self._present.get(nick) is not True, presence
                self._present[nick] = True
            case "leave":
                assert self._present.get(nick) is not False, presence
                self._present[nick] = False
            case "rename":
                assert self._present.get(nick) is not False, presence
                self._present[nick] = False
                self._present[presence.new_nick or ""] = True


class State(NamedTuple):
    """What is known of a post."""

    change: int
    text: str
    redacted: bool


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
        self.asked: dict[str, deque[Cursor | None]] = {room: deque() for room in (*ROOMS, PRIVATE)}
        """The cursor for each `joined` that is still to come: of a device, those of its hello."""

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
        self.cursors: dict[str, Cursor] = {}
        rooms = *ROOMS, PRIVATE
        self.known: dict[str, dict[int, State]] = {room: {} for room in rooms}
        """The posts that it shows."""
        self.mine: dict[str, list[int]] = {room: [] for room in rooms}
        """The positions of its own posts."""
        self.said: set[str] = set()
        self.hearing: dict[str, Membership] = {}
        self.rosters: dict[str, Roster] = {}
        self.nicks: set[str] = set()
        """Those it has had."""
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
            cursor = self.cursors[room]
        connection.wanted.add(room)
        connection.asked[room].append(cursor)
        return cursor

    def say(self, room: str, text: str) -> None:
        if self.connection and self.connection.active and room in self.connection.wanted:
            self.unacknowledged[text] = room, text
            self.said.add(text)
            self.connection.request(requests.Say(room=room, text=text, key=text))

    def change(self, room: str, nth: int, text: str | None) -> None:
        """Edit one of its posts, or redact it if there is no text."""
        if self.connection and self.connection.active and self.may_change(room):
            mine = self.mine[room]
            if mine and text is not None:
                position = mine[nth % len(mine)]
                self.connection.request(requests.Edit(room=room, position=position, text=text))
            elif mine:
                self.connection.request(requests.Redact(room=room, position=mine[nth % len(mine)]))

    def may_change(self, room: str) -> bool:
        """Return whether it believes that it is in a room, or soon will be."""
        return self.connection is not None and room in self.connection.wanted

    def join(self, room: str, *, fresh: bool) -> None:
        if self.connection and self.connection.active and room not in self.connection.wanted:
            cursor = self.ask(self.connection, room, fresh=fresh)
            if cursor is None:
                self.connection.request(requests.Join(room=room))
            else:
                self.connection.request(
                    requests.Join(
                        room=room,
                        epoch=cursor.epoch,
                        position=cursor.position,
                        change=cursor.change,
                    )
                )

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
            if self.welcome:
                welcome = events.decode(frame)
                assert isinstance(welcome, events.Welcome)
                self.nicks.add(welcome.nick)
            else:
                assert b'"bye"' not in frame or b'"replaced"' in frame, frame
            return
        event = events.decode(frame)
        match event:
            case events.Joined(room=room):
                assert room not in self.hearing
                self._joined(event, connection.asked[room].popleft())
            case events.Post(room=room, position=position, key=key):
                stored = self.harness.timeline._rooms[room].posts[position][0]
                assert key == stored.key
                self.hearing[room].hear(position)
                self._know(room, position, State(event.change, event.text, event.redacted))
                before = self.cursors[room]
                self.cursors[room] = Cursor(before.epoch, position, before.change)
                self.unacknowledged.pop(key or "", None)
                if key in self.said:
                    self.mine[room].append(position)
            case events.Edited(room=room, position=position, change=change, text=text):
                self._changed(room, position, State(change, text, False))
            case events.Redacted(room=room, position=position, change=change):
                self._changed(room, position, State(change, "", True))
            case events.Sent(key=key):
                self.unacknowledged.pop(key or "", None)
            case events.Left(room=room):
                del self.hearing[room]
            case events.Bye(code=code):
                assert code == "replaced" or (code == "slow" and connection.blocked)
                self.hearing = {}
                connection.open = False
            case events.Presence(room=room):
                self.rosters[room].hear(event)
            case events.Renamed(nick=nick):
                self.nicks.add(nick)
            case events.Error(code="nick_in_use"):
                pass
            case events.Error(code="forbidden"):  # an edit of a redacted post
                assert self.mine
            case _:
                raise AssertionError(event)

    def _joined(self, joined: events.Joined, cursor: Cursor | None) -> None:
        self.rosters[joined.room] = Roster(self.nicks)
        if cursor is None:
            assert joined.recovered in (None, False)
            low = max(joined.position - FRESH, joined.oldest - 1)
            first = range(low + 1, joined.position + 1)
            last = None if first else joined.position
            self.hearing[joined.room] = Membership(first, last)
            self.cursors[joined.room] = Cursor(joined.epoch, joined.position, joined.change)
            self.known[joined.room], self.mine[joined.room] = {}, []
        else:
            assert joined.recovered is True
            first = range(cursor.position + 1, cursor.position + 2)
            self.hearing[joined.room] = Membership(first, cursor.position)
            known, mine = self.known[joined.room], self.mine[joined.room]
            self.known[joined.room] = {
                position: state for position, state in known.items() if position >= joined.oldest
            }
            self.mine[joined.room] = [position for position in mine if position >= joined.oldest]

    def check(self) -> None:
        """Check at rest that it received everything."""
        self.listen()
        if self.connection is None or not self.connection.active:
            return
        assert self.welcome
        assert not self.unacknowledged
        assert set(self.hearing) == self.connection.wanted
        self._check_posts()

    def _check_posts(self) -> None:
        for where, hearing in self.hearing.items():
            assert hearing.last == self.harness.timeline.position(where)
            for position, state in self.known[where].items():
                stored = self.harness.timeline._rooms[where].posts[position][0]
                assert state == State(stored.change, stored.text, stored.redacted)

    def _changed(self, room: str, position: int, state: "State") -> None:
        assert room in self.hearing
        if position in self.known[room]:
            self._know(room, position, state)
        before = self.cursors[room]
        if before.change is not None:
            newest = max(before.change, state.change)
            self.cursors[room] = Cursor(before.epoch, before.position, newest)

    def _know(self, room: str, position: int, state: "State") -> None:
        """Keep a state of a post unless a later one is known."""
        known = self.known[room].get(position)
        if known is not None and known.change == state.change:
            assert known == state
        if known is None or known.change < state.change:
            self.known[room][position] = state


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
        # What members of the chat say has its text for a key, which no edit changes.
        return {post.key or post.text: position for position, (post, _) in record.posts.items()}
