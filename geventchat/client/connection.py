"""A greenlet's conversation with a server: what bots, tests, load tests and the terminal use.

It works with or without monkey patching, and knows nothing of what is done with the events. A
connection that is lost is made again by its reader, a greenlet of its own.
"""

import itertools
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Self, TypeVar

import gevent
from gevent.event import Event as Signal
from gevent.ssl import SSLContext

from geventchat.client.backoff import backoffs, obeyed
from geventchat.client.cursors import Cursors, Rooms
from geventchat.client.events import Away, Back, Gap, Happening, StillAway
from geventchat.client.inbox import Inbox
from geventchat.client.pending_replies import Awaited
from geventchat.client.pending_says import Says
from geventchat.client.socket_link import Ended, Link, NoGeventchat, ServerError
from geventchat.client.tls import trusting
from geventchat.protocol import names, requests
from geventchat.protocol.errors import LOST, SLOW, Reason, Refused
from geventchat.protocol.events import (
    Admin,
    Answer,
    AnyEvent,
    Bye,
    Error,
    History,
    Joined,
    Left,
    Members,
    Pong,
    Post,
    Renamed,
    Sent,
    Topic,
    Welcome,
)
from geventchat.protocol.requests import Action, Cursor, Request, TargetType

ANSWER_SECONDS: Final = 30
CLOSE_SECONDS: Final = 5
GOOD_SECONDS: Final = 30
"""A connection that lasted so long was a good one: the next is tried for at once."""

A = TypeVar("A", bound=Answer)


class TooLong(ValueError):
    """What was to be said is more than the server takes; nothing was sent."""


class Connection:
    """One client of a server. Iterate it for what is heard; its methods say things.

    Everything that happens in the rooms comes once and in order, own posts included, over as many
    connections to the server as it takes: when one is lost the stream says Away, the next is made
    as soon as it can be had (StillAway tells what is in the way), and it says Back; the rooms go on
    where they were, or a Gap tells that something is missing. What was said and is not stored is
    said again, once, in its order.
    The stream ends when the server says not to come back, and `ended` then tells why.

    Somebody has to read it: what is unread is bounded, and beyond that the server is not listened
    to, except for awaited answers.

    Methods that ask something wait for the answer, up to 30 s (TimeoutError), and raise Refused
    if the server says no, and Ended if the connection ends first, or is away; but `say` and `send`
    wait for the next one. What is more than the server takes is TooLong.
    """

    client: str
    """The secret name of this client: with it and `cursors` another connection can resume."""
    welcome: Welcome
    """What the server said of itself and its limits."""
    nick: str

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
        resume: bool = True,
        tls: SSLContext | bool = False,
    ) -> None:
        """Connect and wait for the welcome, each for up to 10 s.

        With `tls` the server has to prove that it is the host that was named: to whom the system
        trusts, or to what `geventchat.client.trusting` gives.

        The `token` makes it an operator's. Without `resume` the stream ends with this connection.

        A nick that cannot be had is told by an Error among the first events. Raises OSError if
        nothing listens there, NoGeventchat if what does gives no welcome, Ended if it says why.
        """
        self.client = client or secrets.token_urlsafe(16)
        self._cursors = Cursors(rooms)
        self._inbox = Inbox()
        self._ids = itertools.count(1)
        self._answers = Awaited()
        """By the id of a request."""
        self._verdicts = Awaited()
        """By the key of a say."""
        self._password, self._token = password, token
        self._resumes = resume
        self._says = Says()
        self._closing = Signal()
        self._backoffs = backoffs()
        self._connected_at = 0.0
        self._broken = False  # the promise, on the connection that is being read
        self._address = host, port
        self._tls = trusting() if tls is True else tls or None
        self.ended: Bye | None = None
        """How the stream ended; a loss has the code `lost`. None while it lasts."""
        self._link = self._open(nick, self.cursors)
        self._reader = gevent.spawn(self._read)

    @property
    def cursors(self) -> dict[str, Cursor | None]:
        """How far each room was read, for the `rooms` of a connection that resumes.

        None: a room of which nothing has been read yet.
        """
        return self._cursors.resume()

    @property
    def unsaid(self) -> list[requests.Say]:
        """What was said and has no answer yet, in the order said."""
        return self._says.unsaid

    def __iter__(self) -> Iterator[Happening]:
        return self

    def __next__(self) -> Happening:
        """Give the next event. Waits for it; StopIteration when the stream has ended.

        If the server breaks its promise of dense positions, a connection that resumes is made
        again, from the last post that was as promised, and Away tells why; another raises
        ServerError.
        """
        while (event := self._inbox.get()) is not None:
            if self._keeps_promise(event):
                return event
        raise StopIteration

    def heard(self) -> list[Happening]:
        """Give the events that came so far and were not read yet. Never waits."""
        events: list[Happening] = []
        while len(self._inbox):
            event = self._inbox.get()
            if event is not None and self._keeps_promise(event):
                events.append(event)
        return events

    def say(self, room: str, text: str, *, key: str | None = None) -> int:
        """Say something, wait until it is stored, and give its position.

        Repeated with the same key, room and text it is stored once. After a TimeoutError it may
        still be said, when the connection is back. Raises Unsaid if too much waits already.
        """
        key = key or secrets.token_urlsafe(16)
        answer = self._await(requests.Say(room=room, text=text, key=key), self._verdicts, key)
        if isinstance(answer, Post | Sent) and answer.position is not None:
            return answer.position
        raise ServerError(f"The server answered say with {answer}.")

    def send(self, room: str, text: str, *, key: str | None = None) -> str:
        """Say something and give its key, by which the post or an error will be known.

        Waits while the server does not take what was sent before, and while too much has no
        answer, up to 30 s. While the connection is away it is kept, and sent then. Raises Unsaid if
        too much is kept already.
        """
        key = key or secrets.token_urlsafe(16)
        self._send(requests.Say(room=room, text=text, key=key))
        return key

    def join(self, room: str, cursor: Cursor | None = None) -> Joined:
        """Hear a room, from a cursor on or beginning with its newest posts."""
        known = names.fold(room) in self._cursors.rooms
        self._cursors.ask(room, cursor)
        epoch, position = (cursor.epoch, cursor.position) if cursor else (None, None)
        asked = requests.Join(room=room, epoch=epoch, position=position, id=self._id())
        try:
            return self._ask(asked, Joined)
        except (Refused, Ended):
            if not known:
                self._cursors.forget(room)
            raise

    def leave(self, room: str) -> Left:
        """Hear no more of a room."""
        return self._ask(requests.Leave(room=room, id=self._id()), Left)

    def rename(self, nick: str) -> Renamed:
        """Take another nick."""
        return self._ask(requests.Nick(nick=nick, id=self._id()), Renamed)

    def who(self, room: str) -> Members:
        """Give who is in a room, at most 500 of them, and how many there are."""
        return self._ask(requests.Who(room=room, id=self._id()), Members)

    def history(self, room: str, limit: int = 50, before: int | None = None) -> History:
        """Give up to `limit` posts (1 to 500) from before a position, or the newest."""
        asked = requests.History(room=room, limit=limit, before=before, id=self._id())
        return self._ask(asked, History)

    def direct(self, to: str, text: str) -> None:
        """Send a text to one nick alone, which hears it if it is there now."""
        self._ask(requests.Direct(to=to, text=text, id=self._id()), Sent)

    def topic(self, room: str, topic: str) -> Topic:
        """Set what a room is about; empty takes the topic away."""
        return self._ask(requests.Topic(room=room, topic=topic, id=self._id()), Topic)

    def admin(
        self,
        action: Action,
        target: str | None = None,
        *,
        target_type: TargetType | None = None,
        seconds: int | None = None,
        reason: str | None = None,
    ) -> Admin:
        """Do what only operators may, for so many seconds or until it is undone."""
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
        """Tell a room that a post is being typed. Waits as `send` does."""
        self._send(requests.Typing(room=room))

    def ping(self) -> float:
        """Give the seconds it takes the server to answer; all it said before was heard then."""
        began = time.monotonic()
        self._ask(requests.Ping(id=self._id()), Pong)
        return time.monotonic() - began

    def close(self) -> None:
        """Say goodbye and wait up to 5 s until the server has answered all and closed.

        What was heard can still be read, and `unsaid` tells what was not stored. Closing again
        does nothing.
        """
        self._closing.set()
        with self._inbox.unbounded():
            with suppress(Ended, TimeoutError), gevent.Timeout(CLOSE_SECONDS, TimeoutError):
                self._says.finish()
                self._send(requests.Bye())
                self._reader.join()
            self._link.close(LOST)
            self._reader.join(CLOSE_SECONDS)
            self._reader.kill()  # it may be about to connect again

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Saying

    def _id(self) -> str:
        return str(next(self._ids))

    def _ask(self, request: Request, kind: type[A]) -> A:
        assert request.id is not None
        answer = self._await(request, self._answers, request.id)
        if not isinstance(answer, kind):
            raise ServerError(f"The server answered {request} with {answer}.")
        return answer

    def _await(self, request: Request, awaited: Awaited, name: str) -> object:
        """Send a request and wait for what carries its name: the id or the key."""
        late = TimeoutError(f"The server did not answer within {ANSWER_SECONDS} s.")
        with (
            awaited.named(name) as answer,
            self._inbox.unbounded(),
            gevent.Timeout(ANSWER_SECONDS, late),
        ):
            self._send(request)
            return answer.get()

    def _send(self, request: Request) -> None:
        frame = requests.encode(request)
        frame_bytes = self.welcome.limits.frame_bytes
        if len(frame) > frame_bytes:
            # The server would close for it, and all that the application could have been told.
            raise TooLong(f"That is too long: {len(frame):,} of at most {frame_bytes:,} bytes.")
        if not isinstance(request, requests.Say) or not self._resumes:
            self._link.send(frame)
            return
        if self._says.full and request.key not in self._says:
            with self._inbox.unbounded():
                self._says.wait_for_space()
        if self.ended is not None:
            raise Ended(self.ended)
        self._says.say(request, frame, self._link)

    # Hearing

    def _keeps_promise(self, event: Happening) -> bool:
        """Follow an event to the application; False: it broke the promise and is to be dropped."""
        try:
            self._cursors.hear(event)
        except ServerError as error:
            if not self._resumes:
                raise
            if not self._broken and not any(isinstance(e, Away) for e in self._inbox.unread()):
                self._link.close(Reason(LOST.code, LOST.reconnect, str(error)))
            self._broken = True
            return False
        if isinstance(event, Away):
            self._broken = False
        return True

    def _read(self) -> None:
        try:
            while True:
                for event, frame_bytes in self._link:
                    self._hear(event, frame_bytes)
                    self._inbox.wait_for_space()
                    if self._inbox.overflows:
                        self._link.close(SLOW)
                bye = self._link.ended
                assert bye is not None
                if (final := self._over(bye) or self._come_back(bye)) is not None:
                    self.ended = final
                    return
        finally:
            if self.ended is None:
                self.ended = self._link.ended or Bye(
                    code=LOST.code, text=LOST.text, reconnect=LOST.reconnect
                )
            self._inbox.put(None)
            self._says.away()
            self._answers.give_up(self.ended)
            self._verdicts.give_up(self.ended)

    def _over(self, bye: Bye) -> Bye | None:
        """Give how the stream ends now that a connection has; None: it does not."""
        last = not self._resumes or self._closing.is_set() or self._inbox.overflows
        return bye if last or not bye.reconnect else None

    def _come_back(self, bye: Bye) -> Bye | None:
        """Connect again, for as long as it takes; or give how the stream ends."""
        self._says.away()
        self._answers.give_up(bye)
        self._inbox.put(Away(bye))
        after, told = obeyed(bye.after_ms), bye.text
        if time.monotonic() - self._connected_at > GOOD_SECONDS:
            self._backoffs = backoffs()
        for seconds in self._backoffs:
            self._closing.wait(after or seconds)
            after = 0.0
            if self._closing.is_set():
                return bye
            nick = None if self.nick.startswith(names.GUEST) else self.nick
            try:
                link = self._open(nick, self._cursors.ahead(self._inbox.unread()))
            except Ended as ended:
                if not ended.bye.reconnect:
                    return ended.bye
                after, why = obeyed(ended.bye.after_ms), ended.bye.text
            except NoGeventchat as error:
                why = str(error)
            except OSError as error:
                why = error.strerror or str(error)
            else:
                break
            if why != told:
                self._inbox.put(StillAway(why))
                told = why
        self._link = link
        if self._closing.is_set():
            link.close(LOST)
            return bye
        self._inbox.put(Back(self.nick))
        self._says.back(link)
        return None

    def _open(self, nick: str | None, rooms: dict[str, Cursor | None]) -> Link:
        host, port = self._address
        hello = requests.Hello(
            version=1,
            client=self.client,
            nonce=secrets.token_urlsafe(16),
            nick=nick,
            password=self._password,
            rooms=rooms,
            token=self._token,
        )
        link = Link(host, port, self._tls)
        try:
            self.welcome = link.greet(hello)
        except NoGeventchat:
            raise NoGeventchat(f"No geventchat answers at {host}:{port}.") from None
        self.nick = self.welcome.nick
        self._connected_at = time.monotonic()
        return link

    def _hear(self, event: AnyEvent, frame_bytes: int) -> None:
        match event:
            case Post(key=key):
                self._judge(key, event)
            case Joined() | Left() | Topic():
                if isinstance(event, Joined) and event.recovered is False:
                    self._inbox.put(self._gap(event.room))
                self._answers.settle(event.id, event)
            case Renamed(nick=nick):
                self.nick = nick
                self._answers.settle(event.id, event)
            case Sent(key=key) | Error(key=key):
                if self._answers.settle(event.id, event) or self._judge(key, event):
                    return
            case Answer():
                self._answers.settle(event.id, event)
                return
        self._inbox.put(event, frame_bytes)

    def _gap(self, room: str) -> Gap:
        cursor = self._cursors.ahead(self._inbox.unread()).get(room)
        return Gap(room, cursor.position if cursor else 0)

    def _judge(self, key: str | None, event: Post | Sent | Error) -> bool:
        """Give the verdict on what was said to who waits for it, if anybody does."""
        if key:
            self._says.answered(key)
        return self._verdicts.settle(key, event)
