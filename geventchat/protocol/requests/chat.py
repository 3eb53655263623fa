"""Requests of the chat: connecting, rooms, messages, and what operators do."""

from typing import Annotated, Literal

from msgspec import Meta

from geventchat.protocol import durations
from geventchat.protocol.requests.base import Cursor, Position, Request, Secret, Token
from geventchat.protocol.requests.people import SignIn


class Hello(Request, tag="hello", frozen=True, kw_only=True):
    """Begins a rich connection."""

    version: Annotated[int, Meta(ge=1, le=2**31)]
    client: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{16,64}\Z")]
    """Secret id of one running program; at least 64 random bits."""
    nonce: Annotated[str, Meta(max_length=128)] | None = None
    nick: str | None = None
    password: Secret | None = None
    rooms: dict[str, Cursor | None] | None = None
    """Rooms to join, with the cursor to resume from; absent: the lobby."""
    token: Secret | None = None
    """The operator token, of a client that connects as an operator."""
    account: SignIn | None = None


class Say(Request, tag="say", frozen=True, kw_only=True):
    """Posts a message in a room."""

    room: str
    text: Annotated[str, Meta(min_length=1)]
    key: Token | None = None
    """Deduplicates: repeated with the same key, the message is stored once."""


class Join(Request, tag="join", frozen=True, kw_only=True):
    """Joins a room, from a position on if one is given."""

    room: str
    epoch: Token | None = None
    position: Position | None = None
    change: Position | None = None


class Leave(Request, tag="leave", frozen=True, kw_only=True):
    """Leaves a room."""

    room: str


class Nick(Request, tag="nick", frozen=True, kw_only=True):
    """Changes the nick."""

    nick: str


class Who(Request, tag="who", frozen=True, kw_only=True):
    """Lists the members of a room."""

    room: str


class History(Request, tag="history", frozen=True, kw_only=True):
    """Fetches older posts of a room."""

    room: str
    limit: Annotated[int, Meta(ge=1, le=500)]
    before: Position | None = None
    """Exclusive; absent: from the newest."""
    after: Position | None = None
    """Exclusive; the posts that follow it."""
    around: Position | None = None
    """The posts before and after it, and itself. At most one of the three is given."""


class Direct(Request, tag="direct", frozen=True, kw_only=True):
    """Sends a text to one nick: between accounts stored, else live and at most once."""

    to: str
    text: Annotated[str, Meta(min_length=1)]
    key: Token | None = None
    """As for `say`."""


class Topic(Request, tag="topic", frozen=True, kw_only=True):
    """Sets the topic of a room; empty clears it."""

    room: str
    topic: Annotated[str, Meta(max_length=500)]


Action = Literal[
    "kick", "ban", "unban", "mute", "unmute",
    "lock", "unlock", "freeze", "unfreeze", "end", "close", "open", "list", "recycle",
]  # fmt: skip
TargetType = Literal["nick", "client", "address", "room"]


class Rooms(Request, tag="rooms", frozen=True, kw_only=True):
    """Lists the rooms of the server, those with most members first."""

    prefix: Annotated[str, Meta(max_length=128)] | None = None
    """What the names begin with, in any spelling; absent: all."""
    limit: Annotated[int, Meta(ge=1, le=200)] | None = None
    """Maximum number of rooms; absent: 50."""
    after: Annotated[str, Meta(max_length=256)] | None = None
    """The `next` of the page before; absent: from the first room."""


class Admin(Request, tag="admin", frozen=True, kw_only=True):
    """Requests an operator action."""

    action: Action
    target: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """A nick, an address or network, or a room, depending on the action."""
    target_type: TargetType | None = None
    """How to interpret `target`; absent: the default of the action."""
    seconds: Annotated[int, Meta(ge=1, le=durations.MAX_SECONDS)] | None = None
    """Duration; absent: until undone."""
    reason: Annotated[str, Meta(max_length=200)] | None = None
    token: Secret | None = None
    """The operator token; absent if this connection has shown it before."""


class Typing(Request, tag="typing", frozen=True, kw_only=True):
    """Notifies a room that the user is typing."""

    room: str


class Ping(Request, tag="ping", frozen=True, kw_only=True):
    """Requests a pong."""


class Pong(Request, tag="pong", frozen=True, kw_only=True):
    """Replies to the server's ping."""


class Bye(Request, tag="bye", frozen=True, kw_only=True):
    """Closes the connection after all earlier requests are answered."""
