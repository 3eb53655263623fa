"""The client's end: `Connection` for programs, and a terminal for people.

The events that a connection gives are those of `geventchat.protocol.events`, named here for
convenience. Nothing here knows the server.
"""

from geventchat.client.connection import Connection, TooLong
from geventchat.client.events import Away, Back, Gap, Happening, StillAway
from geventchat.client.pending_says import Unsaid
from geventchat.client.socket_link import Ended, NoGeventchat, ServerError
from geventchat.client.tls import trusting
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import (
    AnyEvent,
    Bye,
    Direct,
    Error,
    History,
    Joined,
    Left,
    Members,
    Post,
    Presence,
    Renamed,
    Sent,
    Topic,
    Typing,
    Welcome,
)
from geventchat.protocol.requests import Cursor

__all__ = [
    "AnyEvent",
    "Away",
    "Back",
    "Bye",
    "Connection",
    "Cursor",
    "Direct",
    "Ended",
    "Error",
    "Gap",
    "Happening",
    "History",
    "Joined",
    "Left",
    "Members",
    "NoGeventchat",
    "Post",
    "Presence",
    "Refused",
    "Renamed",
    "Sent",
    "ServerError",
    "StillAway",
    "TooLong",
    "Topic",
    "Typing",
    "Unsaid",
    "Welcome",
    "trusting",
]
