"""Wire forms: how events are encoded for one kind of client, framing included.

A turn is encoded once per form, and all recipients with that form get the same bytes. A further
form needs only a further class here.
"""

from typing import Final, Protocol

from geventchat.protocol import events, frames
from geventchat.protocol.websocket import text_frame


class Form(Protocol):
    """An encoding of events."""

    @property
    def rich(self) -> bool:
        """Whether its clients get all events, including their own posts."""

    def encode(self, event: events.Event) -> bytes:
        """Return the frame of an event; empty if this form has none for it. Never waits."""


class _Plain:
    """The text of a post and a null byte; errors and notices are a line of text."""

    rich = False

    def encode(self, event: events.Event) -> bytes:
        match event:
            case events.Post(text=text):
                return text.encode() + b"\0"
            case events.Error(text=text):
                return frames.notice(text)
            case _:
                return b""


class _Json:
    """The event as JSON and a null byte."""

    rich = True

    def encode(self, event: events.Event) -> bytes:
        return events.encode(event) + b"\0"


class _WebSocket:
    """The event as JSON in a text message."""

    rich = True

    def encode(self, event: events.Event) -> bytes:
        return text_frame(events.encode(event))


PLAIN: Final[Form] = _Plain()
JSON: Final[Form] = _Json()
WEBSOCKET: Final[Form] = _WebSocket()
