"""Common to rich users: connect, join, receive, time the replies, reconnect and resume.

They use the client's `SocketLink`, not its `Connection`: they never wait for a reply but time it
when it is heard, and a delivery then costs this process 20 µs instead of 25 to 30 (the bare socket
and a regular expression: 16). Every post is decoded and its position checked. With `--web` they use
a `WebLink` instead.
"""

import itertools
import random
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import gevent
from locust import User
from locust.env import Environment

from geventchat.client.socket_link import Ended, NotGeventchat, SocketLink
from geventchat.protocol import requests
from geventchat.protocol.errors import LOST
from geventchat.protocol.events import Answer, AnyEvent, Direct, Error, Joined, Post
from geventchat.protocol.names import LOBBY
from geventchat.protocol.requests import Request, Say
from loadtests.support import model
from loadtests.support.address import Address
from loadtests.support.login import Login
from loadtests.support.measures import tally
from loadtests.support.order import OrderChecker
from loadtests.support.websocket import WebLink
from loadtests.users.report import failed, took, violated

ANSWER_SECONDS: Final = 30
AWAY_SECONDS: Final = (0.2, 2.0)
"""Shortest and longest pause before a reconnect."""

present: Final[set["RichUser"]] = set()
"""The running rich users of this process."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request without a reply so far."""

    name: str
    at: float
    request: Request
    repeated: bool = False
    """Sent again after a reconnect: its time would include the interruption."""


class RichUser(User):
    """A client that says hello. Its greenlet sends; another one receives."""

    abstract = True
    forgiven: ClassVar[frozenset[str]] = frozenset()
    """Codes of `bye` and `error` that are not failures for this kind of user."""
    goodbye_seconds: ClassVar[float] = 3
    """How long to wait for the server's bye."""
    login: ClassVar[Login] = Login()

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        assert environment.parsed_options is not None
        self.options: Final = environment.parsed_options
        self.nick: str | None = None
        self.rooms: list[str] = []
        """Joined rooms."""
        self._client = secrets.token_urlsafe(16)
        self._watch = OrderChecker(violated)
        self._seat = -1
        self._link: SocketLink | WebLink | None = None
        self._ear: gevent.Greenlet[[], None] | None = None
        self._leaving = False
        self._dropping = False
        self._ids = itertools.count(1)
        self._asked: dict[str, Asked] = {}  # by id or key, oldest first
        self._replayed_to: dict[str, int] = {}  # by room: older posts are replayed
        self._resuming: set[str] = set()
        self._resuming_since = 0.0

    def on_start(self) -> None:
        """Connect, join and start receiving; then wait, so that users do not talk all at once."""
        self._seat = model.seats.take()
        present.add(self)
        process = max(self.environment.runner.worker_index, 0)
        self.rooms = [model.room(process, self._seat, self.options.room_size)]
        if random.random() < self.options.lobby:
            self.rooms.append(LOBBY)
        began = time.perf_counter()
        self._link = self._open()
        self._took("rich", "connect", time.perf_counter() - began)
        self._ear = gevent.spawn(self._listen)
        self._ear.link_exception(lambda ear: failed("rich", "hearing", repr(ear.exception)))
        for room in self.rooms:
            self.join(room)
        self.wait()

    def on_stop(self) -> None:
        """Say goodbye."""
        self._leaving = True
        present.discard(self)
        if self._link and self._ear:
            if self._link.ended is None:
                self._send(requests.Bye())
                self._ear.join(self.goodbye_seconds)
            self._ear.kill()
            self._link.close(LOST)
        self._watch.finish()
        if self._seat >= 0:
            model.seats.give(self._seat)

    def drop(self) -> None:
        """Drop the connection; it reconnects by itself and resumes."""
        if self._link and self._link.ended is None:
            self._dropping = True
            self._link.close(LOST)

    # Saying

    def say(self, room: str, text: str) -> None:
        """Send a message, timed until it is acknowledged. Does nothing while disconnected."""
        if self._link and self._link.ended is None:
            tally.counts["sent"] += 1
            self.ask("acknowledged", Say(room=room, text=text, key=secrets.token_urlsafe(16)))

    def join(self, room: str) -> None:
        """Join a room from its newest posts on."""
        self._watch.ask(room, None)
        self.ask("join", requests.Join(room=room, id=self.id()))

    def id(self) -> str:
        """Return an id for a request."""
        return str(next(self._ids))

    def ask(self, name: str, request: Request) -> None:
        """Send a request whose answer is to be timed under a name. Does not wait for it."""
        key = request.key if isinstance(request, Say) else request.id
        assert key is not None
        now = time.perf_counter()
        self._asked[key] = Asked(name, now, request)
        self._send(request)
        while (oldest := next(iter(self._asked))) and now - self._asked[oldest].at > ANSWER_SECONDS:
            late = self._asked.pop(oldest)
            failed("rich", late.name, f"no reply within {ANSWER_SECONDS} s", now - late.at)

    def _send(self, request: Request) -> None:
        with suppress(Ended):  # the reader notices, and reconnects
            assert self._link is not None
            self._link.send(requests.encode(request))

    # Hearing

    def hear(self, event: AnyEvent) -> None:
        """Handle an event."""
        self._watch.hear(event)
        match event:
            case Post():
                self._hear_post(event)
            case Direct(text=text):
                self._hear_probe("direct", text)
            case Joined():
                self._replayed_to[event.room] = event.position
                self._joined(event)
                self._answered(event.id)
            case Error(code=code, text=text):
                asked = self._asked.pop(event.id or event.key or "", None)
                if code not in self.forgiven:
                    failed("rich", asked.name if asked else "error", f"{code}: {text}")
            case Answer(id=name):
                # `sent`, for a say that was repeated, carries its key instead.
                self._answered(name or getattr(event, "key", None))

    def _hear_post(self, post: Post) -> None:
        tally.counts["delivered"] += 1
        if post.key in self._asked:
            self._answered(post.key)
        elif post.position > self._replayed_to.get(post.room, 0):
            self._hear_probe("delivered", post.text)

    def _hear_probe(self, name: str, text: str) -> None:
        if text[0] == model.PROBE_MARK and (seconds := model.seconds_since(text)) is not None:
            self._took("message" if name == "delivered" else "rich", name, seconds)

    def _answered(self, name: str | None) -> None:
        asked = self._asked.pop(name or "", None)
        if asked and not asked.repeated:
            kind = "message" if asked.name == "acknowledged" else "rich"
            self._took(kind, asked.name, time.perf_counter() - asked.at)

    def _took(self, kind: str, name: str, seconds: float) -> None:
        took(kind, name, seconds)

    # Connecting

    def _listen(self) -> None:
        assert self._link is not None
        while True:
            try:
                for event, _ in self._link:
                    self.hear(event)
            finally:
                tally.connected -= 1
            if self._leaving:
                return
            self._ended(self._link)
            gevent.sleep(random.uniform(*AWAY_SECONDS))
            self._resume()

    def _ended(self, link: SocketLink | WebLink) -> None:
        assert link.ended is not None
        if not self._dropping and link.ended.code not in self.forgiven:
            ended = f"{type(self).__name__} disconnected, {link.ended.code}: {link.ended.text}"
            failed("rich", "connection", ended)
        self._dropping = False

    def _resume(self) -> None:
        self._resuming_since = time.perf_counter()
        self._resuming = set(self._watch.rooms)
        self._link = self._open()
        for key, asked in list(self._asked.items()):
            if isinstance(asked.request, Say):
                self._asked[key] = replace(asked, repeated=True)
                self._send(asked.request)
            else:
                del self._asked[key]

    def _joined(self, joined: Joined) -> None:
        """Time a resume until the last of its rooms."""
        if joined.room in self._resuming:
            self._resuming.remove(joined.room)
            if joined.recovered is False:
                failed("rich", "resume", "posts were lost: recovered is false")
            if not self._resuming:
                self._took("rich", "resume", time.perf_counter() - self._resuming_since)

    def _open(self) -> SocketLink | WebLink:
        """Connect and say hello; retry until it works."""
        hello = requests.Hello(
            version=1,
            client=self._client,
            nonce=secrets.token_urlsafe(16),
            nick=self.nick,
            password=self.login.password,
            token=self.login.token,
            rooms=dict(self._watch.rooms),
        )
        kind: type[SocketLink | WebLink] = WebLink if self.login.web else SocketLink
        while True:
            began = time.perf_counter()
            try:
                link = kind(*Address.parse(self.environment.host or ""), self.login.tls)
                link.say_hello(hello)
            except (OSError, NotGeventchat, Ended) as error:
                took = time.perf_counter() - began
                failed("rich", "connect", str(error) or "no welcome", took)
                gevent.sleep(random.uniform(*AWAY_SECONDS))
            else:
                tally.connected += 1
                return link
