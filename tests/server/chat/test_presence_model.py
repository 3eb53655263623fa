"""Clients join, leave, move and rename themselves on three nodes that hear each other late, or not.

Hubs, rooms and deliveries are the real ones; what nodes say is delivered, delayed or lost when the
model says so, and nodes end. Whatever the order: what the members of a room are told makes sense at
each moment, nobody is announced twice, and in the end all nodes show the same members.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from geventchat.protocol.errors import LOST, QUIT
from geventchat.server.chat import delivery, elsewhere
from geventchat.server.session.session import Session
from tests.server.chat.wired import Channel, Watcher, WiredHub, hashed
from tests.server.switches import never_switches

NODES = range(3)
GUESTS = "abc"
DEVICES = "de"
ACCOUNT = "Account-of-Dan"
WATCHED = ["lobby", "tea"]
ROOMS = [*WATCHED, "den"]
"""The den is open only on nodes where clients are in it."""
NICKS = ["Ann", "Bob", "Cid"]
nodes = st.sampled_from(NODES)
clients = st.sampled_from([*GUESTS, *DEVICES])
rooms = st.sampled_from(ROOMS)


@dataclass
class Client:
    """A client, wherever it is."""

    name: str
    node: WiredHub | None = None
    """Where it is, or was last."""
    session: Session | None = None
    nick: str | None = None
    """What is claimed for it."""
    wanted: set[str] = field(default_factory=set)


class PresenceModel(RuleBasedStateMachine):
    """Each rule is one step of a client, a node or the channel."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        # What is followed in steps is, one by one, between the steps of clients.
        for module, name, value in (
            (delivery, "SLICE_SECONDS", -1.0),
            (delivery, "_STEP", 1),
            (elsewhere, "_STEPS", 1),
        ):
            self.patch.setattr(module, name, value)
        self.steps = 0
        self.missed = False
        """Whether messages were lost since all was at rest."""
        self.channel = Channel()
        self.names = iter(f"node-{number}" for number in range(1_000))
        self.nodes: list[WiredHub] = []
        self.watchers: list[Watcher] = []
        for _ in NODES:
            self.begin_node()
        self.clients = {name: Client(name) for name in (*GUESTS, *DEVICES)}
        self.orphans: set[str] = set()
        """Clients whose node was killed, and who have not come back."""
        self.plain: list[tuple[WiredHub, Session]] = []

    def begin_node(self) -> None:
        node = WiredHub(self.channel, next(self.names))
        self.nodes.append(node)
        session = node.connect(f"watcher of {node.nodes.name}")
        node.hub.finish_resume(session)
        for room in WATCHED:
            node.join(session, room)
        node.work()
        self.watchers += [Watcher(node, session, room) for room in WATCHED]

    # Clients

    @rule(who=clients, where=nodes, wanted=st.none() | st.sets(rooms))
    def a_client_connects(self, who: str, where: int, wanted: set[str] | None) -> None:
        """It comes, comes back, or moves, to all rooms that it was in or to others."""
        client, node = self.clients[who], self.nodes[where]
        self.orphans.discard(who)
        self.hear_feed(node)  # a node waits for that before it takes a client
        if client.node is not None and client.node is not node:
            for other in self.nodes:
                if other is not node:
                    other.nodes.feed.append(self.move_of(other, client, node))
        former, client.node = client.session, node
        account = node.account(ACCOUNT, "Dan") if who in DEVICES else None
        if client.node is not node:
            former = None
        client.session = node.connect(who, client.nick, account)
        client.nick = client.session.nick if account is None else None
        if former is not None and former in node.hub.sessions:
            node.hub.remove(former, former.ending or LOST)
        client.wanted = set(client.wanted if wanted is None else wanted)
        for room in sorted(client.wanted):
            node.join(client.session, room)
        node.hub.finish_resume(client.session)
        self.check()

    def move_of(self, node: WiredHub, client: Client, to: WiredHub) -> Callable[[], None]:
        name, where = client.name, to.nodes.name

        def hear() -> None:
            node.hear_moved(name, where)

        return hear

    @rule(who=clients, lost=st.booleans())
    def a_client_goes(self, who: str, lost: bool) -> None:
        client = self.clients[who]
        if client.session is None or client.node is None:
            return
        client.node.hub.remove(client.session, LOST if lost else QUIT)
        client.session = None
        if not lost:
            client.nick = None
            client.wanted = set()
        self.check()

    @rule(who=clients, room=rooms)
    def a_client_joins_or_leaves(self, who: str, room: str) -> None:
        client = self.clients[who]
        if client.session is None or client.node is None:
            return
        if room in client.wanted:
            client.wanted.remove(room)
            client.node.hub.leave(client.session.rooms[room])
        else:
            client.wanted.add(room)
            client.node.join(client.session, room)
        self.check()

    @rule(who=st.sampled_from(GUESTS), nick=st.sampled_from(NICKS))
    def a_client_takes_a_nick(self, who: str, nick: str) -> None:
        client = self.clients[who]
        if client.session is None or client.node is None or nick in self.claimed():
            return
        if client.node.hub.owners.nicks.owner(nick) is not None:  # as its node still believes
            return
        client.node.hub.rename(client.session, nick)
        client.nick = nick
        self.check()

    def claimed(self) -> set[str]:
        return {each.nick for each in self.clients.values() if each.nick is not None}

    @rule(where=nodes, stays=st.booleans())
    def a_plain_client_comes_or_goes(self, where: int, stays: bool) -> None:
        node = self.nodes[where]
        if stays:
            session = node.session()
            session.rooms = node.hub.add(session)
            node.hub.announce(session.rooms["lobby"])
            self.plain.append((node, session))
        elif self.plain:
            node, session = self.plain.pop()
            node.hub.remove(session, LOST)
        self.check()

    # Nodes

    @rule(where=nodes)
    def a_node_says_something(self, where: int) -> None:
        self.channel.publish(self.nodes[where].nodes)

    @rule(where=nodes, count=st.integers(1, 5))
    def a_node_hears_something(self, where: int, count: int) -> None:
        inbox = self.nodes[where].nodes.inbox
        with never_switches():
            for _ in range(min(count, len(inbox))):
                inbox.popleft()()
        self.check()

    @rule(where=nodes)
    def a_node_hears_something_by_the_feed(self, where: int) -> None:
        feed = self.nodes[where].nodes.feed
        if feed:
            feed.popleft()()
        self.check()

    def hear_feed(self, node: WiredHub) -> None:
        while node.nodes.feed:
            node.nodes.feed.popleft()()

    @rule(where=nodes)
    def a_node_misses_something(self, where: int) -> None:
        self.missed = True
        with never_switches():
            self.channel.miss(self.nodes[where].nodes)
        self.check()

    @rule(where=nodes)
    def the_holds_of_a_node_end(self, where: int) -> None:
        self.end_holds(self.nodes[where])
        self.check()

    def end_holds(self, node: WiredHub) -> None:
        node.expire()
        for client in self.clients.values():
            if client.session is None and client.node is node:
                client.nick, client.node, client.wanted = None, None, set()

    @rule(where=nodes)
    def a_node_is_killed_and_another_one_begins(self, where: int) -> None:
        node = self.nodes.pop(where)
        self.channel.end(node.nodes)
        self.watchers = [each for each in self.watchers if each.node is not node]
        self.plain = [each for each in self.plain if each[0] is not node]
        for client in self.clients.values():
            number = ACCOUNT if client.name in DEVICES else hashed(client.name).hex()
            said = any(number in people for people in node.nodes.named.values())
            if client.node is node or (client.session is None and said):
                self.orphans.add(client.name)
            if client.node is node:
                client.session = client.node = None
                client.nick = None  # when the lease has ended
        self.begin_node()
        self.check()

    # What has to hold

    def check(self) -> None:
        """Half of the time, so that what is heard is still being followed at the next step."""
        self.steps += 1
        if self.steps % 2:
            self.check_all()

    def check_all(self) -> None:
        """All that is told makes sense, and what is told is what may be asked for."""
        for watcher in self.watchers:
            watcher.node.work()
        for watcher in self.watchers:
            watcher.listen()
            assert sorted(watcher.nicks) == watcher.node.named(watcher.room)

    @rule()
    def at_rest_all_nodes_show_the_same(self) -> None:
        for node in self.nodes:
            self.hear_feed(node)
        self.speak()
        self.check_all()
        if not self.missed:  # else somebody may be waited for who has resumed
            self.check_ids(holding=True)
        self.missed = False
        for node in self.nodes:
            self.end_holds(node)
        self.orphans.clear()
        self.speak()
        self.check_all()
        self.check_ids(holding=False)
        for room in WATCHED:
            here = [each for each in self.clients.values() if each.session and room in each.wanted]
            nicks = {each.session.nick for each in here if each.session is not None}
            nicks |= {each.session.nick for each in self.watchers}
            if room == "lobby":
                nicks |= {session.nick for _, session in self.plain}
            for node in self.nodes:
                assert node.named(room) == sorted(nicks)
                assert node.hub.rooms[room].count == len(nicks)
                assert not node.hub.rooms[room].away

    def check_ids(self, *, holding: bool) -> None:
        """When all is heard everybody is where they want to be, and nowhere else.

        Those who may come back are where they were, on the nodes that know of them.
        """
        for room in ROOMS:
            for name in GUESTS:
                self.check_id(room, hashed(name).hex(), [self.clients[name]])
            self.check_id(room, ACCOUNT, [self.clients[name] for name in DEVICES])
        for node in self.nodes:
            found = dict(node.hub.directory.after(None, ""))
            for room in ROOMS:
                count = len(list(node.elsewhere.people(room)))
                assert found.get(room, 0) == count
                if room in node.hub.rooms:
                    assert node.hub.rooms[room].count == count
                    assert holding or node.hub.rooms[room].members

    def check_id(self, room: str, number: str, devices: list[Client]) -> None:
        connected = [each for each in devices if each.session is not None]
        held = [each for each in devices if each.session is None and each.node is not None]
        if any(each.name in self.orphans for each in devices):
            return
        shown = {
            any(person.id == number for person in node.elsewhere.people(room))
            for node in self.nodes
        }
        wanted = any(room in each.wanted for each in connected)
        if wanted or not (held and len(devices) > 1):
            assert shown == {wanted or any(room in each.wanted for each in held)}

    def speak(self) -> None:
        """Have everything heard that anybody says."""
        while any(each.nodes.unsent or each.nodes.inbox for each in self.nodes):
            for node in self.nodes:
                self.channel.publish(node.nodes)
                while node.nodes.inbox:
                    node.nodes.inbox.popleft()()
                node.work()

    def teardown(self) -> None:
        try:
            self.at_rest_all_nodes_show_the_same()
        finally:
            self.patch.undo()


TestPresenceModel = pytest.mark.timeout(600)(PresenceModel.TestCase)  # shrinking takes long
TestPresenceModel.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    report_multiple_bugs=False,
    phases=[phase for phase in Phase if phase is not Phase.explain],  # it traces every line
)
