"""Operators end a private room without being in it, and see no more of it than before."""

import logging
from typing import Any

import pytest

from tests.conversations.chat import Chat
from tests.conversations.devices import code, private_room, registered, rooms, sign_in
from tests.conversations.hooks import post
from tests.conversations.operators import admin, operator
from tests.conversations.peers import Rich, of
from tests.conversations.web import web_chatting


def left(peer: Rich) -> tuple[str, str]:
    """Return the room and the reason of the next `left`."""
    event = peer.hear(lambda event: event["type"] == "left")[-1]
    return event["room"], event["reason"]


@pytest.mark.parametrize("target", ["plans", "Plans", "private room 1", "Private Room 1"])
def test_all_have_left_a_room_that_an_operator_ended(moderated: Chat, target: str) -> None:
    ann, bob, cid = registered(moderated, "Ann", "Bob", "Cid")
    private_room(moderated, "plans", ann, bob)
    ann.ask("invite", room="plans", nick="Cid")
    phone = sign_in(moderated, bob)
    ann.say("plans", "secret")
    olga = operator(moderated)
    answer = admin(olga, "end", target)
    assert (answer["rules"], answer["connections_closed"]) == ([], 0)
    for peer in (ann, bob, phone, cid):
        assert left(peer) == ("plans", "ended")
        assert of("moderators", peer.pong()) == []
    for peer in (ann, bob, cid, olga):
        assert code(peer, "join", room="plans") == "forbidden"
        assert code(peer, "history", room="plans", limit=9) == "not_joined"
    assert code(ann, "create", room="plans") == "forbidden"
    assert code(ann, "invite", room="plans", nick="Bob") == "not_joined"


def test_it_has_ended_for_who_is_away_too_and_after_a_restart(stored_chat: Chat) -> None:
    """What is on disk is what a start loads."""
    ann, bob = registered(stored_chat, "Ann", "Bob")
    private_room(stored_chat, "plans", ann, bob)
    bob.socket.close()
    stored_chat.wait_disconnected(bob)
    hub = stored_chat.server._hub
    private = hub.people.private["plans"]
    hub.people.save(*hub.account_rooms.end(private))
    assert rooms(sign_in(stored_chat, bob).greeting) == ["lobby"]
    kept = [name for name, _ in stored_chat.server._timeline.records("membership")]
    assert not [name for name in kept if name.endswith("/plans")]


@pytest.mark.parametrize("target", ["nosuch", "lobby", "private room 2", "private room 7"])
def test_only_a_private_room_is_ended(moderated: Chat, target: str) -> None:
    """The second is a conversation."""
    ann, bob = registered(moderated, "Ann", "Bob")
    private_room(moderated, "plans", ann)
    room = ann.ask("direct", to="Bob", text="hello")["room"]
    olga = operator(moderated)
    for each in (target, room):
        error = olga.ask("admin", action="end", target=each)
        assert error["code"] == "bad_field"
        named = each if each.startswith("private room ") else f"private room {each}"
        assert f"there is no {named}; " in error["text"]
    assert code(bob, "admin", action="end", target="plans") == "forbidden"
    ann.say("plans", "it goes on")
    assert ann.posts(1, "plans")


def test_the_log_shows_it_by_its_number(moderated: Chat, caplog: pytest.LogCaptureFixture) -> None:
    (ann,) = registered(moderated, "Ann")
    private_room(moderated, "plans", ann)
    with caplog.at_level(logging.INFO):
        admin(operator(moderated), "end", "plans")
    assert "end, target private room 1" in caplog.text
    assert "plans" not in caplog.text


def test_its_webhooks_are_revoked(options: dict[str, Any]) -> None:
    with web_chatting(options=options) as web:
        (ann,) = registered(web, "Ann")
        private_room(web, "plans", ann)
        token = ann.ask("hook", action="add", room="plans")["hooks"][0]["token"]
        assert post(web, token).status == 200
        admin(operator(web), "end", "plans")
        assert post(web, token).status == 404


def test_a_private_room_has_a_limit_of_members(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geventchat.server.session.private_rooms._MOST_MEMBERS", 3)
    ann, bob, _, _ = registered(chat, "Ann", "Bob", "Cid", "Dan")
    private_room(chat, "plans", ann, bob)
    ann.ask("invite", room="plans", nick="Cid")
    error = ann.ask("invite", room="plans", nick="Dan")
    assert (error["code"], error["text"]) == (
        "forbidden",
        "plans has 3 members and invitations, the limit. Remove somebody first.",
    )
    ann.ask("remove", room="plans", nick="Cid")
    assert ann.ask("invite", room="plans", nick="Dan")["type"] == "invited"
