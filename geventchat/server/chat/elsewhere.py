"""Who is in which room on any node: this node's part, and what it hears of the others' parts.

A room shows the union of the parts: somebody who is in it on two nodes is one member. What its
members have been told is the set of nicks in the union, so a change is announced as what it does
to that set, and a client that moves to another node changes nothing. Nothing here waits.
"""

from collections.abc import Container, Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from geventchat.protocol.events import Presence
from geventchat.server.timeline.nodes import Came, Counted, Nodes, Part, Person, Went

MOST_NAMED: Final = 500
"""Members of a room on one node above which the others hear only their number."""
_FEW: Final = 400
"""Below so many they are named again."""
_LOOKS: Final = 256
"""Changes that are looked at in one step,"""
_STEPS: Final = 4
"""and how many are followed."""
_HERE: Final = ""
"""Stands for this node."""
_Event: TypeAlias = Literal["join", "leave", "rename"]


class News(NamedTuple):
    """What the members of a room have to be told of somebody."""

    id: str
    event: Presence


Changes: TypeAlias = dict[str, list[News]]
"""Rooms in which somebody came or went, and the news for their members."""


class Union:
    """All who are in one room, on any node."""

    __slots__ = ("counts", "nicks", "people", "room")

    def __init__(self, room: str) -> None:
        self.room = room
        self.people: dict[str, dict[str, Person]] = {}
        """By id, then by node; the last that was said of somebody is how they are shown."""
        self.counts: dict[str, int] = {}
        """Nodes that only count their members of this room."""
        self.nicks: dict[str, int] = {}
        """How many people are shown with each nick: for a moment it may be two."""

    def __len__(self) -> int:
        return len(self.people) + sum(self.counts.values())

    def __iter__(self) -> Iterator[Person]:
        """Yield everybody who is named, as they are shown."""
        for sightings in self.people.values():
            yield _shown(sightings)

    def came(self, node: str, person: Person) -> News | None:
        """Add somebody, or say their nick again; return what the members have to be told."""
        sightings = self.people.setdefault(person.id, {})
        former = _shown(sightings) if sightings else None
        sightings.pop(node, None)  # so that it is the last
        sightings[node] = person
        if former is not None:
            return self._renamed(former, person)
        return self._news("join", person) if self._gain(person.nick) else None

    def went(self, node: str, number: str) -> News | None:
        """Remove somebody of a node, who is there; return what the members have to be told."""
        sightings = self.people[number]
        former = _shown(sightings)
        del sightings[node]
        if sightings:
            return self._renamed(former, _shown(sightings))
        del self.people[number]
        return self._news("leave", former) if self._lose(former.nick) else None

    def _renamed(self, former: Person, person: Person) -> News | None:
        if former.nick == person.nick:
            return None
        left, joined = self._lose(former.nick), self._gain(person.nick)
        if left and joined:
            return self._news("rename", former, person)
        if left:
            return self._news("leave", former)
        return self._news("join", person) if joined else None

    def _gain(self, nick: str) -> bool:
        """Count a nick; return whether it is new."""
        self.nicks[nick] = count = self.nicks.get(nick, 0) + 1
        return count == 1

    def _lose(self, nick: str) -> bool:
        """Count a nick less; return whether nobody is shown with it any more."""
        self.nicks[nick] -= 1
        if self.nicks[nick]:
            return False
        del self.nicks[nick]
        return True

    def _news(self, what: _Event, somebody: Person, after: Person | None = None) -> News:
        event = Presence(
            room=self.room,
            nick=somebody.nick,
            event=what,
            new_nick=after.nick if after is not None else None,
            account=(after or somebody).account,
        )
        return News(somebody.id, event)


class Elsewhere:
    """The parts of all nodes. This node's is shared with the others as it changes."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._unions: dict[str, Union] = {}
        self._parts: dict[str, dict[str, dict[str, Person]]] = {_HERE: {}}
        """Everybody who is named, by node, room and id."""
        self._counted: set[str] = set()
        """Rooms of which the others hear only how many are there on this node."""
        self._recounted: set[str] = set()
        """Those of them in which that number has changed."""
        self._gone: dict[str, float] = {}
        """Nodes that have ended, and until when their people may come back: they are not left."""
        self._lost: dict[str, dict[str, set[str]]] = {}
        """By the id of such people, their rooms on each of these nodes."""

    # What a room shows

    def count(self, room: str) -> int:
        """Return the number of members of a room on all nodes."""
        union = self._unions.get(room)
        return len(union) if union is not None else 0

    def people(self, room: str) -> Iterator[Person]:
        """Yield the members of a room that are named. Not to be used after the next change."""
        union = self._unions.get(room)
        return iter(union) if union is not None else iter(())

    def is_on_others(self, room: str, number: str) -> bool:
        """Return whether somebody is named in a room on another node."""
        union = self._unions.get(room)
        sightings = union.people.get(number, {}) if union is not None else {}
        return any(node != _HERE for node in sightings)

    def on_others(self, room: str) -> bool:
        """Return whether anybody is in a room on another node."""
        union = self._unions.get(room)
        if union is None:
            return False
        return bool(union.counts) or any(
            room in part for node, part in self._parts.items() if node != _HERE
        )

    # This node

    def here(self, room: str) -> dict[str, Person]:
        """Return the members of a room on this node, and those that it waits for, by id."""
        return self._parts[_HERE].get(room, {})

    def joined(self, room: str, person: Person) -> News | None:
        """Add somebody on this node, or say their nick again; return what to tell the members."""
        news = self._came(_HERE, room, person)
        if person.id in self._lost:
            self._found(room, person.id)
        return news

    def left(self, room: str, number: str) -> News | None:
        """Remove somebody on this node; return what to tell the members."""
        return self._went(_HERE, room, number)

    def leave_all(self) -> Changes:
        """Remove everybody on this node; return what to tell the members."""
        told: Changes = {}
        for room, people in list(self._parts[_HERE].items()):
            for number in list(people):
                self._end(_HERE, room, number, told)
        return told

    def share_counts(self) -> None:
        """Share new numbers of members of rooms that have too many to name them."""
        for room in self._recounted:
            people = self.here(room)
            if len(people) < _FEW:
                self._counted.discard(room)
            self._nodes.share(Counted(room, len(people) if room in self._counted else 0))
            if room not in self._counted:
                for person in people.values():
                    self._nodes.share(Came(room, person))
        self._recounted.clear()

    # Other nodes

    def replace(self, node: str, changes: Sequence[Part]) -> Iterator[Changes]:
        """Follow the whole part of another node in small steps; yield what to tell the members."""
        present: dict[str, set[str]] = {}
        for place, change in enumerate(changes, 1):
            people = present.setdefault(change.room, set())
            if isinstance(change, Came):
                people.add(change.person.id)
            if not place % _LOOKS:
                yield {}
        for room, known in list(self._parts.get(node, {}).items()):
            told: Changes = {}
            for number in known.keys() - present.get(room, set()):
                self._end(node, room, number, told)
            yield told
        for room in [room for room, union in self._unions.items() if node in union.counts]:
            if room not in present:
                yield self.follow(node, [Counted(room, 0)])
        for place in range(0, len(changes), _STEPS):
            yield self.follow(node, changes[place : place + _STEPS])

    def follow(self, node: str, changes: Sequence[Part]) -> Changes:
        """Follow changes of another node's part; return what to tell the members."""
        told: Changes = {}
        for change in changes:
            tell = told.setdefault(change.room, [])
            news = None
            if isinstance(change, Came):
                news = self._came(node, change.room, change.person)
                if change.person.id in self._lost:
                    self._found(change.room, change.person.id)
            elif isinstance(change, Went):
                news = self._went(node, change.room, change.id)
            else:
                self._count(node, change, tell)
            if news is not None:
                tell.append(news)
        return told

    def gone(self, node: str, until: float, back: Container[str]) -> Iterator[Changes]:
        """Follow in small steps that a node has ended.

        Its people may come back until a monotonic time, but for those who are `back` already, where
        they want to be. Yield what to tell the members now.
        """
        if node in self._parts:
            self._gone[node] = until
        for room, people in list(self._parts.get(node, {}).items()):
            told: Changes = {}
            for person in list(people.values()):
                union = self._unions[room]
                present = person.id in back or len(union.people[person.id]) > 1
                if present or person.id == person.nick:  # or it was a plain client
                    self._end(node, room, person.id, told)
                else:
                    rooms = self._lost.setdefault(person.id, {})
                    rooms.setdefault(node, set()).add(room)
            yield told
        for room in [room for room, union in self._unions.items() if node in union.counts]:
            yield self.follow(node, [Counted(room, 0)])

    def expired(self, now: float) -> Iterator[Changes]:
        """Forget in small steps who did not come back from nodes that have ended.

        Yield what to tell the members.
        """
        for node in [node for node, until in self._gone.items() if until <= now]:
            del self._gone[node]
            for room, people in list(self._parts.get(node, {}).items()):
                told: Changes = {}
                for number in list(people):
                    self._end(node, room, number, told)
                    lost = self._lost.get(number, {})
                    lost.pop(node, None)
                    if not lost:
                        self._lost.pop(number, None)
                yield told
            self._parts.pop(node, None)

    def came_back(self, number: str) -> Changes:
        """Forget where somebody was on nodes that have ended: they have rejoined what they want.

        Return what to tell the members.
        """
        told: Changes = {}
        for node, rooms in self._lost.pop(number, {}).items():
            for room in rooms:
                self._end(node, room, number, told)
        return told

    def _came(self, node: str, room: str, person: Person) -> News | None:
        union = self._unions.get(room)
        if union is None:
            union = self._unions[room] = Union(room)
        people = self._parts.setdefault(node, {}).setdefault(room, {})
        if node == _HERE and people.get(person.id) != person:
            people[person.id] = person
            self._share(room, len(people), Came(room, person))
        people[person.id] = person
        return union.came(node, person)

    def _went(self, node: str, room: str, number: str) -> News | None:
        people = self._parts.get(node, {}).get(room, {})
        if people.pop(number, None) is None:
            return None
        if node == _HERE:
            self._share(room, len(people), Went(room, number))
        if not people:
            del self._parts[node][room]
        union = self._unions[room]
        news = union.went(node, number)
        self._close(union)
        return news

    def _share(self, room: str, count: int, change: Part) -> None:
        """Have the others hear of a change on this node, after which so many are in the room."""
        if room in self._counted:
            self._recounted.add(room)
        elif count > MOST_NAMED:
            self._counted.add(room)
            self._nodes.share(Counted(room, count))
        else:
            self._nodes.share(change)

    def _count(self, node: str, counted: Counted, tell: list[News]) -> None:
        room, people = counted.room, self._parts.get(node, {}).get(counted.room, {})
        went = [self._went(node, room, number) for number in list(people)]
        tell.extend(news for news in went if news is not None)
        union = self._unions.get(room)
        if counted.count:
            if union is None:
                union = self._unions[room] = Union(room)
            union.counts[node] = counted.count
        elif union is not None:
            union.counts.pop(node, None)
            self._close(union)

    def _found(self, room: str, number: str) -> None:
        """Forget that somebody was in a room on nodes that have ended: they are there again."""
        lost = self._lost[number]
        for node in [node for node, rooms in lost.items() if room in rooms]:
            lost[node].discard(room)
            if not lost[node]:
                del lost[node]
            self._went(node, room, number)  # which changes nothing for the members
        if not lost:
            del self._lost[number]

    def _end(self, node: str, room: str, number: str, told: Changes) -> None:
        news = self._went(node, room, number)
        tell = told.setdefault(room, [])
        if news is not None:
            tell.append(news)

    def _close(self, union: Union) -> None:
        if not union.people and not union.counts:
            self._unions.pop(union.room, None)


def _shown(sightings: dict[str, Person]) -> Person:
    """Return how somebody is shown: as the last node has said."""
    return next(reversed(sightings.values()))
