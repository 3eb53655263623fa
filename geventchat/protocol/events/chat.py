"""Events of the chat: connecting, rooms, messages, and what operators did."""

from typing import Literal

import msgspec
from msgspec import Struct

from geventchat.protocol.events.base import Answer, Event
from geventchat.protocol.events.people import Person


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
    account: str | None = None
    """The public id of the account that is signed in."""
    session: str | None = None
    """After signing in with a password: the token to sign in with from now on; secret."""


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
    change: int = 0
    """The number of the newest change of a post; 0: there was none."""
    private: bool = False
    moderator: bool = False
    """Whether this account is a moderator of the room."""
    with_: Person | None = msgspec.field(name="with", default=None)
    """The other of a direct conversation."""
    read: int | None = None
    """How far this account has read; absent without one. `unread` and `mentions` count from it."""
    unread: int = 0
    mentions: int = 0


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
    account: str | None = None
    """The public id of the author's account."""
    change: int = 0
    """The number of its latest change in the room; 0: it was never edited or redacted."""
    redacted: bool = False
    """Whether it was taken back; its text is empty then."""
    hook: bool = False
    """Whether a webhook posted it."""


class Sent(Answer, tag="sent", frozen=True, kw_only=True):
    """A repeated say is already stored, or a direct message was queued for its recipient."""

    room: str | None = None
    key: str | None = None
    position: int | None = None
    to: str | None = None
    stored: bool | None = None
    """Of a direct message: whether it waits for the other in a conversation, `room`."""


class Presence(Event, tag="presence", frozen=True, kw_only=True):
    """A member joined, left or was renamed; in a crowded room only the count is sent."""

    room: str
    nick: str | None = None
    event: Literal["join", "leave", "rename"] | None = None
    new_nick: str | None = None
    count: int | None = None
    account: str | None = None


class Members(Answer, tag="members", frozen=True, kw_only=True):
    """Members of a room: at most 500 nicks, and the total count."""

    room: str
    nicks: list[str]
    count: int
    accounts: dict[str, str] | None = None
    """The ids of those with an account, by nick."""


class History(Answer, tag="history", frozen=True, kw_only=True):
    """Older posts, oldest first."""

    room: str
    posts: list[Post]
    complete: bool
    """Whether no older post is stored."""
    more: bool = False
    """Whether newer posts follow; set only for `after` and `around`."""


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
    account: str | None = None


class Rule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A restriction made by an operator."""

    action: str
    """`ban`, `mute`, `lock` (a room's topic), `freeze` (a room) or `close` (the server)."""
    target_type: str
    """Kind of the target: `nick`, `client`, `account`, `address`, `guest`, `room` or `server`."""
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
    note: str | None = None
    """A sentence for people: that nodes of the server did not answer, or what happens next."""


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
