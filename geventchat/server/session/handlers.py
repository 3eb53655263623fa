"""Handlers of the requests of rich clients: one function each, and a table of them.

They run in the session's reader, which answers Refused with `error`.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from geventchat import __version__
from geventchat.protocol import events, names, requests
from geventchat.protocol.errors import QUIT, Ending, Refused
from geventchat.protocol.events import Limits
from geventchat.server.chat.room import Member
from geventchat.server.session import operator_commands, room_list
from geventchat.server.session.replay import enter, joined
from geventchat.server.session.session import Session

_FEATURES: Final = ["rooms"]
"""What every server of this version supports beyond version 1 of the protocol."""
_MEMBERS: Final = 500
"""Maximum number of nicks in `members`."""


def answer(session: Session, request: requests.AnyRequest) -> None:
    """Do what a request asks. May wait. Raises Refused, and Ending for `bye`."""
    kind = type(request)
    if session.topics_unanswered and kind not in _SUBMITTED:
        session.wait_acknowledged()  # answers come in the order of the requests
    _TABLE[kind](session, request)


def _was_here(session: Session, hello: requests.Hello) -> bool:
    """Return whether a client resumes a room, as all do after a restart, when no nick is known."""
    cursors = (hello.rooms or {}).values()
    return any(each is not None and each.epoch == session.timeline.epoch for each in cursors)


def welcome(session: Session, hello: requests.Hello) -> None:
    """Handle hello: `welcome`, then each room. Waits. Raises Ending if it is not admitted."""
    client = hashlib.blake2b(hello.client.encode(), digest_size=16).digest()
    session.form = session.link.form  # everything from here on is sent as events, `bye` included
    rejections: list[Refused] = []
    if hello.token is not None:
        try:
            session.policy.authenticate_operator(session, hello.token, "hello")
        except Refused as refusal:
            rejections.append(refusal)
    former = session.hub.nick_of_client(client)
    if not session.operator:
        try:
            session.policy.admit(session, hello, client, former)
        except Ending as ending:
            if hello.password is not None or not rejections:
                raise
            # The client relied on the token, so report what is wrong with that.
            raise Ending(replace(ending.reason, text=rejections[0].text)) from None
    if former is not None or _was_here(session, hello):
        session.policy.limiter.forgive(session.address, time.monotonic())
    session.hub.authenticate(session, client, session.link.form)
    session.policy.refresh_mute(session)
    if hello.nick is not None:
        try:
            if former is not None and names.nick(hello.nick) != former:
                session.policy.check_nick(session, hello.nick)
            session.hub.rename(session, hello.nick)
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
            features=[*_FEATURES, *session.policy.features],
            ping_seconds=limits.ping_seconds,
            limits=Limits(limits.frame_bytes, limits.rooms_per_client, names.MAX_NAME_LENGTH),
            id=hello.id,
        )
    )
    rooms = {names.LOBBY: None} if hello.rooms is None else hello.rooms
    for name, cursor in rooms.items():
        try:
            room = names.room(name)
            if room not in session.rooms:
                enter(session, session.hub.join(session, room), cursor, None)
        except Refused as refusal:
            refusal.room = name
            rejections.append(refusal)
        session.yield_if_due()
    session.hub.finish_resume(session)
    for refused in rejections:
        session.refuse(refused, None)


def _say(session: Session, request: requests.Say) -> None:
    member = session.rooms.get(request.room) or _member(session, request.room)
    session.submit(member, request.text, request.key, request.id)


def _join(session: Session, request: requests.Join) -> None:
    name = names.room(request.room)
    member = session.rooms.get(name)
    if member is not None:  # nothing to replay
        session.reply(joined(session, member.room, None, request.id))
        return
    cursor = None
    if request.epoch is not None and request.position is not None:
        cursor = requests.Cursor(request.epoch, request.position)
    enter(session, session.hub.join(session, name), cursor, request.id)


def _leave(session: Session, request: requests.Leave) -> None:
    member = _member(session, request.room)
    session.wait_acknowledged()  # its own posts come before `left`, and nothing after
    session.hub.leave(member)
    session.reply(events.Left(room=member.room.name, id=request.id))


def _nick(session: Session, request: requests.Nick) -> None:
    session.policy.check_nick(session, request.nick)
    nick = session.hub.rename(session, request.nick)
    session.policy.refresh_mute(session)
    session.reply(events.Renamed(nick=nick, id=request.id))


def _who(session: Session, request: requests.Who) -> None:
    session.yield_if_busy()
    room = _member(session, request.room).room
    nicks = session.hub.nicks_in(room, _MEMBERS)
    session.reply(events.Members(room=room.name, nicks=nicks, count=room.count, id=request.id))


def _history(session: Session, request: requests.History) -> None:
    session.yield_if_busy()
    room = _member(session, request.room).room
    end = room.position + 1
    if request.before is not None:
        end = min(end, request.before)
    posts = session.timeline.before(room.name, end, request.limit)
    oldest = session.timeline.oldest(room.name)
    complete = posts[0].position <= oldest if posts else end <= oldest
    session.reply(events.History(room=room.name, posts=posts, complete=complete, id=request.id))


def _direct(session: Session, request: requests.Direct) -> None:
    session.policy.check_speech(session)
    other = session.hub.find_rich(request.to)
    now = int(time.time() * 1000)
    other.answer(events.Direct(author=session.nick, text=request.text, time=now))
    session.reply(events.Sent(to=other.nick, id=request.id))


def _topic(session: Session, request: requests.Topic) -> None:
    member = _member(session, request.room)
    session.policy.check_topic(session, member.room.name)
    session.charge(member.room.rich_members)
    session.submit(member, request.topic, None, request.id, is_topic=True)
    session.topics_unanswered = True


def _typing(session: Session, request: requests.Typing) -> None:
    room = _member(session, request.room).room
    frozen = session.policy.frozen(room.name) and not session.operator
    if not room.crowded and not session.muted and not frozen:
        session.charge(room.rich_members)
        session.hub.tell(room, events.Typing(room=room.name, nick=session.nick), session)


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


def _member(session: Session, name: str) -> Member:
    """Return the session's membership of a room. Raises Refused `bad_room`, `not_joined`."""
    name = names.room(name)
    member = session.rooms.get(name)
    if member is None:
        raise Refused("not_joined", f"You are not in {name}. Join it first.", room=name)
    return member


_SUBMITTED: Final = requests.Say, requests.Topic
"""Requests that the timeline answers, in their order; several topics of a turn become one."""
_TABLE: Final[dict[type[requests.Request], Callable[[Session, Any], None]]] = {
    requests.Say: _say,
    requests.Join: _join,
    requests.Leave: _leave,
    requests.Nick: _nick,
    requests.Who: _who,
    requests.History: _history,
    requests.Direct: _direct,
    requests.Topic: _topic,
    requests.Typing: _typing,
    requests.Rooms: _rooms,
    requests.Ping: _ping,
    requests.Pong: _pong,
    requests.Bye: _bye,
    requests.Hello: _hello,
    requests.Admin: _admin,
}
