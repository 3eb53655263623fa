"""The rules of operators where several nodes may be on one store: a record for each.

All nodes hold all of them. The node that makes or removes some writes their records, of which the
others hear. Only the guests' numbers make a difference: a rule about one ends with the epoch.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import gevent
import msgspec
from gevent.event import AsyncResult

from geventchat.protocol.errors import Refused
from geventchat.server.access.rules import GUEST, RULE, Key, Rule, Rules
from geventchat.server.people.records import Kept, Records, decoded
from geventchat.server.timeline import RecordChange, Timeline

_SEPARATOR: Final = "/"
_BEGUN: Final = ""
"""The id of the record that says in which epoch the rules were last written as a whole."""
_RETRY_SECONDS: Final = 1.0

_Changes = dict[Key, Rule | None]

_log = logging.getLogger(__name__)


class _RuleRecord:
    """A rule, as it is in memory when it is written."""

    def __init__(self, rules: Rules, key: Key) -> None:
        self.record = RULE, _SEPARATOR.join(key)
        self._rules, self._key = rules, key

    def value(self) -> Rule | None:
        return self._rules.get(self._key)


class _Begun:
    """The epoch in which the rules were last written as a whole."""

    record = RULE, _BEGUN

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch

    def value(self) -> str:
        return self._epoch


class SharedRules:
    """Writes the rules, and follows what other nodes write. Nothing waits unless it says so."""

    def __init__(
        self, rules: Rules, records: Records, timeline: Timeline, on_change: Callable[[], None]
    ) -> None:
        """Take over what is stored; `rules` has those of the file, for a store without any. Blocks.

        `on_change` is called whenever they have changed. Raises Refused `storage`, and ValueError
        if a record is damaged.
        """
        self._rules, self._records = rules, records
        self._timeline, self._on_change = timeline, on_change
        self._begun: str | None = None
        self._stored: dict[Key, Rule] = {}
        """What is in the store, or on the way there."""
        self._beginning: gevent.Greenlet[[], None] | None = None
        self._begun, stored = _read(timeline.records(RULE))
        if self._begun is not None:
            self._take_over(stored)

    def _take_over(self, stored: dict[Key, Rule]) -> None:
        """Hold what is stored and nothing else."""
        self._stored = stored
        self._rules.follow({**dict.fromkeys(self._rules.all()), **stored})
        self._on_change()

    def hear(self, changes: Sequence[RecordChange]) -> dict[Key, Rule | None]:
        """Follow what another node has written; return what is new: rules, None where one ended."""
        found: _Changes = {}
        for _, number, value in changes:
            try:
                if number == _BEGUN:
                    self._begun = decoded(str, value) if value is not None else None
                else:
                    found[_key(number)] = decoded(Rule, value) if value is not None else None
            except (msgspec.DecodeError, ValueError):
                _log.exception("a rule of another node cannot be read")
        fresh = {key: rule for key, rule in found.items() if rule != self._stored.get(key)}
        for key, rule in fresh.items():
            if rule is None:
                del self._stored[key]
            else:
                self._stored[key] = rule
        if fresh:
            self._rules.follow(fresh)
            self._on_change()
        return fresh

    def note(self) -> "AsyncResult[Refused | None]":
        """Have what has changed written soon; return what is set when it is."""
        self._rules.follow({})  # lists them in the same order as on all nodes
        rules, kept = self._rules.all(), list[Kept]()
        for key in self._stored.keys() | rules.keys():
            if self._stored.get(key) != rules.get(key):
                kept.append(_RuleRecord(self._rules, key))
        self._stored = rules
        if self._begun != self._timeline.epoch:
            self._begun = self._timeline.epoch
            kept.append(_Begun(self._begun))
        self._on_change()
        return self._records.note(*kept)

    def begin_epoch(self) -> None:
        """Have the store hold the rules of the nodes, if an epoch has begun since it last did.

        The first node to come writes what it has, the others take that over.
        """
        if self._beginning is not None:
            self._beginning.kill(block=False)
        if self._begun != self._timeline.epoch and (self._begun is not None or self._rules.all()):
            self._beginning = gevent.spawn(self._begin)
            self._beginning.name = "rules"

    def _begin(self) -> None:
        timeline = self._timeline
        epoch = timeline.epoch
        while timeline.epoch == epoch:
            try:
                with timeline.nodes.deciding():
                    begun, stored = _read(timeline.records(RULE))
                    if begun == epoch:
                        self._begun = begun
                        self._take_over(stored)
                    else:
                        self._stored = stored
                        self._rules.follow(
                            dict.fromkeys(key for key in self._rules.all() if key[1] == GUEST)
                        )
                        self.note()
                return
            except Refused:
                gevent.sleep(_RETRY_SECONDS)
            except ValueError:
                _log.exception("the rules of operators cannot be read")
                return


def _read(stored: Iterable[tuple[str, bytes]]) -> tuple[str | None, dict[Key, Rule]]:
    """Return the epoch in which rules were written, and the rules. Raises ValueError."""
    begun, rules = None, {}
    try:
        for number, value in stored:
            if number == _BEGUN:
                begun = decoded(str, value)
            else:
                rules[_key(number)] = decoded(Rule, value)
    except msgspec.DecodeError as error:
        raise ValueError(f"a rule of operators cannot be read: {error}") from None
    return begun, rules


def _key(number: str) -> Key:
    action, target_type, target = number.split(_SEPARATOR, 2)
    return action, target_type, target
