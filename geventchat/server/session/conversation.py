"""The conversation: a client's frames, taken one by one until it sends no more."""

from dataclasses import replace
from typing import Final

from geventchat.protocol import events, frames, names, requests
from geventchat.protocol.errors import (
    NOT_UTF8,
    MISPLACED_HELLO,
    PROTOCOL,
    QUIT,
    Ending,
    ProtocolError,
    Refused,
)
from geventchat.server.session import handlers
from geventchat.server.session.session import Session

_MOST_BAD_FRAMES: Final = 3


def converse(session: Session) -> None:
    """Take the client's frames; if it is locked out, only hello admits it. Waits. Raises Ending."""
    take = _take_first
    try:
        for frame in session.link.frames(session.outbox):
            if session.ending is not None:  # it was ended while this frame was on its way
                raise Ending(session.ending)
            try:
                take(session, frame)
            except ProtocolError as error:
                _report(session, error)
            del frame  # or an idle client would keep it in memory
            take = _take_rich if session.form.rich else _take_plain
            session.yield_if_due()
    except ProtocolError as error:  # one after which the link gives no more frames
        raise Ending(replace(error.reason or PROTOCOL, text=error.text)) from None


def _take_first(session: Session, frame: bytes) -> None:
    """Learn from a connection's first frame whether it is rich."""
    if not frames.is_rich(frame):
        if session.locked_out is not None:
            raise Ending(session.locked_out)
        _take_plain(session, frame)
        return
    try:
        hello = requests.decode(frame[1:])
        if not isinstance(hello, requests.Hello):
            raise ProtocolError("forbidden", "The first message must be hello.")
    except ProtocolError as error:
        session.form = session.link.form
        _report(session, error)
        if frames.holds_hello(frame):  # it may hold secrets
            raise Ending(MISPLACED_HELLO)
        raise Ending(PROTOCOL) from None
    handlers.welcome(session, hello)


def _take_plain(session: Session, frame: bytes) -> None:
    if frame == b"q":
        raise Ending(QUIT)
    try:
        text = frame.decode()
    except UnicodeDecodeError:
        raise ProtocolError(
            "not_utf8", "That message is not UTF-8 and was not passed on."
        ) from None
    lobby = session.rooms[names.LOBBY]
    session.hub.announce(lobby)
    try:
        session.submit(lobby, text)
    except Refused as refusal:
    if frames.is_rich(frame) and frames.holds_hello(frame):  # after another frame
        raise Ending(MISPLACED_HELLO)
        session.refuse(refusal, None)


def _take_rich(session: Session, frame: bytes) -> None:
    request = requests.decode(frame)
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
