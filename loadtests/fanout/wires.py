"""How to join a room and send messages in each protocol.

A load need not understand what it hears: it counts a byte that only message bodies hold. So a
wire is three facts and two or three functions.
"""

import json
import socket
from abc import ABC, abstractmethod
from typing import ClassVar

from geventchat.protocol.websocket import PATH
from loadtests.support import websocket
from loadtests.support.address import Address


class Wire(ABC):
    """A protocol, as far as a load speaks it."""

    echoes: ClassVar[bool] = False
    """Whether senders receive their own messages."""
    has_rooms: ClassVar[bool] = True
    separate_publishers: ClassVar[bool] = False
    """Whether subscribers cannot publish, so that talkers need separate connections."""

    def shake_hands(self, connection: socket.socket, room: str) -> None:  # noqa: B027
        """Do what comes before the greeting, and has an answer to wait for. Raises OSError."""

    @abstractmethod
    def greet(self, member: int, room: str) -> bytes:
        """Return what a member sends to join a room."""

    @abstractmethod
    def publish(self, room: str, body: bytes, serial: int) -> bytes:
        """Return what a talker sends to publish a body in its room; serials are unique."""


class Plain(Wire):
    """The original chat: frames, and one room."""

    has_rooms = False

    def greet(self, member: int, room: str) -> bytes:
        return b""

    def publish(self, room: str, body: bytes, serial: int) -> bytes:
        return body + b"\0"


class Rich(Wire):
    """The geventchat protocol; every message has a key, as those of real clients have."""

    echoes = True

    def greet(self, member: int, room: str) -> bytes:
        hello = {
            "type": "hello",
            "version": 1,
            "client": f"fanout-{member:016}",
            "nick": f"n{member}",
            "rooms": {room: None},
        }
        return b"\x1e" + json.dumps(hello).encode() + b"\0"

    def publish(self, room: str, body: bytes, serial: int) -> bytes:
        return b'{"type":"say","room":"%b","key":"%022x","text":"%b"}\0' % (
            room.encode(),
            serial,
            body,
        )


class RichWeb(Rich):
    """The geventchat protocol over WebSocket."""

    def shake_hands(self, connection: socket.socket, room: str) -> None:
        _upgrade(connection, PATH)

    def greet(self, member: int, room: str) -> bytes:
        return websocket.text_frame(super().greet(member, room)[1:-1])

    def publish(self, room: str, body: bytes, serial: int) -> bytes:
        return websocket.text_frame(super().publish(room, body, serial)[:-1])


class WebSocket(Wire):
    """Bare WebSocket: the path is the room, and each message goes to all who are in it."""

    echoes = True

    def shake_hands(self, connection: socket.socket, room: str) -> None:
        _upgrade(connection, f"/{room}")

    def greet(self, member: int, room: str) -> bytes:
        return b""

    def publish(self, room: str, body: bytes, serial: int) -> bytes:
        return websocket.text_frame(body)


def _upgrade(connection: socket.socket, path: str) -> None:
    websocket.shake_hands(connection, Address(*connection.getpeername()), path=path)


class Redis(Wire):
    """Redis pub/sub in RESP2: a subscriber may not publish."""

    echoes = True
    separate_publishers = True

    def greet(self, member: int, room: str) -> bytes:
        return b"*2\r\n$9\r\nSUBSCRIBE\r\n$%d\r\n%b\r\n" % (len(room), room.encode())

    def publish(self, room: str, body: bytes, serial: int) -> bytes:
        return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            len(room),
            room.encode(),
            len(body),
            body,
        )


class Nats(Wire):
    """Core NATS with echo off."""

    def greet(self, member: int, room: str) -> bytes:
        return b'CONNECT {"verbose":false,"echo":false}\r\nSUB %b 1\r\n' % room.encode()

    def publish(self, room: str, body: bytes, serial: int) -> bytes:
        return b"PUB %b %d\r\n%b\r\n" % (room.encode(), len(body), body)


class Mqtt(Wire):
    """MQTT 3.1.1 at quality of service 0."""

    echoes = True

    def greet(self, member: int, room: str) -> bytes:
        clean_session, keep_alive = b"\x02", b"\0\0"
        connect = self._text("MQTT") + b"\x04" + clean_session + keep_alive
        subscribe = b"\0\1" + self._text(room) + b"\0"
        return self._packet(0x10, connect + self._text(f"n{member}")) + self._packet(
            0x82, subscribe
        )

    def publish(self, room: str, body: bytes, serial: int) -> bytes:
        return self._packet(0x30, self._text(room) + body)

    @staticmethod
    def _text(text: str) -> bytes:
        return len(text).to_bytes(2, "big") + text.encode()

    @staticmethod
    def _packet(kind: int, content: bytes) -> bytes:
        """Put the kind and the length before it: seven bits a byte, the lowest first."""
        head = bytearray([kind])
        left = len(content)
        while left > 127:
            head.append(left & 127 | 128)
            left >>= 7
        head.append(left)
        return bytes(head) + content


class Irc(Wire):
    """IRC, all said in one breath; a server that checks with PING first will not do."""

    def greet(self, member: int, room: str) -> bytes:
        return f"NICK n{member}\r\nUSER n 0 * :n\r\nJOIN #{room}\r\n".encode()

    def publish(self, room: str, body: bytes, serial: int) -> bytes:
        return b"PRIVMSG #%b :%b\r\n" % (room.encode(), body)
