"""What the server may say to a rich client: one typed record per event, `encode` and `decode`."""

from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

FRESH: Final = 50
"""Posts that follow a `joined` at most, if it does not say `recovered`: the newest."""


class Event(Struct, frozen=True, tag_field="type", omit_defaults=True, gc=False):
    """What every event is: a record tagged with its `type`; fields at their default stay out."""


class Answer(Event, frozen=True, kw_only=True):
    """An event that may be the direct answer to a request, and then carries its `id`."""

    id: str | None = None


class Limits(Struct, frozen=True):
    """What the server accepts."""

    frame_bytes: int
    rooms: int
    nick_length: int


class Welcome(Answer, tag="welcome", frozen=True, kw_only=True):
    """Answers hello: from here on the connection is rich."""

    version: int
    nick: str
    server: str
    """Name and version."""
    features: list[str]
    """What this server can beyond version 1."""
    ping_seconds: int
    limits: Limits
    nonce: str | None = None
    """That of the hello, which no peer can know."""


class Joined(Answer, tag="joined", frozen=True, kw_only=True):
    """The client hears this room from here on; replayed posts follow."""

    room: str
    epoch: str
    position: int
    """The newest that was delivered when this was answered; 0 in an empty room."""
    oldest: int
    """The oldest that is kept; 1 in an empty room."""
    recovered: bool | None
    """True: nothing is missed. False: something was lost or trimmed. None: a fresh join."""
    count: int
    """Members, this one included."""
    topic: str = ""


class Post(Event, tag="post", frozen=True):
    """A message that has its position in a room."""

    room: str
    position: int
    author: str
    time: int
    """Milliseconds since 1970, UTC."""
    text: str
    key: str | None = None
    """The author's client knows its own post by it."""


class Sent(Answer, tag="sent", frozen=True, kw_only=True):
    """A repeated say is stored already, or a direct message was put in the other's outbox."""

    room: str | None = None
    key: str | None = None
    position: int | None = None
    to: str | None = None


class Presence(Event, tag="presence", frozen=True, kw_only=True):
    """Somebody came, went or took another nick; in a crowded room, only how many there are."""

    room: str
    nick: str | None = None
    event: Literal["join", "leave", "rename"] | None = None
    new_nick: str | None = None
    count: int | None = None


class Members(Answer, tag="members", frozen=True, kw_only=True):
    """Who is in a room: at most 500 nicks, and how many there are in all."""

    room: str
    nicks: list[str]
    count: int


class History(Answer, tag="history", frozen=True, kw_only=True):
    """Older posts, oldest first."""

    room: str
    posts: list[Post]
    complete: bool
    """Nothing older is kept."""


class Left(Answer, tag="left", frozen=True, kw_only=True):
    """Nothing of this room follows."""

    room: str
    reason: str | None = None


class Renamed(Answer, tag="renamed", frozen=True, kw_only=True):
    """The client's own nick from here on."""

    nick: str


class Topic(Answer, tag="topic", frozen=True, kw_only=True):
    """What a room is about from here on; empty: nothing in particular."""

    room: str
    topic: str
    by: str


class Typing(Event, tag="typing", frozen=True):
    """Somebody types."""

    room: str
    nick: str


class Direct(Event, tag="direct", frozen=True):
    """A text for this client alone."""

    author: str
    text: str
    time: int


class Rule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that operators have forbidden."""

    action: str
    """`ban`, `mute`, `lock` (a room's topic), `freeze` (a room) or `close` (the server)."""
    target_type: str
    """What it is about: `nick`, `client`, `address`, `guest`, `room` or `server`."""
    target: str
    """As the operator named it; empty for the server."""
    operator: str
    """The nick of who made it."""
    time: int
    """When it was made: milliseconds since 1970, UTC."""
    until: int | None = None
    """When it ends by itself, if it does."""
    reason: str = ""


class Admin(Answer, tag="admin", frozen=True, kw_only=True):
    """What an operator asked for is done."""

    action: str
    rules: list[Rule]
    """Those that were made or undone, or for `list` the newest 500 in force."""
    connections_closed: int
    """How many connections it closed."""
    total: int
    """How many rules are in force by now."""


class Pong(Answer, tag="pong", frozen=True, kw_only=True):
    """Answers ping."""


class Error(Answer, tag="error", frozen=True, kw_only=True):
    """Something the client said could not be done; the connection stays open."""

    code: str
    """One of `errors.ErrorCode`, or of a later version's."""
    text: str
    """A sentence a person can act on."""
    room: str | None = None
    retry_ms: int | None = None
    key: str | None = None


class Ping(Event, tag="ping", frozen=True):
    """Any frame answers it."""


class Bye(Answer, tag="bye", frozen=True, kw_only=True):
    """The connection ends here."""

    code: str
    text: str
    reconnect: bool
    # The contract lists it for every bye; a default made by a factory is not left out.
    after_ms: int = msgspec.field(default_factory=int)
    """When to come back."""


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
"""Give the JSON of an event, without null byte. Never waits."""


def decode(frame: bytes) -> AnyEvent | None:
    """Give the event that a frame means, or None if its type is not known here.

    Raises msgspec.DecodeError, UnicodeDecodeError or RecursionError for what is no event.
    """
    try:
        event: AnyEvent = _event_decoder.decode(frame)
    except msgspec.ValidationError:
        if _head_decoder.decode(frame).type in _TYPES:
            raise
        return None
    return event
