"""Frozen rooms: nothing that members do there is a message, nicks included."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conversations.chat import Chat, chatting
from tests.conversations.operators import TOKEN, admin, operator
from tests.conversations.peers import Rich


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    file = tmp_path / "operator"
    file.write_text(f"{TOKEN}\n")
    with chatting(options={"operator_file": str(file)}) as chat:
        yield chat


def heard(chat: Chat, peer: Rich) -> list[dict[str, Any]]:
    """Return what a client has heard, after the numbers of members were announced."""
    chat.advance_clock(0)
    return peer.pong()


def test_a_nick_is_not_shown_in_a_frozen_room_whatever_its_owner_does(chat: Chat) -> None:
    ann, eve = chat.rich_clients("Ann", "Eve")
    admin(operator(chat), "freeze", "lobby")
    heard(chat, ann)
    eve.ask("nick", nick="BUY-NOW-1")
    eve.ask("leave", room="lobby")
    eve.ask("nick", nick="BUY-NOW-2")
    eve.ask("join", room="lobby")
    eve.tell("typing", room="lobby")
    eve.pong()
    chat.rich("BUY-NOW-3", client=eve.client)
    chat.rich("BUY-NOW-4").ask("bye")
    chat.plain()
    told = heard(chat, ann)
    assert "BUY" not in str(told)
    assert {tuple(event) for event in told} <= {("type", "room", "count")}
    assert "BUY-NOW-3" in ann.ask("who", room="lobby")["nicks"]


def test_nicks_are_shown_in_other_rooms_and_when_the_room_is_no_longer_frozen(chat: Chat) -> None:
    ann, eve = (chat.rich(nick, rooms=["lobby", "attic"]) for nick in ("Ann", "Eve"))
    olga = operator(chat)
    admin(olga, "freeze", "lobby", seconds=60)
    heard(chat, ann)
    eve.ask("nick", nick="Eva")
    assert [(event["room"], event["new_nick"]) for event in heard(chat, ann)] == [("attic", "Eva")]
    admin(olga, "unfreeze", "lobby")
    eve.ask("nick", nick="Eve")
    assert sorted(event["room"] for event in heard(chat, ann)) == ["attic", "lobby"]


def test_a_frozen_room_is_an_ordinary_one_again_when_its_time_is_over(chat: Chat) -> None:
    ann, eve = chat.rich_clients("Ann", "Eve")
    (rule,) = admin(operator(chat), "freeze", "lobby", seconds=60)["rules"]
    heard(chat, ann)
    chat.server._policy.clock = lambda: rule["until"] / 1000
    eve.ask("nick", nick="Eva")
    assert [event["new_nick"] for event in heard(chat, ann)] == ["Eva"]


def test_a_permanently_frozen_room_keeps_nobody_from_a_new_nick(chat: Chat) -> None:
    eve = chat.rich("Eve")
    admin(operator(chat), "freeze", "lobby")
    assert eve.ask("nick", nick="Eva")["type"] == "renamed"
