"""`geventchat connect`: chooses between terminal and pipe, and turns outcomes into exit codes."""

import getpass
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TextIO

import gevent
from gevent.ssl import SSLContext

from geventchat.client.connection import Connection, TooLong
from geventchat.client.plain import PlainConnection
from geventchat.client.socket_link import Ended, NotGeventchat, ServerError
from geventchat.client.terminal import kept_session, piped
from geventchat.client.terminal.client_id import client_id
from geventchat.client.terminal.command import SignInAgain
from geventchat.client.terminal.errors import Failed, complain
from geventchat.client.terminal.kept_session import KeptSession
from geventchat.client.tls import tls_context
from geventchat.protocol.errors import ACCOUNT, PASSWORD, Refused
from geventchat.protocol.names import LOBBY, endpoint, fold
from geventchat.protocol.requests import SignIn

FAILED: Final = 1
INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `geventchat connect`."""

    host: str
    port: int
    nick: str | None = None
    rooms: tuple[str, ...] = ()
    """The first is the one to start in; empty means the lobby."""
    plain: bool = False
    listen: bool = False
    history: bool = False
    password: str | None = None
    token: str | None = None
    account: SignIn | None = None
    """What to sign in with; None: the session that is kept, if there is one."""
    tls: bool = False
    ca: str | None = None
    """File of the only certificates to trust; implies `tls`."""
    told: str = ""
    """What to tell the user when they are there."""


def connect(options: Options) -> int:
    """Connect until the user or the server ends it; return the exit code.

    Interactive on a terminal, else standard input is sent. Asks for the password on a terminal if
    the server requires one. Reports errors as one line on standard error.
    """
    try:
        trust = tls_context(options.ca) if options.tls or options.ca else None
    except OSError as error:
        return _fail(str(error))
    former = replace(options, account=None)
    try:
        while True:
            try:
                with _interruptible():
                    return _talk(options, trust)
            except SignInAgain as again:
                if again.account is None:
                    options = replace(options, nick=None)  # it is the account's
                former = replace(options, account=None, nick=again.nick, rooms=again.rooms)
                options = replace(options, account=again.account, told="")
                continue
            except Ended as error:
                asks = _is_terminal(sys.stdin)
                if error.bye.code == ACCOUNT.code:
                    if options.account is not None and not options.account.register:
                        options = replace(former, told=error.bye.text)
                        continue
                    _fail(error.bye.text)
                    if asks:
                        options = replace(options, account=_asked_account())
                    else:
                        return FAILED
                    continue
                if error.bye.code != PASSWORD.code or not asks:
                    return _fail(error.bye.text)
                _fail(error.bye.text)
            options = replace(options, password=getpass.getpass())
    except (KeyboardInterrupt, EOFError):
        return INTERRUPTED


@contextmanager
def _interruptible() -> Iterator[None]:
    # Not Python's own handler, whose KeyboardInterrupt would strike whatever greenlet runs. But
    # it is the one for a question, which is asked while nothing else runs.
    watcher = gevent.signal_handler(
        signal.SIGINT, gevent.kill, gevent.getcurrent(), KeyboardInterrupt
    )
    try:
        yield
    finally:
        watcher.cancel()
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _talk(options: Options, trust: SSLContext | None) -> int:
    """Connect once. Raises Ended and KeyboardInterrupt; reports other errors."""
    host, port = options.host, options.port
    at_terminal = _is_terminal(sys.stdin) and _is_terminal(sys.stdout) and not options.listen
    rooms = options.rooms or (LOBBY,)
    try:
        if options.told and not at_terminal:
            complain(options.told)
        if at_terminal:
            from geventchat.client.terminal import app  # slow to import, and not needed in a pipe
        if options.plain:
            with PlainConnection(host, port, trust) as peer:
                if at_terminal:
                    return app.plain(peer, host, port)
                return _code(piped.plain(peer, listen=options.listen))
        with client_id(host, port) as client:
            kept = _kept(options, tls=trust is not None)
            account = options.account or _sign_in(kept, options.nick)
            try:
                chat = Connection(
                    host,
                    port,
                    nick=options.nick,
                    rooms=rooms if account is None else (),  # it has its own
                    client=client.id,
                    password=options.password,
                    token=options.token,
                    account=account,
                    tls=trust or False,
                )
            except Ended as ended:
                if ended.bye.code != ACCOUNT.code or account is None or kept is None:
                    raise
                kept_session.forget(host, port, kept.session)
                told = f"{ended.bye.text} Connect again to be a guest, or to sign in."
                raise Failed(told) from None
            client.keep()
            keep = partial(_keep, host, port, chat, tls=trust is not None)
            keep()
            if at_terminal:
                room = rooms[0] if account is None else _join(chat, options.rooms, needed=False)
                with _forgetting(host, port, chat):
                    return app.rich(chat, room, host, port, options.nick, keep, options.told)
            with _forgetting(host, port, chat), chat:
                if account is None:
                    room = rooms[0]
                else:
                    room = _join(chat, options.rooms if options.listen else rooms, needed=True)
                unsent = piped.rich(chat, room, listen=options.listen, history=options.history)
                return _code(unsent)
    except BrokenPipeError:
        return 0  # the reader of the output has closed it
    except NotGeventchat as error:
        return _fail(f"{error} Use --plain for a server of the original protocol.")
    except OSError as error:
        return _fail(f"{endpoint(host, port)}: {error.strerror or error}")
    except (Failed, Refused, TooLong, ServerError) as error:
        return _fail(str(error))


def _kept(options: Options, *, tls: bool) -> KeptSession | None:
    """Return the session that is kept for a server, if it is to be used."""
    if options.account is not None:
        return None
    kept = kept_session.load(options.host, options.port)
    if kept is not None and kept.tls and not tls:
        complain(f"the session of {kept.nick} came over TLS and is not sent without --tls")
        return None
    return kept


def _sign_in(kept: KeptSession | None, nick: str | None) -> SignIn | None:
    """Return what a kept session signs in with, unless another nick is asked for."""
    if kept is None or (nick is not None and fold(nick) != fold(kept.nick)):
        return None
    return SignIn(session=kept.session)


def _keep(host: str, port: int, chat: Connection, *, tls: bool) -> None:
    """Keep the session of a connection for the next time, if it is signed in."""
    if chat.session is not None:
        kept_session.keep(host, port, KeptSession(chat.nick, chat.session, tls))


@contextmanager
def _forgetting(host: str, port: int, chat: Connection) -> Iterator[None]:
    """Forget the session of a connection if it has ended at the end of the block.

    Raises Failed if it ended within, by the server.
    """
    try:
        yield
    except Ended as ended:
        if ended.bye.code != ACCOUNT.code or chat.session is None:
            raise
        kept_session.forget(host, port, chat.session)
        raise Failed(ended.bye.text) from None
    except SignInAgain as again:
        if again.account is None and chat.session is not None:
            kept_session.forget(host, port, chat.session)
        raise
    if chat.ended is not None and chat.ended.code == ACCOUNT.code and chat.session is not None:
        kept_session.forget(host, port, chat.session)


def _join(chat: Connection, rooms: Iterable[str], *, needed: bool) -> str:
    """Join rooms as an account; return the name of the first, or an empty one.

    `@nick` is a conversation. Raises Refused if a room is `needed`, else reports it.
    """
    first = ""
    for room in rooms:
        try:
            joined = chat.open(room[1:]) if room.startswith("@") else chat.join(room)
        except Refused as refused:
            if needed:
                raise
            complain(f"{room}: {refused}")
        else:
            first = first or joined.room
    return first


def _asked_account() -> SignIn:
    """Ask whom to sign in as, or to register. Raises EOFError."""
    sys.stderr.write("Nick: ")
    sys.stderr.flush()
    if not (line := sys.stdin.readline()):
        raise EOFError
    nick = line.strip()
    if password := getpass.getpass("Password (empty: a new account): "):
        return SignIn(nick=nick, password=password, device=kept_session.device())
    while (password := getpass.getpass("New password: ")) != getpass.getpass("The same again: "):
        complain("The two were not the same.")
    device = kept_session.device()
    return SignIn(nick=nick, password=password, register=True, device=device)


def _fail(why: str) -> int:
    complain(why)
    return FAILED


def _code(unsent: int) -> int:
    return FAILED if unsent else 0


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether a standard stream is a terminal; it is None if it was closed at the start."""
    return stream is not None and stream.isatty()
