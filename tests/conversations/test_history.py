"""History: older posts in pages, oldest first, and whether there are older ones."""

from pathlib import Path
from typing import Any

import pytest
from gevent.event import Event

from geventchat.server.chat import delivery
from geventchat.server.slices import pause
from tests.conversations.conftest import Address, Serve, serving
from tests.conversations.peers import Rich, texts


def talk(ann: Rich, number: int) -> None:
    """Post messages in the room `r` and receive them."""
    for each in range(1, number + 1):
        ann.say("r", f"{each}")
    ann.posts(number, "r")


def page(ann: Rich, **fields: Any) -> tuple[list[int], bool]:
    """Request the history of the room `r`; return the positions, and whether it is complete."""
    history = ann.ask("history", room="r", **fields)
    assert (history["type"], history["room"]) == ("history", "r")
    return [post["position"] for post in history["posts"]], history["complete"]


def test_history_without_before_gives_the_newest_oldest_first(stored: Address) -> None:
    with Rich(stored, rooms=["r"]) as ann:
        talk(ann, 10)
        assert page(ann, limit=3) == ([8, 9, 10], False)


@pytest.mark.parametrize(
    ("before", "limit", "positions", "complete"),
    [
        (8, 3, [5, 6, 7], False),
        (5, 3, [2, 3, 4], False),
        (4, 3, [1, 2, 3], True),
        (3, 3, [1, 2], True),
        (2, 1, [1], True),
        (3, 1, [2], False),
        (1, 3, [], True),
        (0, 3, [], True),
        (11, 500, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], True),
        (12, 2, [9, 10], False),
        (2**53, 2, [9, 10], False),
    ],
)
def test_before_is_exclusive_and_limit_is_obeyed(
    stored: Address, before: int, limit: int, positions: list[int], complete: bool
) -> None:
    with Rich(stored, rooms=["r"]) as ann:
        talk(ann, 10)
        assert page(ann, before=before, limit=limit) == (positions, complete)


def test_a_room_that_is_empty_has_a_complete_history(stored: Address) -> None:
    with Rich(stored, rooms=["r"]) as ann:
        assert page(ann, limit=10) == ([], True)
        assert page(ann, limit=10, before=5) == ([], True)


def test_a_post_in_history_equals_the_post_that_was_delivered(stored: Address) -> None:
    with Rich(stored, "ann", rooms=["r"]) as ann:
        ann.say("r", 'quoted "\u2603" \n\t\\', key="k1")
        ann.say("r", "and without a key")
        heard = ann.posts(2)
        # A post of history needs no type: it is in `posts`. All its other fields are there.
        untyped = [{name: post[name] for name in post if name != "type"} for post in heard]
        posts = ann.ask("history", room="r", limit=10)["posts"]
        assert [{name: post[name] for name in post if name != "type"} for post in posts] == untyped


def test_the_pages_of_history_meet(stored: Address) -> None:
    with Rich(stored, rooms=["r"]) as ann:
        talk(ann, 25)
        positions, complete = page(ann, limit=4)
        while not complete:
            older, complete = page(ann, limit=4, before=positions[0])
            assert older
            positions = older + positions
        assert positions == list(range(1, 26))


def test_a_page_is_bounded_in_bytes_and_the_pages_still_meet(stored: Address) -> None:
    with Rich(stored, rooms=["r"]) as ann:
        for number in range(12):
            ann.say("r", f"{number:>50000}")
            ann.posts(1)
        positions, complete = page(ann, limit=500)
        assert positions == list(range(13 - len(positions), 13))
        assert len(positions) in (5, 6)
        while not complete:
            older, complete = page(ann, limit=500, before=positions[0])
            assert 0 < len(older) <= 6
            positions = older + positions
        assert positions == list(range(1, 13))


def test_a_page_of_text_that_json_escapes_fits_in_a_frame(stored: Address) -> None:
    # JSON escapes this character in six bytes: posts from few frames would need large ones.
    with Rich(stored, rooms=["r"]) as ann:
        for _ in range(30):
            ann.send(b'{"type":"say","room":"r","text":"' + b"\\u0001" * 10_000 + b'"}\0')
            ann.posts(1)
        ann.tell("history", room="r", limit=500)
        frame = ann.frame()
        assert frame.startswith(b'{"type":"history"')
        assert len(frame) <= 1 << 20


def test_history_starts_where_the_room_was_trimmed(serve: Serve) -> None:
    with Rich(serve(memory_posts_per_room=10), rooms=["r"]) as ann:
        talk(ann, 25)
        assert page(ann, limit=500) == (list(range(16, 26)), True)
        assert page(ann, limit=9) == (list(range(17, 26)), False)
        assert page(ann, limit=3, before=18) == ([16, 17], True)
        assert page(ann, limit=3, before=16) == ([], True)
        assert page(ann, limit=3, before=3) == ([], True)


def test_history_is_there_after_a_restart(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with serving(timeline) as server, Rich(server.address, rooms=["r"]) as ann:
        talk(ann, 3)
    with serving(timeline) as server, Rich(server.address, rooms=["r"]) as ann:
        assert page(ann, limit=2) == ([2, 3], False)
        assert page(ann, limit=3) == ([1, 2, 3], True)


def test_history_does_not_disturb_live_delivery(stored: Address) -> None:
    with Rich(stored, rooms=["r"]) as ann, Rich(stored, rooms=["r"]) as bob:
        talk(ann, 5)
        bob.posts(5)
        for number in range(20):
            bob.tell("history", room="r", limit=5)
            ann.say("r", f"live {number}")
        assert texts(bob.posts(20)) == [f"live {number}" for number in range(20)]


def test_history_has_what_one_has_heard_while_others_have_still_to_hear_it(
    stored: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = Event()

    def hold() -> None:
        goes_on.wait(20)
        pause()

    with Rich(stored, rooms=["r"]) as ann, Rich(stored, rooms=["r"]) as bob:
        ann.hear(lambda event: event["type"] == "presence")  # or this turn would be the one held
        for name, value in {"_STEP": 1, "SLICE_SECONDS": -1.0, "pause": hold}.items():
            monkeypatch.setattr(delivery, name, value)  # who joined first hears it first
        ann.say("r", "one")
        ann.posts(1)
        ann.tell("history", room="r", limit=5)
        bob.pong()  # if it is on the same node, ann's request was read before
        goes_on.set()
        history = ann.hear(lambda event: event["type"] == "history")[-1]
        assert texts(history["posts"]) == ["one"]


def test_the_history_of_a_room_has_only_its_posts(stored: Address) -> None:
    with Rich(stored, rooms=["r", "s"]) as ann:
        for room in "rsrsr":
            ann.say(room, f"in {room}")
        ann.posts(5)
        posts = ann.ask("history", room="r", limit=10)["posts"]
        assert [(post["room"], post["text"]) for post in posts] == [("r", "in r")] * 3


@pytest.mark.parametrize(("room", "code"), [("elsewhere", "not_joined"), ("a b", "bad_room")])
def test_only_members_read_the_history_of_a_room(address: Address, room: str, code: str) -> None:
    with Rich(address) as ann, Rich(address, rooms=["elsewhere"]) as bob:
        bob.say("elsewhere", "secret")
        bob.posts(1)
        error = ann.ask("history", room=room, limit=10)
        assert (error["type"], error["code"]) == ("error", code)


@pytest.mark.parametrize("limit", [0, 501, -1, "10", 1.5, None])
def test_a_limit_out_of_range_is_a_bad_field(address: Address, limit: object) -> None:
    with Rich(address, rooms=["r"]) as ann:
        error = ann.ask("history", room="r", limit=limit)
        assert (error["type"], error["code"]) == ("error", "bad_field")
        assert page(ann, limit=1) == ([], True)
