"""What a rich client may say: one typed record per request, and `decode`.

The records are the schema: a frame that does not fit is a ProtocolError whose text says what is
wrong with which field. Fields that are not named here are ignored.
"""

from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from geventchat.protocol.errors import ProtocolError

Token = Annotated[str, Meta(min_length=1, max_length=64)]
"""An id or a key, drawn by the client."""
Secret = Annotated[str, Meta(max_length=1024)]
"""A password, or the operators' token."""
Position = Annotated[int, Meta(ge=0, le=2**53)]
"""A post's place in its room: 1, 2, 3 …; 0 is before the first. Exact in any JSON reader."""


class Cursor(Struct, frozen=True):
    """How far a client has read a room."""

    epoch: Token
    position: Position


class Request(Struct, frozen=True, tag_field="type", gc=False, kw_only=True):
    """What every request has; each is tagged with its `type`."""

    id: Token | None = None
    """Comes back with the direct answer."""


class Hello(Request, tag="hello", frozen=True, kw_only=True):
    """Begins a rich connection."""

    version: Annotated[int, Meta(ge=1, le=2**31)]
    client: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{16,64}\Z")]
    """Secret name of one living program; at least 64 random bits."""
    nonce: Annotated[str, Meta(max_length=128)] | None = None
    nick: str | None = None
    password: Secret | None = None
    rooms: dict[str, Cursor | None] | None = None
    """Where to begin, by room; absent: the lobby."""
    token: Secret | None = None
    """The operators', of one who comes as an operator."""


class Say(Request, tag="say", frozen=True, kw_only=True):
    """Asks for a post."""

    room: str
    text: Annotated[str, Meta(min_length=1)]
    key: Token | None = None
    """A say that is repeated with the same key is stored once."""


class Join(Request, tag="join", frozen=True, kw_only=True):
    """Asks to hear a room, from a position on if one is given."""

    room: str
    epoch: Token | None = None
    position: Position | None = None


class Leave(Request, tag="leave", frozen=True, kw_only=True):
    """Asks to hear no more of a room."""

    room: str


class Nick(Request, tag="nick", frozen=True, kw_only=True):
    """Asks for another nick."""

    nick: str


class Who(Request, tag="who", frozen=True, kw_only=True):
    """Asks who is in a room."""

    room: str


class History(Request, tag="history", frozen=True, kw_only=True):
    """Asks for older posts of a room."""

    room: str
    limit: Annotated[int, Meta(ge=1, le=500)]
    before: Position | None = None
    """Exclusive; absent: from the newest."""


class Direct(Request, tag="direct", frozen=True, kw_only=True):
    """Sends a text to one nick, live and at most once."""

    to: str
    text: Annotated[str, Meta(min_length=1)]


class Topic(Request, tag="topic", frozen=True, kw_only=True):
    """Sets what a room is about; empty takes the topic away."""

    room: str
    topic: Annotated[str, Meta(max_length=500)]


Action = Literal[
    "kick", "ban", "unban", "mute", "unmute",
    "lock", "unlock", "freeze", "unfreeze", "close", "open", "list",
]  # fmt: skip
TargetType = Literal["nick", "client", "address", "room"]


class Admin(Request, tag="admin", frozen=True, kw_only=True):
    """Asks for what only an operator may do."""

    action: Action
    target: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """A nick, an address or network, or a room, as the action has it."""
    target_type: TargetType | None = None
    """How `target` is read; absent: as is usual for the action."""
    seconds: Annotated[int, Meta(ge=1, le=10 * 366 * 86_400)] | None = None
    """How long it holds; absent: until it is undone."""
    reason: Annotated[str, Meta(max_length=200)] | None = None
    token: Secret | None = None
    """The operators'; absent: shown before on this connection."""


class Typing(Request, tag="typing", frozen=True, kw_only=True):
    """Says that a post is being typed."""

    room: str


class Ping(Request, tag="ping", frozen=True, kw_only=True):
    """Asks for a pong."""


class Pong(Request, tag="pong", frozen=True, kw_only=True):
    """Answers the server's ping."""


class Bye(Request, tag="bye", frozen=True, kw_only=True):
    """Ends the connection after everything before it was answered."""


AnyRequest = (
    Say
    | Typing
    | Ping
    | Pong
    | Join
    | Leave
    | Nick
    | Who
    | History
    | Direct
    | Topic
    | Bye
    | Hello
    | Admin
)
_TYPES: Final = frozenset(record.__struct_config__.tag for record in get_args(AnyRequest))


class _Head(Struct):
    """What can be read of a request that is not valid."""

    type: Any = None
    id: Any = None
    key: Any = None


_request_decoder: Final = msgspec.json.Decoder(AnyRequest)
_head_decoder: Final = msgspec.json.Decoder(_Head)
_encoder: Final = msgspec.json.Encoder()


def decode(frame: bytes) -> AnyRequest:
    """Give the request that a frame means. `frame` is JSON without U+001E and null byte.

    Raises ProtocolError `bad_json`, `not_utf8`, `unknown_type` or `bad_field`. Never waits.
    """
    try:
        request: AnyRequest = _request_decoder.decode(frame)
    except msgspec.ValidationError as error:
        raise _invalid(frame, str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError("bad_json", f"That is not JSON: {error}.") from None
    except UnicodeDecodeError:
        raise ProtocolError("not_utf8", "That frame is not UTF-8.") from None
    if b"\\u0000" in frame:  # the only way for U+0000 into JSON; rare enough to look closer then
        _refuse_null(request, frame)
    return request


def encode(request: Request) -> bytes:
    """Give the JSON of a request, without U+001E and null byte. Fields that are null stay out."""
    fields = msgspec.to_builtins(request)
    return _encoder.encode({name: value for name, value in fields.items() if value is not None})


def _invalid(frame: bytes, complaint: str) -> ProtocolError:
    """Say which field is wrong, and how, naming the request if that much can be read."""
    try:
        head = _head_decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ProtocolError("bad_json", "A message is one JSON object with a type.")
    request_id, key = _token(head.id), _token(head.key)
    if head.type is not None and (not isinstance(head.type, str) or head.type not in _TYPES):
        text = f"There is no message of the type {str(head.type)[:64]!r}."
        return ProtocolError("unknown_type", text, request_id=request_id, key=key)
    what, _, where = complaint.partition(" - at `$")
    field = where.rstrip("`").lstrip(".")
    text = f"{field}: {what}." if field else f"{what}."
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
            text = f"{name}: U+0000 would split the frame."
            raise ProtocolError("bad_field", text, request_id=_token(head.id), key=_token(head.key))
