"""Refused requests, and expensive ones: each is answered, and no other client is delayed."""

from typing import Any

import pytest

from tests.conversations.conftest import Address
from tests.conversations.peers import Bystanders, Rich, encode


def asks(kind: str, **fields: Any) -> bytes:
    return encode({"type": kind, **fields})


ASKED = {
    "an empty nick": (asks("nick", nick=""), "bad_nick"),
    "a blank nick": (asks("nick", nick="\u3000"), "bad_nick"),
    "a nick of 33 emoji": (asks("nick", nick="\U0001f600" * 33), "bad_nick"),
    "a nick of two lines": (asks("nick", nick="ann\nbob"), "bad_nick"),
    "a nick that turns round": (asks("nick", nick="\u202enna"), "bad_nick"),
    "a nick with tags": (asks("nick", nick="ann\U000e0041"), "bad_nick"),
    "a reserved nick": (asks("nick", nick="server"), "bad_nick"),
    "a nick in use": (asks("nick", nick="\uff21\uff4e\uff4e"), "nick_in_use"),
    "a nick like one in use": (asks("nick", nick="\u0430nn"), "nick_too_similar"),
    "an empty room": (asks("join", room=""), "bad_room"),
    "a room with a space": (asks("join", room="a b"), "bad_room"),
    "a room of 33": (asks("join", room="x" * 33), "bad_room"),
    "a room like the lobby": (asks("join", room="l0bby"), "bad_room"),
    "a room one is in": (asks("join", room="LOBBY"), "joined"),
    "a position nobody has reached": (
        asks("join", room="lobby", epoch="e" * 16, position=2**53),
        "joined",
    ),
    "to leave where one is not": (asks("leave", room="attic"), "not_joined"),
    "to speak where one is not": (asks("say", room="attic", text="x"), "not_joined"),
    "to type where one is not": (asks("typing", room="attic"), "not_joined"),
    "the topic of another room": (asks("topic", room="attic", topic="x"), "not_joined"),
    "who is in another room": (asks("who", room="attic"), "not_joined"),
    "the posts of another room": (asks("history", room="attic", limit=5), "not_joined"),
    "the posts of no room": (asks("history", room="cellar", limit=5), "not_joined"),
    "posts before the end of time": (
        asks("history", room="lobby", limit=5, before=2**53),
        "history",
    ),
    "to reach nobody": (asks("direct", to="nobody", text="x"), "no_such_nick"),
    "to reach a plain guest": (asks("direct", to="guest-4", text="x"), "no_such_nick"),
    "to act as an operator": (asks("admin", action="kick", target="ann"), "forbidden"),
    "to pose as an operator": (asks("admin", action="list", token="x" * 16), "forbidden"),
    "a limit without end": (b'{"type":"history","room":"lobby","limit":1e999}\0', "bad_field"),
    "a number of 5,000 digits": (
        b'{"type":"history","room":"lobby","limit":%s}\0' % (b"9" * 5_000),
        "bad_field",
    ),
    "ten thousand arguments": (asks("ping", id=["x"] * 10_000), "bad_field"),
    "four thousand fields": (asks("ping", **{f"f{n}": n for n in range(4_000)}), "pong"),
}
"""Requests, and the code or type of each answer."""


@pytest.mark.parametrize(("request_", "answer"), ASKED.values(), ids=ASKED)
def test_a_refused_request_is_answered_and_changes_nothing(
    address: Address, bystanders: Bystanders, request_: bytes, answer: str
) -> None:
    with Rich(address, "ann", rooms=["lobby", "attic"]) as ann, Rich(address) as bad:
        bad.send(request_)
        (event,) = bad.pong()
        assert event.get("code", event["type"]) == answer
        assert ann.ask("who", room="attic")["nicks"] == ["ann"]
        assert bad.ask("who", room="lobby")["count"] == 4
        bystanders.check_heard()


def test_forged_frames_are_dropped_each_time(address: Address, bystanders: Bystanders) -> None:
    forged = b'"author":"eve","position":9,"time":0,"system":true,"text":"forged"'
    with Rich(address, "ann") as ann:
        ann.send(b'{"type":"say","room":"lobby",%s,%s,"text":"x"}\0' % (forged, forged))
        (post,) = ann.posts(1)
        assert (post["author"], post["position"]) == ("ann", 2)
        assert post["time"] > 0
        assert "system" not in post
        bystanders.check_heard("x")


@pytest.mark.parametrize("kind", ["nick", "join"])
def test_a_thousand_renames_or_rooms_do_not_delay_other_clients(
    address: Address, bystanders: Bystanders, kind: str
) -> None:
    names = [f"n{number}" for number in range(1_000)]
    asked = [asks(kind, **{"nick" if kind == "nick" else "room": name}) for name in names]
    with Rich(address) as bad:
        bad.send(b"".join(asked))
        answers = bad.pong()
        good = [event for event in answers if event["type"] in ("renamed", "joined")]
        refused = [event["code"] for event in answers if event["type"] == "error"]
        assert len(good) == (1_000 if kind == "nick" else 127)
        assert set(refused) <= {"too_many_rooms"}
        assert len(good) + len(refused) == 1_000
        bystanders.check_heard()


def test_a_hello_with_three_thousand_rooms_is_answered_for_each_room(
    address: Address, bystanders: Bystanders
) -> None:
    with Rich(address, rooms=[f"r{number}" for number in range(3_000)]) as bad:
        answers = [event.get("code", event["type"]) for event in bad.greeting]
        assert (answers.count("joined"), answers.count("too_many_rooms")) == (128, 2_872)
        bystanders.check_heard()
