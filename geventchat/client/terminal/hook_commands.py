"""The command about webhooks."""

from collections.abc import Iterable
from typing import Final, cast, get_args

from geventchat.client.connection import Connection
from geventchat.client.terminal import formatting
from geventchat.client.terminal.command import Command
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.hook_report import report
from geventchat.client.terminal.view import View
from geventchat.protocol.requests import HookAction


def _hook(chat: Connection, view: View, action: str = "list", name: str = "") -> Iterable[Line]:
    action = action.casefold()
    if action not in get_args(HookAction) or (action == "revoke" and not name):
        raise NotUnderstood("Usage: /hook add [ROOM], /hook list [ROOM], /hook revoke ID")
    if "hooks" not in chat.welcome.features:
        raise NotUnderstood("This server has no webhooks.")
    known = cast(HookAction, action)
    if known == "revoke":
        done = chat.hook(known, hook=name)
    else:
        room = name.removeprefix("#") or (view.current if known == "add" else None)
        done = chat.hook(known, room=room)
    return [formatting.notice(line) for line in report(known, done)]


HOOK_COMMANDS: Final = (
    Command(
        "hook",
        "[ACTION] [NAME]",
        "webhooks: add ROOM, list [ROOM], revoke ID",
        _hook,
        "hooks webhook",
    ),
)
