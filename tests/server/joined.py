"""Hubs whose nodes are joined in memory: the others hear what one writes or says a moment later."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gevent
from gevent.lock import RLock

from geventchat.server.access.policy import Policy
from geventchat.server.access.rules_file import RulesFile
from geventchat.server.chat.hub import Hub
from geventchat.server.session import directs
from geventchat.server.session.enforcement import ENDED, Enforcement
from geventchat.server.session.reach import answer_others
from geventchat.server.timeline import RecordChange
from geventchat.server.timeline.nodes import Alone, Listener, Message
from tests.server.hub_harness import Harness, SteppedTimeline


class Store:
    """What the nodes have in common."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], bytes] = {}
        self.epoch = "first"
        self.nodes: list[JoinedNodes] = []
        self.deciding = RLock()
        self.deaf: set[str] = set()
        """The names of nodes that hear nothing that others say."""
        self.refuses: Callable[[], None] = lambda: None
        """Called before anything is written or decided; may raise Refused."""

    def keep(self, changes: Sequence[RecordChange], by: "JoinedNodes") -> None:
        self.refuses()
        for kind, number, value in changes:
            if value is None:
                self.records.pop((kind, number), None)
            else:
                self.records[kind, number] = value
        for node in self.nodes:
            if node is not by:
                _later(node.listener.hear_records, list(changes))


class JoinedNodes(Alone):
    """The nodes of a store, as one of them sees it."""

    alone = False
    decides = False
    leads = False
    listener: Listener

    def __init__(self, store: Store, name: str) -> None:
        super().__init__()
        self.store = store
        self.name = name
        self.settle: Callable[[], None] = lambda: None
        store.nodes.append(self)

    @property  # type: ignore[misc]
    def others(self) -> list[str]:  # type: ignore[override]
        return [node.name for node in self.store.nodes if node is not self]

    def listen(self, listener: Listener) -> None:
        self.listener = listener

    @contextmanager
    def deciding(self, *, adopting: bool = False) -> Iterator[None]:
        self.store.refuses()
        with self.store.deciding:
            yield
            self.settle()

    def tell(self, message: Message, node: str | None = None) -> None:
        for each in self.store.nodes:
            if each is not self and node in (None, each.name) and each.name not in self.store.deaf:
                _later(each.listener.hear_message, self.name, message)


class JoinedTimeline(SteppedTimeline):
    """Posts of one node, and the records of all."""

    def __init__(self, hub: Hub, store: Store, name: str) -> None:
        super().__init__(hub)
        self.store_of_all = store
        self.nodes: JoinedNodes = JoinedNodes(store, name)
        self.epoch = store.epoch

    def records(self, kind: str) -> list[tuple[str, bytes]]:
        stored = self.store_of_all.records
        return sorted((number, value) for (of, number), value in stored.items() if of == kind)

    def keep(self, changes: Sequence[RecordChange]) -> None:
        self.store_of_all.keep(changes, self.nodes)


class Joined(Harness):
    """One of several hubs on a store."""

    def __init__(self, store: Store, name: str, file: Path | None = None, **limits: Any) -> None:
        self._store, self._name = store, name
        super().__init__(**limits)
        assert isinstance(self.timeline, JoinedTimeline)
        self.nodes = self.timeline.nodes
        self.nodes.settle = self.hub.people.records.settled
        self.policy = Policy(token="token", file=RulesFile(str(file)) if file else None)
        shared = self.policy.share_rules(self.timeline, self.hub.people.records)
        shared.begin_epoch()
        self.timeline.epoch_changed = shared.begin_epoch
        enforcement = Enforcement(self.hub, self.policy, shared)
        self.hub.other_nodes.on_rules = enforcement.hear
        self.hub.questions.answer(ENDED, enforcement.answer)
        self.hub.questions.on_direct = partial(directs.receive, self.hub)
        answer_others(self.hub)

    def _make_timeline(self) -> SteppedTimeline:
        return JoinedTimeline(self.hub, self._store, self._name)

    def end(self) -> None:
        """End the node, as if its process had been killed."""
        self._store.nodes.remove(self.nodes)
        for node in self._store.nodes:
            node.listener.hear_gone(self._name)


def _later(function: Callable[..., None], *arguments: object) -> None:
    """Have a function called in the greenlet of the loop, where nothing may switch."""
    gevent.get_hub().loop.run_callback(function, *arguments)
