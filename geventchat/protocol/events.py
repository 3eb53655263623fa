"""Events sent to rich clients: one typed record each, `encode` and `decode`."""

from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

FRESH: Final = 50
"""The number of newest posts replayed, at most, after a `joined` that is not `recovered`."""


class Event(Struct, frozen=True, tag_field="type", omit_defaults=True, gc=False):
    """Base of all events, tagged with its `type`; fields at their default are omitted."""


class Answer(Event, frozen=True, kw_only=True):
    """An event that may be the direct reply to a request, and then carries its `id`."""

    id: str | None = None


class Limits(Struct, frozen=True):
    """Limits of the server."""

    frame_bytes: int
    rooms: int
    nick_length: int


class Welcome(Answer, tag="welcome", frozen=True, kw_only=True):
    """Accepts hello: from here on the connection is rich."""

    version: int
    nick: str
    server: str
    """Name and version."""
    features: list[str]
    """Extensions of version 1 that this server supports."""
    ping_seconds: int
    limits: Limits
    nonce: str | None = None
    """The nonce of the hello, which no other client can know."""


class Joined(Answer, tag="joined", frozen=True, kw_only=True):
    """The client is a member of the room; replayed posts follow."""

    room: str
    epoch: str
    position: int
    """Position of the newest post at that moment; 0 in an empty room."""
    oldest: int
    """Position of the oldest post still stored; 1 in an empty room."""
    recovered: bool | None
    """True: no post is missing. False: some were lost or trimmed. None: a new join."""
    count: int
    """Members, including this one."""
    topic: str = ""


class Post(Event, tag="post", frozen=True):
    """A stored message, with its position in the room."""

    room: str
    position: int
    author: str
    time: int
    """Milliseconds since 1970, UTC."""
    text: str
    key: str | None = None
    """Identifies the post to the client that sent it."""


class Sent(Answer, tag="sent", frozen=True, kw_only=True):
    """A repeated say is already stored, or a direct message was queued for its recipient."""

    room: str | None = None
    key: str | None = None
    position: int | None = None
    to: str | None = None


class Presence(Event, tag="presence", frozen=True, kw_only=True):
    """A member joined, left or was renamed; in a crowded room only the count is sent."""

    room: str
    nick: str | None = None
    event: Literal["join", "leave", "rename"] | None = None
    new_nick: str | None = None
    count: int | None = None


class Members(Answer, tag="members", frozen=True, kw_only=True):
    """Members of a room: at most 500 nicks, and the total count."""

    room: str
    nicks: list[str]
    count: int


class History(Answer, tag="history", frozen=True, kw_only=True):
    """Older posts, oldest first."""

    room: str
    posts: list[Post]
    complete: bool
    """Whether no older post is stored."""


class ListedRoom(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A room that can be found."""

    name: str
    topic: str = ""
    members: int
    """Members, as `joined` counts them; 0: it is listed for its topic."""
    position: int
    """Position of the newest post; 0 in an empty room."""


class RoomList(Answer, tag="rooms", frozen=True, kw_only=True):
    """A page of the rooms of the server, those with most members first."""

    rooms: list[ListedRoom]
    next: str | None = None
    """Where the next page begins, for `after`; None: this is the last."""


class Left(Answer, tag="left", frozen=True, kw_only=True):
    """The client is no longer a member; nothing from this room follows."""

    room: str
    reason: str | None = None


class Renamed(Answer, tag="renamed", frozen=True, kw_only=True):
    """The client's new nick."""

    nick: str


class Topic(Answer, tag="topic", frozen=True, kw_only=True):
    """The topic of a room; empty: cleared."""

    room: str
    topic: str
    by: str


class Typing(Event, tag="typing", frozen=True):
    """A member is typing."""

    room: str
    nick: str


class Direct(Event, tag="direct", frozen=True):
    """A direct message to this client."""

    author: str
    text: str
    time: int


class Rule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A restriction made by an operator."""

    action: str
    """`ban`, `mute`, `lock` (a room's topic), `freeze` (a room) or `close` (the server)."""
    target_type: str
    """Kind of the target: `nick`, `client`, `address`, `guest`, `room` or `server`."""
    target: str
    """As the operator spelled it; empty for the server."""
    operator: str
    """The nick of the operator who made it."""
    time: int
    """Created: milliseconds since 1970, UTC."""
    until: int | None = None
    """Expires: milliseconds since 1970, UTC."""
    reason: str = ""


class Admin(Answer, tag="admin", frozen=True, kw_only=True):
    """Confirms an operator action."""

    action: str
    rules: list[Rule]
    """The rules created or removed; for `list` the newest 500 in force."""
    connections_closed: int
    """Connections closed by the action."""
    total: int
    """Rules in force after the action."""


class Pong(Answer, tag="pong", frozen=True, kw_only=True):
    """Replies to ping."""


class Error(Answer, tag="error", frozen=True, kw_only=True):
    """A request failed; the connection stays open."""

    code: str
    """One of `errors.ErrorCode`, or of a later version's."""
    text: str
    """A sentence for people: what happened, then what to do."""
    room: str | None = None
    retry_ms: int | None = None
    key: str | None = None


class Ping(Event, tag="ping", frozen=True):
    """Any frame counts as the reply."""


class Bye(Answer, tag="bye", frozen=True, kw_only=True):
    """The last event of a connection."""

    code: str
    text: str
    reconnect: bool
    # Always sent, as the protocol requires: a default_factory is not omitted.
    after_ms: int = msgspec.field(default_factory=int)
    """How long to wait before reconnecting."""


AnyEvent = (
    Post
    | Presence
    | Sent
    | Typing
    | Direct
    | Joined
    | Left
    | Members
    | History
    | RoomList
    | Renamed
    | Topic
    | Welcome
    | Admin
    | Pong
    | Error
    | Ping
    | Bye
)


class _Head(Struct):
    type: str


_encoder: Final = msgspec.json.Encoder()
_event_decoder: Final = msgspec.json.Decoder(AnyEvent)
_head_decoder: Final = msgspec.json.Decoder(_Head)
_TYPES: Final = frozenset(record.__struct_config__.tag for record in get_args(AnyEvent))

encode: Final = _encoder.encode
"""Encode an event as JSON, without null byte. Never waits."""


def decode(frame: bytes) -> AnyEvent | None:
    """Decode an event; None if its type is unknown.

    Raises msgspec.DecodeError, UnicodeDecodeError or RecursionError for an invalid frame.
    """
    try:
        event: AnyEvent = _event_decoder.decode(frame)
    except msgspec.ValidationError:
        if _head_decoder.decode(frame).type in _TYPES:
            raise
        return None
    return event
