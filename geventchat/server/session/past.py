"""Requests for pages of the history."""

from typing import Final

from geventchat.protocol import events, requests
from geventchat.protocol.errors import ProtocolError
from geventchat.protocol.events import Post
from geventchat.server.chat.room import Member
from geventchat.server.session.replay import oldest, visible, wait_delivered
from geventchat.server.session.session import Session, Table
from geventchat.server.timeline import PAGE_BYTES, size_of

_TRIES: Final = 3
"""How often the posts around one are read if some change meanwhile."""


def _history(session: Session, request: requests.History) -> None:
    places = request.before, request.after, request.around
    if sum(place is not None for place in places) > 1:
        raise ProtocolError(
            "bad_field", "Give one of before, after and around.", request_id=request.id
        )
    session.yield_if_busy()
    member = session.member(request.room)
    wait_delivered(member, member.room.sent)  # it may have heard what others have still to hear
    while not session.reply_with_posts(_page(session, member, request), member):
        pass  # each time it has waited, and the client has read some of what it had to


def _page(session: Session, member: Member, request: requests.History) -> events.History:
    """Read the page that is asked for. Waits."""
    name, timeline = member.room.name, session.timeline
    if request.after is not None:
        after = max(request.after, oldest(session, member.room) - 1)
        end = after + 1
        posts = _after(session, member, after, request.limit)
    elif request.around is not None:
        posts = _around(session, member, request.around, request.limit)
        end = oldest(session, member.room)  # if there is no post
    else:
        end = member.room.position + 1
        if request.before is not None:
            end = min(end, request.before)
        posts = timeline.before(name, end, request.limit)
    posts = visible(session, name, posts)
    first, last = (posts[0].position, posts[-1].position) if posts else (end, member.room.position)
    onwards = request.after is not None or request.around is not None
    return events.History(
        room=name,
        posts=posts,
        complete=first <= oldest(session, member.room),
        more=onwards and last < member.room.position,
        id=request.id,
    )


def _after(session: Session, member: Member, position: int, limit: int) -> list[Post]:
    upto = min(position + limit, member.room.position)
    return session.timeline.since(member.room.name, position, upto) if position < upto else []


def _around(session: Session, member: Member, position: int, limit: int) -> list[Post]:
    """Return the posts around a position, or around the nearest that is stored."""
    name, timeline = member.room.name, session.timeline
    position = min(max(position, oldest(session, member.room)), member.room.position)
    for _ in range(_TRIES):
        change = timeline.change(name)
        older = _half(session, member, position, limit)
        newer = _after(session, member, position, limit - len(older))
        if timeline.change(name) == change:  # else an older one may have been redacted meanwhile
            return older + _rest(newer, sum(map(size_of, older)))
    return _half(session, member, position, limit)


def _half(session: Session, member: Member, position: int, limit: int) -> list[Post]:
    """Return the post at a position and those before it, so that there is room for as many more."""
    name = member.room.name
    posts = session.timeline.before(name, position + 1, limit // 2 + 1)
    posts = visible(session, name, posts)
    size = sum(map(size_of, posts))
    first = 0
    while size > PAGE_BYTES // 2 and first < len(posts) - 1:
        size -= size_of(posts[first])
        first += 1
    return posts[first:]


def _rest(posts: list[Post], size: int) -> list[Post]:
    """Return the first of some posts that fit in a page with what there is."""
    for count, post in enumerate(posts):
        size += size_of(post)
        if size > PAGE_BYTES:
            return posts[:count]
    return posts


TABLE: Final[Table] = {requests.History: _history}
