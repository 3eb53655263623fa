"""Rooms with members on several nodes: what one shows, and what its members are told."""

import pytest

from geventchat.protocol import events, requests
from geventchat.protocol.errors import LOST, QUIT
from geventchat.protocol.events import ListedRoom, Post, Presence
from geventchat.server.chat import elsewhere, presence
from geventchat.server.chat.elsewhere import MOST_NAMED
from geventchat.server.session import handlers, room_list
from geventchat.server.session.session import Session
from geventchat.server.timeline import Batch
from geventchat.server.timeline.nodes import Came, Counted, Person, Typed
from tests.server.chat.wired import Channel, Watcher, WiredHub, hashed
from tests.server.hub_harness import heard


class Two:
    """Two nodes, and a member of the lobby on the second."""

    def __init__(self) -> None:
        self.channel = Channel()
        self.one, self.other = WiredHub(self.channel, "one"), WiredHub(self.channel, "other")
        self.eve = self.member(self.other, "eve", "Eve")
        self.watcher = Watcher(self.other, self.eve, "lobby")

    def member(self, node: WiredHub, client: str, nick: str, *rooms: str) -> Session:
        session = node.connect(client, nick)
        for room in rooms or ("lobby",):
            node.join(session, room)
        node.hub.finish_resume(session)
        self.speak()
        return session

    def speak(self) -> None:
        """Have everything heard that was said."""
        nodes = [self.one, self.other]
        while any(each.nodes.unsent or each.nodes.inbox for each in nodes):
            for node in nodes:
                self.channel.publish(node.nodes)
                while node.nodes.inbox:
                    node.nodes.inbox.popleft()()
                node.work()

    def told(self) -> list[tuple[str | None, str | None]]:
        """Return what happened and to whom, as a member on the second node was told since."""
        self.speak()
        self.watcher.listen()
        told, self.watcher.told = self.watcher.told, []
        return [(each.event, each.nick) for each in told]


@pytest.fixture
def two() -> Two:
    return Two()


def last(session: Session) -> object:
    return events.decode(heard(session)[-1])


def test_members_on_another_node_come_are_renamed_and_go(two: Two) -> None:
    ann = two.member(two.one, "ann", "Ann")
    assert two.told() == [("join", "Ann")]
    two.one.hub.rename(ann, "Anna")
    assert two.told() == [("rename", "Ann")]
    assert two.other.named("lobby") == two.one.named("lobby") == ["Anna", "Eve"]
    two.one.hub.remove(ann, QUIT)
    assert two.told() == [("leave", "Anna")]


def test_an_account_with_devices_on_two_nodes_is_one_member(two: Two) -> None:
    devices = []
    for node, client in ((two.one, "laptop"), (two.other, "phone")):
        device = node.connect(client, who=node.account("Account-of-Dan", "Dan"))
        node.join(device, "lobby")
        devices.append(device)
    assert two.told() == [("join", "Dan")]
    assert two.other.hub.rooms["lobby"].count == 2
    two.one.hub.remove(devices[0], QUIT)
    assert two.told() == []
    two.other.hub.remove(devices[1], QUIT)
    assert two.told() == [("leave", "Dan")]


def test_a_client_that_moves_is_announced_to_nobody(two: Two) -> None:
    two.member(two.one, "ann", "Ann")
    assert two.told() == [("join", "Ann")]
    two.one.hear_moved("ann", "other")
    assert two.told() == []
    two.member(two.other, "ann", "Ann")
    assert two.told() == []
    two.one.expire()
    assert two.told() == []
    assert two.other.named("lobby") == ["Ann", "Eve"]


def test_a_client_that_moves_has_left_the_rooms_that_it_does_not_rejoin(two: Two) -> None:
    two.member(two.one, "ann", "Ann")
    two.told()
    two.one.hear_moved("ann", "other")
    two.member(two.other, "ann", "Ann", "tea")
    assert two.told() == [("leave", "Ann")]


def test_who_was_on_a_node_that_ended_is_waited_for(two: Two) -> None:
    two.member(two.one, "ann", "Ann")
    two.member(two.one, "bob", "Bob")
    two.told()
    two.channel.end(two.one.nodes)
    two.one.nodes.unsent.clear()
    two.other.nodes.feed.popleft()()
    assert two.told() == []
    two.member(two.other, "ann", "Ann")
    assert two.told() == []
    two.other.expire()
    assert two.told() == [("leave", "Bob")]


def test_who_has_come_back_from_a_node_that_ended_leaves_at_once(two: Two) -> None:
    two.member(two.one, "ann", "Ann")
    two.told()
    two.channel.end(two.one.nodes)
    two.other.nodes.feed.popleft()()
    ann = two.member(two.other, "ann", "Ann")
    two.other.hub.leave(ann.rooms["lobby"])
    assert two.told() == [("leave", "Ann")]


def test_who_had_moved_before_the_node_ended_is_not_waited_for(two: Two) -> None:
    """The node had no time to say that they left."""
    two.member(two.one, "ann", "Ann")
    two.told()
    two.member(two.other, "ann", "Ann", "tea")
    two.one.nodes.unsent.clear()
    two.channel.end(two.one.nodes)
    two.other.nodes.feed.popleft()()
    assert two.told() == [("leave", "Ann")]


def test_a_nick_that_a_client_had_before_it_moved_may_be_taken_by_another(two: Two) -> None:
    two.member(two.one, "ann", "Ann")
    two.told()
    two.one.hear_moved("ann", "other")
    moved = two.other.connect("ann", "Anna")
    two.member(two.one, "bob", "Ann")
    two.other.join(moved, "lobby")
    two.other.hub.finish_resume(moved)
    two.told()
    assert two.other.named("lobby") == two.one.named("lobby") == ["Ann", "Anna", "Eve"]
    assert two.one.nodes.named["lobby"].keys() == {hashed("bob").hex()}


def test_a_plain_member_of_a_node_that_ended_has_left(two: Two) -> None:
    session = two.one.session()
    session.rooms = two.one.hub.add(session)
    two.one.hub.announce(session.rooms["lobby"])
    assert two.told() == [("join", session.nick)]
    two.channel.end(two.one.nodes)
    two.other.nodes.feed.popleft()()
    assert two.told() == [("leave", session.nick)]


def test_a_guest_who_registers_neither_comes_nor_goes(two: Two) -> None:
    ann = two.member(two.one, "ann", "Ann")
    two.told()
    account = two.one.hub.people.create("Ann", "password")
    two.one.hub.owners.adopt(ann, account)
    assert two.told() == []
    assert two.other.hub.nicks_in(two.other.hub.rooms["lobby"], 9)["Ann"] == account.id
    two.one.hub.owners.disown(ann, account)
    assert two.told() == []
    assert two.other.hub.nicks_in(two.other.hub.rooms["lobby"], 9)["Ann"] is None
    two.one.hub.remove(ann, QUIT)
    assert two.told() == [("leave", "Ann")]


def test_a_room_counts_its_members_on_all_nodes_and_is_crowded_by_them(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "CROWDED", 3)
    monkeypatch.setattr(presence, "UNCROWDED", 3)
    two.member(two.one, "ann", "Ann")
    bob = two.member(two.one, "bob", "Bob")
    two.told()
    dan = two.member(two.one, "dan", "Dan")
    two.other.hub.tick(0)
    two.other.work()
    assert last(two.eve) == Presence(room="lobby", count=4)
    for each in (bob, dan):
        two.one.hub.leave(each.rooms["lobby"])
    two.speak()
    assert last(two.eve) == Presence(room="lobby", nick="Dan", event="leave")
    assert two.other.hub.rooms["lobby"].count == 2


def test_too_many_to_name_are_a_number_until_they_are_few_again(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "MOST_NAMED", 4)
    monkeypatch.setattr(elsewhere, "_FEW", 3)
    crowd = [two.member(two.one, f"c{number}", f"Cid{number}") for number in range(6)]
    two.one.hub.tick(0)
    two.speak()
    assert two.one.nodes.part["lobby"] == 6
    assert two.other.hub.rooms["lobby"].count == 7
    assert two.other.named("lobby") == ["Eve"]
    for each in crowd[2:]:
        two.one.hub.leave(each.rooms["lobby"])
    two.one.hub.tick(0)
    two.speak()
    assert two.other.named("lobby") == ["Cid0", "Cid1", "Eve"]
    assert two.other.hub.rooms["lobby"].count == 3
    assert MOST_NAMED == 500


def test_rooms_with_members_on_another_node_only_are_listed(two: Two) -> None:
    ann = two.member(two.one, "ann", "Ann", "tea", ".secret")
    two.one.hub.people.create_private(two.one.hub.people.create("Cid"), "plans", from_join=True)
    page = room_list.page(two.eve, requests.Rooms())
    assert page.rooms == [
        ListedRoom(name="lobby", topic="", members=1, position=0),
        ListedRoom(name="tea", topic="", members=1, position=0),
    ]
    two.member(two.other, "bob", "Bob", "tea")
    assert two.other.hub.rooms["tea"].count == 2
    two.one.hub.remove(ann, QUIT)
    two.speak()
    page = room_list.page(two.eve, requests.Rooms(prefix="t"))
    assert [(room.name, room.members) for room in page.rooms] == [("tea", 1)]


def test_a_room_that_is_known_to_be_private_only_later_is_not_listed(two: Two) -> None:
    two.other.nodes.listener.hear_part("one", [Came("plans", Person("1", "Ann"))], whole=False)
    people = two.other.hub.people
    people.create_private(people.create("Cid"), "plans", from_join=True)
    assert [room.name for room in room_list.page(two.eve, requests.Rooms()).rooms] == ["lobby"]


def test_members_on_another_node_hear_who_is_typing(two: Two) -> None:
    ann = two.member(two.one, "ann", "Ann")
    handlers.answer(ann, requests.Typing(room="lobby"))
    two.speak()
    assert last(two.eve) == events.Typing(room="lobby", nick="Ann")


def test_typing_that_is_heard_after_the_post_is_over(two: Two) -> None:
    ann = two.member(two.one, "ann", "Ann")
    handlers.answer(ann, requests.Typing(room="lobby"))
    handlers.answer(ann, requests.Say(room="lobby", text="there"))
    for node in (two.one, two.other):
        node.hub.submissions.deliver(Batch([(Post("lobby", 1, "Ann", 0, "there"), 0)]))
    two.speak()
    assert isinstance(last(two.eve), Post)
    handlers.answer(ann, requests.Typing(room="lobby"))
    two.speak()
    assert last(two.eve) == events.Typing(room="lobby", nick="Ann")


def test_a_node_tells_nobody_of_typing_in_a_room_that_only_it_has(two: Two) -> None:
    ann = two.member(two.one, "ann", "Ann", "tea")
    handlers.answer(ann, requests.Typing(room="tea"))
    assert not [each for each in two.one.nodes.unsent if isinstance(each, Typed)]


def test_a_room_stays_open_for_a_lost_client_until_its_hold_ends(two: Two) -> None:
    ann = two.member(two.one, "ann", "Ann", "tea")
    two.one.hub.remove(ann, LOST)
    two.speak()
    assert two.other.hub.directory.after(None, "t") is not None
    assert "tea" in two.one.hub.rooms
    assert "tea" in two.other.hub.directory
    two.one.expire()
    two.speak()
    assert "tea" not in two.one.hub.rooms
    assert "tea" not in two.other.hub.directory


def test_in_another_epoch_nobody_is_in_any_room(two: Two) -> None:
    ann = two.member(two.one, "ann", "Ann", "tea")
    two.one.hub.remove(ann, LOST)
    two.member(two.one, "bob", "Bob", "tea")
    two.one.hub.begin_epoch()
    two.speak()
    assert two.one.hub.rooms == {}
    assert two.one.nodes.part == {}
    assert "tea" not in two.other.hub.directory


def test_a_bug_in_what_is_followed_in_steps_keeps_nothing_from_being_followed(
    two: Two, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listener = two.other.nodes.listener
    with monkeypatch.context() as patch:
        patch.setattr(elsewhere.Elsewhere, "replace", lambda *_: iter([None]))
        listener.hear_part("one", [], whole=True)
    assert "following another node failed" in caplog.text
    listener.hear_part("one", [Came("lobby", Person("1", "Ann")), Counted("tea", 9)], whole=True)
    assert two.other.named("lobby") == ["Ann", "Eve"]
    assert two.other.hub.elsewhere is not None
    assert two.other.hub.elsewhere.count("tea") == 9
