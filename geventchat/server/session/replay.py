"""Replay: a client that joins or resumes receives missed posts at its own pace, then live posts.

During a replay a member is not a recipient of turns. The session's reader takes pages from the
timeline, each only when the socket has accepted the last, so each of many resuming clients holds at
most one page. A member that has caught up with its room goes live without a switch in between.
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
    """Answer a join with `joined`, replay missed posts, and make the member live. Waits."""
    room, timeline = member.room, session.timeline
    position = None
    if cursor is not None and cursor.epoch == timeline.epoch:
        oldest, newest = timeline.oldest(room.name), timeline.position(room.name)
        if oldest - 1 <= cursor.position <= newest:
            position = cursor.position
    while position is not None and position > room.position:
        # A former connection of the client got posts of the turn that is still in progress.
        if not room.after_turn(_TURN_SECONDS):
            raise Ending(INTERNAL)
    recovered = None if cursor is None else position is not None
    session.reply(joined(session, room, recovered, request_id))
    count, topic = room.count, room.topic
    try:
        _replay(session, member, position)
    except Refused as refusal:  # no membership without a complete replay
        session.hub.leave(member)
        refusal.room = room.name
        raise
    session.hub.go_live(member)
    # Changes during the replay were announced to live members only.
    if room.topic != topic:
        session.answer(events.Topic(room=room.name, topic=room.topic, by=room.topic_by))
    if room.count != count:
        session.answer(events.Presence(room=room.name, count=room.count))


def _replay(session: Session, member: Member, position: int | None) -> None:
    """Send all posts after a position, or the newest ones, until the member has caught up."""
    room, timeline = member.room, session.timeline
    if position is None:
        position = room.position
        _send(session, timeline.before(room.name, position + 1, FRESH))
    while position != room.position:
        session.check()
        posts = timeline.since(room.name, position, room.position)
        if not posts or posts[0].position != position + 1:
            raise Ending(SLOW)  # retention has deleted posts that are still to be replayed
        position = posts[-1].position
        _send(session, posts)


def joined(
    session: Session, room: Room, recovered: bool | None, request_id: str | None
) -> events.Joined:
    """Return the answer to a join with the current state of the room."""
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
    """Send a page and wait until the socket has accepted it; yield if it did at once."""
    if posts:
        encode = session.form.encode
        session.put(b"".join([encode(post) for post in posts]))
        if not session.outbox.drained(STALLED_SECONDS):
            raise Ending(SLOW)
        session.yield_if_due()
