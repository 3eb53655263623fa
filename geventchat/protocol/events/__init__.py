"""Events sent to rich clients: one typed record each, `encode` and `decode`."""

from typing import Final, get_args

import msgspec
from msgspec import Struct

from geventchat.protocol.events.base import Answer, Event
from geventchat.protocol.events.chat import (
    Admin,
    Bye,
    Direct,
    Error,
    History,
    Joined,
    Left,
    Limits,
    ListedRoom,
    Members,
    Ping,
    Pong,
    Post,
    Presence,
    Renamed,
    RoomList,
    Rule,
    Sent,
    Topic,
    Typing,
    Welcome,
)
from geventchat.protocol.events.people import (
    Account,
    Accounts,
    Blocked,
    Conversation,
    Conversations,
    Hook,
    Hooks,
    Invited,
    Moderators,
    Muted,
    Person,
    Read,
    Removed,
    Session,
    Sessions,
    SignedIn,
)
from geventchat.protocol.events.posts import (
    Edited,
    Found,
    Redacted,
)

__all__ = [
    "FRESH",
    "Account",
    "Accounts",
    "Admin",
    "Answer",
    "AnyEvent",
    "Blocked",
    "Bye",
    "Conversation",
    "Conversations",
    "Direct",
    "Edited",
    "Error",
    "Event",
    "Found",
    "History",
    "Hook",
    "Hooks",
    "Invited",
    "Joined",
    "Left",
    "Limits",
    "ListedRoom",
    "Members",
    "Moderators",
    "Muted",
    "Person",
    "Ping",
    "Pong",
    "Post",
    "Presence",
    "Read",
    "Redacted",
    "Removed",
    "Renamed",
    "RoomList",
    "Rule",
    "Sent",
    "Session",
    "Sessions",
    "SignedIn",
    "Topic",
    "Typing",
    "Welcome",
    "decode",
    "encode",
]

FRESH: Final = 50
"""The number of newest posts replayed, at most, after a `joined` that is not `recovered`."""


AnyEvent = (
    Post
    | Presence
    | Admin
    | Bye
    | Direct
    | Error
    | History
    | Joined
    | Left
    | Members
    | Ping
    | Pong
    | Renamed
    | RoomList
    | Sent
    | Topic
    | Typing
    | Welcome
    | Accounts
    | Blocked
    | Conversations
    | Hooks
    | Invited
    | Moderators
    | Muted
    | Read
    | Removed
    | Sessions
    | SignedIn
    | Edited
    | Found
    | Redacted
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
