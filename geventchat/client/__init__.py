"""The client library: `Connection` for programs; `terminal` for people is built on it.

Events are those of `geventchat.protocol.events`, exported here for convenience, and those of
`geventchat.client.events`. Imports nothing of the server.
"""

from geventchat.client.connection import Connection, TooLong
from geventchat.client.events import ClientEvent, Disconnected, Gap, Reconnected, ReconnectFailed
from geventchat.client.pending_says import TooManyPending
from geventchat.client.socket_link import Ended, NotGeventchat, ServerError
from geventchat.client.tls import tls_context
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import (
    AnyEvent,
    Bye,
    Direct,
    Error,
    History,
    Joined,
    Left,
    ListedRoom,
    Members,
    Post,
    Presence,
    Renamed,
    RoomList,
    Sent,
    Topic,
    Typing,
    Welcome,
)
from geventchat.protocol.requests import Cursor

__all__ = [
    "AnyEvent",
    "Bye",
    "ClientEvent",
    "Connection",
    "Cursor",
    "Direct",
    "Disconnected",
    "Ended",
    "Error",
    "Gap",
    "History",
    "Joined",
    "Left",
    "ListedRoom",
    "Members",
    "NotGeventchat",
    "Post",
    "Presence",
    "ReconnectFailed",
    "Reconnected",
    "Refused",
    "Renamed",
    "RoomList",
    "Sent",
    "ServerError",
    "TooLong",
    "TooManyPending",
    "Topic",
    "Typing",
    "Welcome",
    "tls_context",
]
