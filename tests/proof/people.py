"""What accounts do besides talking: sign in, come and go, revoke sessions; and a webhook.

Of ten clients in a row six are devices of accounts: two and two of the same, and two alone. A
seventh account is away until the end, and three clients are guests.
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import Final, Literal

from gevent import socket
from gevent.event import Event as Signal

from geventchat.client import Ended, NotGeventchat
from geventchat.protocol.requests import SignIn
from tests.proof.log import Chat, host, login, write
from tests.proof.talk import FAILURES, ROOMS, text_of

_OWNER: Final = (0, 0, 2, 2, 4, 5, 6)
"""By the last digit of a client, that of the first device of its account."""
AWAY: Final = 6
_ADDED: Final = (4, AWAY)
"""These are added by the operator; the others register."""
_GUEST: Final = 5
"""This one comes into the private room, and leaves it, again and again."""
_LATER: Final = (OSError, NotGeventchat)


def nick_of(number: int) -> str | None:
    """Return the nick of the account of a client; None: it is a guest."""
    digit = number % 10
    return f"p{number - digit + _OWNER[digit]}" if digit < len(_OWNER) else None


def nicks(clients: int) -> list[str]:
    """Return the nicks of all accounts."""
    return list(dict.fromkeys(filter(None, map(nick_of, range(clients)))))


def added(clients: int) -> list[str]:
    """Return the nicks of the accounts that the operator adds."""
    return [f"p{number}" for number in range(clients) if number % 10 in _ADDED]


def password(nick: str) -> str:
    """Return the password of an account."""
    return f"the password of {nick}"


def connect(port: int, number: int) -> Chat:
    """Return a client as it begins: a guest, or signed in, or registered."""
    name, nick = f"c{number}", nick_of(number)
    if nick is None:
        return Chat(port, name, nick=name, rooms=ROOMS)
    register = nick == f"p{number}" and number % 10 not in _ADDED
    chat = Chat(port, name, SignIn(nick, password(nick), register=register), rooms=())
    chat.note("account", nick)
    if number % 10 != AWAY:  # that one comes when it was read what is stored
        chat.note("has", f"account {nick}", True)
        chat.note("has", chat.login, True)
        for room in ROOMS if nick == f"p{number}" else ():
            join(chat, room)
    return chat


def come_back(port: int, numbers: Iterable[int]) -> Iterator[Chat]:
    """Connect the clients that were away."""
    for number in numbers:
        if number % 10 == AWAY:
            try:
                yield connect(port, number)
            except Ended as ended:
                write(f"c{number}", "over", ended.bye.code)
            except _LATER as error:
                write(f"c{number}", "over", str(error))


def gather(chats: list[Chat], room: str, history: Literal["all", "joined"]) -> None:
    """Make a private room for the first devices of some accounts."""
    owner, *others = [chat for chat in chats if chat.name == (chat.person or "").replace("p", "c")]
    join(owner, room, partial(owner.create, history=history))
    for chat in others:
        owner.invite(room, chat.person or "")
        join(chat, room)


def join(chat: Chat, room: str, by: Callable[..., object] | None = None) -> None:
    """Have an account join a room."""
    chat.note("wants", f"member {chat.person} {room}", True)
    (by or chat.join)(room)
    chat.note("has", f"member {chat.person} {room}", True)


def come_and_go(chats: list[Chat], room: str, dice: random.Random, stop: Signal) -> None:
    """Have an account invited into a private room, and leave it or be removed."""
    owner, guest = chats[0], chats[_GUEST]
    nick = guest.person or ""
    fact = f"member {nick} {room}"
    is_in = True
    while not stop.wait(dice.uniform(0.1, 1.5)):
        try:
            if not is_in:
                is_in = True
                guest.note("wants", fact, True)
                with suppress(*FAILURES):  # it may be invited already
                    owner.invite(room, nick)
                join(guest, room)
            else:
                is_in = False
                guest.note("wants", fact, False)
                if dice.random() < 0.5:
                    guest.leave(room)
                else:
                    owner.remove(room, nick)
                guest.note("has", fact, False)
        except FAILURES:
            is_in = dice.random() < 0.5  # nobody knows


def newcomers(port: int, first: int, dice: random.Random, stop: Signal) -> list[str]:
    """Have people register whatever happens to the server; return the tokens of their sessions.

    Some sign out at once.
    """
    tokens: list[str] = []
    number = 0
    while not stop.wait(dice.uniform(0.5, 4.0)):
        number += 1
        nick = f"n{first}x{number}"
        asked = SignIn(nick, password(nick), register=True)
        write(nick, "wants", f"account {nick}", True)
        try:
            chat = Chat(port, nick, asked, rooms=(), resume=False)
            chat.note("account", nick)
            chat.note("has", f"account {nick}", True)
            chat.note("has", chat.login, True)
            tokens.append(chat.session or "")
            if dice.random() < 0.5:
                (own,) = (each.id for each in chat.sessions() if each.current)
                chat.note("wants", chat.login, False)
                chat.revoke(own)
                chat.note("has", chat.login, False)
            chat.close()
        except (*FAILURES, *_LATER) as error:
            write(nick, "unsure", None, str(error))
    return tokens


def try_sessions(port: int, name: str, tokens: Iterable[str]) -> None:
    """Sign in by each of some tokens, and log which can be used."""
    for token in tokens:
        try:
            Chat(port, name, SignIn(session=token), rooms=(), resume=False).close()
        except Ended as ended:
            write(name, "shut out", login(token), ended.bye.code)
        except _LATER as error:
            write(name, "unsure", None, str(error))
        else:
            write(name, "let in", login(token))


def post(name: str, port: int, token: str, dice: random.Random, stop: Signal) -> None:
    """Post by a webhook, each message until it is stored."""
    number = 0
    write(name, "has", f"hook {ROOMS[0]}", True)
    while not stop.wait(dice.uniform(0.1, 0.5)):
        number += 1
        key = f"{name}-{number}"
        text = text_of(key, dice)
        write(name, "says", ROOMS[0], key, text)
        while (position := _posted(port, token, json.dumps({"text": text, "key": key}))) is None:
            if stop.wait(0.1):
                return
        write(name, "ok", ROOMS[0], key, position)
        if dice.random() < 0.2:
            position = _posted(port, token, json.dumps({"text": text, "key": key}))
            if position is not None:
                write(name, "again", ROOMS[0], key, position)


def _posted(port: int, token: str, body: str) -> int | None:
    """Post; return the position, or None: it is not known whether it was stored."""
    connection = HTTPConnection(host(), port)
    try:
        connection.sock = socket.create_connection((connection.host, port), timeout=5)
        head = {"Content-Type": "application/json"}
        connection.request("POST", f"/hook/{token}", body.encode(), head)
        response = connection.getresponse()
        answer = response.read()
        return int(json.loads(answer)["position"]) if response.status == 200 else None
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
