"""The three ways things go wrong that are not our bugs, and the reasons for which connections end.

`ProtocolError` is the peer's fault: what it sent is not what the protocol says.
`Refused` is a rule that said no to something well formed.
A `Reason` is how a connection ends; that is not an error.
Any other exception is a bug of ours.
"""

from dataclasses import dataclass
from typing import Final, Literal

ErrorCode = Literal[
    "bad_json",
    "unknown_type",
    "bad_field",
    "bad_room",
    "bad_nick",
    "nick_in_use",
    "nick_too_similar",
    "no_such_nick",
    "not_joined",
    "too_many_rooms",
    "not_utf8",
    "key_conflict",
    "slow_down",
    "storage",
    "forbidden",
    "muted",
]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a connection ends, as `bye` says it and logs count it."""

    code: str
    reconnect: bool
    """Whether the client is asked to come back."""
    text: str
    """A sentence a person can act on."""


SLOW: Final = Reason("slow", True, "You read too slowly to keep up. Come back to go on reading.")
FLOOD: Final = Reason("flood", True, "You sent too much too quickly.")
IDLE: Final = Reason("idle", True, "Nothing was heard from you for too long.")
FULL: Final = Reason("full", True, "The server is full. Try again later.")
SHUTDOWN: Final = Reason("shutdown", True, "The server is going down.")
INTERNAL: Final = Reason("internal", True, "The server met an error of its own and logged it.")
QUIT: Final = Reason("quit", False, "Goodbye.")
TOO_LARGE: Final = Reason("too_large", False, "That frame is larger than this server accepts.")
NOT_UTF8: Final = Reason("not_utf8", False, "Three frames were not UTF-8.")
PROTOCOL: Final = Reason("protocol", False, "That is not how a rich connection begins.")
HTTP: Final = Reason("http", False, "This is a chat port; it does not speak HTTP, TLS or SSH.")
REPLACED: Final = Reason("replaced", False, "The same client connected again, and goes on there.")
KICKED: Final = Reason("kicked", False, "An operator ended this connection.")
BANNED: Final = Reason("banned", False, "You are banned from this server.")
PASSWORD: Final = Reason("password", False, "This server needs a password.")
LOST: Final = Reason("lost", True, "The connection was lost.")
"""Never sent: there is nobody left to send it to."""


class ProtocolError(Exception):
    """The peer sent something the protocol does not allow.

    `code` and `text` are those of the `error` that answers it; `request_id` and `key` name the
    offending message where it could still be read. `reason` is set if the connection ends by it.
    """

    def __init__(
        self,
        code: ErrorCode | Literal["too_large", "http"],
        text: str,
        *,
        request_id: str | None = None,
        key: str | None = None,
        reason: Reason | None = None,
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.request_id = request_id
        self.key = key
        self.reason = reason


class Refused(Exception):
    """A rule said no; the session answers with `error` and goes on."""

    def __init__(
        self, code: ErrorCode, text: str, *, room: str | None = None, retry_ms: int | None = None
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.room = room
        self.retry_ms = retry_ms


class Ending(Exception):
    """Unwinds a conversation that ends for a reason; nothing has gone wrong by it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.code)
        self.reason = reason
