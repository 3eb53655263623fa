"""Clients of accounts."""

from typing import Any, Final

from tests.conversations.chat import Chat
from tests.conversations.peers import Rich

PASSWORD: Final = "correct horse"


def registered(chat: Chat, nick: str, **hello: Any) -> Rich:
    """Connect the first client of a new account; its welcome has the session token."""
    account = {"nick": nick, "password": PASSWORD, "register": True}
    return chat.rich(account=account, **hello)


def device(chat: Chat, first: Rich, **hello: Any) -> Rich:
    """Connect another client of the account of a client."""
    return chat.rich(account={"session": first.welcome["session"]}, **hello)


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]
