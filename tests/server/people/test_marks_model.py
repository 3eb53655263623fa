"""Whatever becomes of two nodes, in the end each of them counts what there is to count.

Both follow one feed, of posts and of records, each at its own pace. They are killed at any moment,
and start again from the records.
"""

import random
from collections.abc import Sequence
from typing import TypeAlias

import pytest

from geventchat.protocol.events import Post
from geventchat.server.people.account import Mark
from geventchat.server.timeline import Behind, RecordChange
from tests.server.switches import let_run
from tests.server.two_nodes import Node, Paired

_ROOM = "lobby"
_NICKS = ("Ann", "Bob", "Cid")
_TICK_SECONDS = 5.0

Entry: TypeAlias = tuple[str, Post | Sequence[RecordChange]]
"""Who wrote it, and what."""


class Store:
    """What both nodes store."""

    def __init__(self) -> None:
        self.feed: list[Entry] = []
        self.records: dict[tuple[str, str], bytes] = {}
        self.posts: list[Post] = []

    def say(self, text: str, author: str | None) -> None:
        post = Post(
            room=_ROOM, position=len(self.posts) + 1, author="", text=text, time=0, account=author
        )
        self.posts.append(post)
        self.feed.append(("", post))

    def expected(self, account: str, nick: str, read: int) -> Mark:
        """Return the mark of an account by a look at all posts."""
        others = [each for each in self.posts[read:] if each.account != account]
        mentions = [each for each in others if f"@{nick}" in each.text]
        return Mark(read, len(others), len(mentions))


class Follower(Node):
    """A node that hears the feed when the test lets it; none of its writes is heard at once."""

    def __init__(self, name: str, other: str, shared: Store) -> None:
        self.shared = shared
        self.passed = len(shared.feed)
        self.killed = False
        super().__init__(name, other)
        self.timeline.epoch = "epoch"
        self.store = shared.records
        self.timeline.open = lambda room: self.hear()  # type: ignore[method-assign]
        self.timeline.release = lambda room: None  # type: ignore[method-assign]
        self.timeline.position = self._position  # type: ignore[method-assign]
        self.timeline.since = self._since  # type: ignore[method-assign]
        self.newest = 0
        """The position of the newest post that it has heard."""
        self.now = 0.0

    def load(self) -> None:
        """Load what is stored. What was written since it began is heard later, too."""
        self.hub.use(self.timeline)

    def hear(self, upto: int | None = None) -> None:
        """Hear the feed up to a place, or all of it."""
        while self.passed < (len(self.shared.feed) if upto is None else upto):
            writer, what = self.shared.feed[self.passed]
            self.passed += 1
            if isinstance(what, Post):
                self.newest = what.position
                self.people.marks.count(what)
            elif writer != self.timeline.nodes.name:
                self.hub.other_nodes.hear_records(what)
        self.newest = max(self.newest, len(self.shared.posts) if upto is None else 0)

    def _position(self, room: str) -> int:
        return self.newest

    def _since(self, room: str, after: int, upto: int) -> list[Post]:
        return self.shared.posts[after : min(upto, after + 7)]

    def _keep(self, changes: Sequence[RecordChange]) -> None:
        if self.killed:
            return
        names = {change[:2] for change in changes}
        for writer, what in self.shared.feed[self.passed :]:
            if isinstance(what, Post) or writer == self.timeline.nodes.name:
                continue
            if names & {change[:2] for change in what}:
                self.hear()
                raise Behind
        for kind, number, value in changes:
            self.shared.records.pop((kind, number), None)
            if value is not None:
                self.shared.records[kind, number] = value
        self.shared.feed.append((self.timeline.nodes.name, changes))

    def tick(self) -> None:
        self.now += _TICK_SECONDS
        self.people.marks.tick(self.now)


class Scene:
    """Two nodes, and what happens to them by the dice."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.shared = Store()
        self.free = list(_NICKS)
        self.nodes: list[Follower] = []
        for number in (0, 1):
            self.nodes.append(self.begin(number))
        self.lead(self.nodes[1], 1)

    def begin(self, number: int) -> Follower:
        """Start a node; the names say which one leads."""
        node = Follower(f"{self.dice.random()}", f"{self.dice.random()}", self.shared)
        self.talk()
        node.load()
        self.talk()
        node.hear(self.dice.randint(node.passed, len(self.shared.feed)))
        node.people.catch_up()
        self.lead(node, number)
        let_run()
        return node

    def lead(self, node: Follower, number: int) -> None:
        """Tell both nodes of each other."""
        if len(self.nodes) == 2:
            one, other = node.timeline.nodes, self.nodes[1 - number].timeline.nodes
            assert isinstance(one, Paired)
            assert isinstance(other, Paired)
            one._names, other._names = (one.name, other.name), (other.name, one.name)

    def talk(self) -> None:
        """Have posts stored: of the accounts and of others, some of which mention somebody."""
        known = list({key[1] for key in self.shared.records if key[0] == "membership"})
        for _ in range(self.dice.randrange(4)):
            author = self.dice.choice([*known, None])
            text = f"hello @{self.dice.choice(_NICKS)}" if self.dice.random() < 0.4 else "hello"
            self.shared.say(text, author.partition("/")[0] if author else None)

    def step(self) -> None:
        """Have something happen within the time between two ticks."""
        self.talk()
        node = self.dice.choice(self.nodes)
        what = self.dice.random()
        if what < 0.15:
            self.kill()
        elif what < 0.3:
            self.join(node)
        elif what < 0.5:
            self.read(node)
        for each in self.nodes:
            each.hear(self.dice.randint(each.passed, len(self.shared.feed)))
        let_run()

    def kill(self) -> None:
        """Kill one node, or both at once."""
        numbers = self.dice.choice(([0], [1], [0, 1]))
        for number in numbers:
            self.nodes[number].killed = True
        for number in numbers:
            self.nodes[number] = self.begin(number)
            self.lead(self.nodes[number], number)

    def join(self, node: Follower) -> None:
        """Have an account made, which joins at the newest post that its node has heard."""
        if self.free and node.newest:
            made = node.people.create(self.free.pop())
            node.hub.owners.reserve(made)
            node.people.save(made, node.people.join(made, _ROOM, node.newest))

    def read(self, node: Follower) -> None:
        """Have an account read to a post that its node has heard."""
        marks = [each.memberships[_ROOM] for each in node.people.accounts.values()]
        if marks:
            mark = self.dice.choice(marks)
            if mark.read_to(self.dice.randint(0, node.newest)):
                node.people.save(mark)

    def check(self, node: Follower) -> None:
        for account in node.people.accounts.values():
            newest = len(self.shared.posts)
            mark = account.memberships[_ROOM].mark(1, newest)
            assert mark == self.shared.expected(account.id, account.nick, mark.read)


@pytest.mark.parametrize("seed", range(60))
def test_in_the_end_all_nodes_count_what_is_stored(seed: int) -> None:
    scene = Scene(seed)
    for _ in range(30):
        for _ in range(scene.dice.randrange(3)):
            scene.step()
        for node in scene.nodes:  # no feed is later than the time between two ticks
            newest = len(scene.shared.feed)
            node.hear(scene.dice.randint(max(node.passed, newest - 3), newest))
        for node in scene.nodes:
            node.tick()
            let_run()
    for _ in range(6):
        for node in scene.nodes:
            node.hear()
            node.tick()
            let_run()
    for number, node in enumerate(scene.nodes):
        node.hear()
        scene.check(node)
        node.killed = True
        scene.nodes[number] = scene.begin(number)
        scene.nodes[number].hear()
        scene.check(scene.nodes[number])
