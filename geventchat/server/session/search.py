"""Requests about search."""

from typing import Final

from geventchat.protocol import events, names, requests
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import Post
from geventchat.server.chat.room import Member
from geventchat.server.search import Place, Places
from geventchat.server.search.query import Query
from geventchat.server.session.session import Session, Table

_POSTS: Final = 50
"""Posts in an answer, unless the client says how many."""
_TRIES: Final = 3
"""How often posts are read again that may have changed while others were read."""
_COST: Final = 512
"""What a search counts against the rate limit, in members reached: two messages."""


def _search(session: Session, request: requests.Search) -> None:
    search = session.hub.search
    if search is None:
        raise Refused("forbidden", "This server has no search.")
    rooms = _rooms(session, request.room)
    members = {room: session.rooms[room] for room in rooms}
    session.charge(_COST)
    session.yield_if_busy()
    query = Query(request.text)
    limit = request.limit or _POSTS
    if not query:
        session.reply(events.Found(posts=[], complete=True, id=request.id))
        return
    found = search.find(query, rooms, author=request.author, before=request.before, limit=limit)
    before = found.before
    if found.complete and len(found.places) >= limit:
        before = found.places[-1].time
    while not _reply(session, members, found, before, request.id):
        pass  # each time it has waited, and the client has read some of what it had to


def _reply(
    session: Session,
    members: dict[str, Member],
    found: Places,
    before: int | None,
    request_id: str | None,
) -> bool:
    """Answer with the posts of the rooms that it is in, as it has been all the time. Waits.

    Returns False if one of these memberships ended, or a post was changed, meanwhile.
    """
    posts = _posts(session, [place for place in found.places if members[place.room].active])
    named = [members[room] for room in {post.room for post in posts}]
    answer = events.Found(posts=posts, complete=found.complete, before=before, id=request_id)
    try:
        return session.reply_with_posts(answer, *named)
    except Refused:
        return False


def _rooms(session: Session, name: str | None) -> dict[str, int]:
    """Return the rooms to search, each with the first position that the session may see."""
    members = session.rooms
    if name is not None:
        members = {names.room(name): session.member(name)}
    return {room: session.hidden(room) + 1 for room in members}


def _posts(session: Session, places: list[Place]) -> list[Post]:
    """Read the posts that were found, in order; without those that have changed since."""
    by_room: dict[str, list[int]] = {}
    for place in places:
        by_room.setdefault(place.room, []).append(place.position)
    read: dict[tuple[str, int], Post] = {}
    unread, timeline = list(by_room), session.timeline
    for _ in range(_TRIES):
        changes = {room: timeline.change(room) for room in by_room}
        for room in unread:
            read |= {(room, each.position): each for each in timeline.at(room, by_room[room])}
        # While one was read, what was read of another may have been redacted.
        unread = [room for room in by_room if timeline.change(room) != changes[room]]
        if not unread:
            break
    for room in unread:
        read = {place: post for place, post in read.items() if place[0] != room}
    found = ((place, read.get((place.room, place.position))) for place in places)
    return [
        post
        for place, post in found
        if post is not None and not post.redacted and post.change == place.change
    ]


TABLE: Final[Table] = {requests.Search: _search}
