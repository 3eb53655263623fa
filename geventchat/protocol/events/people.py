"""Events about accounts, about who is in a room, and about what a person has read."""

from msgspec import Struct, field

from geventchat.protocol.events.base import Answer


class Person(Struct, frozen=True, gc=False):
    """An account as others see it."""

    nick: str
    account: str
    """Its public id, which never changes."""


class SignedIn(Answer, tag="signed_in", frozen=True, kw_only=True):
    """The connection is now one of this account."""

    nick: str
    account: str
    session: str
    """The token to sign in with from now on; secret."""


class Session(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session of an account: from a sign-in with the password until it is revoked."""

    id: str
    created: int
    """Milliseconds since 1970, UTC; `used` too."""
    used: int
    device: str = ""
    """What the client called itself when it signed in."""
    connections: int = 0
    """How many connections it has now."""
    current: bool = False
    """Whether this connection is one of them."""


class Sessions(Answer, tag="sessions", frozen=True, kw_only=True):
    """The sessions of one's account."""

    sessions: list[Session]


class Account(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account as operators see it."""

    nick: str
    account: str
    created: int
    """Milliseconds since 1970, UTC."""
    connections: int = 0


class Accounts(Answer, tag="accounts", frozen=True, kw_only=True):
    """Accounts by nick: those asked for, or the one that was added, removed or changed."""

    accounts: list[Account]
    next: str | None = None
    """The `nick` for the next page; None: this is the last."""


class Invited(Answer, tag="invited", frozen=True, kw_only=True):
    """Somebody was invited into a private room; sent to who invites and who is invited."""

    room: str
    nick: str
    """Who is invited, with `account`."""
    account: str
    by: str


class Removed(Answer, tag="removed", frozen=True, kw_only=True):
    """Answers `remove`."""

    room: str
    nick: str


class Moderators(Answer, tag="moderators", frozen=True, kw_only=True):
    """The moderators of a private room, whenever they change."""

    room: str
    moderators: list[Person]


class Muted(Answer, tag="muted", frozen=True, kw_only=True):
    """A member of a private room may not post there, or may again; sent to all its members."""

    room: str
    nick: str
    by: str
    on: bool
    until: int | None = None
    """Milliseconds since 1970, UTC; None: until undone."""


class Conversation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A direct conversation."""

    room: str
    with_: Person = field(name="with")
    position: int
    """Position of the newest post."""
    read: int = 0
    unread: int = 0
    closed: bool = False
    """Whether one has left it: it opens when something new is said."""


class Conversations(Answer, tag="conversations", frozen=True, kw_only=True):
    """A page of one's conversations, the latest first."""

    conversations: list[Conversation]
    next: str | None = None
    """Where the next page begins, for `after`; None: this is the last."""


class Blocked(Answer, tag="blocked", frozen=True, kw_only=True):
    """Whom one has blocked."""

    blocked: list[Person]


class Read(Answer, tag="read", frozen=True, kw_only=True):
    """How far one's account has read a room; sent to all its connections."""

    room: str
    position: int
    unread: int = 0
    mentions: int = 0


class Hook(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A webhook."""

    id: str
    room: str
    by: str
    """Who made it."""
    created: int
    """Milliseconds since 1970, UTC."""
    token: str | None = None
    """The end of its address, shown only when it is made."""
    url: str | None = None
    """With `token`: its address, as the server knows it; behind a proxy it has another host."""


class Hooks(Answer, tag="hooks", frozen=True, kw_only=True):
    """Webhooks: those asked for, or the one that was made or revoked."""

    hooks: list[Hook]
