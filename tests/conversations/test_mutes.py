"""Mutes: a muted client receives everything and reaches nobody."""

import re

from tests.conversations.chat import Chat, drop
from tests.conversations.conftest import BOTH_DOORS
from tests.conversations.operators import NOTICE, admin, elsewhere, muted, operator, set_clock
from tests.conversations.peers import Bystanders, of, texts

pytestmark = BOTH_DOORS


def test_a_muted_client_receives_everything_and_reaches_nobody(moderated: Chat) -> None:
    olga, ann, eve = operator(moderated), moderated.rich("Ann"), moderated.rich("Eve")
    assert admin(olga, "mute", "Eve")["connections_closed"] == 0
    with Bystanders(moderated.address) as bystanders:
        ann.pong()
        assert muted(eve, "say", room="lobby", text="hear me")
        assert muted(eve, "direct", to="Ann", text="hear me")
        assert muted(eve, "topic", room="lobby", topic="hear me")
        assert muted(eve, "nick", nick="hear-me")
        eve.tell("typing", room="lobby")
        eve.pong()
        assert [event["type"] for event in ann.pong()] == []
        bystanders.check_heard()
        assert "from plain" in texts(eve.posts(2))
    admin(olga, "unmute", "Eve")
    eve.say("lobby", "thank you")
    assert texts(eve.posts(1)) == ["thank you"]


def test_a_mute_survives_a_reconnect_and_a_rename(moderated: Chat) -> None:
    olga, eve = operator(moderated), moderated.rich("Eve")
    admin(olga, "mute", "Eve")
    drop(eve)
    moderated.wait_disconnected(eve)
    again = moderated.rich("Ann", client=eve.client)
    assert muted(again, "say", room="lobby", text="hear me")
    other = moderated.rich("Eve", rooms=[])
    assert other.nick.startswith("guest-") or muted(other, "direct", to="Olga", text="hear me")


def test_a_mute_by_nick_applies_to_each_owner_of_the_nick(moderated: Chat) -> None:
    olga, eve = operator(moderated), moderated.rich()
    admin(olga, "mute", "Eve", target_type="nick")
    assert eve.ask("nick", nick="Eve")["nick"] == "Eve"
    assert muted(eve, "say", room="lobby", text="hear me")


def test_a_muted_client_cannot_post_through_a_new_nick(moderated: Chat) -> None:
    olga, eve = operator(moderated), moderated.rich("Eve")
    admin(olga, "mute", "Eve", target_type="client")
    drop(eve)
    moderated.wait_disconnected(eve)
    olga.pong()
    again = moderated.rich("hear-me", client=eve.client)
    assert again.nick == "Eve"
    assert [error["code"] for error in of("error", again.greeting)] == ["muted"]
    assert olga.pong() == []
    assert of("error", moderated.rich("EVE", client=eve.client).greeting)[0]["code"] == "muted"
    assert of("error", moderated.rich("Eve", client=eve.client).greeting) == []


def test_a_muted_client_gets_the_end_and_the_reason(moderated: Chat) -> None:
    olga, eve = operator(moderated), moderated.rich("Eve")
    admin(olga, "mute", "Eve", seconds=60, reason="too loud")
    error = eve.ask("say", room="lobby", text="hear me")
    assert re.fullmatch(
        r"You are muted by an operator until \d{4}-\d\d-\d\d \d\d:\d\d UTC: too loud", error["text"]
    )


def test_a_mute_expires_and_another_still_applies(moderated: Chat) -> None:
    olga, eve = operator(moderated), moderated.rich("Eve")
    until = admin(olga, "mute", "Eve", seconds=60, target_type="client")["rules"][0]["until"]
    admin(olga, "mute", "Eve", seconds=120, target_type="nick")
    set_clock(moderated, until / 1000)
    assert muted(eve, "say", room="lobby", text="hear me")
    set_clock(moderated, until / 1000 + 61)
    eve.say("lobby", "hear me")
    assert texts(eve.posts(1)) == ["hear me"]


def test_a_plain_guest_can_be_muted_by_its_name(moderated: Chat) -> None:
    olga, eve, bob = operator(moderated), *moderated.plain_clients(2)
    eve.send(b"hello\0")
    guest = olga.posts(1)[0]["author"]
    assert bob.frame() == b"hello"
    assert admin(olga, "mute", guest)["rules"][0]["target_type"] == "guest"
    eve.send(b"hear me\0")
    assert eve.frame() == NOTICE + b"You are muted by an operator."
    bob.send(b"I hear nothing\0")
    assert eve.frame() == b"I hear nothing"
    assert texts(olga.posts(1)) == ["I hear nothing"]
    admin(olga, "unmute", guest)
    eve.send(b"thank you\0")
    assert bob.frame() == b"thank you"


def test_an_address_can_be_muted(moderated: Chat) -> None:
    olga, far = operator(moderated), elsewhere(moderated)
    moderated.wait_accepted()
    admin(olga, "mute", "127.0.0.8/31")
    later = elsewhere(moderated)
    for plain in (far, later):
        plain.send(b"hear me\0")
        assert plain.frame() == NOTICE + b"You are muted by an operator."


def test_a_mute_of_a_guest_ends_with_its_connection(moderated: Chat) -> None:
    olga, eve = operator(moderated), moderated.plain()
    eve.send(b"hello\0")
    admin(olga, "mute", olga.posts(1)[0]["author"])
    assert admin(olga, "list")["total"] == 1
    eve.send(b"q\0")
    eve.rest()
    assert admin(olga, "list")["total"] == 0
