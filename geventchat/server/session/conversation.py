"""The conversation: a client's frames, taken one by one until it sends no more."""

import re
from dataclasses import replace
from types import MethodType
from typing import Final

from geventchat.protocol import events, frames, names, requests
from geventchat.protocol.errors import (
    MISPLACED_HELLO,
    NOT_UTF8,
    PROTOCOL,
    QUIT,
    Ending,
    ProtocolError,
    Refused,
)
from geventchat.server.session import handlers
from geventchat.server.session.session import Session

_MOST_BAD_FRAMES: Final = 3
_NOT_TEXT: Final = "That message is not UTF-8 and was not passed on."
_NO_TELNET: Final = (
    "That message holds commands of telnet and was not passed on. Connect raw, not with telnet."
)
_QUIT_WORDS: Final = b"q", b"q\r"
"""The second is what Enter makes of the first in telnet: CR NUL."""
# RFC 854: IAC, then a command; WILL, WONT, DO and DONT have an option, which may be the null byte.
_TELNET: Final = re.compile(rb"\xff(?:[\xf0-\xfa]|[\xfb-\xfe][\x00-\x31]|[\xfb-\xfd]\Z)")
_OPTION_BEGINS: Final = b"\xff\xfa"
_OPTION_ENDS: Final = b"\xff\xf0"


def converse(session: Session) -> None:
    """Take the client's frames; if it is locked out, only hello admits it. Waits. Raises Ending."""
    take = _take_hello if session.link.hello_first else _take_first
    try:
        for frame in session.link.frames(session.outbox):
            if session.ending is not None:  # it was ended while this frame was on its way
                raise Ending(session.ending)
            if not frame:
                handlers.follow(session)
                continue
            try:
                take(session, frame)
            except ProtocolError as error:
                _report(session, error)
            del frame  # or an idle client would keep it in memory
            take = _take_rich if session.form.rich else _take_plain
            if session.link.at_once is None:
                session.link.at_once = MethodType(_take_at_once, session)
            session.yield_if_due()
        if session.link.begun and not session.rich and not session.draining:
            session.put(frames.notice(f"The last message was not passed on. {frames.NULL_HINT}"))
    except ProtocolError as error:  # one after which the link gives no more frames
        raise Ending(replace(error.reason or PROTOCOL, text=error.text)) from None


def _take_at_once(session: Session, frame: bytes) -> bool:
    """Take a message, if it is one and cannot wait; return whether it was taken. Never waits."""
    if session.ending is not None or session.near_limit:
        return False
    try:
        if not session.form.rich:
            _take_plain(session, frame)
            return True
        request = requests.decode(frame)
    except (ProtocolError, Ending):  # nothing was done; the reader finds the same
        return False
    if type(request) is not requests.Say:
        return False
    _answer(session, request)
    return True


def _take_first(session: Session, frame: bytes) -> None:
    """Learn from a connection's first frame whether it is rich."""
    if not frames.is_rich(frame):
        if frames.holds_hello(frame):  # it may hold secrets
            raise Ending(MISPLACED_HELLO)
        if session.locked_out is not None:
            raise Ending(session.locked_out)
        _take_plain(session, frame)
        return
    _take_hello(session, frame[1:])


def _take_hello(session: Session, data: bytes) -> None:
    try:
        hello = requests.decode(data)
        if not isinstance(hello, requests.Hello):
            raise ProtocolError("forbidden", "The first message must be hello.")
    except ProtocolError as error:
        session.form = session.link.form
        _report(session, error)
        raise Ending(PROTOCOL) from None
    handlers.welcome(session, hello)


def _take_plain(session: Session, frame: bytes) -> None:
    if frame in _QUIT_WORDS:
        raise Ending(QUIT)
    if frames.is_rich(frame) and frames.holds_hello(frame):  # after another frame
        raise Ending(MISPLACED_HELLO)
    try:
        text = frame.decode()
    except UnicodeDecodeError:
        if frame.rfind(_OPTION_BEGINS) > frame.rfind(_OPTION_ENDS):
            # A subnegotiation with a null byte in it: what follows is no text either.
            raise Ending(replace(NOT_UTF8, text=_NO_TELNET)) from None
        text = _NO_TELNET if _TELNET.search(frame) else _NOT_TEXT
        raise ProtocolError("not_utf8", text) from None
    lobby = session.rooms[names.LOBBY]
    session.hub.announce(lobby)
    try:
        session.submit(lobby, text)
    except Refused as refusal:
        session.refuse(refusal, None)


def _take_rich(session: Session, frame: bytes) -> None:
    _answer(session, requests.decode(frame))


def _answer(session: Session, request: requests.AnyRequest) -> None:
    try:
        handlers.answer(session, request)
    except Refused as refusal:
        session.refuse(refusal, request)


def _report(session: Session, error: ProtocolError) -> None:
    """Answer a faulty frame; the third that is not UTF-8 ends the connection. Raises Ending."""
    session.answer(
        events.Error(code=error.code, text=error.text, id=error.request_id, key=error.key)
    )
    if error.code == "not_utf8":
        session.bad_frames += 1
        if session.bad_frames == _MOST_BAD_FRAMES:
            raise Ending(NOT_UTF8)
