"""Operators: their actions, and that these do not affect other clients."""

import json
import logging
import re
import stat
import time
from pathlib import Path
from typing import Any

import gevent
import pytest

from geventchat.server.logs.records import JsonFormatter, TextFormatter
from tests.conversations.chat import Chat, chatting, drop
from tests.conversations.control import Control, beside
from tests.conversations.operators import (
    NOTICE,
    TOKEN,
    admin,
    banned,
    elsewhere,
    forbidden,
    muted,
    operator,
)
from tests.conversations.peers import Bystanders, Plain, encode, of, texts

# Operators


def test_only_a_server_with_operators_announces_admin(moderated: Chat, chat: Chat) -> None:
    assert "admin" in moderated.rich().welcome["features"]
    peer = chat.rich(token=TOKEN)
    assert "admin" not in peer.welcome["features"]
    assert [error["code"] for error in of("error", peer.greeting)] == ["forbidden"]
    assert "no operators" in forbidden(peer, "admin", action="list", token=TOKEN)


@pytest.mark.parametrize(
    "action",
    "kick ban unban mute unmute lock unlock freeze unfreeze end close open list recycle".split(),
)
def test_every_action_needs_the_token(moderated: Chat, action: str) -> None:
    ann, eve = moderated.rich_clients("Ann", "Eve")
    with beside(moderated.address) as bystanders:
        assert "Only operators" in forbidden(eve, "admin", action=action, target="Ann")
        assert "Wrong operator token." in forbidden(
            eve, "admin", action=action, target="Ann", token=TOKEN[:-1]
        )
        bystanders.check_heard()
    assert admin(operator(moderated), "list")["total"] == 0
    assert of("bye", ann.pong()) == []


def test_a_token_is_valid_for_the_rest_of_its_connection_only(moderated: Chat) -> None:
    olga, eve = moderated.rich_clients("Olga", "Eve")
    admin(olga, "list", token=TOKEN)
    admin(olga, "list")
    assert "Only operators" in forbidden(eve, "admin", action="list")
    again = moderated.rich(client=olga.client)
    assert "Only operators" in forbidden(again, "admin", action="list")


def test_a_wrong_token_in_hello_is_an_error_and_the_client_is_no_operator(moderated: Chat) -> None:
    eve = moderated.rich("Eve", token="wrong")
    (error,) = of("error", eve.greeting)
    assert (error["code"], error["text"]) == ("forbidden", "Wrong operator token.")
    assert of("joined", eve.greeting)


def test_wrong_tokens_are_limited_per_minute_and_address(options: dict[str, Any]) -> None:
    with chatting(options=options | {"trust": ()}) as moderated:
        eve, olga = moderated.rich("Eve"), moderated.rich("Olga", source="127.0.0.9")
        for _ in range(5):
            forbidden(eve, "admin", action="list", token="wrong")
        for token in ("wrong", TOKEN):
            error = eve.ask("admin", action="list", token=token)
            assert (error["code"], error["retry_ms"]) == ("slow_down", 60_000)
        admin(olga, "list", token=TOKEN)


def test_a_missing_token_does_not_count_as_a_wrong_one(options: dict[str, Any]) -> None:
    with chatting(options=options | {"trust": ()}, messages_at_once=20) as moderated:
        eve, olga = moderated.rich_clients("Eve", "Olga")
        for _ in range(9):
            forbidden(eve, "admin", action="list")
        admin(olga, "list", token=TOKEN)


def test_wrong_tokens_do_not_lock_out_the_right_password(options: dict[str, Any]) -> None:
    with chatting(options=options | {"trust": (), "password": "horse"}) as moderated:
        for _ in range(6):
            moderated.rich(password="horse", token="wrong")
        assert moderated.rich("Ann", password="horse").nick == "Ann"


def test_a_wrong_token_without_a_password_is_reported_as_such(
    options: dict[str, Any],
) -> None:
    with chatting(options=options | {"password": "horse"}) as moderated:
        (bye,) = moderated.refused(token="wrong")
        assert (bye["code"], bye["text"]) == ("password", "Wrong operator token.")


# The log


def test_each_action_is_one_audit_line_that_cannot_be_forged(
    moderated: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "geventchat.audit")
    olga, eve = operator(moderated), moderated.rich("Eve")
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


@pytest.mark.parametrize("kind", ["hello", "nick"])
def test_an_overlong_nick_does_not_delay_the_others(moderated: Chat, kind: str) -> None:
    admin(operator(moderated), "lock", "lobby")
    slow_to_normalise = "a" + "\u0301\u0316" * 16_000
    with Control(moderated.address):
        if kind == "hello":
            (error,) = of("error", moderated.rich(slow_to_normalise).greeting)
        else:
            error = moderated.rich("Eve").ask("nick", nick=slow_to_normalise)
        assert error["code"] == "bad_nick"


# Kick


def test_a_kicked_client_gets_the_reason_and_the_others_its_leave(moderated: Chat) -> None:
    olga, eve = operator(moderated), moderated.rich("Eve")
    with Bystanders(moderated.address) as bystanders:
        olga.tell("admin", action="kick", target="eve", reason="spam\nand lies", id="kick")
        heard = olga.hear(lambda event: event.get("id") == "kick")
        assert heard[-1]["connections_closed"] == 1
        bye = eve.closing()[-1]
        assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "kicked", False)
        assert bye["text"] == "Kicked by an operator: spam\nand lies"
        while not (leave := [each for each in heard if each.get("event") == "leave"]):
            heard.append(olga.event())  # on another node it may have come before the answer
        assert leave[0]["nick"] == "Eve"
        bystanders.check_heard()
    assert moderated.rich("Eve").nick == "Eve"


def test_a_plain_guest_can_be_kicked_by_its_name(moderated: Chat) -> None:
    olga, plain = operator(moderated), moderated.plain()
    plain.send(b"hello\0")
    guest = olga.posts(1)[0]["author"]
    assert admin(olga, "kick", guest)["connections_closed"] == 1
    (line,) = plain.rest()
    assert line.startswith(NOTICE)
    assert b"operator" in line


def test_kicking_a_room_spares_operators_and_does_not_delay_other_rooms(moderated: Chat) -> None:
    olga, otto = operator(moderated), operator(moderated, "Otto")
    crowd = [moderated.rich(rooms=["attic"]) for _ in range(50)]
    for peer in (olga, otto):
        peer.ask("join", room="attic")
    with Bystanders(moderated.address) as bystanders:
        assert admin(olga, "kick", "attic", target_type="room")["connections_closed"] == 50
        bystanders.check_heard()
    assert {peer.closing()[-1]["code"] for peer in crowd} == {"kicked"}
    assert sorted(olga.ask("who", room="attic")["nicks"]) == ["Olga", "Otto"]


def test_all_clients_of_an_address_can_be_kicked(moderated: Chat) -> None:
    olga, far = operator(moderated), elsewhere(moderated)
    moderated.wait_accepted()
    assert admin(olga, "kick", "127.0.0.9")["connections_closed"] == 1
    assert len(far.rest()) == 1


@pytest.mark.parametrize("target", ["Nobody", "Olga", "guest-99999", "10.0.0.0/8", "x" * 128])
def test_a_kick_that_matches_nobody_is_an_error(moderated: Chat, target: str) -> None:
    error = operator(moderated).ask("admin", action="kick", target=target)
    assert (error["type"], error["code"]) == ("error", "no_such_nick")


# Rooms


def test_only_operators_set_the_topic_of_a_locked_room(moderated: Chat) -> None:
    olga, ann = operator(moderated), moderated.rich("Ann")
    admin(olga, "lock", "LOBBY", reason="it was fine")
    assert "it was fine" in forbidden(ann, "topic", room="lobby", topic="cake")
    assert olga.ask("topic", room="lobby", topic="tea")["topic"] == "tea"
    assert ann.hear(lambda event: event["type"] == "topic")[-1]["topic"] == "tea"
    ann.say("lobby", "still here")
    assert texts(ann.posts(1)) == ["still here"]
    admin(olga, "unlock", "lobby")
    assert ann.ask("topic", room="lobby", topic="cake")["topic"] == "cake"


def test_only_operators_post_in_a_frozen_room(moderated: Chat) -> None:
    olga, ann, plain = (
        operator(moderated),
        moderated.rich("Ann", rooms=["lobby", "attic"]),
        moderated.plain(),
    )
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


def test_a_room_without_members_can_be_frozen(moderated: Chat) -> None:
    admin(operator(moderated), "freeze", "attic", seconds=60)
    ann = moderated.rich("Ann", rooms=["attic"])
    assert " until 20" in forbidden(ann, "say", room="attic", text="hear me")


# A closed server


def test_a_closed_server_admits_only_known_clients(moderated: Chat) -> None:
    olga, ann, bob = operator(moderated), moderated.rich("Ann"), moderated.rich("Bob")
    plain = moderated.plain()
    drop(bob)
    moderated.wait_disconnected(bob)
    admin(olga, "close")
    (bye,) = moderated.refused(nick="Eve")
    assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "full", True)
    stranger = moderated.track(Plain(moderated.address))
    stranger.send(b"hello\0")
    (line,) = stranger.rest()
    assert line.startswith(NOTICE)
    assert moderated.rich(client=bob.client).nick == "Bob"
    assert moderated.rich(client=ann.client).nick == "Ann"
    assert operator(moderated, "Otto").nick == "Otto"
    plain.send(b"still here\0")
    assert texts(olga.posts(1)) == ["still here"]
    admin(olga, "open")
    assert moderated.rich("Eve").nick == "Eve"


def test_a_connection_from_before_the_close_may_still_say_hello(moderated: Chat) -> None:
    olga, plain = operator(moderated), moderated.plain()
    admin(olga, "close")
    plain.send(b"\x1e" + encode({"type": "hello", "version": 1, "client": "x" * 16, "nick": "Eve"}))
    assert b'"nick":"Eve"' in plain.frame()


def test_a_closed_server_gives_its_reason(moderated: Chat) -> None:
    olga = operator(moderated)
    admin(olga, "close", reason="the party is over")
    (bye,) = moderated.refused()
    assert bye["text"] == "This server is closed to new users: the party is over"


# A restart


def test_rules_survive_a_restart(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with chatting(timeline) as moderated:
        token = (tmp_path / "chat.db.operator").read_text().strip()
        olga, eve, bob = moderated.rich_clients("Olga", "Eve", "Bob")
        admin(olga, "ban", "Eve", token=token)
        admin(olga, "ban", "127.0.0.9")
        admin(olga, "mute", "Bob", seconds=3600)
        admin(olga, "lock", "lobby")
        admin(olga, "freeze", "attic")
        admin(olga, "close")
        admin(olga, "open")
        rules = admin(olga, "list")["rules"]
    with chatting(timeline) as moderated:
        assert (tmp_path / "chat.db.operator").read_text().strip() == token
        assert admin(moderated.rich("Olga"), "list", token=token)["rules"] == rules
        banned(moderated, nick="Eve")
        banned(moderated, client=eve.client)
        assert len(elsewhere(moderated).rest()) == 1
        bob = moderated.rich(client=bob.client, rooms=["lobby", "attic"])
        assert muted(bob, "say", room="lobby", text="hear me")
        ann = moderated.rich("Ann", rooms=["lobby", "attic"])
        forbidden(ann, "topic", room="lobby", topic="mine")
        forbidden(ann, "say", room="attic", text="hear me")
    for file in ("chat.db.operator", "chat.db.operator.rules"):
        assert stat.S_IMODE((tmp_path / file).stat().st_mode) == 0o600
    assert eve.client not in (tmp_path / "chat.db.operator.rules").read_text()


def test_a_closed_server_stays_closed_after_a_restart(options: dict[str, Any]) -> None:
    with chatting(options=options) as moderated:
        ann = moderated.rich("Ann")
        admin(operator(moderated), "close")
    with chatting(options=options) as moderated:
        assert [event["code"] for event in moderated.refused(client=ann.client)] == ["full"]
        admin(operator(moderated), "open")
        moderated.rich("Ann")


def test_rules_about_guests_do_not_survive_a_restart(options: dict[str, Any]) -> None:
    with chatting(options=options) as moderated:
        olga, plain = operator(moderated), moderated.plain()
        plain.send(b"hello\0")
        admin(olga, "mute", olga.posts(1)[0]["author"])
    with chatting(options=options) as moderated:
        assert admin(operator(moderated), "list")["total"] == 0


def test_rules_that_cannot_be_saved_apply_and_are_reported(
    moderated: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    olga, eve = operator(moderated), moderated.rich("Eve")
    (tmp_path / "operator.rules.new").mkdir()
    error = olga.ask("admin", action="mute", target="Eve")
    assert (error["type"], error["code"]) == ("error", "storage")
    assert muted(eve, "say", room="lobby", text="hear me")


def test_concurrent_actions_are_all_saved(options: dict[str, Any]) -> None:
    with chatting(options=options) as moderated:
        operators = [operator(moderated, f"o{number}") for number in range(10)]
        acts = [
            gevent.spawn(admin, peer, "freeze", f"room{number}")
            for number, peer in enumerate(operators)
        ]
        gevent.joinall(acts, raise_error=True)
    with chatting(options=options) as moderated:
        assert admin(operator(moderated), "list")["total"] == 10


def test_an_action_is_saved_although_its_operator_disconnects(moderated: Chat) -> None:
    olga = operator(moderated)
    file = moderated.server._policy._file
    assert file is not None
    with file._saving:
        olga.tell("admin", action="ban", target="eve")
        with gevent.Timeout(20):
            while not moderated.server._policy.rules.in_force(time.time()):
                gevent.sleep(0.001)
        moderated.rich("Olga", client=olga.client)
        assert olga.closing()[-1]["code"] == "replaced"
    with gevent.Timeout(20):
        while not file.load():
            gevent.sleep(0.001)
    assert [rule.target for rule in file.load()] == ["eve"]
