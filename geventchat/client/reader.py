"""The reader of a client: a greenlet that receives events, and reconnects after a loss."""

import os
import secrets
import time
from contextlib import suppress
from typing import Final
from weakref import WeakSet

import gevent
from gevent.event import Event as Signal
from gevent.ssl import SSLContext
from msgspec import structs

from geventchat.client.backoff import backoffs, retry_after
from geventchat.client.cursors import Cursors, Rooms
from geventchat.client.events import ClientEvent, Disconnected, Gap, Reconnected, ReconnectFailed
from geventchat.client.inbox import Inbox
from geventchat.client.pending_replies import PendingReplies
from geventchat.client.pending_says import PendingSays
from geventchat.client.rejoining import Rejoining
from geventchat.client.socket_link import Ended, NotGeventchat, ServerError, SocketLink
from geventchat.protocol import names, requests
from geventchat.protocol.errors import LOST, SLOW, Reason
from geventchat.protocol.events import (
    Answer,
    AnyEvent,
    Bye,
    Edited,
    Error,
    Joined,
    Left,
    Pong,
    Post,
    Redacted,
    Renamed,
    Sent,
    SignedIn,
    Topic,
    Welcome,
)
from geventchat.protocol.requests import Cursor, Hello, Join, Request, Say, SignIn

GOOD_SECONDS: Final = 30
"""After a connection that lasted so long the backoff starts over."""
_FORKED: Final = Reason(LOST.code, False, "The connection belongs to the parent process.")

_processes: Final = {os.getpid()}
_readers: "WeakSet[Reader]" = WeakSet()


def notice_fork() -> None:
    """Make gevent work in a forked process, which must not read what its parent waits for."""
    if os.getpid() not in _processes:
        _processes.add(os.getpid())
        gevent.reinit()
        for reader in list(_readers):
            reader.abandon()


class Reader:
    """Puts events into the inbox and hands replies to waiting callers.

    Messages that are not acknowledged are sent again on the next connection.
    """

    welcome: Welcome
    nick: str
    account: str | None
    """The public id of the account that is signed in."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: SSLContext | None,
        hello: Hello,
        rooms: Rooms,
        *,
        resumes: bool,
    ) -> None:
        """Connect and wait for the welcome, each for up to 10 s; `hello` is the template.

        Raises OSError, NotGeventchat and Ended.
        """
        notice_fork()
        self.cursors = Cursors(rooms)
        self.inbox = Inbox()
        self.replies = PendingReplies()
        """By the id of a request."""
        self.say_replies = PendingReplies()
        """By the key of a say."""
        self.pending_says = PendingSays()
        self.rejoining = Rejoining(self._rejoin)
        self.closing = Signal()
        """Set to prevent reconnecting."""
        self._connected = Signal()
        """Unset while the connection is lost; set at the end, too."""
        self.ended: Bye | None = None
        self._host, self._port, self._tls = host, port, tls
        self._hello = hello
        self.resumes = resumes
        self._backoffs = backoffs()
        self._connected_at = 0.0
        self._out_of_order = False  # this connection, whose events are dropped from here on
        self.link = self._open(hello.nick, self.cursors.resume())
        self._connected.set()
        self._greenlet = gevent.spawn(self._read)
        _readers.add(self)

    def send(self, request: Request, frame: bytes) -> None:
        """Send a request, encoded as a frame; keeps a say until it is acknowledged.

        Waits until the kernel accepts it, and up to 30 s for space for a say. Raises Ended,
        TooManyPending and Refused.
        """
        notice_fork()
        if not isinstance(request, Say):
            self.link.send(frame)
            return
        if self.pending_says.full and request.key not in self.pending_says:
            with self.inbox.unbounded():
                self.pending_says.wait_for_space()
        if self.ended is not None:
            raise Ended(self.ended)
        self.pending_says.say(request, frame, self.link)
        if not self.resumes and self.link.ended is not None:
            raise Ended(self.link.ended)

    def wait_connected(self) -> None:
        """Wait while the connection is lost. Raises Ended if there is no next one."""
        with self.inbox.unbounded():
            self._connected.wait()
        if self.ended is not None:
            raise Ended(self.ended)

    def in_order(self, event: ClientEvent) -> bool:
        """Advance the cursors by an event; False: it is out of order, to be dropped."""
        try:
            self.cursors.hear(event)
        except ServerError as error:
            if not self.resumes:
                raise
            if not self._out_of_order and not any(
                isinstance(e, Disconnected) for e in self.inbox.unread()
            ):
                self.link.close(Reason(LOST.code, LOST.reconnect, str(error)))
            self._out_of_order = True
            return False
        if isinstance(event, Disconnected):
            self._out_of_order = False
        return True

    def leave(self, left: Left) -> Left:
        """Leave a room that was not joined on this connection, as if the server had said so."""
        self._handle(left, 0)
        return left

    def join(self) -> None:
        """Wait until the stream has ended."""
        self._greenlet.join()

    def stop(self, seconds: float) -> None:
        """Close the connection and end the greenlet, within so many seconds."""
        self.link.close(LOST)
        self._greenlet.join(seconds)
        self._greenlet.kill()  # it may be reconnecting

    def abandon(self) -> None:
        """End the stream without a word, in a process that inherited it. Never waits."""
        self.ended = Bye(code=LOST.code, text=_FORKED.text, reconnect=False)
        self.link.close(_FORKED)
        self._greenlet.kill(block=False)
        self._finish(self.ended)  # the greenlet may not have begun

    def _read(self) -> None:
        try:
            while True:
                for event, frame_bytes in self.link:
                    self._handle(event, frame_bytes)
                    self.inbox.wait_for_space()
                    if self.inbox.overflows:
                        self.link.close(SLOW)
                bye = self.link.ended
                assert bye is not None
                if (final := self._final_bye(bye) or self._reconnect(bye)) is not None:
                    self.ended = final
                    return
        finally:
            if self.ended is None:
                self.ended = self.link.ended or Bye(
                    code=LOST.code, text=LOST.text, reconnect=LOST.reconnect
                )
            self._finish(self.ended)

    def _finish(self, ended: Bye) -> None:
        """End the stream for all that wait, once."""
        if self.pending_says.ended is not None:
            return
        self.inbox.put(None)
        self.pending_says.ended = ended
        self.pending_says.disconnected()
        self.rejoining.clear()
        self.replies.fail_all(ended)
        self.say_replies.fail_all(ended)
        self._connected.set()

    def _final_bye(self, bye: Bye) -> Bye | None:
        """Return how the stream ends with this connection; None: reconnect."""
        last = not self.resumes or self.closing.is_set() or self.inbox.overflows
        return bye if last or not bye.reconnect else None

    def _reconnect(self, bye: Bye) -> Bye | None:
        """Reconnect, for as long as it takes; else return how the stream ends."""
        self._connected.clear()
        self.pending_says.disconnected()
        self.rejoining.clear()  # the next hello names all rooms
        self.replies.fail_all(bye)
        self.inbox.put(Disconnected(bye))
        after, told = retry_after(bye.after_ms), bye.text
        if time.monotonic() - self._connected_at > GOOD_SECONDS:
            self._backoffs = backoffs()
        for seconds in self._backoffs:
            self.closing.wait(after or seconds)
            after = 0.0
            if self.closing.is_set():
                return bye
            nick = None if self.nick.startswith(names.GUEST) else self.nick
            try:
                link = self._open(nick, self.cursors.ahead(self.inbox.unread()))
            except Ended as ended:
                if not ended.bye.reconnect:
                    return ended.bye
                after, why = retry_after(ended.bye.after_ms), ended.bye.text
            except NotGeventchat as error:
                why = str(error)
            except OSError as error:
                why = error.strerror or str(error)
            else:
                break
            if why != told:
                self.inbox.put(ReconnectFailed(why))
                told = why
        self.link = link
        if self.closing.is_set():
            link.close(LOST)
            return bye
        self._connected.set()
        self.inbox.put(Reconnected(self.nick))
        self.pending_says.reconnected(link)
        return None

    def _open(self, nick: str | None, rooms: dict[str, Cursor | None]) -> SocketLink:
        nonce = secrets.token_urlsafe(16)
        hello = structs.replace(self._hello, nonce=nonce, nick=nick, rooms=rooms)
        link = SocketLink(self._host, self._port, self._tls)
        try:
            self.welcome = link.say_hello(hello)
        except NotGeventchat:
            text = f"No geventchat server at {names.endpoint(self._host, self._port)}."
            raise NotGeventchat(text) from None
        self.nick, self.account = self.welcome.nick, self.welcome.account
        if self.welcome.session is not None:
            self._sign_in_by(self.welcome.session)
        self._connected_at = time.monotonic()
        return link

    @property
    def session(self) -> str | None:
        """The token of the session of the account that is signed in."""
        return self._hello.account.session if self._hello.account is not None else None

    def _sign_in_by(self, session: str) -> None:
        self._hello = structs.replace(self._hello, account=SignIn(session=session))

    def _handle(self, event: AnyEvent, frame_bytes: int) -> None:
        match event:
            case Post(key=key):
                self._resolve_say(key, event)
            case Joined() | Left() | Topic() | Edited() | Redacted():
                if isinstance(event, Joined | Left):
                    self.rejoining.forget(event.room)
                if isinstance(event, Joined) and event.recovered is False:
                    self.inbox.put(self._gap(event.room))
                if isinstance(event, Left) and event.id is not None:
                    # At once: the application may join again before it reads this.
                    self.inbox.drop(event.room)
                    self.cursors.leave(event.room)
                self.replies.resolve(event.id, event)
            case Renamed(nick=nick):
                self.nick = nick
                self.replies.resolve(event.id, event)
            case SignedIn(nick=nick, account=account, session=session):
                self.nick, self.account = nick, account
                self._sign_in_by(session)
                self.replies.resolve(event.id, event)
            case Error(room=str() as room, id=None, key=None) if self._waits(event.code, room):
                return  # the application knows
            case Sent(key=key) | Error(key=key):
                if self.replies.resolve(event.id, event) or self._resolve_say(key, event):
                    return
            case Pong() | Answer(id=str()):  # others without one are news, which members hear
                self.replies.resolve(event.id, event)
                return
        self.inbox.put(event, frame_bytes)

    def _waits(self, code: str, room: str) -> bool:
        """Handle that a room cannot be joined; return whether that is still for the same reason."""
        room = names.fold_room(room)
        if code == "storage" and self.resumes:
            return self.rejoining.refused(room)
        self.rejoining.forget(room)
        return False

    def _rejoin(self, room: str) -> None:
        """Ask for a room from where it was read. Nobody waits for the answer."""
        join, cursor = Join(room=room), self.cursors.ahead(self.inbox.unread()).get(room)
        if cursor is not None:
            join = structs.replace(
                join, epoch=cursor.epoch, position=cursor.position, change=cursor.change
            )
        with suppress(Ended):
            self.link.send(requests.encode(join))

    def _gap(self, room: str) -> Gap:
        cursor = self.cursors.ahead(self.inbox.unread()).get(room)
        return Gap(room, cursor.position if cursor else 0)

    def _resolve_say(self, key: str | None, event: Post | Sent | Error) -> bool:
        """Acknowledge a say; return whether a caller waited for that."""
        if key:
            self.pending_says.acknowledge(key)
        return self.say_replies.resolve(key, event)
