"""Handlers of the requests of rich clients: one function each, and a table of them.

They run in the session's reader, which answers Refused with `error`.
"""

import hashlib
import time
from contextlib import suppress
from dataclasses import replace
from typing import Final

from geventchat import __version__
from geventchat.protocol import events, names, requests
from geventchat.protocol.errors import QUIT, Ending, Refused
from geventchat.protocol.events import Limits
from geventchat.protocol.requests import Cursor
from geventchat.server.access.policy import ACCOUNT_REQUIRED
from geventchat.server.chat.account_rooms import ELSEWHERE
from geventchat.server.people.account import Account
from geventchat.server.people.login import Login
from geventchat.server.people.records import wait_saved
from geventchat.server.session import (
    accounts,
    changes,
    directs,
    hooks,
    marks,
    operator_accounts,
    operator_commands,
    past,
    private_rooms,
    room_list,
    search,
)
from geventchat.server.session.replay import enter, joined, put_in_set
from geventchat.server.session.session import Session, Table

_FEATURES: Final = ["rooms", "accounts", "private", "edit", "redact", "marks"]
"""What every server of this version supports beyond version 1 of the protocol."""
_MEMBERS: Final = 500
"""Maximum number of nicks in `members`."""


def answer(session: Session, request: requests.AnyRequest) -> None:
    """Do what a request asks. May wait. Raises Refused, and Ending for `bye`."""
    kind = type(request)
    if session.unanswered and kind not in _SUBMITTED:
        session.wait_acknowledged()  # answers come in the order of the requests
    _TABLE[kind](session, request)


def _was_here(session: Session, hello: requests.Hello) -> bool:
    """Return whether a client resumes a room, as all do after a restart, when no nick is known."""
    cursors = (hello.rooms or {}).values()
    return any(each is not None and each.epoch == session.timeline.epoch for each in cursors)


def _known(session: Session, client: bytes) -> str | None:
    """Return the nick of a client that was here, on any node if that decides. May wait."""
    former = session.hub.owners.nick_of_client(client)
    if former is None and not session.operator and session.policy.shut() is not None:
        with accounts.storing():
            return session.timeline.nodes.known(client)
    return former


def _authenticate(session: Session, client: bytes, login: Login | None, since: float) -> str | None:
    """Have a client be on this node alone; return the nick that it had as a guest. May wait."""
    hub, nodes, guest = session.hub, session.timeline.nodes, session.nick
    with accounts.storing():
        if not nodes.alone:
            hub.owners.nicks.keep(guest)
        former = hub.owners.guest_nick(client)
        nick = nodes.enter(client, guest, former, account=login is not None, since=since)
    try:
        hub.authenticate(session, client, session.link.form, login, nick)
    except BaseException:
        if client not in hub.owners.clients:
            nodes.leave(client)
        raise
    return nick if nick != guest else None


def welcome(session: Session, hello: requests.Hello) -> None:
    """Handle hello: `welcome`, then each room. Waits. Raises Ending if it is not admitted."""
    began = time.monotonic()
    client = hashlib.blake2b(hello.client.encode(), digest_size=16).digest()
    session.form = session.link.form  # everything from here on is sent as events, `bye` included
    rejections: list[Refused] = []
    if hello.token is not None:
        try:
            session.policy.authenticate_operator(session, hello.token, "hello")
        except Refused as refusal:
            rejections.append(refusal)
    former = _known(session, client)
    if not session.operator:
        try:
            session.policy.admit(session, hello, client, former)
        except Ending as ending:
            if hello.password is not None or not rejections:
                raise
            # The client relied on the token, so report what is wrong with that.
            raise Ending(replace(ending.reason, text=rejections[0].text)) from None
    login, token, account = None, None, None
    if hello.account is not None:
        login, token = accounts.sign_in(session, hello.account, client)
        account = login.account
    elif session.policy.accounts == "required" and not session.operator:
        raise Ending(ACCOUNT_REQUIRED)
    held = _authenticate(session, client, login, began)
    former = held if former is None else former
    if former is not None or _was_here(session, hello):
        session.policy.limiter.forgive(session.address, time.monotonic())
    session.policy.check_bans(session)  # made while it signed in; later ones find it
    session.policy.refresh_mute(session)
    if hello.nick is not None and account is None:
        try:
            if former is not None and names.nick(hello.nick) != former:
                session.policy.check_nick(session, hello.nick)
            session.rename(hello.nick)
        except Refused as refusal:
            rejections.append(refusal)
    session.policy.refresh_mute(session)
    limits = session.limits
    session.answer(
        events.Welcome(
            version=1,
            nonce=hello.nonce,
            nick=session.nick,
            server=f"geventchat {__version__}",
            features=_features(session),
            ping_seconds=limits.ping_seconds,
            limits=Limits(limits.frame_bytes, limits.rooms_per_client, names.MAX_NAME_LENGTH),
            account=account.id if account is not None else None,
            session=token,
            id=hello.id,
        )
    )
    rooms: dict[str, Cursor | None] = {names.LOBBY: None} if hello.rooms is None else hello.rooms
    if account is not None:
        rooms = _rooms_of(session, account, rooms)
    for name, cursor in rooms.items():
        try:
            room = names.room(name)
            if room not in session.rooms:
                session.cursors[room] = cursor
                following = account is not None
                enter(session, session.hub.join(session, room, following=following), cursor, None)
        except Refused as refusal:
            if refusal.code == "not_joined":  # its account left while this went on
                if session.unfollow(names.fold_room(name)):
                    session.answer(events.Left(room=name, reason=ELSEWHERE))
            else:
                refusal.room = name
                rejections.append(refusal)
                if refusal.code == "storage":
                    session.unopened |= {room}
        session.yield_if_due()
    session.hub.finish_resume(session)
    for refused in rejections:
        session.refuse(refused, None)
        session.yield_if_due()
    if account is not None:
        private_rooms.repeat_invitations(session, account)
        directs.open_unread(session, account)
        follow(session)


def _features(session: Session) -> list[str]:
    search = ["search"] if session.hub.search is not None else []
    return [*_FEATURES, *search, *session.policy.features, *hooks.features(session)]


def _rooms_of(
    session: Session, account: Account, asked: dict[str, Cursor | None]
) -> dict[str, Cursor | None]:
    """Return the rooms of an account with the cursors of hello; what else it named is `left`.

    May wait: a hello may name thousands.
    """
    rooms: dict[str, Cursor | None] = {}
    for name, cursor in asked.items():
        session.yield_if_due()
        with suppress(Refused):
            room = names.room(name)
            if account.is_in(room):
                rooms[room] = cursor
                continue
        session.answer(events.Left(room=name, reason=ELSEWHERE))
    return rooms | {room: None for room in account.rooms if room not in rooms}


def follow(session: Session) -> None:
    """Join the rooms that the account of a session has joined on another connection. Waits."""
    while session.to_follow:
        name = next(iter(session.to_follow))
        session.to_follow.pop(name)
        if name in session.rooms:
            continue
        try:
            cursor = session.cursors.get(name)
            enter(session, session.hub.join(session, name, following=True), cursor, None)
        except Refused as refusal:
            if refusal.code != "not_joined":
                refusal.room = name
                session.cursors.setdefault(name, None)
                if refusal.code == "storage":
                    session.unopened |= {name}
                session.refuse(refusal, None)


def _say(session: Session, request: requests.Say) -> None:
    member = session.rooms.get(request.room) or session.member(request.room)
    session.submit(member, request.text, request.key, request.id)


def _join(session: Session, request: requests.Join) -> None:
    name = names.room(request.room)
    member = session.rooms.get(name)
    if member is not None:  # nothing to replay
        session.reply(joined(session, member.room, None, request.id), member)
        return
    try:
        _enter(session, name, request)
    except Refused as refusal:  # a client that asks for a room again has to know which one it is
        refusal.room = name
        raise


def _enter(session: Session, name: str, request: requests.Join) -> None:
    cursor = None
    if request.epoch is not None and request.position is not None:
        cursor = requests.Cursor(request.epoch, request.position, request.change)
    try:
        member = session.hub.join(session, name)
    except Refused as refusal:
        if refusal.code != "forbidden" or session.account is None or session.timeline.nodes.alone:
            raise
        session.timeline.nodes.catch_up()  # it may have been invited on another one
        member = session.hub.join(session, name)
    if session.account is not None:
        put_in_set(session, session.account, member)
    enter(session, member, cursor, request.id)


def _leave(session: Session, request: requests.Leave) -> None:
    name, account = names.room(request.room), session.account
    session.unopened -= {name}
    if account is None or name not in account.memberships:  # else it may be invited
        session.member(name)
    session.wait_acknowledged()  # its own posts come before `left`, and nothing after
    if account is not None:
        _leave_set(session, account, name)
    if (member := session.rooms.get(name)) is not None:
        session.hub.leave(member)
    session.reply(events.Left(room=name, id=request.id))


def _leave_set(session: Session, account: Account, room: str) -> None:
    """Take a room out of the set of an account; a conversation is only closed. Waits."""
    if room not in account.memberships:
        return
    hub = session.hub
    with session.deciding():
        session.check()
        membership = account.memberships.get(room)
        if membership is None:  # left on another connection meanwhile
            return
        changed = [membership]
        if names.is_conversation(room):
            hub.account_rooms.close(membership, session)
        else:
            changed = hub.account_rooms.depart(membership, ELSEWHERE, session)
        noted = hub.people.records.note(*changed)
    try:
        wait_saved(noted)
    except Refused:  # it holds, and the other connections have heard it
        session.answer(events.Left(room=room))
        raise


def _nick(session: Session, request: requests.Nick) -> None:
    session.policy.check_nick(session, request.nick)
    if session.account is None:
        nick = session.rename(request.nick)
        session.policy.refresh_mute(session)
    else:
        with session.deciding():
            nick = _rename_account(session, session.account, request.nick)
    session.reply(events.Renamed(nick=nick, id=request.id))


def _rename_account(session: Session, account: Account, text: str) -> str:
    """Change the nick of an account, on all of its connections, and save it; return it. Waits."""
    hub = session.hub
    nick = hub.check_rename(session, text)
    with session.reserving(nick):
        session.policy.check_nick_ban(session, nick)  # made while this waited
        hub.rename(session, nick)
        session.policy.refresh_mute(session)
        for other in hub.devices.connected(account):
            if other is not session:
                session.policy.refresh_mute(other)
                other.answer(events.Renamed(nick=nick))
        try:
            hub.people.save(account)
        except Refused:  # others have heard it already
            session.answer(events.Renamed(nick=nick))
            raise
    return nick


def _who(session: Session, request: requests.Who) -> None:
    session.yield_if_busy()
    member = session.member(request.room)
    room = member.room
    nicks = session.hub.nicks_in(room, _MEMBERS)
    accounts = {nick: account for nick, account in nicks.items() if account is not None}
    session.reply(
        events.Members(
            room=room.name,
            nicks=list(nicks),
            count=room.count,
            accounts=accounts or None,
            id=request.id,
        ),
        member,
    )


def _topic(session: Session, request: requests.Topic) -> None:
    member = session.member(request.room)
    private_rooms.check_topic(session, member.room)
    session.policy.check_topic(session, member.room.name)
    session.charge(member.room.rich_members)
    session.submit(member, request.topic, None, request.id, kind="topic")
    session.unanswered = True


def _typing(session: Session, request: requests.Typing) -> None:
    room = session.member(request.room).room
    if not room.crowded and not session.muted:
        with suppress(Refused):
            session.policy.check_speech(session, room.name)
            session.charge(room.rich_members)
            session.hub.typing(room, session)


def _rooms(session: Session, request: requests.Rooms) -> None:
    session.yield_if_busy()
    session.reply(room_list.page(session, request))


def _ping(session: Session, request: requests.Ping) -> None:
    session.reply(events.Pong(id=request.id))


def _pong(session: Session, request: requests.Pong) -> None:
    """Do nothing: any input counts as a sign of life."""


def _bye(session: Session, request: requests.Bye) -> None:
    session.wait_acknowledged()
    session.bye_id = request.id
    raise Ending(QUIT)


def _admin(session: Session, request: requests.Admin) -> None:
    session.reply(operator_commands.run(session, request))


def _hello(session: Session, request: requests.Hello) -> None:
    raise Refused("forbidden", "Only the first message may be hello.")


_SUBMITTED: Final = requests.Say, requests.Topic, requests.Edit, requests.Redact
"""Requests that the timeline answers, in their order; several topics of a turn become one."""
_TABLE: Final[Table] = {
    requests.Say: _say,
    requests.Join: _join,
    requests.Leave: _leave,
    requests.Nick: _nick,
    requests.Who: _who,
    requests.Topic: _topic,
    requests.Typing: _typing,
    requests.Rooms: _rooms,
    requests.Ping: _ping,
    requests.Pong: _pong,
    requests.Bye: _bye,
    requests.Hello: _hello,
    requests.Admin: _admin,
    **accounts.TABLE,
    **operator_accounts.TABLE,
    **directs.TABLE,
    **private_rooms.TABLE,
    **marks.TABLE,
    **changes.TABLE,
    **past.TABLE,
    **search.TABLE,
    **hooks.TABLE,
}
