"""Commands that find messages, and show what was said around one."""

import re
from collections.abc import Iterable
from typing import Final

from geventchat.client.connection import Connection
from geventchat.client.terminal import formatting
from geventchat.client.terminal.command import Command
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.view import View

_SHOWN: Final = 20
"""Messages that are shown of a search."""
_AROUND: Final = 15
"""Messages around one of them."""


def _search(chat: Connection, view: View, text: str) -> Iterable[Line]:
    if "search" not in chat.welcome.features:
        raise NotUnderstood("This server has no search.")
    found = chat.search(text, limit=_SHOWN)
    view.found = found.posts
    lines = [
        [("class:quiet", f"{number:>3} {formatting.one_line(view.title(post.room))} "), *line]
        for number, post in enumerate(found.posts, 1)
        for line in [formatting.post(post, nick=view.nick)]
    ][::-1]
    if not found.complete:
        lines.append(formatting.notice("there may be more: it took too long"))
    if not found.posts:
        return [*lines, formatting.notice("nothing was found in your rooms")]
    return [*lines, formatting.notice("/goto NUMBER shows what was said around one")]


def _goto(chat: Connection, view: View, number: str) -> Iterable[Line]:
    if not re.fullmatch("[0-9]{1,3}", number) or not 1 <= int(number) <= len(view.found):
        raise NotUnderstood("Usage: /goto NUMBER, as /search shows it")
    post = view.found[int(number) - 1]
    history = chat.history(post.room, _AROUND, around=post.position)
    title = view.title(post.room)
    return [
        formatting.separator(f"{title}: around {formatting.local_time(post.time):%Y-%m-%d %H:%M}"),
        *(formatting.post(each, nick=view.nick) for each in history.posts if not each.redacted),
        formatting.separator(f"{title}: now" if post.room == view.current else "now"),
    ]


SEARCH_COMMANDS: Final = (
    Command("search", "TEXT", "find messages in your rooms", _search, "find grep"),
    Command("goto", "NUMBER", "show what was said around one of them", _goto),
)
