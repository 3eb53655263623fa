"""What clients say, change, and read."""

import random
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import gevent
from gevent import socket
from gevent.event import Event as Signal

from geventchat.client import Disconnected, Ended, Gap, Reconnected, Refused, ServerError
from geventchat.protocol.names import LOBBY
from tests.proof.log import Chat

ROOMS: Final = ("one", "two", LOBBY)
CONTESTED: Final = ("wanted", "popular", "sought")
"""Nicks that several guests try to have."""
MEAN_SECONDS: Final = 0.4
CHANGED: Final = 0.4
"""The chance that a message is followed by a change."""
FAILURES: Final = (Refused, TimeoutError, Ended)


class Said(NamedTuple):
    """A message that was acknowledged."""

    chat: Chat
    room: str
    position: int
    text: str
    key: str


@dataclass
class Author:
    """A guest, or an account with all its devices, which change what any of them said."""

    said: list[Said] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """The nicks to which it sends direct messages, and which it mentions."""
    private: str | None = None
    """The private room that it may be in."""


def talk(chat: Chat, author: Author, dice: random.Random, stop: Signal) -> None:
    """Send messages, one after the other, until told to stop; now and then change one."""
    number = 0
    while not stop.wait(dice.expovariate(1 / MEAN_SECONDS)):
        number += 1
        key, to = f"{chat.name}-{number}", None
        room = dice.choice(ROOMS)
        if author.others and dice.random() < 0.4:
            to = dice.choice(author.others)
            room = f"@{'+'.join(sorted((chat.person or '', to)))}"
        elif author.private in chat.cursors and dice.random() < 0.5:
            room = author.private or ""
        named = dice.choice(author.others) if author.others and dice.random() < 0.2 else "nobody"
        text = text_of(key, dice, named)
        chat.note("says", room, key, text)
        try:
            sent = chat.direct(to, text, key=key) if to is not None else None
            position = chat.say(room, text, key=key) if sent is None else sent.position
        except FAILURES as error:
            chat.note("unknown", room, key, getattr(error, "code", str(error)))
        else:
            chat.note("ok", room, key, position)
            where = (sent.room if sent is not None else None) or room
            author.said.append(Said(chat, where, position or 0, text, key))
            if dice.random() < CHANGED:
                change(chat, dice, dice.choice(author.said))
            if dice.random() < 0.1:
                repeat(author.said[-1])
            if chat.person is not None and dice.random() < 0.5:
                mark(chat, dice)


def text_of(key: str, dice: random.Random, named: str = "nobody") -> str:
    """Return a text that can be found in any file: its word holds the key, behind random digits.

    A search index may leave out the first digits, which other words have too.
    """
    word = f"{dice.getrandbits(32):08x}x{key.replace('-', 'x')}x"
    filler = "äß€ "[dice.randrange(4)] * dice.randrange(1, 200)
    return f"{key}: text {word} to {named} {filler} {word}."


def change(chat: Chat, dice: random.Random, said: Said) -> None:
    """Edit or redact a message; sometimes send it again afterwards, with its former text."""
    where = said.room, said.key, said.position
    text = text_of(said.key, dice)
    try:
        if dice.random() < 0.6:
            chat.note("edits", *where, text)
            chat.note("edited", *where, chat.edit(said.room, said.position, text).change, text)
        else:
            chat.note("redacts", *where)
            chat.note("redacted", *where, chat.redact(said.room, said.position).change)
    except FAILURES as error:
        chat.note("unsure", *where, getattr(error, "code", str(error)))
    if dice.random() < 0.3:
        repeat(said)


def repeat(said: Said) -> None:
    """Send a stored message again, as after a missed acknowledgement."""
    with suppress(*FAILURES):
        position = said.chat.say(said.room, said.text, key=said.key)
        said.chat.note("again", said.room, said.key, position)


def mark(chat: Chat, dice: random.Random) -> None:
    """Note how far the account has read a room; another device may be further."""
    room, cursor = dice.choice(sorted(chat.cursors.items()))
    if cursor is not None and cursor.position:
        fact, position = f"read {chat.person} {room}", cursor.position
        if dice.random() < 0.2:  # further back, which changes nothing
            position = dice.randrange(1, position + 1)
        with suppress(*FAILURES):
            chat.note("wants", fact, position)
            chat.note("has", fact, chat.read(room, position).position)


def contend(chat: Chat, dice: random.Random, stop: Signal) -> None:
    """Take nicks that others want too, whenever they are free."""
    while not stop.wait(dice.uniform(0.2, 8.0)):
        with suppress(*FAILURES, ServerError):
            chat.rename(dice.choice((*CONTESTED, chat.name)))


def listen(chat: Chat, dice: random.Random, stop: Signal) -> None:
    """Receive everything; sometimes read slowly, or, until told to stop, lose the connection."""
    while True:
        try:
            for event in chat:
                if isinstance(event, Gap):
                    chat.note("gap", event.room, event.after)
                elif isinstance(event, Disconnected):
                    chat.note("away", event.bye.code)
                elif isinstance(event, Reconnected):
                    chat.note("back")
                elif dice.random() < 0.0005:
                    gevent.sleep(1.0)
                elif dice.random() < 0.0005 and not stop.is_set():
                    with suppress(OSError):
                        chat._reader.link._socket.shutdown(socket.SHUT_RDWR)
        except ServerError as error:
            chat.note("broken", str(error))
        else:
            chat.note("over", chat.ended.code if chat.ended is not None else None)
            return
