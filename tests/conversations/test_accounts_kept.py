"""Accounts, their sessions and their nicks are what they were after a kill and a restart."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from geventchat.server.people.account import FORMER_MS
from geventchat.server.people.login import UNUSED_MS
from tests.conversations.chat import chatting
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Plain, Rich, encode
from tests.conversations.signed_in import PASSWORD, device, registered
from tests.process import served

NEW = "battery staple"


def outcome(address: tuple[str, int], **given: Any) -> str:
    """Return the nick that a sign-in gives, or the code of its `bye`."""
    with Plain(address) as peer:
        hello = {"type": "hello", "version": 1, "client": "kept-client-of-a-test", "account": given}
        peer.send(b"\x1e" + encode({**hello, "nonce": "mine"}))
        event: dict[str, Any] = {}
        while event.get("nonce") != "mine" and event.get("type") != "bye":
            frame = peer.frame()
            event = json.loads(frame) if frame.startswith(b"{") else {}
        return str(event.get("code") or event["nick"])


def test_what_was_answered_before_a_kill_holds_after_it(tmp_path: Path) -> None:
    register = {"nick": "Ann", "password": PASSWORD, "register": True}
    with (
        served(tmp_path) as server,
        Rich(server.address, account=register) as laptop,
        Rich(server.address, account={"nick": "Ann", "password": PASSWORD}) as phone,
        Rich(server.address, account={**register, "nick": "Bob"}) as bob,
    ):
        listed = laptop.ask("sessions")["sessions"]
        (revoked,) = [each["id"] for each in listed if not each.get("current")]
        laptop.ask("revoke", session=revoked)
        changed = bob.ask("password", password=PASSWORD, new_password=NEW)
        server.signal(signal.SIGKILL)
        server.wait(30)
    with served(tmp_path) as server:
        assert outcome(server.address, session=laptop.welcome["session"]) == "Ann"
        assert outcome(server.address, session=phone.welcome["session"]) == "account"
        assert outcome(server.address, nick="Ann", password=PASSWORD) == "Ann"
        assert outcome(server.address, session=changed["session"]) == "Bob"
        assert outcome(server.address, session=bob.welcome["session"]) == "account"
        assert outcome(server.address, nick="Bob", password=PASSWORD) == "account"
        assert outcome(server.address, nick="Bob", password=NEW) == "Bob"


def test_a_former_nick_is_kept_over_restarts_and_is_free_when_its_time_is_over(
    tmp_path: Path,
) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with chatting(timeline) as chat:
        registered(chat, "Ann").ask("nick", nick="Anna")
    with chatting(timeline) as chat:
        assert chat.rich("Ann").nick.startswith("guest-")
        people = chat.server._hub.people
        (account,) = people.accounts.values()
        account.former["Ann"] -= FORMER_MS
        people.save(account)
    with chatting(timeline) as chat:
        assert chat.rich("Ann").nick == "Ann"
        assert chat.rich("Anna").nick.startswith("guest-")


def test_a_session_that_was_not_used_for_90_days_is_void_and_not_listed(tmp_path: Path) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with chatting(timeline) as chat:
        old = registered(chat, "Ann")
        other = chat.rich(account={"nick": "Ann", "password": PASSWORD})
        (listed, _) = other.ask("sessions")["sessions"]
        other.tell("bye")
        old.tell("bye")
        chat.wait_disconnected(old)
        people = chat.server._hub.people
        (account,) = people.accounts.values()
        (login,) = [each for each in people.logins.of(account) if each.id == listed["id"]]
        login.used -= UNUSED_MS + 1
        people.save(login)
    with chatting(timeline) as chat:
        answer = chat.refused(account={"session": old.welcome["session"]})[-1]
        assert answer["code"] == "account"
        again = device(chat, other)
        (shown,) = again.ask("sessions")["sessions"]
        assert shown["current"]


@pytest.mark.parametrize("action", ["ban", "mute"])
def test_a_rule_for_an_account_holds_after_a_restart_under_another_nick(
    tmp_path: Path, options: dict[str, Any], action: str
) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with chatting(timeline, options=options) as chat:
        ann, olga = registered(chat, "Ann"), chat.rich("Olga", token=TOKEN)
        olga.ask("admin", action=action, target="Ann")
        if action == "mute":
            olga.ask("admin", action="unmute", target="Ann")
            ann.ask("nick", nick="Anna")
            olga.ask("admin", action="mute", target="Anna")
    with chatting(timeline, options=options) as chat:
        if action == "ban":
            token = {"session": ann.welcome["session"]}
            assert chat.refused(account=token)[-1]["code"] == "banned"
        else:
            assert device(chat, ann).ask("say", room="lobby", text="Hi")["code"] == "muted"


def test_the_id_of_a_removed_account_stays_with_its_posts(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    timeline = f"sqlite:{tmp_path}/chat.db"
    with chatting(timeline, options=options) as chat:
        ann, olga = registered(chat, "Ann"), chat.rich("Olga", token=TOKEN)
        ann.say("lobby", "Hi")
        ann.posts(1)
        olga.ask("accounts", action="remove", nick="Ann")
    with chatting(timeline, options=options) as chat:
        other = registered(chat, "Ann")
        (post,) = other.ask("history", room="lobby", limit=1)["posts"]
        assert (post["author"], post["account"]) == ("Ann", ann.welcome["account"])
        assert other.welcome["account"] != ann.welcome["account"]
        assert other.ask("redact", room="lobby", position=1)["code"] == "forbidden"
