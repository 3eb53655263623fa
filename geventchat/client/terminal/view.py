"""The view of a user: rooms, members, unread posts, pending messages.

Events in, lines to print out. No I/O, no clock and no greenlets, so everything can be tested as
pure functions; `prompt.py` and `status.py` display it, `commands.py` changes it.
"""

from collections.abc import Iterable
from datetime import date
from typing import Final

from geventchat.client.events import ClientEvent, Disconnected, Gap, Reconnected, ReconnectFailed
from geventchat.client.terminal import formatting
from geventchat.client.terminal.comings import Comings
from geventchat.client.terminal.formatting import Line
from geventchat.client.terminal.invitations import Invitations
from geventchat.client.terminal.outage import Outage
from geventchat.client.terminal.recent import change_waiting
from geventchat.client.terminal.room import PendingSay, Room, heading, hole, swap, waits
from geventchat.protocol.events import (
    Direct,
    Edited,
    Error,
    Invited,
    Joined,
    Left,
    Members,
    Moderators,
    Muted,
    Person,
    Post,
    Presence,
    Redacted,
    Renamed,
    Sent,
    Session,
    SignedIn,
    Topic,
)
from geventchat.protocol.mentions import mentions
from geventchat.protocol.names import fold, fold_room


class View:
    """The state of the terminal. Methods that change it return the lines to print."""

    def __init__(self, room: str, nick: str, today: date) -> None:
        self.rooms: dict[str, Room] = {}
        self.current = fold_room(room)
        self.partner = ""
        """The nick to which the user's texts go instead of the current room; empty if none."""
        self.nick = nick
        self.account: str | None = None
        """The id of the user's account; None: a guest."""
        self.pending: dict[str, PendingSay] = {}
        """By key, oldest first."""
        self.asked: float | None = None
        """Since when a command waits for its answer, in monotonic seconds."""
        self.more_rooms: tuple[str, str] | None = None
        """The prefix of the last /list, and where its next page begins; None: there is none."""
        self.invitations: Final = Invitations()
        self.found: list[Post] = []
        self.sessions: list[Session] = []
        """What the last /search found, and the last /sessions listed."""
        self.ignored: set[str] = set()
        self.trouble = ""
        """What is wrong with the connection; empty if nothing."""
        self._outage = Outage()
        self._today = self._shown_day = today
        self._comings = Comings()

    def room(self, name: str = "") -> Room | None:
        """Return a room the user is in, by default the current one; `@nick`: a conversation."""
        found = self.rooms.get(name) or self.rooms.get(fold(name) or self.current)
        if found is None and name.startswith("@"):
            asked = fold(name[1:])
            found = next(
                (each for each in self.rooms.values() if fold(each.partner) == asked), None
            )
        return found

    @property
    def open_rooms(self) -> tuple[str, ...]:
        """The rooms that anybody can join, the current one first."""
        names = [room.name for room in self.rooms.values() if not room.private]
        return tuple(sorted(names, key=lambda name: name != self.current))

    def title(self, name: str) -> str:
        """Return what a room is called."""
        room = self.rooms.get(name)
        return room.title if room is not None else name

    def enter(self, name: str) -> list[Line]:
        """Switch to a room and print its unread posts."""
        self.current, self.partner = name if name in self.rooms else fold_room(name), ""
        self._comings.clear()
        room = self.rooms.setdefault(self.current, Room(self.current))
        if not room.joined:
            return []  # `hear` prints it once the server confirms
        lines = [heading(room)]
        if room.dropped:
            room.oldest = None  # /history goes on from the first that is printed now
            lines.append(formatting.notice(f"{room.dropped} more before these; see /history"))
        for item in room.waiting:
            if isinstance(item, Gap):
                lines.append(hole(room))
            else:
                lines += self._printed(room, item) if isinstance(item, Post) else [item]
        room.waiting.clear()
        room.told.clear()
        room.dropped = 0
        room.unread, room.mentioned = 0, False
        return lines

    def enter_number(self, number: int) -> list[Line]:
        """Switch to a room by its number, from 1, if there is one."""
        names = list(self.rooms)
        return self._switch(names[number - 1]) if number <= len(names) else []

    def enter_next(self, step: int) -> list[Line]:
        """Switch to the next room, or with -1 to the one before, around the end."""
        names = list(self.rooms)
        if not names:
            return []
        if self.current not in names:
            return self._switch(names[0])
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

    def tick(self, now: float, today: date) -> list[Line]:
        """Print what is due: a new day, and who came and went. To be called every second."""
        lines: list[Line] = []
        if today != self._today:
            self._today = today
            lines += self._date(today)
        return lines + [formatting.notice(text) for text in self._comings.due(now)]

    def members(self, members: Members) -> None:
        """Update the members of a room."""
        if room := self.rooms.get(members.room):
            room.nicks = set(members.nicks)
            room.count = members.count

    def older(self, room: Room, posts: Iterable[Post]) -> list[Line]:
        """Print older posts of a room, which the user may have left since they asked."""
        day = self._shown_day
        lines = [line for post in posts for line in self._printed(room, post)]
        self._shown_day = day  # what follows is below the line that ends them
        return lines

    def hear(self, event: ClientEvent) -> list[Line]:
        """Handle an event."""
        match event:
            case Post():
                return self._post(event)
            case Presence():
                return self._presence(event)
            case Edited() | Redacted():
                return self._changed(event)
            case Joined():
                return self._joined(event)
            case Left(room=name, reason=reason):
                return self._left(name, reason)
            case SignedIn(nick=nick, account=account):
                self.account = account
                return [*self.welcome(nick), formatting.notice(f"signed in as {nick}")]
            case Invited(account=account, by=by):
                own, ignored = account == self.account, self._ignores(by)
                return self.invitations.hear(event, own=own, ignored=ignored)
            case Moderators(room=name, moderators=moderators):
                return self._moderators(name, moderators)
            case Muted(room=name, nick=nick, by=by, on=on):
                did = "muted" if on else "unmuted"
                return [formatting.notice(f"{by} {did} {nick} in {self.title(name)}")]
            case Renamed(nick=nick):
                for room in self.rooms.values():
                    swap(room, self.nick, nick)
                return self.welcome(nick)
            case Topic(room=name, topic=topic, by=by):
                return self._topic(name, topic, by)
            case Direct(author=author, time=time):
                if not self._ignores(author):
                    return [
                        *self._date(formatting.local_time(time).date()),
                        formatting.direct(event),
                    ]
            case Sent(key=str() as key):
                self.pending.pop(key, None)
            case Error():
                return self._error(event)
            case Gap():
                return self._gap(event)
            case Disconnected(bye=bye):
                self.trouble = "disconnected, reconnecting"
                return self._outage.begin(bye)
            case ReconnectFailed(why=why):
                self.trouble = f"disconnected, reconnecting: {why}"
                return self._outage.last()
            case Reconnected(nick=nick):
                self.trouble = ""
                return [*self._outage.end(), *self.welcome(nick)]
        return []

    def _post(self, post: Post) -> list[Line]:
        own = post.key is not None and self.pending.pop(post.key, None) is not None
        own = own or (post.account is not None and post.account == self.account)
        if self._ignores(post.author) and not own:
            return []
        room = self.rooms.setdefault(post.room, Room(post.room, joined=True))
        room.recent.add(post, own=own or self._is_own(post))
        if post.room == self.current:
            renamed = [formatting.notice(text) for text in self._comings.speaks(post.author)]
            bell = post.position > room.replayed
            return [*renamed, *self._printed(room, post, own=own, bell=bell)]
        room.wait(post)
        if not room.counts(post, own=own or self._is_own(post)):
            return []
        if room.partner:
            room.mentioned = True
            room.told.add(post.position)
            return [formatting.direct(Direct(post.author, post.text, post.time))]
        if mentions(post.text, self.nick):
            room.mentioned = True
            return [formatting.mentioned(post, self.nick, room.title)]
        return []

    def _is_own(self, post: Post) -> bool:
        """Whether the user said it, on this device or another."""
        if post.account is not None:
            return post.account == self.account
        return bool(self.nick) and post.author == self.nick

    def _printed(
        self, room: Room, post: Post, *, own: bool = False, bell: bool = False
    ) -> list[Line]:
        if room.oldest is None or post.position < room.oldest:
            room.oldest = post.position
        own = own or self._is_own(post)
        if self._ignores(post.author) and not own:
            return []
        line = formatting.post(post, own=own, nick=self.nick, bell=bell)
        return [*self._date(formatting.local_time(post.time).date()), line]

    def _changed(self, change: Edited | Redacted) -> list[Line]:
        """Print what has changed, or change what is still to be printed."""
        if (room := self.rooms.get(change.room)) is None:
            return []
        post = room.recent.change(change)
        author = post.author if post is not None else change.by
        waiting = change_waiting(room.waiting, change)
        if waiting is not None and isinstance(change, Redacted) and not self._is_own(waiting):
            room.uncount(waiting)
        if self._ignores(author):
            return []
        line = formatting.changed(change, post)
        if room.name == self.current or change.position in room.told:
            return [line]
        if waiting is None:
            room.wait(line)
        return []

    def _ignores(self, nick: str) -> bool:
        return fold(nick) in self.ignored

    def _date(self, day: date) -> list[Line]:
        if day == self._shown_day:
            return []
        self._shown_day = day
        return [formatting.day(day)]

    def _joined(self, joined: Joined) -> list[Line]:
        room = self.rooms.setdefault(joined.room, Room(joined.room))
        again, room.joined = room.joined, True
        begins, room.waits = room.waits or not again, False
        self.invitations.answered(joined.room)
        if not self.current and joined.with_ is None:
            self.current = joined.room
        room.count, room.topic = joined.count, joined.topic
        room.private, room.moderator = joined.private, joined.moderator
        if joined.with_ is not None:
            room.partner = joined.with_.nick
        shown = joined.room == self.current
        room.begin(joined, again=again, shown=shown)
        return [heading(room)] if shown and begins else []

    def _gap(self, gap: Gap) -> list[Line]:
        room = self.rooms.get(gap.room)
        if room is None:
            return []
        room.replayed = room.read = room.counted = 0  # all that follows is new
        room.recent.clear()
        if room.name == self.current:
            return [hole(room)]
        room.wait(gap)
        return []

    def _left(self, name: str, reason: str | None) -> list[Line]:
        title = self.title(name)
        if self.invitations.answered(name) and name not in self.rooms:
            return [formatting.notice(f"the invitation to {name} is no longer open")]
        self.rooms.pop(name, None)
        lines = [formatting.notice(formatting.left(title, reason))]
        if name == self.current:
            self.current = ""
            # If the user did not ask for it, what is being typed must not go to another room.
            if self.rooms and reason is None:
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
        # Not printed at once: `tick` returns the lines.
        shown = room.name == self.current and not hidden
        comings = self._comings if shown else Comings()
        match presence.event:
            case "join":
                room.count += nick not in room.nicks
                room.nicks.add(nick)
                comings.join(nick)
            case "leave":
                room.count -= nick in room.nicks
                room.nicks.discard(nick)
                comings.leave(nick)
            case "rename":
                new = presence.new_nick or ""
                swap(room, nick, new)
                self._follow(nick, new)
                comings.rename(nick, new)
        return []

    def _follow(self, nick: str, new: str) -> None:
        """Keep ignoring, or writing to, a user who has changed their nick."""
        if self._ignores(nick):
            self.ignored.remove(fold(nick))
            self.ignored.add(fold(new))
        for room in self.rooms.values():
            if room.partner and fold(room.partner) == fold(nick):
                room.partner = new
        if fold(nick) == fold(self.partner):
            self.partner = new

    def _moderators(self, name: str, moderators: list[Person]) -> list[Line]:
        if room := self.rooms.get(name):
            room.moderator = any(each.account == self.account for each in moderators)
        nicks = ", ".join(each.nick for each in moderators)
        return [formatting.notice(f"moderators of {self.title(name)}: {nicks}")]

    def _topic(self, name: str, topic: str, by: str) -> list[Line]:
        room = self.rooms.get(name)
        if room is None:
            return []
        room.topic = topic
        said = f"{by} set the topic: {topic}" if topic else f"{by} cleared the topic"
        shown = name == self.current and not self._ignores(by)
        return [formatting.notice(said)] if shown else []

    def _error(self, error: Error) -> list[Line]:
        if error.code == "storage" and error.room and not (error.id or error.key):
            return [waits(self.rooms.setdefault(error.room, Room(error.room)), error.text)]
        saying = self.pending.pop(error.key, None) if error.key else None
        unsent = f" Not sent: {saying.text}" if saying is not None else ""
        return [formatting.error(f"{error.text}{unsent}")]
