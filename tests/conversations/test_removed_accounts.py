"""An account that was removed is gone from all rooms before anybody else can have its nick."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from geventchat.server.slices import ENDINGS
from tests.conversations.chat import Chat, chatting, drop
from tests.conversations.operators import operator
from tests.conversations.peers import Rich, of
from tests.conversations.signed_in import device, registered


@pytest.fixture
def chat(tmp_path: Path, options: dict[str, Any]) -> Iterator[Chat]:
    with chatting(f"sqlite:{tmp_path}/chat.db", options=options) as chat:
        yield chat


@pytest.fixture
def farewells(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Hold those that end, as many others that end would; return what lets them go on."""
    go_on = Event()
    monkeypatch.setattr(ENDINGS, "wait", go_on.wait)
    yield go_on
    go_on.set()


def remove(olga: Rich, nick: str = "Ann") -> None:
    answer = olga.ask("accounts", action="remove", nick=nick)
    assert answer["type"] == "accounts", answer


def presence(events: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    """Return nick and event, and whether it is an account's."""
    found = of("presence", events)
    return [(each["nick"], each["event"], "account" in each) for each in found]


def whole(chat: Chat, gus: Rich) -> None:
    """Check that the new Ann is the only one, and has no account."""
    members = gus.ask("who", room="lobby")
    assert sorted(members["nicks"]) == ["Ann", "Gus", "Olga"]
    assert (members["count"], members.get("accounts")) == (3, None)


def test_its_connections_have_left_before_the_nick_is_free(chat: Chat, farewells: Event) -> None:
    laptop = registered(chat, "Ann")
    device(chat, laptop)
    gus, olga = chat.rich("Gus"), operator(chat)
    gus.pong()
    remove(olga)
    chat.rich("Eve").ask("nick", nick="Ann")
    eve = [("Eve", "join", False), ("Eve", "rename", False)]
    assert presence(gus.pong()) == [("Ann", "leave", True), *eve]
    whole(chat, gus)
    gus.say("lobby", "not for her")
    gus.posts(1)
    farewells.set()
    heard = laptop.closing()
    assert heard[-1]["code"] == "account"
    assert of("post", heard) == []
    chat.wait_accepted()
    whole(chat, gus)
    assert presence(gus.pong()) == []


def test_a_lost_connection_holds_nothing_for_it(chat: Chat) -> None:
    """Nobody takes a stranger with the nick for the one that was removed."""
    ann, gus, olga = registered(chat, "Ann"), chat.rich("Gus"), operator(chat)
    phone = device(chat, ann)
    for peer in (ann, phone):
        drop(peer)
    with gevent.Timeout(20):
        while any(session.account is not None for session in chat.sessions()):
            gevent.sleep(0.001)
    gus.pong()
    remove(olga)
    assert presence(gus.pong()) == [("Ann", "leave", True)]
    chat.rich("Ann")
    assert presence(gus.pong()) == [("Ann", "join", False)]
    chat.advance_clock(3_600)  # when held nicks are given back
    whole(chat, gus)
    assert presence(gus.pong()) == []


def test_one_that_is_coming_back_does_not(chat: Chat) -> None:
    """Its client becomes a guest, with a nick of its own."""
    ann, gus, olga = registered(chat, "Ann"), chat.rich("Gus"), operator(chat)
    drop(ann)
    chat.wait_disconnected(ann)
    remove(olga)
    assert chat.refused(client=ann.client, account={"session": ann.welcome["session"]})
    again = chat.rich(client=ann.client)
    assert again.nick.startswith("guest-")
    assert chat.rich("Ann").nick == "Ann"
    nicks = gus.ask("who", room="lobby")["nicks"]
    assert sorted(nicks) == sorted(["Ann", "Gus", "Olga", again.nick])


def test_its_former_nicks_are_free_as_well(chat: Chat) -> None:
    ann, olga = registered(chat, "Ann"), operator(chat)
    ann.ask("nick", nick="Anna")
    assert chat.rich("Ann").nick != "Ann"
    remove(olga, "Anna")
    assert [chat.rich(nick).nick for nick in ("Ann", "Anna")] == ["Ann", "Anna"]


def test_the_members_of_its_private_rooms_hear_that_it_left(chat: Chat, farewells: Event) -> None:
    ann, bob, olga = registered(chat, "Ann"), registered(chat, "Bob"), operator(chat)
    ann.ask("create", room="plans")
    ann.ask("invite", room="plans", nick="Bob")
    bob.ask("join", room="plans")
    bob.pong()
    remove(olga)
    heard = [each for each in bob.pong() if each.get("room") == "plans"]
    assert presence(heard) == [("Ann", "leave", True)]
    assert [each["nick"] for each in of("moderators", heard)[0]["moderators"]] == ["Bob"]
    assert bob.ask("who", room="plans")["nicks"] == ["Bob"]
    farewells.set()
    assert ann.closing()[-1]["code"] == "account"
