"""Messages over WebSocket (RFC 6455), after the handshake: what a client's bytes mean."""

import codecs
from typing import Final, NamedTuple

from websockets.exceptions import ProtocolError as Invalid
from websockets.frames import (  # type: ignore[attr-defined]  # `apply_mask`: in C if it can be
    Close,
    CloseCode,
    Frame,
    Opcode,
    apply_mask,
)
from websockets.protocol import State
from websockets.server import ServerProtocol

from geventchat.protocol.errors import (
    INTERNAL,
    LOST,
    NOT_UTF8,
    PROTOCOL,
    TOO_LARGE,
    ProtocolError,
    Reason,
)
from geventchat.protocol.text import is_utf8
from geventchat.protocol.websocket import CLOSE_CODES, UNACCEPTED
from geventchat.server.web.http import LOG

_NOT_UTF8: Final = "A message was not UTF-8."
_BINARY: Final = "A binary message is not accepted; send text."
# RFC 6455, 5.2: the first two bytes of a frame.
_TEXT: Final = 0x81
"""A text message in one frame."""
_MASKED: Final = 0x80
_LARGE: Final = 0xFF
"""Masked, and the length follows in eight bytes."""
_SMALL: Final = 8
"""A shorter frame may not even have a whole head."""
_REASONS: Final[dict[int, Reason]] = {
    CloseCode.INVALID_DATA: NOT_UTF8,
    CloseCode.MESSAGE_TOO_BIG: TOO_LARGE,
    CloseCode.INTERNAL_ERROR: INTERNAL,
}
"""The reasons for which the library fails a connection; for the rest it is `protocol`."""


class Decoded(NamedTuple):
    """What some bytes have completed."""

    texts: list[bytes]
    """The messages, none of them empty."""
    skipped: int
    """How many frames were anything else."""
    error: ProtocolError | None
    """What the client did wrong after all that; it has a reason."""


class Messages:
    """The messages of one connection."""

    __slots__ = "_close_code", "_closing", "_frame_bytes", "_part", "_pong", "_protocol"

    def __init__(self, frame_bytes: int) -> None:
        """`frame_bytes`: the largest message."""
        self._frame_bytes = frame_bytes
        self._protocol = _Frames(frame_bytes)
        self._part: _Fragments | None = None
        self._pong = b""
        """The answer to the newest Ping."""
        self._closing: bytes | None = None
        """The answer to the client's Close."""
        self._close_code: int | None = None
        """The close code that an error calls for."""

    @property
    def ended(self) -> bool:
        """Whether the client has sent a Close."""
        return self._closing is not None

    @property
    def begun(self) -> bool:
        """Whether a message, or a frame, is incomplete."""
        return self._part is not None or not self._protocol.whole

    def decode(self, data: bytes) -> Decoded:
        """Return what these bytes complete, up to a Close or an error; feed no more after one."""
        self._protocol.receive_data(data)
        texts: list[bytes] = []
        skipped = 0
        error = None
        try:
            for frame in self._protocol.events_received():
                assert isinstance(frame, Frame)
                if text := self._take(frame):
                    texts.append(text)
                else:
                    skipped += 1
            self._protocol.data_to_send()  # `_take` has made what is sent of it
            if self._closing is None:
                self._check()
        except ProtocolError as caught:
            error = caught
        return Decoded(texts, skipped, error)

    def single(self, data: bytes) -> bytes:
        """Return the message that these bytes are, in one frame; nothing if it is not as simple.

        An eighth of what the library takes for it, which judges all else.
        """
        if len(data) < _SMALL or data[0] != _TEXT or data[1] == _LARGE or self.begun or self.ended:
            return b""
        size, start = data[1] - _MASKED, 6
        if size == 126:
            size, start = int.from_bytes(data[2:4]), 8
        if size != len(data) - start or size > self._frame_bytes:
            return b""
        text = apply_mask(data[start:], data[start - 4 : start])
        return text if is_utf8(text) else b""

    def reply(self) -> bytes:
        """Take the answer that is due to a Ping, if one is."""
        pong, self._pong = self._pong, b""
        return pong

    def end(self, reason: Reason) -> bytes:
        """Encode the Close of the server: the client's own if that came first."""
        if self._closing is not None or reason is LOST:
            return self._closing or b""
        code = self._close_code or CLOSE_CODES[reason.code]
        return Frame(Opcode.CLOSE, Close(code, reason.code).serialize()).serialize(mask=False)

    def _take(self, frame: Frame) -> bytes:
        """Return the message that a frame completes; nothing if it completes none."""
        match frame.opcode:
            case Opcode.CLOSE:
                self._closing = Frame(Opcode.CLOSE, frame.data).serialize(mask=False)
                return b""
            case Opcode.PING:  # only the newest is owed an answer (RFC 6455, 5.5.3)
                self._pong = Frame(Opcode.PONG, frame.data).serialize(mask=False)
                return b""
            case Opcode.PONG:
                return b""
            case Opcode.BINARY:
                self._close_code = UNACCEPTED
                raise ProtocolError("bad_json", _BINARY, reason=PROTOCOL)
        try:
            return self._text(frame)
        except UnicodeDecodeError:
            raise ProtocolError("not_utf8", _NOT_UTF8, reason=NOT_UTF8) from None

    def _text(self, frame: Frame) -> bytes:
        """Return the text that a frame completes. Raises UnicodeDecodeError, ProtocolError."""
        data = bytes(frame.data)
        if frame.fin and self._part is None:
            data.decode()
            return data
        part = self._part = self._part or _Fragments()
        part.add(data, last=frame.fin)
        if part.count > self._frame_bytes:
            raise self._too_large()
        if not frame.fin:
            return b""
        self._part = None
        return bytes(part.text)

    def _check(self) -> None:
        """Raise ProtocolError if the library has found that the client broke RFC 6455."""
        error, close = self._protocol.parser_exc, self._protocol.close_sent
        if error is None or close is None:
            return
        self._close_code = close.code
        reason = _REASONS.get(close.code, PROTOCOL)
        if reason is TOO_LARGE:
            raise self._too_large()
        text = f"Not valid WebSocket: {error}." if isinstance(error, Invalid) else reason.text
        raise ProtocolError("bad_json", _NOT_UTF8 if reason is NOT_UTF8 else text, reason=reason)

    def _too_large(self) -> ProtocolError:
        text = f"Message too large: at most {self._frame_bytes:,} bytes."
        return ProtocolError("too_large", text, reason=TOO_LARGE)


class _Frames(ServerProtocol):
    """The library's protocol after the handshake, which takes a third of the memory of one before.

    It knows whether a frame is incomplete.
    """

    def __init__(self, frame_bytes: int) -> None:
        super().__init__(state=State.OPEN, max_size=frame_bytes, logger=LOG)
        self.whole = True
        """Whether all that was received are whole frames."""

    def receive_data(self, data: bytes | bytearray) -> None:
        self.whole = False
        super().receive_data(data)

    def recv_frame(self, frame: Frame) -> None:
        self.whole = not self.reader.buffer
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None  # the end may come in the middle of a message
        super().recv_frame(frame)


class _Fragments:
    """An incomplete message. Text that is not UTF-8 is found with the fragment that shows it."""

    __slots__ = "_decoder", "count", "text"

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.text = bytearray()
        self.count = 0
        """How many there are, since there is no end of empty ones."""

    def add(self, data: bytes, *, last: bool) -> None:
        """Add a fragment. Raises UnicodeDecodeError."""
        self._decoder.decode(data, last)
        self.text += data
        self.count += 1
