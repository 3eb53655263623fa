"""What people hear, and what holds, when a change of accounts could not be stored."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from geventchat.protocol.errors import Refused
from tests.conversations.chat import Chat, chatting
from tests.conversations.devices import private_room, registered, sign_in
from tests.conversations.operators import operator
from tests.conversations.peers import Rich, of
from tests.conversations.signed_in import PASSWORD

NEW = "battery staple"


def failing(*_: object) -> None:
    raise Refused("storage", "The disk is full.")


def heard(peer: Rich, kind: str, **fields: Any) -> list[dict[str, Any]]:
    """Ask, and return what comes up to the answer, which is `error` `storage`."""
    peer.tell(kind, id="mine", **fields)
    events = peer.hear(lambda event: event.get("id") == "mine")
    assert (events[-1]["type"], events[-1]["code"]) == ("error", "storage")
    return events[:-1]


def test_a_conversation_with_an_account_that_could_not_be_stored_can_be_listed(
    tmp_path: Path,
) -> None:
    began, ended = Event(), Event()

    def hanging(*_: object) -> None:
        began.set()
        ended.wait()
        failing()

    with chatting(f"sqlite:{tmp_path}/chat.db") as chat:
        (ann,) = registered(chat, "Ann")
        bob, records = chat.rich("Bob"), chat.server._hub.people.records
        keep, records._keep = records._keep, hanging
        bob.tell("register", nick="Bob", password=PASSWORD, id="1")
        assert began.wait(5)
        ann.tell("direct", to="Bob", text="hi", id="2")
        while not chat.server._hub.people.private:
            gevent.sleep(0.01)
        records._keep = keep
        ended.set()
        assert bob.hear(lambda event: event.get("id") == "1")[-1]["type"] == "error"
        ann.hear(lambda event: event.get("id") == "2")
        records.save()
    with chatting(f"sqlite:{tmp_path}/chat.db") as chat:
        ann = chat.rich(account={"nick": "Ann", "password": PASSWORD})
        (shown,) = ann.ask("conversations")["conversations"]
        assert shown["with"]["nick"] == "Bob"


def test_who_has_changed_its_password_gets_the_token_even_if_that_is_not_on_disk(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ann,) = registered(chat, "Ann")
    with monkeypatch.context() as patched:
        patched.setattr(chat.server._hub.people.records, "_keep", failing)
        (signed_in,) = heard(ann, "password", password=PASSWORD, new_password=NEW)
    assert chat.rich(account={"session": signed_in["session"]}).nick == "Ann"


def test_who_has_a_new_nick_hears_it_even_if_that_is_not_on_disk(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ann,) = registered(chat, "Ann")
    monkeypatch.setattr(chat.server._hub.people.records, "_keep", failing)
    assert heard(ann, "nick", nick="Zoe") == [{"type": "renamed", "nick": "Zoe"}]
    ann.say("lobby", "hi")
    assert ann.posts(1)[0]["author"] == "Zoe"


def test_who_has_left_hears_it_even_if_that_is_not_on_disk(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ann,) = registered(chat, "Ann")
    phone = sign_in(chat, ann)
    assert ann.ask("join", room="tea")["type"] == "joined"
    phone.hear(lambda event: event["type"] == "joined" and event["room"] == "tea")
    monkeypatch.setattr(chat.server._hub.people.records, "_keep", failing)
    assert heard(ann, "leave", room="tea") == [{"type": "left", "room": "tea"}]
    assert [each["room"] for each in of("left", phone.pong())] == ["tea"]


def test_what_an_operator_has_done_is_audited_even_if_it_is_not_on_disk(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "geventchat.audit"), chatting(options=options) as chat:
        registered(chat, "Ann", "Bob")
        olga = operator(chat)
        monkeypatch.setattr(chat.server._hub.people.records, "_keep", failing)
        heard(olga, "accounts", action="remove", nick="Bob")
        heard(olga, "accounts", action="password", nick="Ann", password=NEW)
        text = caplog.text
    assert "account remove, target Bob" in text
    assert "account password, target Ann" in text


def test_what_is_done_in_a_private_room_is_told_even_if_it_is_not_on_disk(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The invitation holds, so asking again would change nothing and tell nobody."""
    ann, bob, cid = registered(chat, "Ann", "Bob", "Cid")
    private_room(chat, "plans", ann, bob)
    bob.pong()
    with monkeypatch.context() as patched:
        patched.setattr(chat.server._hub.people.records, "_keep", failing)
        heard(ann, "invite", room="plans", nick="Cid")
        heard(ann, "mute", room="plans", nick="Bob")
        heard(ann, "moderator", room="plans", nick="Bob")
        assert [each["room"] for each in of("invited", cid.pong())] == ["plans"]
        told = [each["type"] for each in bob.pong()]
        assert told == ["muted", "moderators"]
    assert ann.ask("invite", room="plans", nick="Cid")["type"] == "invited"


def test_a_private_room_that_an_operator_ended_is_audited_even_if_it_is_not_on_disk(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "geventchat.audit"), chatting(options=options) as chat:
        (ann,) = registered(chat, "Ann")
        private_room(chat, "plans", ann)
        olga = operator(chat)
        monkeypatch.setattr(chat.server._hub.people.records, "_keep", failing)
        heard(olga, "admin", action="end", target="plans")
        assert of("left", ann.pong())
        text = caplog.text
    assert "end, target private room 1" in text


def test_no_conversation_begins_with_an_account_that_was_removed_meanwhile(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To decide takes a while where there are other nodes."""

    with chatting(options=options) as chat:
        ann, _ = registered(chat, "Ann", "Bob")
        olga, done = operator(chat), list[dict[str, Any]]()

        @contextmanager
        def deciding(**_: object) -> Iterator[None]:
            if not done:
                done.append({})
                done.append(olga.ask("accounts", action="remove", nick="Bob"))
            yield

        monkeypatch.setattr(chat.server._timeline.nodes, "deciding", deciding)
        answer = ann.ask("open", **{"with": "Bob"})
        assert done[1]["type"] == "accounts"
        assert (answer["type"], answer.get("code")) == ("error", "no_such_nick")
        assert not chat.server._hub.people.private
