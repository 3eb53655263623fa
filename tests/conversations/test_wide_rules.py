"""Rules hit whom the operator meant, say how many that were, and can be undone."""

import json
from typing import Any

import pytest

from tests.conversations.chat import Chat, chatting
from tests.conversations.operators import NOTICE, TOKEN, admin, elsewhere, operator
from tests.conversations.peers import Plain, encode, of

FAR = "127.0.0.9"


@pytest.fixture
def chat(moderated: Chat) -> Chat:
    return moderated


def refused(chat: Chat, code: str, **fields: Any) -> str:
    """Return the text of the error for an action that changes nothing."""
    olga = operator(chat, nick="Otto")
    before = admin(olga, "list")["rules"]
    error = olga.ask("admin", **fields)
    assert (error["type"], error.get("code")) == ("error", code)
    assert admin(olga, "list")["rules"] == before
    text: str = error["text"]
    return text


@pytest.mark.parametrize("action", ["ban", "mute"])
@pytest.mark.parametrize("target", ["::/0", "2000::/3", "128.0.0.0/1", "::/0000", "64.0.0.0/7"])
def test_a_rule_for_nearly_everybody_is_refused(chat: Chat, action: str, target: str) -> None:
    assert "at most a /" in refused(chat, "bad_field", action=action, target=target)


@pytest.mark.parametrize("action", ["ban", "mute"])
def test_those_behind_the_same_gateway_are_counted_before_they_go_with_one(
    chat: Chat, action: str
) -> None:
    peers = [chat.rich("Ann", source=FAR), *(elsewhere(chat) for _ in range(2))]
    chat.wait_accepted()
    fields = {"action": action, "target": "Ann", "target_type": "address"}
    assert refused(chat, "forbidden", **fields) == (
        f"2 other clients would go too. To {action} all of them, name {FAR}/32 itself."
    )
    answer = admin(operator(chat), action, FAR)
    assert answer["connections_closed"] == (len(peers) if action == "ban" else 0)


@pytest.mark.parametrize("action", ["ban", "mute"])
def test_an_operator_behind_the_gateway_is_told_to_name_a_nick(chat: Chat, action: str) -> None:
    chat.rich("Ann")
    text = refused(chat, "forbidden", action=action, target="Ann", target_type="address")
    assert text.endswith("127.0.0.1 is your address too. Name a nick or a client.")
    assert len(admin(operator(chat), action, "Ann")["rules"]) == 2


def test_an_operator_gets_in_from_a_banned_address_and_undoes_the_ban(chat: Chat) -> None:
    admin(operator(chat), "ban", FAR, reason="spam")
    olga = chat.rich("Oma", source=FAR, token=TOKEN)
    assert of("error", olga.greeting) == []
    assert elsewhere(chat).rest() == [NOTICE + b"Your address is banned: spam"]
    assert admin(olga, "unban", FAR)["total"] == 0
    assert chat.rich("Ann", source=FAR).nick == "Ann"


@pytest.mark.parametrize("token", [None, "wrong"])
def test_nobody_else_gets_in_from_a_banned_address(chat: Chat, token: str | None) -> None:
    olga, former = operator(chat), chat.rich("Ann", source=FAR)
    admin(olga, "ban", FAR)
    former.closing()
    hello = {"type": "hello", "version": 1, "client": former.client, "nick": "Bob", "token": token}
    olga.pong()
    with Plain(chat.address, source=FAR) as peer:
        peer.send(b"\x1e" + encode(hello))
        assert [json.loads(frame)["code"] for frame in peer.rest()] == ["banned"]
    assert olga.pong() == []


def test_connections_from_a_banned_address_do_not_take_the_places_of_a_full_server(
    options: dict[str, Any],
) -> None:
    with chatting(options=options, connections=2) as chat:
        olga = operator(chat)
        admin(olga, "ban", FAR)
        silent = [elsewhere(chat) for _ in range(40)]
        chat.rich("Ann")
        assert operator(chat, "Otto").nick == "Otto"
        assert {bytes(peer.rest()[0]) for peer in silent} == {NOTICE + b"Your address is banned."}
