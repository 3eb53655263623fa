"""What WebSocket adds: frames as the library writes them, and a close code for every ending."""

import pytest
from websockets.frames import Close, Frame, Opcode

from geventchat.protocol import errors
from geventchat.protocol.errors import Reason
from geventchat.protocol.websocket import CLOSE_CODES, UNACCEPTED, text_frame

_OF_THE_CHAT_PORT = {"http", "proxy", "misplaced_hello", "lost"}
"""Endings that no WebSocket has, and the one of which nobody is told."""


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 1 << 20])
def test_a_text_is_framed_as_the_rfc_has_it(size: int) -> None:
    text = b"x" * size
    assert text_frame(text) == Frame(Opcode.TEXT, text).serialize(mask=False)


def test_every_ending_has_a_close_code_that_may_be_sent() -> None:
    codes = {each.code for each in vars(errors).values() if isinstance(each, Reason)}
    assert codes - _OF_THE_CHAT_PORT == CLOSE_CODES.keys()
    for code in (*CLOSE_CODES.values(), UNACCEPTED):
        Close(code, "").check()
