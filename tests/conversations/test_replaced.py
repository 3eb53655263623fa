"""An ending session changes nothing, whichever of two connections the loop serves first."""

import json
from collections.abc import Iterator
from itertools import permutations
from typing import Any, Final

import pytest

from tests.conversations.chat import Chat, chatting
from tests.conversations.peers import Plain, Rich, encode, of

CLIENT: Final = "a-client-of-two-connections"
HELLO: Final = {"type": "hello", "version": 1, "client": CLIENT, "nonce": "n"}


@pytest.fixture
def short_hold() -> Iterator[Chat]:
    """Return a server that holds nicks for one second."""
    with chatting(nick_hold_seconds=1) as chat:
        yield chat


def hello(**fields: Any) -> bytes:
    return b"\x1e" + encode(HELLO | fields)


def send_together(*sent: tuple[Plain, bytes]) -> None:
    """Send from each without running the server, so that all become readable at once."""
    for peer, data in sent:
        assert peer.socket.send(data) == len(data)


def nick_of_welcome(peer: Plain) -> str:
    """Return the nick in the next welcome."""
    while (event := json.loads(peer.frame()))["type"] != "welcome":
        pass
    return str(event["nick"])


ORDERS: Final = list(permutations(range(2)))


@pytest.mark.parametrize("order", ORDERS)
def test_a_rename_of_a_replaced_connection_leaks_no_nick(
    short_hold: Chat, order: tuple[int, ...]
) -> None:
    watcher = short_hold.rich("watcher")
    old = short_hold.rich("Victim", client=CLIENT)
    new = short_hold.track(Plain(short_hold.address))
    short_hold.wait_accepted()
    sent = [(old, encode({"type": "nick", "nick": "Other"})), (new, hello(rooms={}))]
    send_together(*(sent[each] for each in order))
    nick = nick_of_welcome(new)
    assert nick in ("Victim", "Other")
    assert [bye["code"] for bye in of("bye", old.closing())] == ["replaced"]
    (other,) = {"Victim", "Other"} - {nick}
    assert watcher.ask("nick", nick=nick)["code"] == "nick_in_use"
    assert watcher.ask("nick", nick=other)["type"] == "renamed"
    new.socket.close()
    short_hold.wait_accepted()
    short_hold.advance_clock(2)
    assert watcher.ask("nick", nick=nick)["type"] == "renamed"


@pytest.mark.parametrize("order", ORDERS)
def test_a_join_of_a_replaced_connection_does_not_change_who_is_there(
    short_hold: Chat, order: tuple[int, ...]
) -> None:
    watcher = short_hold.rich("watcher")
    old = short_hold.rich("Ann", client=CLIENT, rooms=[])
    new = short_hold.track(Plain(short_hold.address))
    short_hold.wait_accepted()
    sent = [(old, encode({"type": "join", "room": "lobby"})), (new, hello())]
    send_together(*(sent[each] for each in order))
    assert nick_of_welcome(new) == "Ann"
    old.closing()
    members = watcher.ask("who", room="lobby")
    assert sorted(members["nicks"]) == ["Ann", "watcher"]
    assert members["count"] == 2
    new.socket.close()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "request_sent",
    [
        {"type": "say", "room": "lobby", "text": "from the dead"},
        {"type": "topic", "room": "lobby", "topic": "from the dead"},
        {"type": "direct", "to": "watcher", "text": "from the dead"},
        {"type": "typing", "room": "lobby"},
        {"type": "leave", "room": "lobby"},
    ],
    ids=lambda request: request["type"],
)
def test_requests_of_a_kicked_client_have_no_effect(
    tmp_path: Any, order: tuple[int, ...], request_sent: dict[str, Any]
) -> None:
    options = {"operator_file": f"{tmp_path}/token"}
    with chatting(options=options) as chat:
        token = (tmp_path / "token").read_text().strip()
        operator = chat.rich("operator", token=token)
        watcher = chat.rich("watcher")
        victim = chat.rich("victim")
        for peer in (operator, watcher, victim):
            peer.pong()
        kick = encode({"type": "admin", "action": "kick", "target": "victim", "id": "k"})
        sent = [(victim, encode(request_sent)), (operator, kick)]
        send_together(*(sent[each] for each in order))
        assert operator.hear(lambda event: event.get("id") == "k")[-1]["connections_closed"] == 1
        victim.closing()
        heard = watcher.pong()
        left = [event.get("event") for event in heard].index("leave")
        assert [event["type"] for event in heard[left:]] == ["presence"]


def test_the_nick_of_a_replaced_connection_stays_with_the_new_one(short_hold: Chat) -> None:
    old = short_hold.rich("Ann", client=CLIENT)
    new = short_hold.track(Plain(short_hold.address))
    short_hold.wait_accepted()
    third = short_hold.rich("Bob")
    bye = encode({"type": "bye"})
    send_together(
        (old, bye), (new, hello()), (third, encode({"type": "nick", "nick": "Ann", "id": "t"}))
    )
    owner = nick_of_welcome(new)
    answer = third.hear(lambda event: event.get("id") == "t")[-1]
    assert (owner == "Ann") != (answer["type"] == "renamed")
    assert isinstance(third, Rich)
