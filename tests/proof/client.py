"""Some clients in a process, which log everything they do and receive.

    python -m tests.proof.client PORT FIRST COUNT SEED FILE PEOPLE

PEOPLE is empty if all are guests, or JSON: how many `clients` there are, and
the `port` and `token` of a webhook. They talk until they read `stop` from standard input. Then they
receive until they have reached the newest positions, which follow there.
"""

import json
import random
import sys
import time
from contextlib import suppress
from typing import Any, Final

import gevent
from gevent import socket
from gevent.event import Event as Signal

from geventchat.client import backoff
from geventchat.client import connection as library
from tests.proof import people
from tests.proof.checker import PLAIN
from tests.proof.log import Chat, LoggingReader, begin
from tests.proof.plain import shout
from tests.proof.talk import FAILURES, ROOMS, Author, contend, listen, talk

_LEVEL_SECONDS: Final = 45
_TRIED: Final = 40
"""Sessions that are tried at the end."""


def main() -> None:
    """Run the clients."""
    port, first, count, seed = map(int, sys.argv[1:5])
    backoff.MAX_SECONDS = 0.2  # type: ignore[misc]
    library.ANSWER_SECONDS = 10  # type: ignore[misc]
    library.CLOSE_SECONDS = 2  # type: ignore[misc]
    with open(sys.argv[5], "w", encoding="utf-8") as file, begin(file):
        _run(port, range(first, first + count), seed, json.loads(sys.argv[6] or "null"))


def _run(port: int, numbers: range, seed: int, cast: dict[str, Any] | None) -> None:
    first, stop, since = numbers[0], Signal(), numbers[0] // 10 % 2 == 1
    private = f"{'since' if since else 'plan'}-{first}"
    dice = [random.Random(seed * 1_000 + number) for number in range(4 * len(numbers))]
    if cast is None:
        chats = [Chat(port, f"c{n}", nick=f"c{n}", rooms=ROOMS) for n in numbers]
    else:
        chats = [people.connect(port, n) for n in numbers if n % 10 != people.AWAY]
        people.gather(chats[: people.AWAY], private, "joined" if since else "all")
    listening = [gevent.spawn(listen, chat, dice.pop(), stop) for chat in chats]
    authors: dict[str, Author] = {}
    for chat in chats:
        author = authors.setdefault(chat.person or chat.name, Author())
        if cast is not None and chat.person is not None:
            others = [nick for nick in people.nicks(cast["clients"]) if nick != chat.person]
            author.others, author.private = others, private
    doing: list[gevent.Greenlet[..., None]] = [
        gevent.spawn(talk, chat, authors[chat.person or chat.name], dice.pop(), stop)
        for chat in chats
    ]
    guests = [chat for chat in chats if chat.person is None]
    doing += [gevent.spawn(contend, chat, dice.pop(), stop) for chat in guests]
    doing.append(gevent.spawn(shout, f"{PLAIN}{first}", port, dice.pop(), stop))
    if cast is not None:
        doing += [
            gevent.spawn(people.come_and_go, chats, private, dice.pop(), stop),
            gevent.spawn(people.post, f"h{first}", cast["port"], cast["token"], dice.pop(), stop),
        ]
    coming = gevent.spawn(people.newcomers, port, first, dice.pop(), stop) if cast else None
    print("ready", flush=True)
    _line()
    stop.set()
    gevent.joinall(doing, raise_error=True)
    tokens = coming.get() if coming is not None else []
    LoggingReader.file.flush()
    print("silent", flush=True)
    tops = json.loads(_line())
    people.try_sessions(port, f"t{first}", tokens[-_TRIED:])
    print("gone", flush=True)  # before anybody asks who is there
    _line()
    if cast is not None:
        for chat in people.come_back(port, numbers):
            chats.append(chat)
            listening.append(gevent.spawn(listen, chat, dice.pop(), stop))
    _end(chats, tops)
    gevent.joinall(listening, timeout=5)


def _end(chats: list[Chat], tops: dict[str, int]) -> None:
    for chat in chats:
        if chat.person is not None:
            _open_conversations(chat)
    end = time.monotonic() + _LEVEL_SECONDS
    while time.monotonic() < end and not all(_level(chat, tops) for chat in chats):
        gevent.sleep(0.02)
    for chat in chats:
        with suppress(*FAILURES):
            chat.ping()  # behind all that was delivered
        chat.note("is", None, chat.nick)
        for room in ROOMS:
            with suppress(*FAILURES):
                chat.note("who", room, chat.who(room).nicks)
        cursors = chat.cursors
        chat.note("end", {room: at and at.position for room, at in cursors.items()})
        for room, at in cursors.items() if chat.person is not None else ():
            with suppress(*FAILURES):
                if at is not None and at.position:
                    mark = chat.read(room, 1)
                    chat.note("counts", room, mark.position, mark.unread, mark.mentions)
    gevent.joinall([gevent.spawn(chat.close) for chat in chats], timeout=10)


def _open_conversations(chat: Chat) -> None:
    """Join conversations that did not open by themselves: all of it was read elsewhere."""
    after: str | None = None
    with suppress(*FAILURES):
        while True:
            page = chat.conversations(limit=200, after=after)
            for each in page.conversations:
                if not chat.has_joined(each.room):
                    chat.note("closed", each.room, each.unread)
                    chat.join(each.room)
            if (after := page.next) is None:
                return


def _level(chat: Chat, tops: dict[str, int]) -> bool:
    return chat.ended is not None or all(
        tops.get(room, 0) <= (at.position if at is not None else 0)
        for room, at in chat.cursors.items()
    )


def _line() -> str:
    socket.wait_read(0)
    return sys.stdin.readline()


if __name__ == "__main__":
    main()
