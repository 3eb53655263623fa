"""Requests of operators on the wire: no field is ignored, and an answer says what it did."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conversations.chat import Chat, chatting
from tests.conversations.nodes import beside
from tests.conversations.operators import TOKEN, admin, operator


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    file = tmp_path / "operator"
    file.write_text(f"{TOKEN}\n")
    with chatting(options={"operator_file": str(file)}) as chat:
        yield chat


def refused(chat: Chat, **fields: Any) -> str:
    """Return the text of the `bad_field` error for an action that changes nothing."""
    olga = operator(chat, "Otto")
    error = olga.ask("admin", **fields)
    assert (error["type"], error.get("code")) == ("error", "bad_field")
    assert admin(olga, "list")["total"] == 0
    text: str = error["text"]
    return text


def test_recycling_is_answered_with_what_is_about_to_happen(chat: Chat) -> None:
    for each in beside(chat.server):
        each._hub.recycle = lambda: None
    note = admin(operator(chat), "recycle")["note"]
    assert note == "the workers are being replaced; the log says when each is"


@pytest.mark.parametrize("seconds", ["1h30m", "3600", 0, -1, 1.5, 10**12, [60], True, "", {}])
@pytest.mark.parametrize("action", ["ban", "mute", "freeze", "lock", "close"])
def test_seconds_that_are_no_number_of_them_are_refused(
    chat: Chat, action: str, seconds: object
) -> None:
    target = {} if action == "close" else {"target": "Eve"}
    text = refused(chat, action=action, seconds=seconds, **target)
    assert text.startswith("seconds: ")
    assert "whole number from 1 to 316224000" in text


@pytest.mark.parametrize(
    "reason", ["1h30m", "1h30m too loud", "90", "+1h spam", "１０ｍ", "an hour"]
)
@pytest.mark.parametrize("action", ["ban", "mute"])
def test_a_duration_in_the_reason_makes_no_rule_without_an_end(
    chat: Chat, action: str, reason: str
) -> None:
    chat.rich("Eve")
    fields = {"action": action, "target": "Eve", "reason": reason}
    assert refused(chat, **fields).startswith("reason: it begins like a duration")
    assert admin(operator(chat), seconds=60, **fields)["rules"][0]["until"]


@pytest.mark.parametrize("action", ["lock", "freeze"])
@pytest.mark.parametrize("room", ["1h30m", "90", "１０ｍ", "+1h"])
def test_a_duration_is_not_taken_for_a_room_unless_there_is_one(
    chat: Chat, action: str, room: str
) -> None:
    assert "nobody in a room" in refused(chat, action=action, target=room)
    chat.rich(rooms=[room])
    assert admin(operator(chat), action, room)["total"] == 1


@pytest.mark.parametrize("action", ["close", "open", "list"])
def test_an_action_on_the_whole_server_has_no_target(chat: Chat, action: str) -> None:
    assert refused(chat, action=action, target="1h30m").startswith("target: ")


@pytest.mark.parametrize(
    "action", ["kick", "unban", "unmute", "unlock", "unfreeze", "end", "open", "list"]
)
def test_an_action_that_cannot_end_by_itself_has_no_duration(chat: Chat, action: str) -> None:
    target = {} if action in ("open", "list") else {"target": "Eve"}
    chat.rich("Eve")
    assert refused(chat, action=action, seconds=60, **target).startswith("seconds: ")


def test_a_mute_of_nobody_is_refused_unless_the_nick_is_meant(chat: Chat) -> None:
    olga = operator(chat)
    error = olga.ask("admin", action="mute", target="nosuch")
    assert (error["code"], error["text"].partition(".")[0]) == (
        "no_such_nick",
        "nosuch is not online",
    )
    (rule,) = admin(olga, "mute", "nosuch", target_type="nick")["rules"]
    assert (rule["target_type"], rule["target"]) == ("nick", "nosuch")


def test_a_rule_names_its_operator_even_if_that_is_a_guest(chat: Chat) -> None:
    nameless = chat.rich(token=TOKEN)
    assert admin(nameless, "close")["rules"][0]["operator"] == "operator at 127.0.0.1"
    assert admin(operator(chat), "close")["rules"][0]["operator"] == "Olga"
