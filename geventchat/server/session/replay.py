"""Catching up: a client reads what it has missed at its own pace, then hears live, seamlessly.

While a member catches up, turns do not reach it. The session's reader takes pages from the
timeline, each only when the socket has taken the last, so a storm of clients that resume holds one
page each and no more. When the member is level with its room it goes live in the same breath.
"""

from typing import Final

from geventchat.protocol import events
from geventchat.protocol.errors import INTERNAL, SLOW, Ending, Refused
from geventchat.protocol.events import FRESH, Post
from geventchat.protocol.requests import Cursor
from geventchat.server.chat.room import Member, Room
from geventchat.server.session.session import Session
from geventchat.server.transport.outbox import STALLED_SECONDS

_TURN_SECONDS: Final = 30.0


def enter(session: Session, member: Member, cursor: Cursor | None, request_id: str | None) -> None:
    """Answer a join with `joined`, replay what is missed, and let the member hear. Waits."""
    room, timeline = member.room, session.timeline
    position = None
    if cursor is not None and cursor.epoch == timeline.epoch:
        oldest, newest = timeline.oldest(room.name), timeline.position(room.name)
        if oldest - 1 <= cursor.position <= newest:
            position = cursor.position
    while position is not None and position > room.position:
        # It heard the turn that is still going on, on a connection that is gone.
        if not room.after_turn(_TURN_SECONDS):
            raise Ending(INTERNAL)
    recovered = None if cursor is None else position is not None
    session.reply(joined(session, room, recovered, request_id))
    count, topic = room.count, room.topic
    try:
        _read_on(session, member, position)
    except Refused as refusal:  # a member who could not be made to hear is none
        session.hub.leave(member)
        refusal.room = room.name
        raise
    session.hub.go_live(member)
    # What the room was told meanwhile went to those who were live.
    if room.topic != topic:
        session.answer(events.Topic(room=room.name, topic=room.topic, by=room.topic_by))
    if room.count != count:
        session.answer(events.Presence(room=room.name, count=room.count))


def _read_on(session: Session, member: Member, position: int | None) -> None:
    """Send what was said after a position, or the newest, until the member is level."""
    room, timeline = member.room, session.timeline
    if position is None:
        position = room.position
        _send(session, timeline.before(room.name, position + 1, FRESH))
    while position != room.position:
        session.check()
        posts = timeline.since(room.name, position, room.position)
        if not posts or posts[0].position != position + 1:
            raise Ending(SLOW)  # a trim has overtaken the reader
        position = posts[-1].position
        _send(session, posts)


def joined(
    session: Session, room: Room, recovered: bool | None, request_id: str | None
) -> events.Joined:
    """Give the answer to a join as the room is now."""
    return events.Joined(
        room=room.name,
        epoch=session.timeline.epoch,
        position=room.position,
        oldest=session.timeline.oldest(room.name),
        recovered=recovered,
        count=room.count,
        topic=room.topic,
        id=request_id,
    )


def _send(session: Session, posts: list[Post]) -> None:
    """Send a page, and wait until the socket has taken it; if it did at once, others come first."""
    if posts:
        encode = session.form.encode
        session.put(b"".join([encode(post) for post in posts]))
        if not session.outbox.drained(STALLED_SECONDS):
            raise Ending(SLOW)
        session.yield_if_due()
