"""Slash commands.

Add a command to the table at the end: /help, completion and argument parsing follow from it.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final, cast

from geventchat.client.connection import Connection
from geventchat.client.terminal import formatting, posts
from geventchat.client.terminal.account_commands import ACCOUNT_COMMANDS, conversation, direct
from geventchat.client.terminal.admin_report import report
from geventchat.client.terminal.command import KINDS, Command, Quit, Say
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.hook_commands import HOOK_COMMANDS
from geventchat.client.terminal.search_commands import SEARCH_COMMANDS
from geventchat.client.terminal.view import View
from geventchat.protocol import durations
from geventchat.protocol.events import ListedRoom
from geventchat.protocol.names import fold
from geventchat.protocol.requests import Action, TargetType


def _help(chat: Connection, view: View, command: str = "") -> Iterable[Line]:
    if command:
        name = command.removeprefix("/").casefold()
        if name not in COMMANDS:
            raise NotUnderstood(f"Unknown command /{name}; see /help.")
        commands = [COMMANDS[name]]
    else:
        commands = list(dict.fromkeys(COMMANDS.values()))
    shown = [(each.usage, each.help) for each in commands]
    for name, kind in KINDS.items():
        if any(name in each.arguments for each in commands):
            shown.append((kind.usage, kind.help))
    if not command:
        shown += _MORE_HELP
    elif commands[0].aliases:
        shown.append(("also", " ".join(f"/{name}" for name in commands[0].aliases.split())))
    width = max(len(usage) for usage, _ in shown)
    return [formatting.notice(f"{usage:{width}}  {text}") for usage, text in shown]


def _nick(chat: Connection, view: View, nick: str) -> Iterable[Line]:
    chat.rename(nick)
    return []


def _join(chat: Connection, view: View, room: str) -> Iterable[Line]:
    room = _room_name(room, view)
    known = view.room(room)
    if known is None and room.startswith("@"):
        return view.enter(chat.open(room[1:]).room)
    return view.enter(known.name if known is not None else chat.join(room).room)


def _leave(chat: Connection, view: View, room: str = "") -> Iterable[Line]:
    if view.partner and not room:
        return _query(chat, view)
    chat.leave(_room_name(room, view))
    return []


def _who(chat: Connection, view: View, room: str = "") -> Iterable[Line]:
    members = chat.who(_room_name(room, view))
    view.members(members)
    nicks = ", ".join(sorted(members.nicks, key=fold))
    more = members.count - len(members.nicks)
    others = f" and {more} more" if more > 0 else ""
    return [formatting.notice(f"{view.title(members.room)}: {nicks}{others}")]


def _msg(chat: Connection, view: View, nick: str, text: str = "") -> Iterable[Line]:
    if text:
        return direct(chat, view, nick, text)
    room = conversation(chat, view, nick.removeprefix("@"))
    return view.enter(room) if room else _query(chat, view, nick)


def _query(chat: Connection, view: View, nick: str = "", text: str = "") -> Iterable[Line]:
    if not nick and not view.partner:
        raise NotUnderstood("Usage: /query NICK [TEXT]")
    lines = list(direct(chat, view, nick, text)) if text else []
    nick = nick.removeprefix("@")
    before, view.partner = view.partner, nick
    if nick:
        unseen = "" if _may_be_here(view, nick) else f"{nick} is in none of your rooms; "
        told = f"{unseen}what you type goes to {nick} alone; /query without a nick ends that"
    else:
        told = f"what you type no longer goes to {before}, but to {view.current or 'no room'}"
    return [*lines, formatting.notice(told)]


def _may_be_here(view: View, nick: str) -> bool:
    """Whether a user is in one of the rooms, as far as their members are known."""
    return any(
        room.count > len(room.nicks) or fold(nick) in map(fold, room.nicks)
        for room in view.rooms.values()
    )


def _me(chat: Connection, view: View, text: str) -> Iterable[Line]:
    raise Say(f"{formatting.ACTION}{text}")


def _say(chat: Connection, view: View, text: str) -> Iterable[Line]:
    raise Say(text)


def _history(chat: Connection, view: View, count: str = "20") -> Iterable[Line]:
    room = view.room()
    if room is None or not re.fullmatch("[0-9]{1,3}", count) or not 1 <= int(count) <= 500:
        raise NotUnderstood("Usage: /history [COUNT], a number from 1 to 500, in a room.")
    history = chat.history(room.name, int(count), room.oldest)
    if not history.posts:
        return [formatting.notice("no older posts")]
    first = [formatting.separator(f"{room.title}: older posts")]
    return [
        *first,
        *view.older(room, history.posts),
        formatting.separator(f"{room.title}: now"),
    ]


def _rooms(chat: Connection, view: View) -> Iterable[Line]:
    for number, room in enumerate(view.rooms.values(), 1):
        here = "current, " if room.name == view.current else ""
        unread = f", {room.unread} unread" if room.unread else ""
        topic = f": {room.topic}" if room.topic else ""
        yield formatting.notice(f"{number} {room.title} ({here}{room.count} here{unread}){topic}")


def _list(chat: Connection, view: View, prefix: str = "") -> Iterable[Line]:
    if prefix.startswith("#") and len(prefix) > 1:  # as in /join
        prefix = prefix[1:]
    lines = _page_of_rooms(chat, view, prefix, None)
    none = f"no room here begins with {prefix}" if prefix else "no room can be found here"
    return lines or [formatting.notice(none)]


def _more(chat: Connection, view: View) -> Iterable[Line]:
    if view.more_rooms is None:
        raise NotUnderstood("There are no more; /list begins with the first.")
    return _page_of_rooms(chat, view, *view.more_rooms) or [formatting.notice("no more rooms")]


def _page_of_rooms(chat: Connection, view: View, prefix: str, after: str | None) -> list[Line]:
    if "rooms" not in chat.welcome.features:
        raise NotUnderstood("This server cannot list its rooms.")
    page = chat.list_rooms(prefix, limit=_ROOMS_SHOWN, after=after)
    while page.next and not page.rooms:
        page = chat.list_rooms(prefix, limit=_ROOMS_SHOWN, after=page.next)
    view.more_rooms = (prefix, page.next) if page.next else None
    lines = [formatting.notice(_found(room, view)) for room in page.rooms]
    if page.next:
        lines.append(formatting.notice("/more shows the next rooms; /join ROOM joins one"))
    return lines


def _found(room: ListedRoom, view: View) -> str:
    joined = "joined, " if view.room(room.name) is not None else ""
    members = f"{room.members} here" if room.members else "nobody here"
    more = "…" if len(room.topic) > _TOPIC_SHOWN else ""
    topic = f": {room.topic[:_TOPIC_SHOWN]}{more}" if room.topic else ""
    return f"{room.name} ({joined}{members}){topic}"


def _topic(chat: Connection, view: View, text: str = "") -> Iterable[Line]:
    if text:
        posts.check_says_here(view)
        chat.topic(view.current, "" if text.strip().casefold() == "-delete" else text)
        return []
    room = view.room()
    return [formatting.notice(room.topic if room and room.topic else "no topic is set")]


def _ignore(chat: Connection, view: View, nick: str = "") -> Iterable[Line]:
    if not nick:
        return [formatting.notice(f"ignored: {', '.join(sorted(view.ignored)) or 'nobody'}")]
    if fold(nick) in view.ignored:
        return _unignore(chat, view, nick)
    if fold(nick) == fold(view.nick):
        raise NotUnderstood("That is your own nick.")
    view.ignored.add(fold(nick))
    told = f"ignoring {nick} until you quit, under a new nick too; /unignore {nick} to undo"
    return [formatting.notice(told)]


def _unignore(chat: Connection, view: View, nick: str) -> Iterable[Line]:
    if fold(nick) not in view.ignored:
        raise NotUnderstood(f"{nick} is not ignored; /ignore lists who is.")
    view.ignored.remove(fold(nick))
    return [formatting.notice(f"no longer ignoring {nick}")]


def _admin_command(action: Action) -> Callable[..., Iterable[Line]]:
    """Return the command for an operator action."""

    def run(
        chat: Connection,
        view: View,
        nick: str | None = None,
        target: str | None = None,
        room: str | None = None,
        target_type: str | None = None,
        time: str | None = None,
        reason: str | None = None,
    ) -> Iterable[Line]:
        if action in _OF_ROOMS:
            room = _room_name(room or "", view)
        last = (room if view.room(room or "") is None else "") if action in _OF_ROOMS else reason
        if last and action in _TIMED and durations.begins_like_one(last):
            text = f"{durations.shown(last)} is not a valid duration."
            raise NotUnderstood(f"{text} TIME is {durations.FORMS}.")
        try:
            seconds = durations.seconds(time) if time else None
        except ValueError as error:
            raise NotUnderstood(f"{error}.") from None
        here = view.room()
        moderates = action in ("mute", "unmute") and here is not None and here.moderator
        if moderates and here is not None and target is not None and target_type is None:
            chat.mute(here.name, target, on=action == "mute", seconds=seconds)
            return []
        done = chat.admin(
            action,
            nick or target or room,
            target_type=cast(TargetType | None, target_type and target_type.lower()),
            seconds=seconds,
            reason=reason,
        )
        return [formatting.notice(line) for line in report(done)]

    return run


def _room_name(typed: str, view: View) -> str:
    """Return the room that was meant, by default the current one: `#dev` is dev, as on IRC."""
    if typed and (room := view.room(typed)) is not None:
        return room.name
    if typed.startswith("#") and len(typed) > 1:
        return typed[1:]
    return typed or view.current


def _quit(chat: Connection, view: View) -> Iterable[Line]:
    raise Quit


_ROOMS_SHOWN: Final = 20
"""Rooms on a page of /list: with their topics they fit most terminals."""
_TOPIC_SHOWN: Final = 100
"""Characters of a topic there."""
_OF_ROOMS: Final = ("lock", "unlock", "freeze", "unfreeze", "end")
_TIMED: Final = ("ban", "mute", "lock", "freeze", "close")
_MORE_HELP: Final = (
    ("//TEXT", "send text that begins with a slash"),
    ("Alt-1 to Alt-9", "go to a room by its number in /rooms"),
    ("Alt-Left, Alt-Right", "go to the room before, the next: Ctrl-P, -N"),
    ("Alt-A", "go to a room with unread messages"),
    ("q", "quit; also Ctrl-D, Ctrl-C in an empty line"),
)
COMMANDS: Final = {
    name: command
    for command in (
        Command("help", "[COMMAND]", "list commands", _help, "h ? commands"),
        Command("nick", "NICK", "change your nick", _nick),
        Command("join", "ROOM", "join a room, or switch to one you are in", _join, "j room"),
        Command("leave", "[ROOM]", "leave a room; default: this one", _leave, "part"),
        Command("who", "[ROOM]", "list the members of a room", _who, "names n w users"),
        Command(
            "msg",
            "NICK [TEXT]",
            "send a direct message, or begin one",
            _msg,
            "m dm pm tell whisper privmsg notice",
        ),
        Command("query", "[NICK] [TEXT]", "send what you type to one user alone", _query, "q"),
        Command("me", "TEXT", "say what you do: * anna TEXT", _me),
        Command("say", "TEXT", "send a text, whatever it begins with", _say),
        Command("history", "[COUNT]", "show older posts of this room", _history),
        Command("edit", "[POST] TEXT", "correct your last message", posts.edit),
        Command("redact", "[POST]", "take back your last message", posts.redact),
        Command("recent", "[NICK]", "list the newest messages, numbered", posts.recent),
        Command("rooms", "", "list your rooms", _rooms, "ls"),
        Command("list", "[PREFIX]", "find rooms on this server", _list),
        Command("more", "", "show more rooms of /list", _more),
        Command("topic", "[TEXT]", "show or set the topic; -delete removes it", _topic, "t"),
        *SEARCH_COMMANDS,
        *ACCOUNT_COMMANDS,
        *HOOK_COMMANDS,
        Command("ignore", "[NICK]", "hide a user, or list who is hidden", _ignore, "ig"),
        Command("unignore", "NICK", "stop ignoring a user", _unignore),
        Command("kick", "NICK [REASON]", "operators: disconnect a user", _admin_command("kick")),
        Command(
            "ban",
            "TARGET [TIME] [REASON]",
            "operators: ban a user or an address",
            _admin_command("ban"),
        ),
        Command("unban", "TARGET", "operators: lift a ban", _admin_command("unban")),
        Command("mute", "TARGET [TIME] [REASON]", "operators: mute a user", _admin_command("mute")),
        Command("unmute", "TARGET", "operators: unmute a user", _admin_command("unmute")),
        Command("lock", "[ROOM] [TIME]", "operators: lock the topic", _admin_command("lock")),
        Command("unlock", "[ROOM]", "operators: unlock the topic", _admin_command("unlock")),
        Command(
            "freeze",
            "[ROOM] [TIME]",
            "operators: let only operators post",
            _admin_command("freeze"),
        ),
        Command(
            "unfreeze", "[ROOM]", "operators: let everyone post again", _admin_command("unfreeze")
        ),
        Command("end", "ROOM", "operators: end a private room", _admin_command("end")),
        Command("close", "[TIME]", "operators: refuse new users", _admin_command("close")),
        Command("open", "", "operators: accept new users again", _admin_command("open")),
        Command("recycle", "", "operators: replace the workers", _admin_command("recycle")),
        Command("rules", "", "operators: list the rules in force", _admin_command("list")),
        Command("quit", "", "quit", _quit, "exit bye signoff"),
    )
    for name in (command.name, *command.aliases.split())
}
"""By name and alias, in the order of /help."""
