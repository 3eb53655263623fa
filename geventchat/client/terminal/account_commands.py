"""Commands about accounts, conversations and private rooms."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from geventchat.client.connection import Connection
from geventchat.client.terminal import formatting
from geventchat.client.terminal.command import Ask, Command, SignInAgain
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.kept_session import device
from geventchat.client.terminal.view import View
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Person
from geventchat.protocol.names import GUEST
from geventchat.protocol.requests import SignIn

_SHOWN: Final = 20
"""Conversations that are listed."""


def _register(chat: Connection, view: View, nick: str = "") -> Iterable[Line]:
    _need(chat, "accounts")
    if chat.account is not None:
        raise NotUnderstood(f"You are signed in as {view.nick}; /logout first.")
    nick = nick or view.nick
    if nick.startswith(GUEST):
        raise NotUnderstood("Choose a nick: /register NICK")
    if len(nick.split()) > 1:
        raise NotUnderstood("Usage: /register [NICK]; the password is asked for")

    def register(password: str, again: str) -> Iterable[Line]:
        _check_same(password, again)
        own = chat.register(nick, password, device=device()).nick
        text = f"{own} is registered; /login {own} signs in on another device"
        return [formatting.notice(text)]

    raise Ask(f"Password for {nick}", "The same again", then=register)


def _login(chat: Connection, view: View, nick: str) -> Iterable[Line]:
    _need(chat, "accounts")
    if len(nick.split()) > 1:
        raise NotUnderstood("Usage: /login NICK; the password is asked for")

    def sign_in(password: str) -> Iterable[Line]:
        account = SignIn(nick=nick, password=password, device=device())
        former = None if view.nick.startswith(GUEST) else view.nick
        raise SignInAgain(account, nick=former, rooms=view.open_rooms)

    raise Ask(f"Password of {nick}", then=sign_in)


def _logout(chat: Connection, view: View) -> Iterable[Line]:
    if chat.account is None:
        raise NotUnderstood("You are not signed in.")
    current = next((each.id for each in chat.sessions() if each.current), None)
    raise SignInAgain(None, ends=current)


def _password(chat: Connection, view: View) -> Iterable[Line]:
    def change(password: str, new: str, again: str) -> Iterable[Line]:
        _check_same(new, again)
        chat.change_password(password, new)
        return [formatting.notice("password changed; your other sessions have ended")]

    raise Ask("Password now", "New password", "The same again", then=change)


def _sessions(chat: Connection, view: View) -> Iterable[Line]:
    view.sessions = chat.sessions()
    for number, session in enumerate(view.sessions, 1):
        connected = f"{session.connections} connected" if session.connections else "away"
        here = ", this one" if session.current else ""
        began, used = (
            f"{formatting.local_time(ms):%Y-%m-%d %H:%M}" for ms in (session.created, session.used)
        )
        what = f"{number} {session.device}".rstrip()
        text = f"{what} since {began}, used {used}, {connected}{here}"
        yield formatting.notice(text)


def _revoke(chat: Connection, view: View, number: str) -> Iterable[Line]:
    if not re.fullmatch("[0-9]{1,3}", number) or not 1 <= int(number) <= len(view.sessions):
        raise NotUnderstood("Usage: /revoke NUMBER, as /sessions shows it")
    session = view.sessions[int(number) - 1]
    if session.current:
        return _logout(chat, view)
    chat.revoke(session.id)
    return [formatting.notice(f"session {number} has ended")]


def _conversations(chat: Connection, view: View) -> Iterable[Line]:
    _need(chat, "private")
    found = chat.conversations(limit=_SHOWN).conversations
    if not found:
        return [formatting.notice("no conversations; /msg NICK TEXT begins one")]
    lines = []
    for each in found:
        unread = f", {each.unread} unread" if each.unread else ""
        posts = "1 post" if each.position == 1 else f"{each.position} posts"
        lines.append(f"@{each.with_.nick} ({posts}{unread})")
    return [*map(formatting.notice, lines), formatting.notice("/join @NICK opens one")]


def _block(chat: Connection, view: View, nick: str = "") -> Iterable[Line]:
    return _blocked(chat.block(nick) if nick else chat.blocked())


def _unblock(chat: Connection, view: View, nick: str) -> Iterable[Line]:
    return _blocked(chat.block(nick, on=False))


def _blocked(people: Iterable[Person]) -> Iterable[Line]:
    nicks = ", ".join(each.nick for each in people)
    return [formatting.notice(f"blocked: {nicks or 'nobody'}")]


def _create(chat: Connection, view: View, room: str, history: str = "all") -> Iterable[Line]:
    _need(chat, "private")
    if history not in ("all", "joined"):
        raise NotUnderstood("Usage: /create ROOM [all or joined]: what newcomers see")
    joined = chat.create(room, history="joined" if history == "joined" else "all")
    told = formatting.notice("only who is invited can join; /invite NICK invites")
    return [*view.enter(joined.room), told]


def _invite(chat: Connection, view: View, nick: str, room: str = "") -> Iterable[Line]:
    invited = chat.invite(_private(view, room), nick)
    return [formatting.notice(f"you invited {invited.nick} to {invited.room}")]


def _remove(chat: Connection, view: View, nick: str) -> Iterable[Line]:
    removed = chat.remove(_private(view, ""), nick)
    return [formatting.notice(f"{removed.nick} was removed from {removed.room}")]


def _moderator(chat: Connection, view: View, nick: str) -> Iterable[Line]:
    chat.moderator(_private(view, ""), nick)
    return []


def _unmoderator(chat: Connection, view: View, nick: str) -> Iterable[Line]:
    chat.moderator(_private(view, ""), nick, on=False)
    return []


def _private(view: View, name: str) -> str:
    room = view.room(name)
    if room is None or not room.private or room.partner:
        raise NotUnderstood("That is for private rooms; /create ROOM makes one.")
    return room.name


def _need(chat: Connection, feature: str) -> None:
    if feature not in chat.welcome.features:
        raise NotUnderstood(f"This server does not have {feature}.")


def _check_same(password: str, again: str) -> None:
    if password != again:
        raise NotUnderstood("The two were not the same; nothing was changed.")


def direct(chat: Connection, view: View, nick: str, text: str) -> Iterable[Line]:
    """Send a direct message and return the line to print. Waits like a command.

    An account hears whether it is stored, so that it waits for the other.
    """
    nick = nick.removeprefix("@")
    sent = chat.direct(nick, text)
    if sent.stored and sent.room == view.current:
        return []  # it is printed where it is said
    line = formatting.direct_sent(nick, text, datetime.now())
    if chat.account is not None and "private" in chat.welcome.features:
        told = f" (stored in @{nick})" if sent.stored else f" (not stored: {nick} is a guest)"
        line.append(("class:quiet", formatting.one_line(told)))
    return [line]


def conversation(chat: Connection, view: View, nick: str) -> str | None:
    """Open the conversation with a user and return its room; None: there can be none. Waits.

    Only two accounts have one.
    """
    if (known := view.room(f"@{nick}")) is not None:
        return known.name
    if chat.account is None or "private" not in chat.welcome.features:
        return None
    try:
        return chat.open(nick).room
    except Refused as refusal:
        if refusal.code == "no_such_nick":
            return None
        raise


ACCOUNT_COMMANDS: Final = (
    Command("register", "[NICK]", "keep a nick for yourself, with a password", _register),
    Command("login", "NICK", "sign in to an account", _login, "signin"),
    Command("logout", "", "sign out, and go on as a guest", _logout, "signout"),
    Command("password", "", "change your password", _password),
    Command("sessions", "", "list where you are signed in", _sessions),
    Command("revoke", "NUMBER", "end one of /sessions", _revoke),
    Command("conversations", "", "list your conversations", _conversations, "dms"),
    Command("block", "[NICK]", "refuse messages of a user, or list whose", _block),
    Command("unblock", "NICK", "accept them again", _unblock),
    Command("create", "ROOM [HISTORY]", "make a private room", _create),
    Command("invite", "NICK [ROOM]", "invite a user into a private room", _invite),
    Command("remove", "NICK", "moderators: remove a user from the room", _remove),
    Command("moderator", "NICK", "moderators: make a user one, too", _moderator),
    Command("unmoderator", "NICK", "moderators: undo that", _unmoderator),
)
