"""Clients connect, leave, drop, resume and post while turns are cut into the smallest slices.

Some are devices of one account. Sessions, hub, rooms, outboxes and replays are the real ones; links
and the timeline take one step when the model says so. Whatever the order of the steps: each member
receives each post of a room after its cursor once, in order, and in the end all of them, as they
are stored by then; all devices of an account are in its rooms, and nobody sees a person twice.
"""

import hashlib

import gevent
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from geventchat.protocol import requests
from geventchat.server import timeline
from geventchat.server.chat import delivery
from geventchat.server.chat import room as room_module
from geventchat.server.chat.away import Away
from geventchat.server.people.account import Account
from geventchat.server.session import replay
from geventchat.server.session.session import Session
from geventchat.server.slices import ENDINGS
from geventchat.server.timeline import memory
from tests.server.clients import (
    AT_FIRST,
    FRESH,
    PRIVATE,
    ROOMS,
    ClientConnection,
    PlainClient,
    RichClient,
)
from tests.server.devices import Device
from tests.server.hub_harness import Harness
from tests.server.switches import let_run

GUESTS = range(3)
DEVICES = range(3, 6)
RICH = range(6)
PLAIN = range(6, 8)
WORK = ["store", "hand on", "read", "slice", "slice"]
STEPS = ["leave", "join", "join afresh", "say", "speak", "edit", "come", "go", *WORK]
rich = st.sampled_from(RICH)
devices = st.sampled_from(DEVICES)
anyone = st.integers(0, max(PLAIN))
rooms = st.sampled_from(ROOMS)
steps = st.integers(0, 4)
nicks = st.sampled_from(["Ann", "Bob", "ANN"])


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
        ):
            self.patch.setattr(module, name, value)
        self.harness = Harness(outbox_bytes=2_000)
        self.harness.timeline.hold_readers = True
        self.accounts = [self.account(nick) for nick in ("Cid", "Dan")]
        self.rich = [
            *(RichClient(self.harness, "abc"[number]) for number in GUESTS),
            Device(self.harness, "d", self.accounts[0]),
            Device(self.harness, "e", self.accounts[0]),
            Device(self.harness, "f", self.accounts[1]),
        ]
        self.plain = [PlainClient(self.harness) for _ in PLAIN]
        people = self.harness.hub.people
        private = people.create_private(self.accounts[0], PRIVATE, from_join=True)
        people.invite(self.accounts[1], private, self.accounts[0].nick)
        self.connections: list[ClientConnection] = []
        self.words = 0

    def account(self, nick: str) -> Account:
        hub = self.harness.hub
        account = hub.people.create(nick)
        hub.owners.reserve(account)
        for room in AT_FIRST:
            hub.people.join(account, room)
        return account

    def peer(self, number: int) -> RichClient | PlainClient:
        return self.rich[number] if number in RICH else self.plain[number - len(RICH)]

    @initialize(who=st.sets(anyone, min_size=3), walk=st.integers(1, 3))
    def begin(self, who: set[int], walk: int) -> None:
        """Start with some clients in rooms, which have received some posts."""
        self.patch.setattr(delivery, "_STEP", walk)
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

    @rule(who=anyone, where=rooms, times=st.integers(1, 5), until=steps)
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
                case "edit":
                    peer.listen()
                    peer.change(where, -1, f"edited {self.word()}")
                case "come":
                    self.connect(who)
                case "go":
                    self.go(who, "lost")
                case _:
                    self.the_server_works([step])
            let_run()

    @rule(who=rich, where=rooms, nth=st.integers(0, 5), redacts=st.booleans(), until=steps)
    def a_client_changes_a_post(
        self, who: int, where: str, nth: int, redacts: bool, until: int
    ) -> None:
        peer = self.rich[who]
        peer.listen()
        peer.change(where, nth, None if redacts else f"edited {self.word()}")
        let_run()
        self.the_server_works(["store", "hand on", "slice", "slice"][:until])

    @rule(who=rich, newcomer=rich, where=rooms, redacts=st.booleans())
    def a_post_changes_while_another_client_joins(
        self, who: int, newcomer: int, where: str, redacts: bool
    ) -> None:
        if who == newcomer:
            return
        self.rich[newcomer].leave(where)
        self.quiet()
        self.rich[newcomer].join(where, fresh=True)
        let_run()
        self.rich[who].change(where, -1, None if redacts else f"edited {self.word()}")
        let_run()
        self.the_server_works(["store", "hand on", "slice", "slice", "slice", "read"])

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

    @rule(
        who=devices,
        acts=st.lists(
            st.sampled_from(["invite", "remove", "join", "say", "edit", "leave", "come", *WORK]),
            min_size=2,
        ),
    )
    def a_person_acts_in_the_private_room(self, who: int, acts: list[str]) -> None:
        """Whoever is not in it is refused; whoever is removed hears nothing more."""
        device = self.rich[who]
        assert isinstance(device, Device)
        (other,) = (each for each in self.accounts if each is not device.account)
        for act in acts:
            match act:
                case "invite":
                    device.invite(other)
                case "remove":
                    device.remove(other)
                case "join":
                    device.join(PRIVATE, fresh=False)
                case "say":
                    device.say(PRIVATE, self.word())
                case "edit":
                    device.listen()
                    device.change(PRIVATE, -1, f"edited {self.word()}")
                case "leave":
                    device.leave(PRIVATE)
                case "come":
                    self.connect(who)
                case _:
                    self.the_server_works([act])
            let_run()

    @invariant()
    def only_members_are_in_the_private_room(self) -> None:
        room = self.harness.hub.rooms.get(PRIVATE)
        for participant in room.members if room is not None else ():
            assert participant.account is not None
            assert participant.account.is_in(PRIVATE)

    @rule(who=rich)
    def a_hold_ends(self, who: int) -> None:
        """A client that was lost does not come back in time."""
        for away in self.harness.hub.owners.clients.values():
            if isinstance(away, Away) and away.client == client_hash(self.rich[who].client):
                away.until = 0.0
        self.harness.hub.tick(1.0)
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
            if ENDINGS.busy:
                gevent.sleep(1e-9)
            elif self.harness.timeline.idle and not self.harness.delivering:
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
            persons = {each.participant.account or each.participant for each in announced}
            assert each.count == len(persons) + len(each.away)
            assert not {each.nick for each in persons} & each.away
            assert each.rich_members == sum(member.form.rich for member in each.members.values())
            assert set(each.live) <= set(each.members)

    @invariant()
    def the_directory_has_the_rooms_by_their_members(self) -> None:
        rooms = self.harness.hub.rooms.values()
        order = sorted((-room.count, room.name) for room in rooms if room.count)
        order = [place for place in order if place[1] != PRIVATE]
        found = self.harness.hub.directory.after(None, "")
        assert [(-members, name) for name, members in found] == order

    @invariant()
    def a_nick_has_one_owner_that_is_connected_or_held(self) -> None:
        hub = self.harness.hub
        owners = [owner for owner, _ in hub.owners.nicks._owners.values()]
        assert set(self.accounts) <= set(owners)  # with their former nicks
        owners = [owner for owner in owners if not isinstance(owner, Account)]
        assert len(owners) == len(set(owners))
        assert set(owners) == {each for each in hub.owners.clients.values() if each.account is None}
        for client, owner in hub.owners.clients.items():
            assert hub.owners.nicks.owner(owner.nick) is (owner.account or owner)
            assert owner.client == client
            assert not isinstance(owner, Session) or owner in hub.sessions

    @invariant()
    def the_devices_of_an_account_are_its_clients(self) -> None:
        hub = self.harness.hub
        for account in self.accounts:
            clients = [each for each in hub.owners.clients.values() if each.account is account]
            assert set(hub.devices.of(account)) == set(clients)
            assert all(each.nick == account.nick for each in clients)

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


def client_hash(client: str) -> bytes:
    return hashlib.blake2b(client.encode(), digest_size=16).digest()


TestHubModel = pytest.mark.timeout(600)(HubModel.TestCase)  # to shrink what fails takes long
TestHubModel.settings = settings(
    max_examples=200,
    stateful_step_count=50,
    report_multiple_bugs=False,
    phases=[phase for phase in Phase if phase is not Phase.explain],  # it traces every line
)
