"""Joining: replay, the transition from replay to live, and leaving."""

import random
from contextlib import ExitStack
from typing import Any

import pytest
from gevent import joinall, spawn

from tests.conversations.conftest import Address, Serve
from tests.conversations.peers import Rich, of


def talk(ann: Rich, room: str, number: int) -> None:
    """Post messages and receive them."""
    for each in range(1, number + 1):
        ann.say(room, f"{each}")
    ann.posts(number, room)


def positions(events: list[dict[str, Any]]) -> list[int]:
    return [post["position"] for post in of("post", events)]


def join(peer: Rich, room: str, **cursor: Any) -> tuple[dict[str, Any], list[int]]:
    """Join a room; return `joined` and the positions of the replayed posts."""
    joined = peer.ask("join", room=room, **cursor)
    assert joined["type"] == "joined"
    return joined, positions(peer.pong())


def test_a_fresh_join_replays_the_newest_fifty_and_goes_on_live(stored: Address) -> None:
    with Rich(stored, rooms=["r"]) as ann, Rich(stored, rooms={}) as bob:
        talk(ann, "r", 60)
        joined, replayed = join(bob, "r")
        assert (joined["position"], joined["oldest"]) == (60, 1)
        assert (joined["recovered"], joined["count"]) == (None, 2)
        assert replayed == list(range(11, 61))
        ann.say("r", "live")
        assert positions(bob.posts(1)) == [61]


def test_a_room_that_is_empty_has_position_0_and_oldest_1(stored: Address) -> None:
    with Rich(stored, rooms={}) as ann:
        joined, replayed = join(ann, "r")
        assert (joined["position"], joined["oldest"], joined["count"]) == (0, 1, 1)
        assert replayed == []


def test_a_replayed_post_equals_the_post_that_was_delivered(stored: Address) -> None:
    with Rich(stored, "ann") as ann:
        ann.say("lobby", 'quoted "\u2603" \n\t\\', key="k1")
        heard = ann.posts(1)
        with Rich(stored) as bob:
            assert of("post", bob.greeting) == heard


@pytest.mark.parametrize(
    ("position", "recovered", "first"),
    [(0, True, 1), (30, True, 31), (59, True, 60), (60, True, 61), (61, False, 11)],
)
def test_a_cursor_replays_everything_after_it_or_recovered_is_false(
    stored: Address, position: int, recovered: bool, first: int
) -> None:
    with Rich(stored, rooms=["r"]) as ann, Rich(stored, rooms={}) as bob:
        talk(ann, "r", 60)
        epoch = ann.greeting[0]["epoch"]
        joined, replayed = join(bob, "r", epoch=epoch, position=position)
        assert joined["recovered"] is recovered
        assert replayed == list(range(first, 61))
        with Rich(stored, rooms={"r": {"epoch": epoch, "position": position}}) as carl:
            assert of("joined", carl.greeting)[0]["recovered"] is recovered
            assert positions(carl.greeting) == replayed
            ann.say("r", "live")
            assert positions(carl.posts(1)) == positions(bob.posts(1)) == [61]


@pytest.mark.parametrize("position", [0, 30, 60])
def test_a_cursor_of_another_epoch_is_not_recovered(stored: Address, position: int) -> None:
    with Rich(stored, rooms=["r"]) as ann, Rich(stored, rooms={}) as bob:
        talk(ann, "r", 60)
        joined, replayed = join(bob, "r", epoch="another-life-of-it", position=position)
        assert joined["recovered"] is False
        assert replayed == list(range(11, 61))


def test_a_cursor_in_an_empty_room_is_recovered_only_at_position_0(stored: Address) -> None:
    with Rich(stored, rooms=["r"]) as ann:
        epoch = ann.greeting[0]["epoch"]
        with Rich(stored, rooms={"r": {"epoch": epoch, "position": 0}}) as bob:
            assert of("joined", bob.greeting)[0]["recovered"] is True
        with Rich(stored, rooms={"r": {"epoch": epoch, "position": 1}}) as bob:
            assert of("joined", bob.greeting)[0]["recovered"] is False


def test_the_epoch_is_one_for_all_rooms(stored: Address) -> None:
    with Rich(stored, rooms=["a", "b"]) as ann:
        assert len({joined["epoch"] for joined in of("joined", ann.greeting)}) == 1


@pytest.mark.parametrize(
    ("position", "recovered", "first"), [(40, True, 41), (39, False, 51), (0, False, 51)]
)
def test_a_cursor_before_the_oldest_post_is_not_recovered(
    serve: Serve, position: int, recovered: bool, first: int
) -> None:
    address = serve(memory_posts_per_room=60)
    with Rich(address, rooms=["r"]) as ann, Rich(address, rooms={}) as bob:
        talk(ann, "r", 100)
        epoch = ann.greeting[0]["epoch"]
        joined, replayed = join(bob, "r", epoch=epoch, position=position)
        assert (joined["recovered"], joined["oldest"]) == (recovered, 41)
        assert replayed == list(range(first, 101))


def test_a_trimmed_room_replays_the_retained_posts(serve: Serve) -> None:
    address = serve(memory_posts_per_room=5)
    with Rich(address, rooms=["r"]) as ann, Rich(address, rooms={}) as bob:
        talk(ann, "r", 12)
        joined, replayed = join(bob, "r")
        assert (joined["position"], joined["oldest"]) == (12, 8)
        assert replayed == [8, 9, 10, 11, 12]


@pytest.mark.parametrize("cursor", [None, 0])
def test_a_long_replay_comes_in_pages_and_without_a_gap(
    stored: Address, cursor: int | None
) -> None:
    with Rich(stored, rooms=["r"]) as ann:
        for number in range(20):
            ann.say("r", f"{number:>50000}")
            ann.posts(1)
        # Without a cursor the replay is the newest 256 KiB; with one it is complete.
        epoch = ann.greeting[0]["epoch"]
        given = None if cursor is None else {"epoch": epoch, "position": cursor}
        with Rich(stored, rooms={"r": given}) as bob:
            replayed = positions(bob.greeting)
            assert replayed == list(range(21 - len(replayed), 21))
            assert len(replayed) == 20 if cursor == 0 else len(replayed) in (5, 6)


def test_joining_a_joined_room_is_answered_and_replays_nothing(stored: Address) -> None:
    with Rich(stored, rooms=["r"]) as ann, Rich(stored, rooms=["r"]) as bob:
        talk(ann, "r", 3)
        bob.posts(3)
        ann.pong()
        epoch = bob.greeting[0]["epoch"]
        for cursor in ({}, {"epoch": epoch, "position": 0}):
            joined, replayed = join(bob, "r", **cursor)
            assert (joined["room"], joined["position"], joined["count"]) == ("r", 3, 2)
            assert replayed == []
        assert ann.pong() == []
        ann.say("r", "once")
        assert positions(bob.posts(1)) == [4]
        assert bob.pong() == []


def test_nothing_from_a_room_follows_left(stored: Address) -> None:
    with Rich(stored, "ann", rooms=["r", "s"]) as ann, Rich(stored, "bob", rooms=["r", "s"]) as bob:
        left = ann.ask("leave", room="r")
        assert (left["type"], left["room"]) == ("left", "r")
        bob.say("r", "alone")
        bob.tell("topic", room="r", topic="solitude")
        bob.tell("typing", room="r")
        bob.say("s", "together")
        bob.posts(2)
        assert [event["room"] for event in ann.hear(lambda event: event["type"] == "post")] == ["s"]


def test_a_client_that_left_cannot_post_there_or_leave_again(stored: Address) -> None:
    with Rich(stored, rooms=["r"]) as ann:
        ann.ask("leave", room="r")
        assert ann.ask("leave", room="r")["code"] == "not_joined"
        assert ann.ask("leave", room="elsewhere")["code"] == "not_joined"
        assert ann.ask("leave", room="two words")["code"] == "bad_room"
        ann.say("r", "hello")
        assert [error["code"] for error in of("error", ann.pong())] == ["not_joined"]


def test_the_lobby_can_be_left(address: Address) -> None:
    with Rich(address) as ann, Rich(address) as bob:
        ann.ask("leave", room="lobby")
        bob.say("lobby", "hello")
        bob.posts(1)
        assert ann.pong() == []


def test_own_posts_come_before_left(stored: Address) -> None:
    with Rich(stored, rooms=["r"]) as ann:
        say = b'{"type":"say","room":"r","text":"mine"}\0'
        ann.send(say * 30 + b'{"type":"leave","room":"r"}\0')
        heard = ann.hear(lambda event: event["type"] == "left")
        assert positions(heard) == list(range(1, 31))
        assert ann.pong() == []


def test_a_client_that_resumes_with_its_cursor_misses_nothing(stored: Address) -> None:
    with Rich(stored, rooms=["r"]) as ann, Rich(stored, rooms=["r"]) as bob:
        talk(ann, "r", 3)
        ann.ask("leave", room="r")
        talk(bob, "r", 6)
        joined, replayed = join(ann, "r", epoch=ann.greeting[0]["epoch"], position=3)
        assert (joined["recovered"], joined["count"]) == (True, 2)
        assert replayed == [4, 5, 6, 7, 8, 9]


def test_a_join_leave_and_join_in_one_packet_ends_joined(stored: Address) -> None:
    with Rich(stored, rooms=["r"]) as ann, Rich(stored, rooms={}) as bob:
        talk(ann, "r", 3)
        request = b'{"type":"join","room":"r"}\0{"type":"leave","room":"r"}\0'
        bob.send(request * 5 + b'{"type":"join","room":"r"}\0')
        heard = [event["type"] for event in bob.pong()]
        visit = ["joined", "post", "post", "post"]
        assert heard == [*visit, "left"] * 5 + visit
        ann.say("r", "live")
        assert positions(bob.posts(1)) == [4]


@pytest.mark.parametrize("name", ["", "two words", "x" * 33, "l\u043ebby"])
def test_a_bad_name_cannot_be_joined(address: Address, name: str) -> None:
    with Rich(address) as ann:
        error = ann.ask("join", room=name)
        assert (error["type"], error["code"]) == ("error", "bad_room")


def test_no_more_rooms_than_the_limit_can_be_joined_until_one_is_left(serve: Serve) -> None:
    with Rich(serve(rooms_per_client=2), rooms=["a", "b"]) as ann:
        error = ann.ask("join", room="c")
        assert (error["code"], error["room"]) == ("too_many_rooms", "c")
        assert ann.ask("join", room="a")["type"] == "joined"
        ann.ask("leave", room="a")
        assert ann.ask("join", room="c")["type"] == "joined"


class RestlessMember:
    """A member that joins and leaves in every way, and keeps the posts it received in order."""

    def __init__(self, address: Address, epoch: str, seed: int) -> None:
        self._address = address
        self._epoch = epoch
        self._chance = random.Random(seed)
        self.heard: list[int] = []
        self.ways: list[str] = []

    def act_randomly(self, total: int) -> None:
        """Receive everything up to the position `total`."""
        self._peer = Rich(self._address, rooms={"r": self._cursor})
        self._take(self._peer.greeting)
        while self._position < total:
            goal = min(total, self._position + self._chance.randint(0, total // 20))
            while self._position < goal:
                self._take([self._peer.event()])
            way = self._chance.choice(["leave", "leave", "drop", "shut", "bye", "replace"])
            self.ways.append(way)
            if way == "leave":
                self._peer.tell("leave", room="r")
                self._take(self._peer.hear(lambda event: event["type"] == "left"))
                self._peer.tell("join", room="r", **self._cursor)
                self._take(self._peer.pong())
            else:
                getattr(self, f"_{way}")()
                self._take(self._peer.greeting)
        with self._peer:
            self._take(self._peer.pong())

    @property
    def _position(self) -> int:
        return self.heard[-1] if self.heard else 0

    @property
    def _cursor(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "position": self._position}

    def _take(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            match event["type"]:
                case "post":
                    self.heard.append(event["position"])
                case "joined":
                    assert event["recovered"] is True
                    assert event["position"] >= self._position
                case other:
                    assert other in ("presence", "left", "bye")

    def _resume(self) -> None:
        client = self._peer.client
        self._peer = Rich(self._address, client=client, rooms={"r": self._cursor})

    def _drop(self) -> None:
        self._peer.socket.close()
        self._resume()

    def _shut(self) -> None:
        with self._peer:
            self._peer.shut()
            self._take(self._peer.closing())
        self._resume()

    def _bye(self) -> None:
        with self._peer:
            self._peer.tell("bye")
            self._take(self._peer.closing())
        self._resume()

    def _replace(self) -> None:
        former = self._peer
        self._resume()  # from what it has read so far; the rest is lost
        with former:
            assert former.closing()[-1]["code"] == "replaced"


def test_a_member_that_joins_and_leaves_hears_each_position_once_and_in_order(
    stored: Address,
) -> None:
    talkers, each = 3, 100

    def chatter() -> None:
        with Rich(stored, rooms=["r"]) as ann:
            for number in range(each):
                key = f"{ann.nick} {number}"
                ann.say("r", f"{number}", key=key)
                while ann.event().get("key") != key:
                    pass

    # One member stays throughout: the others are compared with it.
    with Rich(stored, rooms=["r"]) as stays:
        epoch = stays.greeting[0]["epoch"]
        wanderers = [RestlessMember(stored, epoch, seed) for seed in range(12)]
        wandering = [spawn(wanderer.act_randomly, talkers * each) for wanderer in wanderers]
        chatting = [spawn(chatter) for _ in range(talkers)]
        joinall(chatting, raise_error=True)
        joinall(wandering, raise_error=True)
        everything = list(range(1, talkers * each + 1))
        assert positions(stays.posts(talkers * each)) == everything
        for wanderer in wanderers:
            assert wanderer.heard == everything, wanderer.ways


def test_a_room_that_empties_while_posts_are_pending_loses_none(stored: Address) -> None:
    with Rich(stored, rooms=["r"]) as ann:
        epoch = ann.greeting[0]["epoch"]
    heard: list[int] = []
    visits = 20
    with ExitStack() as doors:
        for visit in range(visits):
            # The room may be empty: then it is forgotten and reopened each time.
            cursor = {"epoch": epoch, "position": len(heard)}
            ann = doors.enter_context(Rich(stored, rooms={"r": cursor}))
            assert of("joined", ann.greeting)[0]["recovered"] is True
            heard += positions(ann.greeting)
            ann.send(b'{"type":"say","room":"r","text":"x"}\0' * 10)
            if visit % 2:
                ann.tell("leave", room="r")
                heard += positions(ann.hear(lambda event: event["type"] == "left"))
            else:  # half-closed: messages sent are stored, although nobody reads the answers
                ann.shut()
        cursor = {"epoch": epoch, "position": len(heard)}
        ann = doors.enter_context(Rich(stored, rooms={"r": cursor}))
        heard += positions(ann.greeting)
        heard += positions(ann.posts(10 * visits - len(heard)))
    assert heard == list(range(1, 10 * visits + 1))


def test_two_members_that_join_and_leave_in_turn_hear_each_position_once(stored: Address) -> None:
    total = 150

    def visit(seed: int, heard: list[int]) -> None:
        chance = random.Random(seed)
        with Rich(stored, rooms={}) as ann:
            while not heard or heard[-1] < total:
                ann.tell("join", room="r", epoch=epoch, position=heard[-1] if heard else 0)
                for _ in range(chance.randint(0, 4)):
                    ann.say("r", "x")
                ann.tell("leave", room="r")
                heard += positions(ann.hear(lambda event: event["type"] == "left"))

    with Rich(stored, rooms=["r"]) as first:
        epoch = first.greeting[0]["epoch"]
    lives: list[list[int]] = [[], []]
    joinall([spawn(visit, seed, heard) for seed, heard in enumerate(lives)], raise_error=True)
    for heard in lives:
        assert heard == list(range(1, len(heard) + 1))
