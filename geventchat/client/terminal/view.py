"""What one user has before them: rooms, who is there, what is unread, what is being said.

Events go in, lines to print come out. No I/O, no clock and no greenlets, so that all of it can be
tested as functions; `terminal.py` shows it, `commands.py` changes it on the user's word.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from geventchat.client.events import ClientEvent, Disconnected, Gap, Reconnected, ReconnectFailed
from geventchat.client.terminal import formatting
from geventchat.client.terminal.formatting import Line
from geventchat.protocol.events import (
    Direct,
    Error,
    Joined,
    Left,
    Members,
    Post,
    Presence,
    Renamed,
    Sent,
    Topic,
)
from geventchat.protocol.names import fold

MAX_UNREAD_POSTS: Final = 200
"""What is kept of a room that is not looked at."""
PATIENCE_SECONDS: Final = 0.3
"""How long a post may take to be stored before it is shown as pending."""


@dataclass(slots=True)
class Room:
    """One room as its member sees it."""

    name: str
    joined: bool = False
    topic: str = ""
    count: int = 0
    nicks: set[str] = field(default_factory=set)
    """Of those who are known to be there; complete in rooms of at most 500."""
    waiting: deque[Post] = field(default_factory=lambda: deque(maxlen=MAX_UNREAD_POSTS))
    """Posts to print when the user comes here."""
    unread: int = 0
    mentioned: bool = False
    """Whether one of the unread posts names the user."""
    replayed: int = 0
    """Posts up to this position were said before the user came."""
    oldest: int | None = None
    """The first position that was printed."""


@dataclass(frozen=True, slots=True)
class PendingSay:
    """What was said and is not known to be stored."""

    room: str
    text: str
    since: float
    """Monotonic seconds."""


class View:
    """The whole of it. Methods that change it give the lines to print for that."""

    def __init__(self, room: str, nick: str, today: date) -> None:
        self.rooms: dict[str, Room] = {}
        self.current = fold(room)
        self.nick = nick
        self.pending: dict[str, PendingSay] = {}
        """By key, oldest first."""
        self.ignored: set[str] = set()
        self.trouble = ""
        """What is wrong with the connection, if anything is."""
        self._day = today

    def room(self, name: str = "") -> Room | None:
        """Give a room the user is in, by default the current one."""
        return self.rooms.get(fold(name) or self.current)

    def enter(self, name: str) -> list[Line]:
        """Make a room the current one, and print what was said there meanwhile."""
        self.current = fold(name)
        room = self.rooms.setdefault(self.current, Room(self.current))
        if not room.joined:
            return []  # `hear` prints it when the server says so
        lines = [_heading(room)]
        for post in room.waiting:
            lines += self._printed(room, post)
        room.waiting.clear()
        room.unread, room.mentioned = 0, False
        return lines

    def welcome(self, nick: str) -> list[Line]:
        """Take the nick that a connection began with."""
        before, self.nick = self.nick, nick
        return [] if nick == before else [formatting.notice(f"you are {nick}")]

    def new_day(self, today: date) -> list[Line]:
        """Begin a day."""
        if today == self._day:
            return []
        self._day = today
        return [formatting.day(today)]

    def members(self, members: Members) -> None:
        """Take who is in a room."""
        if room := self.rooms.get(members.room):
            room.nicks = set(members.nicks)
            room.count = members.count

    def older(self, name: str, posts: Iterable[Post]) -> list[Line]:
        """Print posts from before those that were printed."""
        room = self.rooms[name]
        return [line for post in posts for line in self._printed(room, post)]

    def hear(self, event: ClientEvent) -> list[Line]:
        """Take an event."""
        match event:
            case Post():
                return self._post(event)
            case Presence():
                return self._presence(event)
            case Joined():
                return self._joined(event)
            case Left(room=name):
                return self._left(name)
            case Renamed(nick=nick):
                for room in self.rooms.values():
                    _swap(room, self.nick, nick)
                return self.welcome(nick)
            case Topic(room=name, topic=topic, by=by):
                return self._topic(name, topic, by)
            case Direct(author=author, time=time):
                if fold(author) not in self.ignored:
                    return [*self._date(formatting.local_time(time)), formatting.direct(event)]
            case Sent(key=str() as key):
                self.pending.pop(key, None)
            case Error():
                return self._error(event)
            case Gap(room=name):
                if missed := self.rooms.get(name):
                    missed.replayed, missed.oldest = 0, None  # all that follows is news
                return [formatting.notice(f"what was said in {name} meanwhile may be missing here")]
            case Disconnected(bye=bye):
                self.trouble = "not connected, trying again"
                return [formatting.error(bye.text)]
            case ReconnectFailed(why=why):
                self.trouble = f"not connected, trying again: {why}"
            case Reconnected(nick=nick):
                self.trouble = ""
                return [formatting.notice("connected again"), *self.welcome(nick)]
        return []

    def toolbar(self) -> Line:
        """Give the line at the bottom: where, who, and what is going on elsewhere."""
        line: Line = []
        if room := self.room():
            line += [("class:bottom-toolbar.room", f" {formatting.one_line(room.name)}")]
            line += [("", f" · {room.count} here")] if room.count else []
        line += [("", f" · {formatting.one_line(self.nick)}")] if self.nick else []
        for other in self.rooms.values():
            if other.unread and other.name != self.current:
                style = "mentioned" if other.mentioned else "unread"
                text = f"  {formatting.one_line(other.name)} {other.unread}{'!' * other.mentioned}"
                line.append((f"class:bottom-toolbar.{style}", text))
        if self.trouble:
            line.append(("class:bottom-toolbar.trouble", f"  {formatting.one_line(self.trouble)}"))
        return line

    def prompt(self, now: float, width: int) -> Line:
        """Give what stands before the text being typed; above it what is still being said."""
        late = [s for s in self.pending.values() if now - s.since >= PATIENCE_SECONDS]
        line: Line = []
        for saying in late[-3:]:
            line += [*formatting.pending(saying.text, width), ("", "\n")]
        return [*line, ("class:prompt", f"{formatting.one_line(self.current)}> ")]

    def _post(self, post: Post) -> list[Line]:
        own = post.key is not None and self.pending.pop(post.key, None) is not None
        if fold(post.author) in self.ignored and not own:
            return []
        room = self.rooms.setdefault(post.room, Room(post.room, joined=True))
        live = post.position > room.replayed
        if post.room == self.current:
            return self._printed(room, post, own=own, bell=live)
        room.waiting.append(post)
        room.unread += live and not own
        if live and not own and formatting.mentions(post.text, self.nick):
            room.mentioned = True
            return [formatting.mentioned(post.author, post.room)]
        return []

    def _printed(
        self, room: Room, post: Post, *, own: bool = False, bell: bool = False
    ) -> list[Line]:
        if room.oldest is None or post.position < room.oldest:
            room.oldest = post.position
        own = own or (bool(self.nick) and post.author == self.nick)
        line = formatting.post(post, own=own, nick=self.nick, bell=bell)
        return [*self._date(formatting.local_time(post.time)), line]

    def _date(self, moment: datetime) -> list[Line]:
        return self.new_day(moment.date())

    def _joined(self, joined: Joined) -> list[Line]:
        room = self.rooms.setdefault(joined.room, Room(joined.room))
        again, room.joined = room.joined, True
        room.count, room.topic = joined.count, joined.topic
        if again:
            return []
        room.replayed = joined.position
        return [_heading(room)] if joined.room == self.current else []

    def _left(self, name: str) -> list[Line]:
        self.rooms.pop(name, None)
        lines = [formatting.notice(f"you left {name}")]
        if name == self.current:
            self.current = ""
            if self.rooms:
                lines += self.enter(next(iter(self.rooms)))
        return lines

    def _presence(self, presence: Presence) -> list[Line]:
        room, nick = self.rooms.get(presence.room), presence.nick
        if room is None:
            return []
        if presence.count is not None:
            room.count = presence.count
        if nick is None or presence.event is None:
            return []
        match presence.event:
            case "join":
                room.count += nick not in room.nicks
                room.nicks.add(nick)
                text = f"{nick} joined"
            case "leave":
                room.count -= nick in room.nicks
                room.nicks.discard(nick)
                text = f"{nick} left"
            case "rename":
                new = presence.new_nick or ""
                _swap(room, nick, new)
                text = f"{nick} is {new} now"
        shown = room.name == self.current and fold(nick) not in self.ignored
        return [formatting.notice(text)] if shown else []

    def _topic(self, name: str, topic: str, by: str) -> list[Line]:
        room = self.rooms.get(name)
        if room is None:
            return []
        room.topic = topic
        said = f"{by} set the topic: {topic}" if topic else f"{by} took the topic away"
        return [formatting.notice(said)] if name == self.current else []

    def _error(self, error: Error) -> list[Line]:
        saying = self.pending.pop(error.key, None) if error.key else None
        if saying is None:
            return [formatting.error(error.text)]
        return [formatting.error(f"{error.text} Not said: {saying.text}")]


def _heading(room: Room) -> Line:
    parts = [room.name, f"{room.count} here", *([room.topic] if room.topic else [])]
    return formatting.separator(" · ".join(parts))


def _swap(room: Room, nick: str, new: str) -> None:
    if nick in room.nicks:
        room.nicks.discard(nick)
        room.nicks.add(new)
