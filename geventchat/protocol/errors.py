"""Exceptions of the protocol, and the reasons for which connections end.

`ProtocolError`: the peer sent something that violates the protocol.
`Refused`: a well-formed request was denied.
`Reason`: why a connection ends, which need not be an error.
Any other exception is a bug in geventchat.
"""

from dataclasses import dataclass, replace
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
    "no_such_post",
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
    """Why a connection ends, as sent in `bye` and counted in logs."""

    code: str
    reconnect: bool
    """Whether the client should reconnect."""
    text: str
    """A sentence for people: what happened, then what to do."""


SLOW: Final = Reason("slow", True, "Disconnected: not reading fast enough. Reconnect to continue.")
FLOOD: Final = Reason("flood", True, "Disconnected: sending too much too fast.")
IDLE: Final = Reason("idle", True, "Timed out.")
FULL: Final = Reason("full", True, "The server is full. Try again later.")
SHUTDOWN: Final = Reason("shutdown", True, "The server is shutting down.")
INTERNAL: Final = Reason("internal", True, "Internal server error.")
STORAGE: Final = Reason(
    "storage",
    True,
    "It is not known whether your last messages were stored. Reconnect to continue.",
)
NEW_EPOCH: Final = Reason(
    "storage",
    True,
    "The server's storage has changed, and some messages may be lost. Reconnect to continue.",
)
QUIT: Final = Reason("quit", False, "Goodbye.")
TOO_LARGE: Final = Reason("too_large", False, "The frame is larger than this server accepts.")
NOT_UTF8: Final = Reason("not_utf8", False, "Three frames were not UTF-8.")
PROTOCOL: Final = Reason("protocol", False, "The first message must be hello.")
HTTP: Final = Reason("http", False, "This is a chat port; it does not speak HTTP, TLS or SSH.")
PROXY: Final = Reason(
    "proxy",
    False,
    "This port speaks geventchat, and the PROXY protocol only with the networks of --proxy. Name "
    "the proxy's there, or turn that off in the proxy, for example send-proxy of HAProxy.",
)
MISPLACED_HELLO: Final = Reason(
    "misplaced_hello",
    False,
    "This port speaks geventchat in UTF-8: a hello begins with U+001E and {, which must be the "
    "very first bytes of a connection. Nothing of yours was passed on.",
)
"""Never sent with this code: a client that makes this mistake is not rich."""
REPLACED: Final = Reason("replaced", False, "Replaced by a newer connection of this client.")
KICKED: Final = Reason("kicked", False, "Kicked by an operator.")
BANNED: Final = Reason("banned", False, "You are banned from this server.")
PASSWORD: Final = Reason("password", False, "This server requires a password.")
ACCOUNT: Final = Reason("account", False, "Wrong nick, password or session. Sign in again.")
REVOKED: Final = replace(ACCOUNT, text="This session was revoked. Sign in again.")
PASSWORD_CHANGED: Final = replace(ACCOUNT, text="The password was changed. Sign in again.")
REMOVED: Final = replace(ACCOUNT, text="Your account was removed.")
LOST: Final = Reason("lost", True, "The connection was lost.")
"""Never sent; clients use it for a connection that ended without `bye`."""


class ProtocolError(Exception):
    """The peer violated the protocol.

    `code` and `text` are those of the `error` sent in reply; `request_id` and `key` identify the
    request, if they could be decoded. `reason` is set if the connection is closed because of it.
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
    """A request is denied; the session replies with `error` and continues."""

    def __init__(
        self, code: ErrorCode, text: str, *, room: str | None = None, retry_ms: int | None = None
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.room = room
        self.retry_ms = retry_ms


class Ending(Exception):
    """Ends a session for a reason, which need not be an error."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.code)
        self.reason = reason
