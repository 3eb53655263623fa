"""Hubs on several nodes, joined by a channel whose messages the test delivers, delays or loses."""

import hashlib
from collections import deque
from collections.abc import Callable
from typing import Final

from geventchat.protocol import events
from geventchat.server.chat.elsewhere import Elsewhere
from geventchat.server.people.account import Account
from geventchat.server.session.session import Session
from geventchat.server.timeline.nodes import (
    Alone,
    Came,
    Counted,
    Listener,
    Message,
    Part,
    Person,
    Resumed,
    Typed,
    Went,
)
from geventchat.server.wire import JSON
from tests.server.hub_harness import Harness, SteppedTimeline, heard
from tests.server.switches import never_switches

_PARTS: Final = (Came, Went, Counted)


class WiredNodes(Alone):
    """One node: what it says is heard by the others in one order, or missed and read again."""

    alone = False
    leads = False
    listener: Listener

    def __init__(self, channel: "Channel", name: str) -> None:
        super().__init__()
        self._channel = channel
        self.name = name
        self.unsent: deque[Part | Message] = deque()
        self.inbox: deque[Callable[[], None]] = deque()
        self.feed: deque[Callable[[], None]] = deque()
        """What comes by the feed, in an order of its own."""
        self.part: dict[str, dict[str, Person] | int] = {}
        self.gone: set[str] = set()

    @property
    def named(self) -> dict[str, dict[str, Person]]:
        """Those of its part, as far as it is said, that are named."""
        return {room: people for room, people in self.part.items() if isinstance(people, dict)}

    @property  # type: ignore[misc]
    def others(self) -> list[str]:  # type: ignore[override]
        return [name for name in self._channel.nodes if name != self.name]

    def listen(self, listener: Listener) -> None:
        self.listener = listener

    def next_guest(self) -> int:
        self._channel.guests += 1
        return self._channel.guests

    def share(self, change: Part) -> None:
        self.unsent.append(change)

    def tell(self, message: Message, node: str | None = None) -> None:
        assert node is None
        self.unsent.append(message)


class Channel:
    """What joins the nodes."""

    def __init__(self) -> None:
        self.nodes: dict[str, WiredNodes] = {}
        self.guests = 0

    def publish(self, node: WiredNodes) -> None:
        """Send the oldest thing that a node has said; what it stores has it from now on."""
        if not node.unsent:
            return
        said = node.unsent.popleft()
        if isinstance(said, _PARTS):
            _change(node.part, said)
        for other in self.nodes.values():
            if other is not node:
                other.inbox.append(_hearing(other, node, said))

    def miss(self, node: WiredNodes) -> None:
        """Lose what is on its way to a node; it reads all parts."""
        node.inbox.clear()
        for other in self.nodes.values():
            if other is not node:
                node.listener.hear_part(other.name, _all(other.part), whole=True)

    def end(self, node: WiredNodes) -> None:
        """End a node, as if it had been killed; the others hear of it by the feed."""
        del self.nodes[node.name]
        for other in self.nodes.values():
            other.feed.append(_end_of(other, node))


class WiredHub(Harness):
    """A hub on one of several nodes."""

    def __init__(self, channel: Channel, name: str) -> None:
        self._wired = WiredNodes(channel, name)
        super().__init__(nick_hold_seconds=60)
        self.nodes = self._wired
        channel.nodes[name] = self.nodes
        channel.miss(self.nodes)

    @property
    def elsewhere(self) -> Elsewhere:
        assert self.hub.elsewhere is not None
        return self.hub.elsewhere

    def _make_timeline(self) -> SteppedTimeline:
        timeline = SteppedTimeline(self.hub)
        timeline.nodes = self._wired
        timeline.epoch = "first"
        return timeline

    def account(self, number: str, nick: str) -> Account:
        """Return an account that all nodes know of."""
        accounts = self.hub.people.accounts
        if number not in accounts:
            accounts[number] = Account(number, nick, 0)
            self.hub.owners.reserve(accounts[number])
        return accounts[number]

    def hear_moved(self, client: str, node: str) -> None:
        """Follow that a client has entered another node; a connection of it ends."""
        with never_switches():
            self.nodes.listener.hear_moved(hashed(client), node)
        for session in list(self.hub.sessions):
            assert isinstance(session, Session)
            if session.ending is not None:
                self.hub.remove(session, session.ending)

    def connect(self, client: str, nick: str | None = None, who: Account | None = None) -> Session:
        """Connect a rich client, with a nick that is claimed for it."""
        session = self.session()
        session.rooms = self.hub.add(session)
        login = None
        if who is not None:
            login, _, _ = self.hub.people.logins.begin(who, None)
        else:
            nick = nick or session.nick
        self.hub.authenticate(session, hashed(client), JSON, login, nick)
        return session

    def join(self, session: Session, room: str) -> None:
        if room not in session.rooms:
            self.hub.go_live(self.hub.join(session, room))

    def expire(self) -> None:
        """End all holds."""
        with never_switches():
            for moved in list(self.hub.moved.values()):
                moved.until = 0.0
            self.hub.tick(1e12)
        self.work()

    def work(self) -> None:
        while self.delivering:
            self.slice()

    def named(self, room: str) -> list[str]:
        """Return the nicks in a room, as its members may ask for them."""
        return sorted(self.hub.nicks_in(self.hub.rooms[room], 500))


class Watcher:
    """A member of a room that believes what it is told of who else is there."""

    def __init__(self, node: WiredHub, session: Session, room: str) -> None:
        self.node = node
        self.session = session
        self.room = room
        node.work()
        self._read = len(heard(session))
        self.nicks = set(node.named(room))
        self.told: list[events.Presence] = []
        """What it was told."""

    def listen(self) -> None:
        """Take what it was told since, which has to make sense."""
        self.node.work()
        frames = heard(self.session)
        for frame in frames[self._read :]:
            event = events.decode(frame)
            if isinstance(event, events.Presence) and event.room == self.room:
                self._take(event)
        self._read = len(frames)

    def _take(self, event: events.Presence) -> None:
        self.told.append(event)
        nick, after = event.nick or "", event.new_nick or ""
        if event.event == "join":
            assert nick not in self.nicks, event
            self.nicks.add(nick)
        else:
            assert nick in self.nicks, event
            self.nicks.remove(nick)
        if event.event == "rename":
            assert after not in self.nicks, event
            self.nicks.add(after)


def hashed(client: str) -> bytes:
    return hashlib.blake2b(client.encode(), digest_size=16).digest()


def _hearing(node: WiredNodes, by: WiredNodes, said: Part | Message) -> Callable[[], None]:
    def hear() -> None:
        if by.name in node.gone:
            return
        if isinstance(said, Came | Went | Counted):
            node.listener.hear_part(by.name, [said], whole=False)
        else:
            assert isinstance(said, Typed | Resumed)
            node.listener.hear_message(by.name, said)

    return hear


def _end_of(node: WiredNodes, ended: WiredNodes) -> Callable[[], None]:
    def hear() -> None:
        node.gone.add(ended.name)
        node.listener.hear_gone(ended.name)

    return hear


def _change(part: dict[str, dict[str, Person] | int], change: Part) -> None:
    people = part.setdefault(change.room, {})
    if isinstance(change, Counted):
        part[change.room] = change.count or {}
    else:
        assert isinstance(people, dict)
        if isinstance(change, Came):
            people[change.person.id] = change.person
        else:
            people.pop(change.id, None)
    if not part[change.room]:
        del part[change.room]


def _all(part: dict[str, dict[str, Person] | int]) -> list[Part]:
    changes: list[Part] = []
    for room, people in part.items():
        if isinstance(people, int):
            changes.append(Counted(room, people))
        else:
            changes += [Came(room, person) for person in people.values()]
    return changes
