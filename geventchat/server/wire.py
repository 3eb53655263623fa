"""Wire forms: how events are encoded for one kind of client. Whoever encodes knows the framing.

A turn is encoded once per form, and the same bytes go to all who have that form. Another form is
another class here, and nothing else.
"""

from typing import Final, Protocol

from geventchat.protocol import events, frames


class Form(Protocol):
    """One way to encode events."""

    @property
    def rich(self) -> bool:
        """Whether its clients get all events, their own posts among them."""

    def encode(self, event: events.Event) -> bytes:
        """Return the frame of an event; nothing if this form has none for it. Never waits."""


class _Plain:
    """The body of a post and a null byte; what the server has to say is a line."""

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


PLAIN: Final[Form] = _Plain()
JSON: Final[Form] = _Json()
