"""Nodes that share their parts, and note what they hear of others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from geventchat.server.timeline.nodes import Came, Counted, Message, Part, Person, Went
from geventchat.server.timeline.redis import RedisTimeline
from tests.server.timeline.redis.listening import Listening, several

Rooms = dict[str, dict[str, str] | int]
"""The nicks in each room by id, or how many there are."""


class Talker(Listening):
    """One node: a timeline, and what it has heard of the others."""

    def __init__(self, url: str) -> None:
        self.timeline = RedisTimeline(lambda _: None, url)
        self.nodes = self.timeline.nodes
        self.live = self.nodes._live
        self.nodes.listen(self)
        self.parts: dict[str, Rooms] = {}
        self.messages: list[Message] = []
        self.wholes = 0
        """How often a whole part was heard."""
        self.timeline.start()

    @property
    def name(self) -> str:
        return self.nodes.name

    def came(self, room: str, number: str, nick: str | None = None) -> None:
        self.nodes.share(Came(room, Person(number, nick or number)))

    def went(self, room: str, number: str) -> None:
        self.nodes.share(Went(room, number))

    def end(self) -> None:
        """End it as a server ends that is stopped."""
        self.timeline.close(5)

    # What is heard

    def hear_part(self, node: str, changes: Sequence[Part], *, whole: bool) -> None:
        rooms = self.parts.setdefault(node, {})
        if whole:
            rooms.clear()
            self.wholes += 1
        for change in changes:
            people = rooms.setdefault(change.room, {})
            if isinstance(change, Counted):
                rooms[change.room] = change.count or {}
            else:
                assert isinstance(people, dict)
                if isinstance(change, Came):
                    people[change.person.id] = change.person.nick
                else:
                    del people[change.id]
            if not rooms[change.room]:
                del rooms[change.room]

    def hear_message(self, node: str, message: Message) -> None:
        self.messages.append(message)

    def hear_gone(self, node: str) -> None:
        self.parts.pop(node, None)


@contextmanager
def talkers_on(url: str, count: int) -> Iterator[list[Talker]]:
    """Have nodes on an engine."""
    with several(lambda: Talker(url), count) as talkers:
        yield talkers
