"""Requests of rich clients: one typed record each, `encode` and `decode`.

The records are the schema: a frame that does not match raises ProtocolError, whose text names the
field and the problem. Unknown fields are ignored.
"""

from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from geventchat.protocol import durations
from geventchat.protocol.errors import ProtocolError
from geventchat.protocol.requests.base import Cursor, Request
from geventchat.protocol.requests.chat import (
    Action,
    Admin,
    Bye,
    Direct,
    Hello,
    History,
    Join,
    Leave,
    Nick,
    Ping,
    Pong,
    Rooms,
    Say,
    TargetType,
    Topic,
    Typing,
    Who,
)
from geventchat.protocol.requests.people import (
    MAX_PASSWORD,
    MIN_PASSWORD,
    Accounts,
    Block,
    ChangePassword,
    Conversations,
    Create,
    Hook,
    HookAction,
    Invite,
    Moderator,
    Mute,
    Open,
    Read,
    Register,
    Remove,
    Revoke,
    Sessions,
    SignIn,
)
from geventchat.protocol.requests.posts import (
    Edit,
    Redact,
    Search,
)

__all__ = [
    "MAX_PASSWORD",
    "MIN_PASSWORD",
    "Accounts",
    "Action",
    "Admin",
    "AnyRequest",
    "Block",
    "Bye",
    "ChangePassword",
    "Conversations",
    "Create",
    "Cursor",
    "Direct",
    "Edit",
    "Hello",
    "History",
    "Hook",
    "HookAction",
    "Invite",
    "Join",
    "Leave",
    "Moderator",
    "Mute",
    "Nick",
    "Open",
    "Ping",
    "Pong",
    "Read",
    "Redact",
    "Register",
    "Remove",
    "Request",
    "Revoke",
    "Rooms",
    "Say",
    "Search",
    "Sessions",
    "SignIn",
    "TargetType",
    "Topic",
    "Typing",
    "Who",
    "decode",
    "encode",
]

AnyRequest = (
    Say
    | Typing
    | Admin
    | Bye
    | Direct
    | Hello
    | History
    | Join
    | Leave
    | Nick
    | Ping
    | Pong
    | Rooms
    | Topic
    | Who
    | Accounts
    | Block
    | ChangePassword
    | Conversations
    | Create
    | Hook
    | Invite
    | Moderator
    | Mute
    | Open
    | Read
    | Register
    | Remove
    | Revoke
    | Sessions
    | Edit
    | Redact
    | Search
)
_TYPES: Final = frozenset(record.__struct_config__.tag for record in get_args(AnyRequest))


class _Head(Struct):
    """The fields that can be decoded of an invalid request."""

    type: Any = None
    id: Any = None
    key: Any = None


_request_decoder: Final = msgspec.json.Decoder(AnyRequest)
_head_decoder: Final = msgspec.json.Decoder(_Head)
_encoder: Final = msgspec.json.Encoder()


def decode(frame: bytes) -> AnyRequest:
    """Decode a request. `frame` is JSON without U+001E and null byte.

    Raises ProtocolError `bad_json`, `not_utf8`, `unknown_type` or `bad_field`. Never waits.
    """
    try:
        request: AnyRequest = _request_decoder.decode(frame)
    except msgspec.ValidationError as error:
        raise _invalid(frame, str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError("bad_json", f"Not JSON: {error}.") from None
    except UnicodeDecodeError:
        raise ProtocolError("not_utf8", "The frame is not UTF-8.") from None
    # The only way for U+0000 into JSON; rare enough to look closer then. One byte is found sooner.
    if b"\\" in frame and b"\\u0000" in frame:
        _refuse_null(request, frame)
    return request


def encode(request: Request) -> bytes:
    """Encode a request as JSON, without U+001E and null byte. Null fields are omitted."""
    fields = msgspec.to_builtins(request)
    return _encoder.encode({name: value for name, value in fields.items() if value is not None})


def _invalid(frame: bytes, complaint: str) -> ProtocolError:
    """Return the error for an invalid request, with its id and key if they can be decoded."""
    try:
        head = _head_decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ProtocolError("bad_json", "A message must be a JSON object with a type.")
    request_id, key = _token(head.id), _token(head.key)
    if head.type is not None and (not isinstance(head.type, str) or head.type not in _TYPES):
        text = f"Unknown message type {str(head.type)[:64]!r}."
        return ProtocolError("unknown_type", text, request_id=request_id, key=key)
    what, _, where = complaint.partition(" - at `$")
    if what.startswith("Expected `int") and what.endswith(", got `float`"):
        what = "Expected a whole number, written as 7 and not as 7.0"
    field = where.rstrip("`").lstrip(".")
    text = f"{field}: {what}." if field else f"{what}."
    if field == "seconds":
        text += f" It is a whole number from 1 to {durations.MAX_SECONDS}, or absent: until undone."
    return ProtocolError("bad_field", text, request_id=request_id, key=key)


def _token(value: object) -> str | None:
    return value if isinstance(value, str) and 1 <= len(value) <= 64 else None


def _refuse_null(request: Request, frame: bytes) -> None:
    kept = msgspec.to_builtins(request)
    strings = [(name, value) for name, value in kept.items() if isinstance(value, str)]
    strings += [("rooms", room) for room in kept.get("rooms") or ()]
    for name, value in strings:
        if "\0" in value:
            head = _head_decoder.decode(frame)
            text = f"{name}: U+0000 is not allowed."
            raise ProtocolError("bad_field", text, request_id=_token(head.id), key=_token(head.key))
