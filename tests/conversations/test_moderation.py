"""Operators: what they do to whom, and that nobody else loses anything by it."""

import json
import logging
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import gevent
import pytest

from geventchat.server.logs.records import JsonFormatter, TextFormatter
from tests.conversations.chat import Chat, chatting, drop
from tests.conversations.control import Control, beside
from tests.conversations.peers import Bystanders, Plain, Rich, encode, of, texts

TOKEN: Final = "the-token-of-a-test"
NOTICE: Final = b"* geventchat: "


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Name the operators' file, which holds a token."""
    file = tmp_path / "operator"
    file.write_text(f"{TOKEN}\n")
    return {"operator_file": str(file)}


@pytest.fixture
def house(options: dict[str, Any]) -> Iterator[Chat]:
    """Give a server that has operators."""
    with chatting(options=options) as chat:
        yield chat


def operator(chat: Chat, nick: str = "Olga", **options: Any) -> Rich:
    """Let an operator come in, whose token is known from hello on."""
    peer = chat.rich(nick, token=TOKEN, **options)
    assert of("error", peer.greeting) == []
    return peer


def elsewhere(chat: Chat, address: str = "127.0.0.9") -> Plain:
    """Let a plain client connect from another address."""
    return chat.came(Plain(chat.address, source=address))


def admin(peer: Rich, action: str, target: str | None = None, **fields: Any) -> dict[str, Any]:
    """Ask for an act and give its answer, which says that it is done."""
    answer = peer.ask("admin", action=action, **({"target": target} if target else {}), **fields)
    assert answer["type"] == "admin", answer
    assert answer["action"] == action
    return answer


def forbidden(peer: Rich, kind: str, **fields: Any) -> str:
    """Give the text with which a request is forbidden."""
    error = peer.ask(kind, **fields)
    assert (error["type"], error["code"]) == ("error", "forbidden")
    text: str = error["text"]
    return text


def muted(peer: Rich, kind: str, **fields: Any) -> bool:
    """Say whether a request is refused because its client is silenced."""
    error = peer.ask(kind, **fields)
    return (error["type"], error.get("code")) == ("error", "muted")


# Who is an operator


def test_only_a_server_with_operators_announces_admin(house: Chat, chat: Chat) -> None:
    assert house.rich().welcome["features"] == ["admin"]
    peer = chat.rich(token=TOKEN)
    assert peer.welcome["features"] == []
    assert [error["code"] for error in of("error", peer.greeting)] == ["forbidden"]
    assert "no operators" in forbidden(peer, "admin", action="list", token=TOKEN)


@pytest.mark.parametrize(
    "action",
    "kick ban unban mute unmute lock unlock freeze unfreeze close open list".split(),
)
def test_every_action_needs_the_token(house: Chat, action: str) -> None:
    ann, eve = house.riches("Ann", "Eve")
    with beside(house.address) as bystanders:
        assert "Only operators" in forbidden(eve, "admin", action=action, target="Ann")
        assert "Wrong operator token." in forbidden(
            eve, "admin", action=action, target="Ann", token=TOKEN[:-1]
        )
        bystanders.heard()
    assert admin(operator(house), "list")["total"] == 0
    assert of("bye", ann.pong()) == []


def test_a_token_is_valid_for_the_rest_of_its_connection_only(house: Chat) -> None:
    olga, eve = house.riches("Olga", "Eve")
    admin(olga, "list", token=TOKEN)
    admin(olga, "list")
    assert "Only operators" in forbidden(eve, "admin", action="list")
    again = house.rich(client=olga.client)
    assert "Only operators" in forbidden(again, "admin", action="list")


def test_a_wrong_token_in_hello_is_an_error_and_the_client_is_no_operator(house: Chat) -> None:
    eve = house.rich("Eve", token="wrong")
    (error,) = of("error", eve.greeting)
    assert (error["code"], error["text"]) == ("forbidden", "Wrong operator token.")
    assert of("joined", eve.greeting)


def test_wrong_tokens_are_limited_per_minute_and_address(options: dict[str, Any]) -> None:
    with chatting(options=options | {"trust": ()}) as house:
        eve, olga = house.rich("Eve"), house.rich("Olga", source="127.0.0.9")
        for _ in range(5):
            forbidden(eve, "admin", action="list", token="wrong")
        for token in ("wrong", TOKEN):
            error = eve.ask("admin", action="list", token=token)
            assert (error["code"], error["retry_ms"]) == ("slow_down", 60_000)
        admin(olga, "list", token=TOKEN)


def test_a_missing_token_does_not_count_as_a_wrong_one(options: dict[str, Any]) -> None:
    with chatting(options=options | {"trust": ()}, messages_at_once=20) as house:
        eve, olga = house.riches("Eve", "Olga")
        for _ in range(9):
            forbidden(eve, "admin", action="list")
        admin(olga, "list", token=TOKEN)


def test_wrong_tokens_do_not_lock_out_the_right_password(options: dict[str, Any]) -> None:
    with chatting(options=options | {"trust": (), "password": "horse"}) as house:
        for _ in range(6):
            house.rich(password="horse", token="wrong")
        assert house.rich("Ann", password="horse").nick == "Ann"


def test_a_wrong_token_without_a_password_is_reported_as_such(
    options: dict[str, Any],
) -> None:
    with chatting(options=options | {"password": "horse"}) as house:
        (bye,) = house.refused(token="wrong")
        assert (bye["code"], bye["text"]) == ("password", "Wrong operator token.")


# The log


def test_each_action_is_one_audit_line_that_cannot_be_forged(
    house: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "geventchat.audit")
    olga, eve = operator(house), house.rich("Eve")
    admin(olga, "mute", "Eve", seconds=60, reason="spam\n2026 INFO all is well\x1b[2J")
    admin(olga, "list")
    forbidden(eve, "admin", action="unmute", target="Eve")
    forbidden(eve, "admin", action="unmute", target="Eve", token="a-wrong-one")
    lines = [TextFormatter().format(record) for record in caplog.records]
    events = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert [line.partition(": ")[2][:33] for line in lines] == [
        "guest-1 at 127.0.0.1: hello",
        "Olga at 127.0.0.1: mute, target c",
        "Olga at 127.0.0.1: list",
        "Eve at 127.0.0.1: unmute, refused",
        "Eve at 127.0.0.1: unmute, refused",
    ]
    assert lines[1].isprintable()
    assert {event["event"] for event in events} == {"audit"}
    assert events[1]["target"] == "client Eve, nick Eve"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", events[1]["until"])
    assert [event["action"] for event in events] == ["hello", "mute", "list", "unmute", "unmute"]
    assert [event["nick"] for event in events] == ["guest-1", "Olga", "Olga", "Eve", "Eve"]
    for text in (*lines, *map(str, events)):
        assert TOKEN not in text
        assert "a-wrong-one" not in text


# Nicks


@pytest.mark.parametrize(
    "nick", ["Mallory", "mallory", "Ⓜⓐⓛⓛⓞⓡⓨ", "Ｍallory", "ᴹallory", "Маllоrу"]
)
def test_a_banned_nick_is_banned_in_every_spelling(house: Chat, nick: str) -> None:
    eve = house.rich("Eve")
    admin(operator(house), "ban", "Mallory", target_type="nick")
    assert house.refused(nick=nick)[-1]["code"] == "banned"
    assert "Mallory is banned" in forbidden(eve, "nick", nick=nick)


@pytest.mark.parametrize("kind", ["hello", "nick"])
def test_an_overlong_nick_does_not_delay_the_others(house: Chat, kind: str) -> None:
    admin(operator(house), "lock", "lobby")
    slow_to_normalise = "a" + "\u0301\u0316" * 16_000
    with Control(house.address):
        if kind == "hello":
            (error,) = of("error", house.rich(slow_to_normalise).greeting)
        else:
            error = house.rich("Eve").ask("nick", nick=slow_to_normalise)
        assert error["code"] == "bad_nick"


# Kick


def test_a_kicked_client_gets_the_reason_and_the_others_its_leave(house: Chat) -> None:
    olga, eve = operator(house), house.rich("Eve")
    with Bystanders(house.address) as bystanders:
        assert admin(olga, "kick", "eve", reason="spam\nand lies")["connections_closed"] == 1
        bye = eve.closing()[-1]
        assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "kicked", False)
        assert bye["text"] == "Kicked by an operator: spam\nand lies"
        leave = olga.hear(lambda event: event.get("event") == "leave")[-1]
        assert leave["nick"] == "Eve"
        bystanders.heard()
    assert house.rich("Eve").nick == "Eve"


def test_a_plain_guest_can_be_kicked_by_its_name(house: Chat) -> None:
    olga, plain = operator(house), house.plain()
    plain.send(b"hello\0")
    guest = olga.posts(1)[0]["author"]
    assert admin(olga, "kick", guest)["connections_closed"] == 1
    (line,) = plain.rest()
    assert line.startswith(NOTICE)
    assert b"operator" in line


def test_kicking_a_room_spares_operators_and_does_not_delay_other_rooms(house: Chat) -> None:
    olga, otto = operator(house), operator(house, "Otto")
    crowd = [house.rich(rooms=["attic"]) for _ in range(50)]
    for peer in (olga, otto):
        peer.ask("join", room="attic")
    with Bystanders(house.address) as bystanders:
        assert admin(olga, "kick", "attic", target_type="room")["connections_closed"] == 50
        bystanders.heard()
    assert {peer.closing()[-1]["code"] for peer in crowd} == {"kicked"}
    assert sorted(olga.ask("who", room="attic")["nicks"]) == ["Olga", "Otto"]


def test_all_clients_of_an_address_can_be_kicked(house: Chat) -> None:
    olga, far = operator(house), elsewhere(house)
    house.knock()
    assert admin(olga, "kick", "127.0.0.9")["connections_closed"] == 1
    assert len(far.rest()) == 1


@pytest.mark.parametrize("target", ["Nobody", "Olga", "guest-99999", "10.0.0.0/8", "x" * 128])
def test_a_kick_that_matches_nobody_is_an_error(house: Chat, target: str) -> None:
    error = operator(house).ask("admin", action="kick", target=target)
    assert (error["type"], error["code"]) == ("error", "no_such_nick")


# Ban


def banned(chat: Chat, **options: Any) -> dict[str, Any]:
    """Give the bye with which a hello is answered."""
    (bye,) = chat.refused(**options)
    assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "banned", False)
    return bye


def test_a_banned_client_gets_the_reason_and_cannot_return_by_nick_or_client(house: Chat) -> None:
    olga, eve = operator(house), house.rich("Eve")
    with Bystanders(house.address) as bystanders:
        answer = admin(olga, "ban", "EVE", reason="spam")
        assert [rule["target_type"] for rule in answer["rules"]] == ["client", "nick"]
        assert (answer["connections_closed"], answer["total"]) == (1, 2)
        bye = eve.closing()[-1]
        assert (bye["code"], bye["text"]) == ("banned", "You are banned from this server: spam")
        banned(house, client=eve.client, nick="Other")
        for nick in ("Eve", "eve", "\u0415ve", "ＥＶＥ"):
            assert "The nick Eve is banned" in banned(house, nick=nick)["text"]
        bystanders.heard()
    house.rich("Other")


def test_a_banned_nick_cannot_be_taken_by_a_connected_client(house: Chat) -> None:
    olga, ann = operator(house), house.rich("Ann")
    admin(olga, "ban", "Eve")
    assert "Eve is banned" in forbidden(ann, "nick", nick="\u0415ve")
    assert ann.ask("nick", nick="Ev")["type"] == "renamed"


def test_a_ban_can_be_limited_to_the_nick(house: Chat) -> None:
    olga, eve = operator(house), house.rich("Eve")
    answer = admin(olga, "ban", "Eve", target_type="nick")
    assert [rule["target_type"] for rule in answer["rules"]] == ["nick"]
    eve.closing()
    assert house.rich("Ann", client=eve.client).nick == "Ann"


def test_an_absent_client_can_be_banned(house: Chat) -> None:
    olga, eve = operator(house), house.rich("Eve")
    drop(eve)
    house.gone(eve)
    assert len(admin(olga, "ban", "Eve")["rules"]) == 2
    banned(house, client=eve.client, nick="Ann")


def test_a_banned_client_cannot_replace_its_open_connection(house: Chat) -> None:
    olga, eve = operator(house), house.rich("Eve")
    admin(olga, "ban", "Ann")
    banned(house, client=eve.client, nick="Ann")
    assert of("bye", eve.pong()) == []


def test_a_banned_address_gets_a_line_and_is_closed(house: Chat) -> None:
    olga, far = operator(house), elsewhere(house)
    house.knock()
    with Bystanders(house.address) as bystanders:
        assert admin(olga, "ban", "127.0.0.9", reason="spam")["connections_closed"] == 1
        assert far.rest()[-1:] == [NOTICE + b"You are banned from this server: spam"]
        again = elsewhere(house)
        assert again.rest() == [NOTICE + b"Your address is banned: spam"]
        bystanders.heard()
    assert admin(olga, "unban", "127.0.0.9")["total"] == 0
    again = elsewhere(house)
    again.send(b"hello\0")
    assert texts(olga.posts(1)) == ["hello"]


def test_an_address_is_banned_by_a_nick_connected_from_it(house: Chat) -> None:
    olga, plain = operator(house), elsewhere(house)
    plain.send(b"hello\0")
    guest = olga.posts(1)[0]["author"]
    error = olga.ask("admin", action="ban", target=guest)
    assert (error["code"], "address" in error["text"]) == ("bad_field", True)
    (rule,) = admin(olga, "ban", guest, target_type="address")["rules"]
    assert (rule["target_type"], rule["target"]) == ("address", "127.0.0.9/32")
    assert len(plain.rest()) == 1


def test_a_ban_expires(house: Chat) -> None:
    olga, eve = operator(house), house.rich("Eve")
    until = admin(olga, "ban", "Eve", seconds=3600)["rules"][0]["until"]
    assert " until 20" in eve.closing()[-1]["text"]
    policy = house.server._policy
    policy.clock = lambda: until / 1000 - 1
    banned(house, nick="Eve")
    policy.clock = lambda: until / 1000
    assert house.rich("Eve", client=eve.client).nick == "Eve"
    assert admin(olga, "list")["total"] == 0


def test_a_ban_can_be_removed(house: Chat) -> None:
    olga, eve = operator(house), house.rich("Eve")
    admin(olga, "ban", "Eve")
    eve.closing()
    assert len(admin(olga, "unban", "eve")["rules"]) == 2
    assert house.rich("Eve", client=eve.client).nick == "Eve"
    error = olga.ask("admin", action="unban", target="Eve")
    assert (error["type"], error["code"]) == ("error", "bad_field")


@pytest.mark.parametrize("target", ["Olga", "0lga", "127.0.0.1", "127.0.0.0/8", "0.0.0.0/0"])
@pytest.mark.parametrize("action", ["ban", "mute"])
def test_an_operator_cannot_ban_or_mute_itself(house: Chat, action: str, target: str) -> None:
    olga = operator(house)
    assert f"would also {action} you" in forbidden(olga, "admin", action=action, target=target)
    assert admin(olga, "list")["total"] == 0


def test_bans_do_not_apply_to_operators(house: Chat) -> None:
    olga, otto = operator(house), operator(house, "Otto")
    assert admin(olga, "ban", "Otto")["connections_closed"] == 0
    assert of("bye", otto.pong()) == []
    assert operator(house, "Otto", client=otto.client).nick == "Otto"


@pytest.mark.parametrize("target", ["guest-99999", "server", "a b", ""])
def test_an_invalid_nick_cannot_be_banned(house: Chat, target: str) -> None:
    olga = operator(house)
    error = olga.ask("admin", action="ban", target=target)
    assert (error["type"], error["code"] in ("no_such_nick", "bad_nick", "bad_field")) == (
        "error",
        True,
    )
    assert admin(olga, "list")["total"] == 0


@pytest.mark.parametrize("target", ["300.1.2.3", "10.1.2.3/33", "fe80::1/129", "10.0.0", "::1::"])
@pytest.mark.parametrize("action", ["ban", "mute", "kick"])
def test_an_invalid_address_is_an_error_and_not_a_nick(
    house: Chat, action: str, target: str
) -> None:
    olga = operator(house)
    error = olga.ask("admin", action=action, target=target)
    assert (error["code"], error["text"]) == (
        "bad_field",
        f"target: {target} is not a valid address.",
    )
    assert admin(olga, "list")["total"] == 0


@pytest.mark.parametrize("nick", ["127.0.0.9", "127.0.0.0", "::1", "fe80::1"])
def test_a_nick_cannot_look_like_an_address(house: Chat, nick: str) -> None:
    assert house.rich("Eve").ask("nick", nick=nick)["code"] == "bad_nick"


def test_a_network_of_ipv4_within_ipv6_is_banned(house: Chat) -> None:
    rule = admin(operator(house), "ban", "::ffff:127.0.0.8/127")["rules"][0]
    assert rule["target"] == "127.0.0.8/31"
    assert elsewhere(house).rest() == [NOTICE + b"Your address is banned."]


# Mute


def test_a_muted_client_receives_everything_and_reaches_nobody(house: Chat) -> None:
    olga, ann, eve = operator(house), house.rich("Ann"), house.rich("Eve")
    assert admin(olga, "mute", "Eve")["connections_closed"] == 0
    with Bystanders(house.address) as bystanders:
        ann.pong()
        assert muted(eve, "say", room="lobby", text="hear me")
        assert muted(eve, "direct", to="Ann", text="hear me")
        assert muted(eve, "topic", room="lobby", topic="hear me")
        assert muted(eve, "nick", nick="hear-me")
        eve.tell("typing", room="lobby")
        eve.pong()
        assert [event["type"] for event in ann.pong()] == []
        bystanders.heard()
        assert "from plain" in texts(eve.posts(2))
    admin(olga, "unmute", "Eve")
    eve.say("lobby", "thank you")
    assert texts(eve.posts(1)) == ["thank you"]


def test_a_mute_survives_a_reconnect_and_a_rename(house: Chat) -> None:
    olga, eve = operator(house), house.rich("Eve")
    admin(olga, "mute", "Eve")
    drop(eve)
    house.gone(eve)
    again = house.rich("Ann", client=eve.client)
    assert muted(again, "say", room="lobby", text="hear me")
    other = house.rich("Eve", rooms=[])
    assert other.nick.startswith("guest-") or muted(other, "direct", to="Olga", text="hear me")


def test_a_mute_by_nick_applies_to_whoever_has_the_nick(house: Chat) -> None:
    olga, eve = operator(house), house.rich()
    admin(olga, "mute", "Eve", target_type="nick")
    assert eve.ask("nick", nick="Eve")["nick"] == "Eve"
    assert muted(eve, "say", room="lobby", text="hear me")


def test_a_muted_client_cannot_post_through_a_new_nick(house: Chat) -> None:
    olga, eve = operator(house), house.rich("Eve")
    admin(olga, "mute", "Eve", target_type="client")
    drop(eve)
    house.gone(eve)
    olga.pong()
    again = house.rich("hear-me", client=eve.client)
    assert again.nick == "Eve"
    assert [error["code"] for error in of("error", again.greeting)] == ["muted"]
    assert olga.pong() == []
    assert of("error", house.rich("EVE", client=eve.client).greeting)[0]["code"] == "muted"
    assert of("error", house.rich("Eve", client=eve.client).greeting) == []


def test_a_muted_client_gets_the_end_and_the_reason(house: Chat) -> None:
    olga, eve = operator(house), house.rich("Eve")
    admin(olga, "mute", "Eve", seconds=60, reason="too loud")
    error = eve.ask("say", room="lobby", text="hear me")
    assert re.fullmatch(
        r"You are muted by an operator until \d{4}-\d\d-\d\d \d\d:\d\d UTC: too loud", error["text"]
    )


def test_a_closed_server_gives_its_reason(house: Chat) -> None:
    olga = operator(house)
    admin(olga, "close", reason="the party is over")
    (bye,) = house.refused()
    assert bye["text"] == "This server is closed to new users: the party is over"


def test_a_mute_expires_and_another_still_applies(house: Chat) -> None:
    olga, eve = operator(house), house.rich("Eve")
    until = admin(olga, "mute", "Eve", seconds=60, target_type="client")["rules"][0]["until"]
    admin(olga, "mute", "Eve", seconds=120, target_type="nick")
    policy = house.server._policy
    policy.clock = lambda: until / 1000
    assert muted(eve, "say", room="lobby", text="hear me")
    policy.clock = lambda: until / 1000 + 61
    eve.say("lobby", "hear me")
    assert texts(eve.posts(1)) == ["hear me"]


def test_a_plain_guest_can_be_muted_by_its_name(house: Chat) -> None:
    olga, eve, bob = operator(house), *house.plains(2)
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


def test_an_address_can_be_muted(house: Chat) -> None:
    olga, far = operator(house), elsewhere(house)
    house.knock()
    admin(olga, "mute", "127.0.0.8/31")
    later = elsewhere(house)
    for plain in (far, later):
        plain.send(b"hear me\0")
        assert plain.frame() == NOTICE + b"You are muted by an operator."


def test_a_mute_of_a_guest_ends_with_its_connection(house: Chat) -> None:
    olga, eve = operator(house), house.plain()
    eve.send(b"hello\0")
    admin(olga, "mute", olga.posts(1)[0]["author"])
    assert admin(olga, "list")["total"] == 1
    eve.send(b"q\0")
    eve.rest()
    assert admin(olga, "list")["total"] == 0


# Rooms


def test_only_operators_set_the_topic_of_a_locked_room(house: Chat) -> None:
    olga, ann = operator(house), house.rich("Ann")
    admin(olga, "lock", "LOBBY", reason="it was fine")
    assert "it was fine" in forbidden(ann, "topic", room="lobby", topic="cake")
    assert olga.ask("topic", room="lobby", topic="tea")["topic"] == "tea"
    assert ann.hear(lambda event: event["type"] == "topic")[-1]["topic"] == "tea"
    ann.say("lobby", "still here")
    assert texts(ann.posts(1)) == ["still here"]
    admin(olga, "unlock", "lobby")
    assert ann.ask("topic", room="lobby", topic="cake")["topic"] == "cake"


def test_only_operators_post_in_a_frozen_room(house: Chat) -> None:
    olga, ann, plain = operator(house), house.rich("Ann", rooms=["lobby", "attic"]), house.plain()
    admin(olga, "freeze", "lobby")
    assert "lobby" in forbidden(ann, "say", room="lobby", text="hear me")
    assert "lobby" in forbidden(ann, "topic", room="lobby", topic="hear me")
    plain.send(b"hear me\0")
    assert plain.frame().startswith(NOTICE)
    ann.say("attic", "heard here")
    assert texts(ann.posts(1)) == ["heard here"]
    olga.say("lobby", "silence")
    assert plain.frame() == b"silence"
    admin(olga, "unfreeze", "lobby")
    plain.send(b"hear me\0")
    assert texts(ann.posts(2)) == ["silence", "hear me"]


def test_a_room_without_members_can_be_frozen(house: Chat) -> None:
    admin(operator(house), "freeze", "attic", seconds=60)
    ann = house.rich("Ann", rooms=["attic"])
    assert " until 20" in forbidden(ann, "say", room="attic", text="hear me")


# The closed door


def test_a_closed_server_admits_only_known_clients(house: Chat) -> None:
    olga, ann, bob = operator(house), house.rich("Ann"), house.rich("Bob")
    plain = house.plain()
    drop(bob)
    house.gone(bob)
    admin(olga, "close")
    (bye,) = house.refused(nick="Eve")
    assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "full", True)
    stranger = house.came(Plain(house.address))
    stranger.send(b"hello\0")
    (line,) = stranger.rest()
    assert line.startswith(NOTICE)
    assert house.rich(client=bob.client).nick == "Bob"
    assert house.rich(client=ann.client).nick == "Ann"
    assert operator(house, "Otto").nick == "Otto"
    plain.send(b"still here\0")
    assert texts(olga.posts(1)) == ["still here"]
    admin(olga, "open")
    assert house.rich("Eve").nick == "Eve"


def test_a_connection_from_before_the_close_may_still_say_hello(house: Chat) -> None:
    olga, plain = operator(house), house.plain()
    admin(olga, "close")
    plain.send(b"\x1e" + encode({"type": "hello", "version": 1, "client": "x" * 16, "nick": "Eve"}))
    assert b'"nick":"Eve"' in plain.frame()


# A restart


def test_rules_survive_a_restart(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with chatting(timeline) as house:
        token = (tmp_path / "chat.db.operator").read_text().strip()
        olga, eve, bob = house.riches("Olga", "Eve", "Bob")
        admin(olga, "ban", "Eve", token=token)
        admin(olga, "ban", "127.0.0.9")
        admin(olga, "mute", "Bob", seconds=3600)
        admin(olga, "lock", "lobby")
        admin(olga, "freeze", "attic")
        admin(olga, "close")
        admin(olga, "open")
        rules = admin(olga, "list")["rules"]
    with chatting(timeline) as house:
        assert (tmp_path / "chat.db.operator").read_text().strip() == token
        assert admin(house.rich("Olga"), "list", token=token)["rules"] == rules
        banned(house, nick="Eve")
        banned(house, client=eve.client)
        assert len(elsewhere(house).rest()) == 1
        bob = house.rich(client=bob.client, rooms=["lobby", "attic"])
        assert muted(bob, "say", room="lobby", text="hear me")
        ann = house.rich("Ann", rooms=["lobby", "attic"])
        forbidden(ann, "topic", room="lobby", topic="mine")
        forbidden(ann, "say", room="attic", text="hear me")
    for file in ("chat.db.operator", "chat.db.operator.rules"):
        assert stat.S_IMODE((tmp_path / file).stat().st_mode) == 0o600
    assert eve.client not in (tmp_path / "chat.db.operator.rules").read_text()


def test_a_closed_server_stays_closed_after_a_restart(options: dict[str, Any]) -> None:
    with chatting(options=options) as house:
        ann = house.rich("Ann")
        admin(operator(house), "close")
    with chatting(options=options) as house:
        assert [event["code"] for event in house.refused(client=ann.client)] == ["full"]
        admin(operator(house), "open")
        house.rich("Ann")


def test_rules_about_guests_do_not_survive_a_restart(options: dict[str, Any]) -> None:
    with chatting(options=options) as house:
        olga, plain = operator(house), house.plain()
        plain.send(b"hello\0")
        admin(olga, "mute", olga.posts(1)[0]["author"])
    with chatting(options=options) as house:
        assert admin(operator(house), "list")["total"] == 0


def test_rules_that_cannot_be_saved_apply_and_are_reported(
    house: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    olga, eve = operator(house), house.rich("Eve")
    (tmp_path / "operator.rules.new").mkdir()
    error = olga.ask("admin", action="mute", target="Eve")
    assert (error["type"], error["code"]) == ("error", "storage")
    assert muted(eve, "say", room="lobby", text="hear me")


def test_concurrent_actions_are_all_saved(options: dict[str, Any]) -> None:
    with chatting(options=options) as house:
        operators = [operator(house, f"o{number}") for number in range(10)]
        acts = [
            gevent.spawn(admin, peer, "freeze", f"room{number}")
            for number, peer in enumerate(operators)
        ]
        gevent.joinall(acts, raise_error=True)
    with chatting(options=options) as house:
        assert admin(operator(house), "list")["total"] == 10


def test_an_action_is_saved_although_its_operator_disconnects(house: Chat) -> None:
    olga = operator(house)
    file = house.server._policy._file
    assert file is not None
    with file._saving:
        olga.tell("admin", action="ban", target="eve")
        with gevent.Timeout(5):
            while not house.server._policy.rules.in_force(time.time()):
                gevent.sleep(0.001)
        house.rich("Olga", client=olga.client)
        assert olga.closing()[-1]["code"] == "replaced"
    with gevent.Timeout(5):
        while not file.load():
            gevent.sleep(0.001)
    assert [rule.target for rule in file.load()] == ["eve"]
