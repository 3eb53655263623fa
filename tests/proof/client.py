"""Some clients in a process, which log everything they do and receive.

    python -m tests.proof.client PORT FIRST COUNT SEED FILE

They talk until they read `stop` from standard input, and then receive until they have reached the
newest positions, which follow on standard input. Each line of the log is written before the system
call that sends, or after the one that receives; times are monotonic, in nanoseconds.
"""

import json
import random
import sys
import time
from contextlib import suppress
from typing import Final, TextIO

import gevent
from gevent import socket
from gevent.event import Event as Signal

from geventchat.client import (
    Connection,
    Disconnected,
    Ended,
    Gap,
    Joined,
    Post,
    Reconnected,
    Refused,
    ServerError,
    backoff,
)
from geventchat.client import connection as library
from geventchat.client.reader import Reader
from geventchat.client.socket_link import SocketLink
from geventchat.protocol.events import AnyEvent
from geventchat.protocol.requests import Cursor

ROOMS: Final = ("one", "two", "three")
MEAN_SECONDS: Final = 0.4
_LEVEL_SECONDS: Final = 10


class Chat(Connection):
    """A named connection that logs what its application does."""

    name: str
    file: TextIO


class LoggingReader(Reader):
    """A reader that logs what it receives from the socket, before anything else sees it."""

    name: str
    file: TextIO

    def _handle(self, event: AnyEvent, frame_bytes: int) -> None:
        if isinstance(event, Post):
            note(
                self,
                "saw",
                event.room,
                self.epochs.get(event.room),
                event.position,
                event.key,
                event.text,
            )
        elif isinstance(event, Joined):
            asked = self.asked.get(event.room)
            self.epochs[event.room] = event.epoch
            note(
                self,
                "joined",
                event.room,
                event.epoch,
                event.position,
                event.oldest,
                event.recovered,
                asked,
            )
        super()._handle(event, frame_bytes)

    def _open(self, nick: str | None, rooms: dict[str, Cursor | None]) -> SocketLink:
        self.asked = {room: [at.epoch, at.position] if at else None for room, at in rooms.items()}
        self.epochs: dict[str, str] = {}
        return super()._open(nick, rooms)


def note(chat: Chat | LoggingReader, kind: str, *what: object) -> None:
    """Write a line."""
    chat.file.write(json.dumps([time.monotonic_ns(), kind, chat.name, *what]) + "\n")


def talk(chat: Chat, dice: random.Random, stop: Signal) -> None:
    """Send messages, one after the other, until told to stop."""
    number = 0
    while not stop.wait(dice.expovariate(1 / MEAN_SECONDS)):
        number += 1
        room, key = dice.choice(ROOMS), f"{chat.name}-{number}"
        text = f"{key}: {'ä€ '[number % 3] * dice.randrange(1, 200)}."
        note(chat, "says", room, key, text)
        try:
            position = chat.say(room, text, key=key)
        except (Refused, TimeoutError, Ended) as error:
            note(chat, "unknown", room, key, str(error))
        else:
            note(chat, "ok", room, key, position)
            if dice.random() < 0.1:
                repeat(chat, room, text, key)


def repeat(chat: Chat, room: str, text: str, key: str) -> None:
    """Send a stored message again, as after a missed acknowledgement."""
    with suppress(Refused, TimeoutError, Ended):
        note(chat, "again", room, key, chat.say(room, text, key=key))


def listen(chat: Chat, dice: random.Random) -> None:
    """Receive everything; sometimes read slowly, or lose the connection."""
    while True:
        try:
            for event in chat:
                if isinstance(event, Gap):
                    note(chat, "gap", event.room, event.after)
                elif isinstance(event, Disconnected):
                    note(chat, "away", event.bye.code)
                elif isinstance(event, Reconnected):
                    note(chat, "back")
                elif dice.random() < 0.0005:
                    gevent.sleep(1.0)
                elif dice.random() < 0.0005:
                    with suppress(OSError):
                        chat._reader.link._socket.shutdown(socket.SHUT_RDWR)
        except ServerError as error:
            note(chat, "broken", str(error))
        else:
            return


def main() -> None:
    """Run the clients."""
    port, first, count, seed = map(int, sys.argv[1:5])
    backoff.MAX_SECONDS = 0.2  # type: ignore[misc]
    library.Reader = LoggingReader  # type: ignore[attr-defined]
    library.ANSWER_SECONDS = 10  # type: ignore[misc]
    library.CLOSE_SECONDS = 2  # type: ignore[misc]
    stop = Signal()
    with open(sys.argv[5], "w", encoding="utf-8") as file:
        chats = []
        for number in range(first, first + count):
            LoggingReader.name, LoggingReader.file = f"c{number}", file
            chat = Chat("127.0.0.1", port, nick=f"c{number}", rooms=ROOMS)
            assert isinstance(chat._reader, LoggingReader)
            for each in (chat, chat._reader):
                each.name, each.file = f"c{number}", file
            chats.append(chat)
            LoggingReader.name = ""
        dice = [random.Random(seed * 1_000 + number) for number in range(2 * count)]
        listening = [gevent.spawn(listen, chat, dice.pop()) for chat in chats]
        talking = [gevent.spawn(talk, chat, dice.pop(), stop) for chat in chats]
        print("ready", flush=True)
        _line()
        stop.set()
        gevent.joinall(talking)
        print("silent", flush=True)
        tops = json.loads(_line())
        end = time.monotonic() + _LEVEL_SECONDS
        while time.monotonic() < end and not all(_level(chat, tops) for chat in chats):
            gevent.sleep(0.02)
        for chat in chats:
            note(chat, "end", {room: at and at.position for room, at in chat.cursors.items()})
        gevent.joinall([gevent.spawn(chat.close) for chat in chats], timeout=10)
        gevent.joinall(listening, timeout=5)


def _level(chat: Chat, tops: dict[str, int]) -> bool:
    cursors = chat.cursors
    return all(
        (at := cursors.get(room)) is not None and at.position >= top for room, top in tops.items()
    )


def _line() -> str:
    socket.wait_read(0)
    return sys.stdin.readline()


if __name__ == "__main__":
    main()
