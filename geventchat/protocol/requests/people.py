"""Requests about accounts, about who is in a room, and about what a person has read."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from geventchat.protocol import durations
from geventchat.protocol.requests.base import Device, Position, Request, Secret, Token

MIN_PASSWORD: Final = 8
MAX_PASSWORD: Final = 1024
Password = Annotated[str, Meta(min_length=MIN_PASSWORD, max_length=MAX_PASSWORD)]
"""The password of an account."""


HookAction = Literal["add", "list", "revoke"]


class SignIn(Struct, frozen=True, omit_defaults=True):
    """What a hello signs in with: a nick and its password, or the token of a session."""

    nick: str | None = None
    password: Secret | None = None
    session: Secret | None = None
    register: bool = False
    """Whether to make the account, with this nick and password."""
    device: Device | None = None
    """What the new session is called; without a password it changes nothing."""


class Register(Request, tag="register", frozen=True, kw_only=True):
    """Makes the nick one's own."""

    nick: str
    password: Password
    device: Device | None = None
    """What the session is called."""


class ChangePassword(Request, tag="password", frozen=True, kw_only=True):
    """Changes the password of one's account; all its other sessions end."""

    password: Secret
    new_password: Password


class Sessions(Request, tag="sessions", frozen=True, kw_only=True):
    """Lists the sessions of one's account."""


class Revoke(Request, tag="revoke", frozen=True, kw_only=True):
    """Ends a session of one's account, and its connections."""

    session: Token
    """The `id` of the session in `sessions`."""


class Accounts(Request, tag="accounts", frozen=True, kw_only=True):
    """Lists, makes, removes or changes accounts: for operators."""

    action: Literal["list", "add", "remove", "password"]
    nick: Annotated[str, Meta(max_length=128)] | None = None
    """Whose; with `list`: where the page begins, exclusive."""
    password: Password | None = None
    token: Secret | None = None
    """The operator token; absent if this connection has shown it before."""


class Create(Request, tag="create", frozen=True, kw_only=True):
    """Makes a private room, and joins it."""

    room: str
    private: Literal[True] = True
    history: Literal["all", "joined"] | None = None
    """What newcomers see of it; absent: all."""


class Invite(Request, tag="invite", frozen=True, kw_only=True):
    """Invites an account into a private room."""

    room: str
    nick: str


class Remove(Request, tag="remove", frozen=True, kw_only=True):
    """Removes an account from a private room, or withdraws its invitation."""

    room: str
    nick: str


class Moderator(Request, tag="moderator", frozen=True, kw_only=True):
    """Makes a member a moderator of a private room, or no longer."""

    room: str
    nick: str
    on: bool = True


class Mute(Request, tag="mute", frozen=True, kw_only=True):
    """Mutes a member of a private room, or no longer: for its moderators."""

    room: str
    nick: str
    on: bool = True
    seconds: Annotated[int, Meta(ge=1, le=durations.MAX_SECONDS)] | None = None
    """Duration; absent: until undone."""


class Open(Request, tag="open", frozen=True, kw_only=True):
    """Joins the conversation with an account, which begins if there is none."""

    with_: str = field(name="with")


class Conversations(Request, tag="conversations", frozen=True, kw_only=True):
    """Lists one's conversations, the latest first."""

    limit: Annotated[int, Meta(ge=1, le=200)] | None = None
    """Maximum number of conversations; absent: 50."""
    after: Annotated[str, Meta(max_length=256)] | None = None
    """The `next` of the page before; absent: from the first."""


class Block(Request, tag="block", frozen=True, kw_only=True):
    """Refuses direct messages and invitations of an account, or no longer."""

    nick: Annotated[str, Meta(max_length=128)]
    on: bool = True


class Read(Request, tag="read", frozen=True, kw_only=True):
    """Notes how far one's account has read a room."""

    room: str
    position: Position


class Hook(Request, tag="hook", frozen=True, kw_only=True):
    """Makes, lists or revokes webhooks: for operators, and for moderators of their rooms."""

    action: HookAction
    room: str | None = None
    """Where it posts; absent with `list`: all rooms."""
    hook: Token | None = None
    """The `id` of the one to revoke."""
    token: Secret | None = None
    """The operator token; absent if this connection has shown it before."""
