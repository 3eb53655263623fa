"""The client library's API: requests as methods, events by iteration.

Used by bots, the terminal, tests and load tests, with or without monkey patching.
"""

import itertools
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Self, TypeVar

import gevent
from gevent.ssl import SSLContext
from msgspec.structs import replace

from geventchat.client.cursors import Rooms
from geventchat.client.events import ClientEvent
from geventchat.client.keys import new_key
from geventchat.client.past_requests import PastRequests
from geventchat.client.pending_replies import PendingReplies
from geventchat.client.people_requests import PeopleRequests
from geventchat.client.reader import Reader, notice_fork
from geventchat.client.socket_link import Ended, ServerError
from geventchat.client.tls import tls_context
from geventchat.protocol import names, requests
from geventchat.protocol.errors import Refused
from geventchat.protocol.events import (
    Admin,
    Answer,
    Bye,
    Joined,
    Left,
    Members,
    Pong,
    Post,
    Renamed,
    RoomList,
    Sent,
    Topic,
    Welcome,
)
from geventchat.protocol.requests import Action, Cursor, Request, SignIn, TargetType

ANSWER_SECONDS: Final = 30
CLOSE_SECONDS: Final = 5

A = TypeVar("A", bound=Answer)


class TooLong(ValueError):
    """The request exceeds the server's frame limit; nothing was sent."""


class Connection(PastRequests, PeopleRequests):
    """One client of a server. Iterate it for events; its methods make requests.

    All events of the rooms arrive once and in order, own posts included, across reconnects: a lost
    connection yields Disconnected, failed attempts ReconnectFailed, and success Reconnected. Rooms
    resume where they were; a Gap says that posts are missing. A room that the server cannot open
    yields an Error `storage`, and is joined when it can. Messages that are not acknowledged are
    sent again, once and in order. Iteration stops when the server forbids reconnecting; `ended`
    says why.

    The application has to keep reading: unread events are bounded, and beyond that the socket is
    not read, except for pending replies.

    Methods that make a request wait for the reply, up to 30 s (TimeoutError). They raise Refused if
    the server refuses, Ended if the connection ends first or is down (`say` and `send` wait for
    the next one instead), TooLong for a frame over the server's limit, and UnicodeEncodeError for a
    text with a lone surrogate.
    """

    client: str
    """The secret id of this client: with it and `cursors` another connection can resume."""

    def __init__(
        self,
        host: str,
        port: int = 4040,
        *,
        nick: str | None = None,
        rooms: Rooms = (names.LOBBY,),
        client: str | None = None,
        password: str | None = None,
        token: str | None = None,
        account: SignIn | None = None,
        resume: bool = True,
        tls: SSLContext | bool = False,
    ) -> None:
        """Connect and wait for the welcome, each for up to 10 s.

        With `tls` the server's certificate is verified for `host`, by the system's trust store or
        by a context of `geventchat.client.tls_context`.

        `account` signs in: by nick and password, or by the `session` that a connection before had.
        After a loss it signs in again by its session.

        `token` makes it an operator. Without `resume` the stream ends with this connection.

        A refused nick yields an Error among the first events. Raises OSError if the connection
        fails, NotGeventchat if there is no welcome, Ended if the server gives a reason.
        """
        self.client = client or secrets.token_urlsafe(16)
        self._ids = itertools.count(1)
        hello = requests.Hello(
            version=1,
            client=self.client,
            nick=nick,
            password=password,
            token=token,
            account=account,
        )
        context = tls_context() if tls is True else tls or None
        self._reader = Reader(host, port, context, hello, rooms, resumes=resume)
        self._inbox = self._reader.inbox

    @property
    def welcome(self) -> Welcome:
        """The server's welcome, with its limits."""
        return self._reader.welcome

    @property
    def nick(self) -> str:
        """The current nick of this client."""
        return self._reader.nick

    @property
    def account(self) -> str | None:
        """The public id of the account that is signed in; None: a guest."""
        return self._reader.account

    @property
    def session(self) -> str | None:
        """The token to sign in with from now on, to be kept secret; None: a guest."""
        return self._reader.session

    @property
    def ended(self) -> Bye | None:
        """Why the stream ended, `lost` if the connection was lost; None before that."""
        return self._reader.ended

    @property
    def cursors(self) -> dict[str, Cursor | None]:
        """How far each room was read, to pass as `rooms` to a connection that resumes.

        None: nothing was read of the room yet.
        """
        return self._reader.cursors.resume()

    @property
    def pending(self) -> list[requests.Say]:
        """Messages that are not acknowledged yet, in order."""
        return self._reader.pending_says.pending

    def __iter__(self) -> Iterator[ClientEvent]:
        return self

    def __next__(self) -> ClientEvent:
        """Return the next event. Waits for it; StopIteration when the stream has ended.

        If positions are not consecutive, a connection that resumes reconnects from the last post
        in order, and yields Disconnected; another raises ServerError.
        """
        notice_fork()
        while (event := self._inbox.get()) is not None:
            if self._reader.in_order(event):
                return event
        raise StopIteration

    def heard(self) -> list[ClientEvent]:
        """Return the events received and not read yet.

        Never waits, so nothing more is received by it either: `ping` before does that.
        """
        events: list[ClientEvent] = []
        while len(self._inbox):
            event = self._inbox.get()
            if event is not None and self._reader.in_order(event):
                events.append(event)
        return events

    def say(self, room: str, text: str, *, key: str | None = None) -> int:
        """Send a message, wait until it is stored, and return its position.

        Repeated with the same key (1 to 64 characters), room and text it is stored once. After a
        TimeoutError it may still be sent, after reconnecting. Raises TooManyPending if the queue is
        full.
        """
        key = key or new_key()
        asked = requests.Say(room=room, text=text, key=key)
        answer = self._await(asked, self._reader.say_replies, key)
        if isinstance(answer, Post | Sent) and answer.position is not None:
            return answer.position
        raise ServerError(f"The server answered say with {answer}.")

    def send(self, room: str, text: str, *, key: str | None = None) -> str:
        """Send a message and return its key, which the post or the error will carry.

        Waits while the queue of pending messages is full, up to 30 s, and while the server accepts
        no data, up to twice its `ping_seconds`; then the connection counts as lost. While
        disconnected it is queued, and sent after reconnecting. Raises TooManyPending if the queue
        stays full.
        """
        key = key or new_key()
        self._send(requests.Say(room=room, text=text, key=key))
        return key

    def wait_acknowledged(self, most_bytes: int = 0) -> None:
        """Wait until all messages are stored or refused, or all but so many bytes of them.

        Each that was refused is an Error among the events, with its key. Raises TimeoutError if
        the server acknowledges nothing for 30 s (they are still sent after reconnecting), Ended.
        """
        notice_fork()
        with self._inbox.unbounded():
            self._reader.pending_says.wait_acknowledged(most_bytes)

    def join(self, room: str, cursor: Cursor | None = None) -> Joined:
        """Join a room, from a cursor or from its newest posts.

        One that could not be resumed after a loss is joined from where it was.
        """
        cursors = self._reader.cursors
        known = names.fold_room(room) in cursors.rooms
        cursor = cursor or cursors.resume().get(names.fold_room(room))
        cursors.ask(room, cursor)
        asked = requests.Join(room=room, id=self._id())
        if cursor is not None:
            asked = replace(
                asked, epoch=cursor.epoch, position=cursor.position, change=cursor.change
            )
        try:
            return self._ask(asked, Joined)
        except (Refused, Ended, ValueError):  # one that cannot be sent is a ValueError
            if not known:
                cursors.forget(room)
            raise

    def leave(self, room: str) -> Left:
        """Leave a room. What was not read of it is dropped; `cursors` knows until then how far.

        One that the server could not open yet is left, too.
        """
        waited = self._reader.rejoining.forget(names.fold_room(room))
        asked = requests.Leave(room=room, id=self._id())
        try:
            return self._ask(asked, Left)
        except Refused as refusal:
            if not waited or refusal.code != "not_joined":
                raise
        return self._reader.leave(Left(room=names.fold_room(room), id=asked.id))

    def rename(self, nick: str) -> Renamed:
        """Change the nick."""
        return self._ask(requests.Nick(nick=nick, id=self._id()), Renamed)

    def who(self, room: str) -> Members:
        """Return at most 500 members of a room, and their count."""
        return self._ask(requests.Who(room=room, id=self._id()), Members)

    def topic(self, room: str, topic: str) -> Topic:
        """Set the topic of a room; empty clears it."""
        return self._ask(requests.Topic(room=room, topic=topic, id=self._id()), Topic)

    def list_rooms(
        self, prefix: str = "", *, limit: int = 50, after: str | None = None
    ) -> RoomList:
        """Return up to `limit` (1 to 200) rooms of the server, those with most members first.

        Those with members or a topic, but none whose name begins with a dot; with `prefix` only
        those whose names begin with it. `after` is the `next` of the page before, which is None on
        the last: any other page may be short, or even empty. Needs the feature `rooms` in the
        welcome (Refused `unknown_type`).
        """
        asked = requests.Rooms(prefix=prefix or None, limit=limit, after=after, id=self._id())
        return self._ask(asked, RoomList)

    def admin(
        self,
        action: Action,
        target: str | None = None,
        *,
        target_type: TargetType | None = None,
        seconds: int | None = None,
        reason: str | None = None,
    ) -> Admin:
        """Perform an operator action, for so many seconds or until undone."""
        asked = requests.Admin(
            action=action,
            target=target,
            target_type=target_type,
            seconds=seconds,
            reason=reason,
            id=self._id(),
        )
        return self._ask(asked, Admin)

    def typing(self, room: str) -> None:
        """Notify a room that the user is typing. Waits like `send`."""
        self._send(requests.Typing(room=room))

    def ping(self) -> float:
        """Return the round trip in seconds; all earlier events have arrived by then."""
        began = time.monotonic()
        self._ask(requests.Ping(id=self._id()), Pong)
        return time.monotonic() - began

    def close(self) -> None:
        """Send bye and wait up to 5 s until the server has answered everything and closed.

        Received events can still be read; `pending` has the messages that were not stored.
        Closing again does nothing.
        """
        notice_fork()
        self._reader.closing.set()
        with self._inbox.unbounded():
            with suppress(Ended, TimeoutError), gevent.Timeout(CLOSE_SECONDS, TimeoutError):
                self._reader.pending_says.finish()
                self._send(requests.Bye())
                self._reader.join()
            self._reader.stop(CLOSE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Sending

    @property
    def _stores_directs(self) -> bool:
        signed_in = self._reader.account is not None
        return signed_in and "private" in self.welcome.features and self._reader.resumes

    def _wait_connected(self) -> None:
        self._reader.wait_connected()

    def _id(self) -> str:
        return str(next(self._ids))

    def _ask(self, request: Request, kind: type[A]) -> A:
        assert request.id is not None
        answer = self._await(request, self._reader.replies, request.id)
        if not isinstance(answer, kind):
            raise ServerError(f"The server answered {request} with {answer}.")
        return answer

    def _await(self, request: Request, pending: PendingReplies, name: str) -> object:
        """Send a request and wait for the reply with its id or key."""
        late = TimeoutError(f"The server did not answer within {ANSWER_SECONDS} s.")
        with (
            pending.expect(name) as answer,
            self._inbox.unbounded(),
            gevent.Timeout(ANSWER_SECONDS, late),
        ):
            self._send(request)
            return answer.get()

    def _send(self, request: Request) -> None:
        frame = requests.encode(request)
        frame_bytes = self.welcome.limits.frame_bytes
        if len(frame) > frame_bytes:
            # The server would close the connection for it.
            raise TooLong(f"Message too long: {len(frame):,} of at most {frame_bytes:,} bytes.")
        self._reader.send(request, frame)
