"""What WebSocket adds to the protocol: its path, its subprotocol, its frames and its close codes.

RFC 6455. Nothing here waits.
"""

from typing import Final

PATH: Final = "/ws"
SUBPROTOCOL: Final = "geventchat.v1"

# RFC 6455, 7.4.1, and IANA's list: where one of those fits. From 4000 on they are ours.
CLOSE_CODES: Final = {
    "quit": 1000,
    "shutdown": 1001,
    "protocol": 1002,
    "not_utf8": 1007,
    "flood": 1008,
    "idle": 1008,
    "too_large": 1009,
    "internal": 1011,
    "storage": 1011,
    "full": 1013,
    "slow": 4000,
    "replaced": 4001,
    "kicked": 4002,
    "banned": 4003,
    "password": 4004,
    "account": 4005,
}
"""The close code that follows each `bye`, by its code."""
UNACCEPTED: Final = 1003
"""The close code for a binary message; its `bye` is `protocol`."""

_TEXT: Final = 0x81
"""The first byte of a text message in one frame."""


def text_frame(text: bytes) -> bytes:
    """Encode a text message as a server sends it: unmasked, so the same for all clients."""
    length = len(text)
    if length < 126:
        return bytes((_TEXT, length)) + text
    if length < 1 << 16:
        return bytes((_TEXT, 126, length >> 8, length & 0xFF)) + text
    return bytes((_TEXT, 127)) + length.to_bytes(8) + text
