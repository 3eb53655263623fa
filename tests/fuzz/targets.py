"""Fuzz targets: functions of bytes that return, or fail if a property is violated.

Only declared errors are caught. Each kind of outcome has a line of its own, so that the fuzzer sees
that a case reached it: C code is not visible to it.
"""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from websockets.datastructures import Headers

from geventchat.config import BadOption, Config
from geventchat.config.file import from_file
from geventchat.protocol import events, frames, names, requests, visible
from geventchat.protocol.errors import PROTOCOL, ProtocolError, Refused
from geventchat.protocol.frames import Decoder
from geventchat.server.networks import Networks
from geventchat.server.transport import proxy_header
from geventchat.server.transport.base import Client, Ways
from geventchat.server.web import forwarded
from geventchat.server.web.framing import Web
from geventchat.server.web.http import BadRequest
from geventchat.server.web.origin import Names, parsed
from geventchat.server.web.posts import Posting, Reply

_LIMIT: Final = 64
_HELLO: Final = b'{"type":"hello","version":1,"client":"abcdefghijklmnop","token":"secret"}'
_HANDSHAKE: Final = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_POSTED: Final[list[str]] = []


def _posted(posting: Posting, client: Client) -> Reply:
    _POSTED.append(repr((posting, client)))
    return Reply(200, b"")


_WEB: Final = Web({}, Names("localhost"), lambda: None, _posted)
_NOT_IN_FIELDS: Final = dict.fromkeys([*range(9), *range(10, 32), 127])
"""Characters that no field of HTTP has."""
_PROXIES: Final = Networks(["10.0.0.0/8"])
_SETTINGS: Final = Path(tempfile.gettempdir(), "geventchat-fuzz.toml")


def frames_in_any_pieces(data: bytes) -> None:
    """Cut in two ways, the same bytes give the same frames and the same end."""
    size = 1 + (data[0] if data else 0) % 16
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert _heard([data]) == _heard(pieces)
    frames.stranger(data)
    frames.undecided(data)


def a_web_connection(data: bytes) -> None:
    """Requests and WebSocket frames: cut in two ways, the same bytes have the same outcome.

    The first byte says whether the connection begins with a handshake.
    """
    begin = _HANDSHAKE if data[:1] > b"\x7f" else b""
    data = data[1:]
    size = 1 + (data[0] if data else 0) % 16
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert _web_outcome([begin, data]) == _web_outcome([begin, *pieces])


def _web_outcome(pieces: list[bytes]) -> list[bytes | str]:
    framing = _WEB(_LIMIT, Ways("knock twice", 4040, None))
    heard: list[bytes | str] = []
    _POSTED.clear()
    try:
        for piece in filter(None, pieces):
            for message in framing.feed(piece):
                if framing.task is not None:
                    framing.task(Client("192.0.2.1", 1))
                assert len(message) <= _LIMIT
                message.decode()
                heard += filter(None, [message])
            framing.replies()
            if framing.ended:
                heard.append("ended")
                break
    except ProtocolError as error:
        _check_sentence(error.text)
        reason = error.reason or PROTOCOL
        framing.farewell(reason)
        heard += [error.code, framing.end(reason)]
    return heard + _POSTED


def a_host(data: bytes) -> None:
    """Any text is a host or an origin, or it is none."""
    field = data.decode("latin-1")
    host = parsed(field)
    names = Names("localhost")
    if host is not None:
        assert parsed(host.name) or ":" in host.name
        names.own(host)
        names.may_talk(f"http://{field}", host)


def a_hello_in_it(data: bytes) -> None:
    """A frame that holds a hello is known as such, whatever stands around it."""
    frames.holds_hello(data)
    cut = data[0] if data else 0
    assert frames.holds_hello(data[:cut] + _HELLO + data[cut:])


def a_proxy_header(data: bytes) -> None:
    """Read as it arrives, a header is the same, and not a byte after it is taken."""
    size = 1 + (data[-1] if data else 0) % 16
    taken, header = b"", None
    try:
        while header is None and len(taken) < len(data):
            arrived = data[len(taken) : len(taken) + size]
            header = proxy_header.parse(taken + arrived)
            taken += arrived if header is None else arrived[: header.size - len(taken)]
    except proxy_header.BadHeader as error:
        _check_sentence(str(error))
        assert not _is_header(data)
        return
    if header is None:
        assert len(data) < proxy_header.MOST_BYTES
        return
    assert header == proxy_header.parse(data) == proxy_header.parse(taken)
    assert header.size == len(taken)
    assert frames.stranger(taken) == "proxy"
    if header.source is not None:
        assert visible.visible(header.source[0]) == header.source[0]


def forwarded_fields(data: bytes) -> None:
    """What a proxy adds counts, whatever the client has said before it."""
    said = data.decode("latin-1").translate(_NOT_IN_FIELDS)
    for field, added in (("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1")):
        for lines in ([said], [f"{said},{added}"], [said, added]):
            headers = Headers([(field, line) for line in lines])
            found = forwarded.client(headers, _PROXIES)
            assert lines == [said] or found == Client("192.0.2.1", 0)
            assert found is None or found.address not in _PROXIES
            forwarded.host(headers)
    both = Headers([("X-Forwarded-For", "192.0.2.1"), ("Forwarded", said)])
    with suppress(BadRequest):
        assert forwarded.client(both, _PROXIES) == Client("192.0.2.1", 0)


def _is_header(data: bytes) -> bool:
    try:
        return proxy_header.parse(data) is not None
    except proxy_header.BadHeader:
        return False


def _heard(pieces: list[bytes]) -> list[bytes | str]:
    decoder = Decoder(_LIMIT)
    heard: list[bytes | str] = []
    try:
        for piece in pieces:
            for frame in decoder.feed(piece):
                assert frame
                assert b"\0" not in frame
                assert len(frame) <= _LIMIT
                heard.append(frame)
            assert len(decoder.unfinished) <= _LIMIT
    except ProtocolError as error:
        heard.append(error.code)
    return heard


def a_request(data: bytes) -> None:
    """A frame is a request that survives being sent again, or a declared error."""
    try:
        request = requests.decode(data)
    except ProtocolError as error:
        _check_sentence(error.text)
        for name in (error.request_id, error.key):
            assert name is None or 1 <= len(name) <= 64
        match error.code:
            case "bad_json":
                return
            case "not_utf8":
                return
            case "unknown_type":
                return
            case "bad_field":
                return
        raise AssertionError(error.code) from error
    again = requests.encode(request)
    assert b"\0" not in again
    assert requests.decode(again) == request
    _look(request)


def _look(request: requests.AnyRequest) -> None:
    match request:
        case requests.Hello(rooms=rooms):
            for cursor in (rooms or {}).values():
                assert cursor is None or 0 <= cursor.position <= 2**53
        case requests.Say(text=text):
            assert text
            assert "\0" not in text
        case requests.History(limit=limit):
            assert 1 <= limit <= 500
        case requests.Join(position=position):
            assert position is None or 0 <= position <= 2**53
        case requests.Direct(text=text):
            assert text
        case requests.Topic(topic=topic):
            assert len(topic) <= 500
        case requests.Rooms(limit=limit, after=after):
            assert limit is None or 1 <= limit <= 200
            assert after is None or len(after) <= 256
        case _:
            assert msgspec.to_builtins(request)["type"]


def an_event(data: bytes) -> None:
    """A frame of a server is an event, an unknown one, or a declared error of the client."""
    try:
        event = events.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if event is not None:
        assert events.decode(events.encode(event)) == event


def a_name(data: bytes) -> None:
    """A name is refused with a sentence, or its normal form is stable."""
    text = data.decode(errors="replace")
    for make in (names.nick, names.room):
        try:
            name = make(text)
        except Refused as refusal:
            _check_sentence(refusal.text)
            continue
        assert make(name) == name
        assert 1 <= len(name) <= names.MAX_NAME_LENGTH
        assert visible.visible(name) == name
        assert names.fold(names.fold(name)) == names.fold(name)


def shown_text(data: bytes) -> None:
    """Escaped text has no effect on a terminal and no line break."""
    shown = visible.visible(data.decode(errors="surrogateescape"))
    shown.encode()
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)


def settings(data: bytes) -> None:
    """A file of settings is valid, or is refused with one line."""
    _SETTINGS.write_bytes(data)
    try:
        found = from_file(_SETTINGS)
    except BadOption as error:
        _check_sentence(visible.visible(str(error)))  # as the command line prints it
        return
    Config.of(found)
    assert not [value for value in found.values() if isinstance(value, str) and "\0" in value]


def _check_sentence(text: str) -> None:
    """Check that a sentence can be sent to any client."""
    text.encode()
    assert "\0" not in text
    assert len(text) < 1_000


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "frames": frames_in_any_pieces,
    "hello": a_hello_in_it,
    "proxy": a_proxy_header,
    "forwarded": forwarded_fields,
    "requests": a_request,
    "events": an_event,
    "names": a_name,
    "shown": shown_text,
    "settings": settings,
    "web": a_web_connection,
    "hosts": a_host,
}
