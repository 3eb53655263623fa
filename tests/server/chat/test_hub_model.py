"""Clients connect, leave, drop, resume and post while turns are cut into the smallest slices.

Sessions, hub, rooms, outboxes and replays are the real ones; links and the timeline take one step
when the model says so. Whatever the order of the steps: each member receives each post of a room
after its cursor once, in order, and in the end all of them.
"""

from collections import deque
from dataclasses import dataclass

import gevent
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from geventchat.protocol import events, requests
from geventchat.protocol.requests import Cursor
from geventchat.server import timeline
from geventchat.server.chat import delivery
from geventchat.server.chat import room as room_module
from geventchat.server.session import replay
from geventchat.server.session.session import Session
from geventchat.server.timeline import memory
from tests.server.hub_harness import Harness
from tests.server.links import FakeLink
from tests.server.switches import let_run

FRESH = 3
AT_FIRST = ["lobby", "attic"]
ROOMS = [*AT_FIRST, "cellar"]
RICH = range(4)
PLAIN = range(4, 6)
WORK = ["store", "hand on", "read", "slice", "slice"]
STEPS = ["leave", "join", "join afresh", "say", "speak", "come", "go", *WORK]
rich = st.sampled_from(RICH)
anyone = st.integers(0, max(PLAIN))
rooms = st.sampled_from(ROOMS)
nicks = st.sampled_from(["Ann", "Bob", "ANN"])


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


class HubModel(RuleBasedStateMachine):
    """Each rule is one small step of a client or server; then all ready greenlets run."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for module, name, value in (
            (memory, "PAGE_BYTES", 6),
            (timeline, "PAGE_BYTES", 6),
            (replay, "FRESH", FRESH),
            (room_module, "TURN_BYTES", 8),
            (delivery, "SLICE_SECONDS", -1.0),
            (delivery, "_CLOCK_STEPS", 1),
        ):
            self.patch.setattr(module, name, value)
        self.harness = Harness(outbox_bytes=2_000)
        self.harness.timeline.hold_readers = True
        self.rich = [RichClient(self.harness, "abcd"[number]) for number in RICH]
        self.plain = [PlainClient(self.harness) for _ in PLAIN]
        self.connections: list[ClientConnection] = []
        self.words = 0

    def peer(self, number: int) -> RichClient | PlainClient:
        return self.rich[number] if number in RICH else self.plain[number - len(RICH)]

    @initialize(who=st.sets(anyone, min_size=3), walk=st.integers(1, 3))
    def begin(self, who: set[int], walk: int) -> None:
        """Start with some clients in rooms, which have received some posts."""
        self.patch.setattr(delivery, "_WALK", walk)
        for each in sorted(who):
            self.connect(each)
        self.quiet()
        for each in sorted(who):
            self.peer(each).say("lobby", self.word())
        self.quiet()

    @rule(steps=st.lists(st.sampled_from(WORK), min_size=1))
    def the_server_works(self, steps: list[str]) -> None:
        for step in steps:
            match step:
                case "store":
                    self.harness.timeline.store()
                case "hand on":
                    self.harness.timeline.deliver_next()
                case "read":
                    self.harness.timeline.resume_reader()
                case "slice":
                    self.harness.slice()
            let_run()

    @rule(who=anyone, where=rooms, times=st.integers(1, 5), until=st.integers(0, 4))
    def a_client_posts(self, who: int, where: str, times: int, until: int) -> None:
        """A client posts, and its post proceeds by some steps at once."""
        for _ in range(times):
            self.peer(who).say(where, self.word())
        let_run()
        self.the_server_works(["store", "hand on", "slice", "slice"][:until])

    @rule(who=rich, where=rooms, steps=st.lists(st.sampled_from(STEPS), min_size=3))
    def a_client_acts_repeatedly(self, who: int, where: str, steps: list[str]) -> None:
        """One client takes several actions in one room, while the server works."""
        peer = self.rich[who]
        for step in steps:
            match step:
                case "leave":
                    peer.leave(where)
                case "join" | "join afresh":
                    peer.join(where, fresh=step == "join afresh")
                case "say":
                    peer.say(where, self.word())
                case "speak":
                    peer.say(where, self.word())
                    let_run()
                    self.the_server_works(["store", "hand on"])
                case "come":
                    self.connect(who)
                case "go":
                    self.go(who, "lost")
                case _:
                    self.the_server_works([step])
            let_run()

    @rule(who=anyone, reads=st.integers(0, 3))
    def a_client_connects(self, who: int, reads: int) -> None:
        """A client connects, or replaces its own former connection."""
        self.connect(who)
        self.the_server_works(["read"] * reads)

    def connect(self, who: int) -> None:
        peer = self.peer(who)
        peer.connect()
        assert peer.connection is not None
        self.connections.append(peer.connection)
        let_run()

    @rule(who=rich, nick=nicks)
    def a_client_takes_a_nick(self, who: int, nick: str) -> None:
        connection = self.rich[who].connection
        if connection is not None and connection.active:
            connection.request(requests.Nick(nick=nick))
        let_run()

    @rule(who=rich, nick=st.none() | nicks, where=rooms, replaced_first=st.booleans())
    def a_replaced_connection_still_sends(
        self, who: int, nick: str | None, where: str, replaced_first: bool
    ) -> None:
        """A client reconnects while its former connection has a frame ready in the same round."""
        former = self.rich[who].connection
        if former is None or not former.active:
            return
        asked = requests.Nick(nick=nick) if nick else requests.Join(room=where)
        self.rich[who].listen()
        if not replaced_first:
            former.request(asked)
        self.rich[who].connect()
        if replaced_first:
            former.request(asked)
        connection = self.rich[who].connection
        assert connection is not None
        self.connections.append(connection)
        let_run()

    @rule(
        who=anyone, how=st.sampled_from(["lost", "lost unread", "locked_out"]), back=st.booleans()
    )
    def a_client_leaves(self, who: int, how: str, back: bool) -> None:
        self.go(who, how)
        if back:
            self.connect(who)

    def go(self, who: int, how: str) -> None:
        peer = self.peer(who)
        if peer.connection is not None and peer.connection.active:
            if how != "lost unread":
                peer.listen()
            if how == "locked_out":
                peer.connection.link.shut()
            else:
                peer.connection.link.lose()
            peer.connection.open = False
            let_run()

    @rule(who=anyone)
    def a_client_reads(self, who: int) -> None:
        self.peer(who).listen()

    @rule(who=anyone, count=st.none() | st.integers(0, 300))
    def a_link_blocks_or_takes(self, who: int, count: int | None) -> None:
        connection = self.peer(who).connection
        if connection is not None and connection.link.room is None and count is not None:
            connection.link.room = count
            connection.blocked = True
        elif connection is not None:
            connection.link.take(count)
        let_run()

    def word(self) -> str:
        self.words += 1
        return str(self.words)

    @rule()
    def quiet(self) -> None:
        """Run until nothing is pending; then all clients have received everything."""
        for connection in self.connections:
            connection.link.take(None)
        for _ in range(1_000):
            let_run()
            if self.harness.timeline.idle and not self.harness.delivering:
                break
            self.harness.timeline.store()
            self.harness.timeline.deliver_next()
            self.harness.slice()
            self.harness.timeline.resume_reader()
        else:
            raise AssertionError("it never comes to rest")
        for number in (*RICH, *PLAIN):
            self.peer(number).check()
        for connection in self.connections:
            connection.check()

    @invariant()
    def announced_presence_is_consistent(self) -> None:
        for each in self.harness.hub.rooms.values():
            announced = [member for member in each.members.values() if member.announced]
            assert each.count == len(announced) + len(each.away)
            assert each.rich_members == sum(member.form.rich for member in each.members.values())
            assert set(each.live) <= set(each.members)

    @invariant()
    def a_nick_has_one_owner_that_is_connected_or_held(self) -> None:
        hub = self.harness.hub
        owners = [owner for owner, _ in hub._nicks._owners.values()]
        assert len(owners) == len(set(owners))
        assert set(owners) == set(hub._clients.values())
        for client, owner in hub._clients.items():
            assert hub._nicks.owner(owner.nick) is owner
            assert owner.client == client
            assert not isinstance(owner, Session) or owner in hub.sessions

    def teardown(self) -> None:
        try:
            self.quiet()
            for connection in self.connections:
                connection.link.shut()
            self.quiet()
            assert all(connection.reader.ready() for connection in self.connections)
            assert not self.harness.hub.sessions
            assert not self.harness.hub.rooms
        finally:
            self.patch.undo()
            gevent.killall([connection.reader for connection in self.connections])


TestHubModel = pytest.mark.timeout(120)(HubModel.TestCase)  # to shrink what fails takes long
TestHubModel.settings = settings(
    max_examples=200, stateful_step_count=50, report_multiple_bugs=False
)
