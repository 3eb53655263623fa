"""The view of a user: rooms, members, unread posts, pending messages.

Events in, lines to print out. No I/O, no clock and no greenlets, so everything can be tested as
pure functions; `prompt.py` displays it, `commands.py` changes it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from geventchat.client.events import ClientEvent, Disconnected, Gap, Reconnected, ReconnectFailed
from geventchat.client.terminal import formatting
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.mentions import mentions
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
"""Posts kept of a room other than the current one."""
PATIENCE_SECONDS: Final = 0.3
"""How long a message may be unacknowledged before it is shown as pending."""


@dataclass(slots=True)
class Room:
    """One room."""

    name: str
    joined: bool = False
    topic: str = ""
    count: int = 0
    nicks: set[str] = field(default_factory=set)
    """Known members; complete in rooms of at most 500."""
    waiting: deque[Post] = field(default_factory=lambda: deque(maxlen=MAX_UNREAD_POSTS))
    """Posts to print when the user switches to this room."""
    unread: int = 0
    mentioned: bool = False
    """Whether an unread post mentions the user."""
    replayed: int = 0
    """Posts up to this position are older than the join."""
    oldest: int | None = None
    """The lowest position that was printed."""


@dataclass(frozen=True, slots=True)
class PendingSay:
    """A message that is not acknowledged yet."""

    room: str
    text: str
    since: float
    """Monotonic seconds."""


class View:
    """The state of the terminal. Methods that change it return the lines to print."""

    def __init__(self, room: str, nick: str, today: date) -> None:
        self.rooms: dict[str, Room] = {}
        self.current = fold(room)
        self.partner = ""
        """The nick to which the user's texts go instead of the current room; empty if none."""
        self.nick = nick
        self.pending: dict[str, PendingSay] = {}
        """By key, oldest first."""
        self.asked: float | None = None
        """Since when a command waits for its answer, in monotonic seconds."""
        self.ignored: set[str] = set()
        self.trouble = ""
        """What is wrong with the connection; empty if nothing."""
        self._day = today

    def room(self, name: str = "") -> Room | None:
        """Return a room the user is in, by default the current one."""
        return self.rooms.get(fold(name) or self.current)

    def enter(self, name: str) -> list[Line]:
        """Switch to a room and print its unread posts."""
        self.current, self.partner = fold(name), ""
        room = self.rooms.setdefault(self.current, Room(self.current))
        if not room.joined:
            return []  # `hear` prints it once the server confirms
        lines = [_heading(room)]
        for post in room.waiting:
            lines += self._printed(room, post)
        room.waiting.clear()
        room.unread, room.mentioned = 0, False
        return lines

    def enter_number(self, number: int) -> list[Line]:
        """Switch to a room by its number, from 1, if there is one."""
        names = list(self.rooms)
        return self._switch(names[number - 1]) if number <= len(names) else []

    def enter_next(self, step: int) -> list[Line]:
        """Switch to the next room, or with -1 to the one before, around the end."""
        names = list(self.rooms)
        if self.current not in names:
            return []
        return self._switch(names[(names.index(self.current) + step) % len(names)])

    def enter_unread(self) -> list[Line]:
        """Switch to a room with unread posts, if there is one; with mentions first."""
        unread = [room for room in self.rooms.values() if room.unread]
        unread.sort(key=lambda room: not room.mentioned)
        return self._switch(unread[0].name) if unread else []

    def _switch(self, name: str) -> list[Line]:
        return self.enter(name) if name != self.current or self.partner else []

    def welcome(self, nick: str) -> list[Line]:
        """Update the nick after connecting."""
        before, self.nick = self.nick, nick
        return [] if nick == before else [formatting.notice(f"you are now {nick}")]

    def new_day(self, today: date) -> list[Line]:
        """Print the date if the day changed."""
        if today == self._day:
            return []
        self._day = today
        return [formatting.day(today)]

    def members(self, members: Members) -> None:
        """Update the members of a room."""
        if room := self.rooms.get(members.room):
            room.nicks = set(members.nicks)
            room.count = members.count

    def older(self, name: str, posts: Iterable[Post]) -> list[Line]:
        """Print older posts."""
        room = self.rooms[name]
        return [line for post in posts for line in self._printed(room, post)]

    def hear(self, event: ClientEvent) -> list[Line]:
        """Handle an event."""
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
                if not self._ignores(author):
                    return [*self._date(formatting.local_time(time)), formatting.direct(event)]
            case Sent(key=str() as key):
                self.pending.pop(key, None)
            case Error():
                return self._error(event)
            case Gap(room=name):
                if missed := self.rooms.get(name):
                    missed.replayed, missed.oldest = 0, None  # all that follows is new
                return [formatting.notice(f"some messages in {name} may be missing")]
            case Disconnected(bye=bye):
                self.trouble = "disconnected, reconnecting"
                return [formatting.error(bye.text)]
            case ReconnectFailed(why=why):
                self.trouble = f"disconnected, reconnecting: {why}"
            case Reconnected(nick=nick):
                self.trouble = ""
                return [formatting.notice("reconnected"), *self.welcome(nick)]
        return []

    def toolbar(self) -> Line:
        """Return the line at the bottom: room, nick, unread posts elsewhere."""
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
        """Return the prompt, below the messages that are still pending."""
        late = [s for s in self.pending.values() if now - s.since >= PATIENCE_SECONDS]
        line: Line = []
        for saying in late[-3:]:
            line += [*formatting.pending(saying.text, width), ("", "\n")]
        where = f"→ {self.partner}" if self.partner else self.current
        return [*line, ("class:prompt", f"{formatting.one_line(where)}> ")]

    def _post(self, post: Post) -> list[Line]:
        own = post.key is not None and self.pending.pop(post.key, None) is not None
        if self._ignores(post.author) and not own:
            return []
        room = self.rooms.setdefault(post.room, Room(post.room, joined=True))
        live = post.position > room.replayed
        if post.room == self.current:
            return self._printed(room, post, own=own, bell=live)
        room.waiting.append(post)
        room.unread += live and not own
        if live and not own and mentions(post.text, self.nick):
            room.mentioned = True
            return [formatting.mentioned(post, self.nick)]
        return []

    def _printed(
        self, room: Room, post: Post, *, own: bool = False, bell: bool = False
    ) -> list[Line]:
        if room.oldest is None or post.position < room.oldest:
            room.oldest = post.position
        own = own or (bool(self.nick) and post.author == self.nick)
        if self._ignores(post.author) and not own:
            return []
        line = formatting.post(post, own=own, nick=self.nick, bell=bell)
        return [*self._date(formatting.local_time(post.time)), line]

    def _ignores(self, nick: str) -> bool:
        return fold(nick) in self.ignored

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
        # A renamed user is ignored by the new nick from the first of several rooms on.
        hidden = self._ignores(nick or "") or self._ignores(presence.new_nick or "")
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
                self._follow(nick, new)
                text = f"{nick} is now known as {new}"
        shown = room.name == self.current and not hidden
        return [formatting.notice(text)] if shown else []

    def _follow(self, nick: str, new: str) -> None:
        """Keep ignoring, or writing to, a user who has changed their nick."""
        if self._ignores(nick):
            self.ignored.remove(fold(nick))
            self.ignored.add(fold(new))
        if fold(nick) == fold(self.partner):
            self.partner = new

    def _topic(self, name: str, topic: str, by: str) -> list[Line]:
        room = self.rooms.get(name)
        if room is None:
            return []
        room.topic = topic
        said = f"{by} set the topic: {topic}" if topic else f"{by} cleared the topic"
        shown = name == self.current and not self._ignores(by)
        return [formatting.notice(said)] if shown else []

    def _error(self, error: Error) -> list[Line]:
        saying = self.pending.pop(error.key, None) if error.key else None
        if saying is None:
            return [formatting.error(error.text)]
        return [formatting.error(f"{error.text} Not sent: {saying.text}")]


def _heading(room: Room) -> Line:
    parts = [room.name, f"{room.count} here", *([room.topic] if room.topic else [])]
    return formatting.separator(" · ".join(parts))


def _swap(room: Room, nick: str, new: str) -> None:
    if nick in room.nicks:
        room.nicks.discard(nick)
        room.nicks.add(new)
