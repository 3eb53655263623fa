"""Replay: a client that joins or resumes receives missed posts at its own pace, then live posts.

During a replay a member is not a recipient of turns. The session's reader takes pages from the
timeline, each only when the socket has accepted the last, so each of many resuming clients holds at
most one page. A member that has caught up with its room goes live without a switch in between.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final, TypeVar

from gevent.event import AsyncResult

from geventchat.protocol import events
from geventchat.protocol.errors import INTERNAL, SLOW, Ending, Refused
from geventchat.protocol.events import FRESH, Post
from geventchat.protocol.requests import Cursor
from geventchat.server.chat.room import Member, Room
from geventchat.server.people.account import Account
from geventchat.server.people.records import wait_saved
from geventchat.server.session.session import Session
from geventchat.server.session.shield import shielded
from geventchat.server.timeline import Change
from geventchat.server.transport.outbox import STALLED_SECONDS

_TURN_SECONDS: Final = 30.0
_Sent = TypeVar("_Sent", bound=Post | Change)


def enter(session: Session, member: Member, cursor: Cursor | None, request_id: str | None) -> None:
    """Answer a join with `joined`, replay what was missed, and make the member live. Waits.

    Raises Refused `not_joined` if the membership ends before the answer, `storage`, and Ending.
    """
    room = member.room
    member.hidden = session.hidden(room.name)
    try:
        known = _known(session, member, cursor) if cursor is not None else None
        if known is None:  # what was said before a newcomer joined may be in a turn
            wait_delivered(member, member.hidden)
        recovered = None if cursor is None else known is not None
        count, topic, moderators = room.count, room.topic, _moderators(session, room)
        session.reply(joined(session, room, recovered, request_id), member)
        session.cursors.pop(room.name, None)
        _replay(session, member, known)
        session.unopened -= {room.name}
    except Refused as refusal:  # no membership without a complete replay
        session.hub.leave(member)
        refusal.room = room.name
        raise
    if not member.active:
        return
    session.hub.go_live(member)
    # Changes during the replay were announced to live members only.
    if room.topic != topic:
        session.answer(events.Topic(room=room.name, topic=room.topic, by=room.topic_by))
    if room.count != count:
        session.answer(events.Presence(room=room.name, count=room.count))
    if (present := _moderators(session, room)) != moderators:
        session.answer(events.Moderators(room=room.name, moderators=present))


def put_in_set(session: Session, account: Account, member: Member) -> None:
    """Put a room that a connection has joined into the set of its account.

    All connections of the account follow, even if this one ends meanwhile. Waits. Raises Refused
    `forbidden` and `storage`; then this one has left.
    """
    name, hub = member.room.name, session.hub

    def follow_saved(noted: "AsyncResult[Refused | None]") -> None:
        wait_saved(noted)
        hub.account_rooms.follow(account, name)

    private, membership = hub.people.private.get(name), account.memberships.get(name)
    try:
        is_newcomer = membership is None or not membership.joined
        if private is not None and private.from_join and is_newcomer:
            session.timeline.nodes.catch_up()  # what was said on other nodes before is hidden too
        with session.deciding():
            session.check()
            if not member.active:  # the account has left on another node meanwhile
                return
            noted = hub.people.records.note(hub.people.join(account, name, member.room.newest))
        shielded(partial(follow_saved, noted))
    except Refused:
        hub.leave(member)
        raise


def _moderators(session: Session, room: Room) -> list[events.Person]:
    return session.hub.people.private[room.name].moderators if room.private else []


def _known(session: Session, member: Member, cursor: Cursor) -> tuple[int, int] | None:
    """Return the position and the change that a client has of a room; None: it has to start anew.

    Waits. Raises Refused `storage`, and Ending.
    """
    room = member.room
    timeline, position = session.timeline, cursor.position
    first, last = oldest(session, room), timeline.position(room.name)
    if cursor.epoch != timeline.epoch or not first - 1 <= position <= last:
        return None
    if cursor.change is not None and cursor.change > timeline.change(room.name):
        return None
    # A former connection of the client got posts of the turn that is still in progress.
    wait_delivered(member, position)
    change = timeline.missed(room.name, position, cursor.change)
    return (position, change) if change is not None else None


def wait_delivered(member: Member, position: int) -> None:
    """Wait until the post at a position was delivered in a member's room.

    Raises Ending if no turn ends there for a long time.
    """
    room = member.room
    while position > room.position and member.active:
        if not room.after_turn(_TURN_SECONDS) and member.active:
            raise Ending(INTERNAL)


def _replay(session: Session, member: Member, known: tuple[int, int] | None) -> None:
    """Send what a member has missed until it is level with its room in posts and in changes.

    Changes come first: later posts are sent as they are now. Of what is sent already it hears the
    changes that are made meanwhile. One that it hears twice, here and in a turn, changes nothing.
    """
    room, timeline = member.room, session.timeline
    if known is None:
        position, change = room.position, room.change
        posts = timeline.before(room.name, position + 1, FRESH)
        if not member.active:
            return
        _send(session, visible(session, room.name, posts))
    else:
        position, change = known
    while change < room.change or position != room.position:
        session.check()
        page: Sequence[Post | Change]
        if change < room.change:
            changes, change = timeline.changes(room.name, change, position)
            page = visible(session, room.name, changes)
        else:
            page = posts = timeline.since(room.name, position, room.position)
            if member.active and (not posts or posts[0].position != position + 1):
                raise Ending(SLOW)  # retention has deleted posts that are still to be replayed
            position = posts[-1].position if posts else position
        if not member.active:  # its account left, or was removed, meanwhile
            return
        _send(session, page)


def joined(
    session: Session, room: Room, recovered: bool | None, request_id: str | None
) -> events.Joined:
    """Return the answer to a join with the current state of the room."""
    first, mark = oldest(session, room), None
    if session.account is not None:
        mark = session.hub.people.marks.of(session.account, room.name, first, room.position)
    membership = None
    if room.private and session.account is not None:
        membership = session.account.memberships.get(room.name)
    other = membership.other if membership is not None else None
    return events.Joined(
        room=room.name,
        epoch=session.timeline.epoch,
        position=room.position,
        oldest=first,
        read=mark.read if mark is not None else None,
        unread=mark.unread if mark is not None else 0,
        mentions=mark.mentions if mark is not None else 0,
        recovered=recovered,
        count=room.count,
        topic=room.topic,
        private=bool(room.private),
        moderator=membership is not None and membership.moderator,
        with_=other.person if other is not None else None,
        change=room.change,
        id=request_id,
    )


def oldest(session: Session, room: Room) -> int:
    """Return the position of the oldest post that a client may read."""
    return max(session.timeline.oldest(room.name), session.hidden(room.name) + 1)


def visible(session: Session, room: str, posts: Sequence[_Sent]) -> list[_Sent]:
    """Return those of some posts of a room, or of their changes, that a client may see."""
    hidden = session.hidden(room)
    return [each for each in posts if each.position > hidden]


def _send(session: Session, page: Sequence[Post | Change]) -> None:
    """Send a page and wait until the socket has accepted it; yield if it did at once."""
    if page:
        encode = session.form.encode
        session.put(b"".join([encode(each) for each in page]))
        if not session.outbox.drained(STALLED_SECONDS):
            raise Ending(SLOW)
        session.yield_if_due()
