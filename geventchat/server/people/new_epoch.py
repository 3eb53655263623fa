"""What is kept of people when a new epoch begins while the server runs.

The store may have lost posts and records, or have older ones. What is in memory was confirmed, so
it holds: the store gets what it lacks, and loses what was deleted since. Positions begin anew, as
after a start with another epoch.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import gevent
import msgspec

from geventchat.protocol import names
from geventchat.protocol.errors import Refused
from geventchat.server.people.account import ACCOUNT, MEMBERSHIP, Membership
from geventchat.server.people.hooks import HOOK
from geventchat.server.people.login import LOGIN
from geventchat.server.people.marks import COUNTED
from geventchat.server.people.people import People
from geventchat.server.people.private import PRIVATE
from geventchat.server.people.records import Kept, decoded, encoded
from geventchat.server.timeline import Behind, Timeline

KINDS: Final = ACCOUNT, LOGIN, PRIVATE, MEMBERSHIP, HOOK, COUNTED
"""The kinds of records, those that others refer to first."""
_EPOCH: Final = "epoch"
"""The kind of one more record."""
_PATIENT_SECONDS: Final = 10.0
"""How long nodes wait for others to say what they know, and as long again for the one to begin."""
_RETRY_SECONDS: Final = 0.25
_AT_ONCE: Final = 500
"""Records that are written together."""

_log = logging.getLogger(__name__)


class _Deleted:
    """A record that is in the store and should not be."""

    def __init__(self, kind: str, number: str) -> None:
        self.record = kind, number

    def value(self) -> None:
        return None


class _Adopted:
    """A record that says which epoch's records are as a node has them in memory."""

    record = _EPOCH, "adopted"

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch

    def value(self) -> object:
        return self._epoch


class _Knew(msgspec.Struct, array_like=True):
    """How far a node had heard the others when an epoch began."""

    epoch: str
    place: tuple[int, int]


class _Said:
    """The record in which a node says that."""

    def __init__(self, node: str, knew: _Knew) -> None:
        self.record = _EPOCH, node
        self._knew = knew

    def value(self) -> object:
        return self._knew


def adopt(people: People, timeline: Timeline, reread: Callable[[], None]) -> None:
    """Adapt everything to the new epoch of a timeline, and the timeline's records. Waits.

    Of several nodes the one that had heard most has the store hold what is in its memory, which the
    others then `reread`: one that was cut off for long may not know who was banned meanwhile.
    """
    epoch, began = timeline.epoch, time.monotonic()
    while timeline.epoch == epoch:
        waited = time.monotonic() - began
        try:
            with timeline.nodes.deciding(adopting=True):
                adopted = _adopt_records(people, timeline, reread, waited)
            if adopted:
                _find_newest(people, timeline)
                people.catch_up()
                return
        except (Refused, Behind):
            pass
        gevent.sleep(_RETRY_SECONDS)


def _adopt_records(
    people: People, timeline: Timeline, reread: Callable[[], None], waited: float
) -> bool:
    """Have memory and store agree; return whether they do. Waits. Raises Refused `storage`.

    `waited`: for how many seconds this node has left it to another one.
    """
    nodes, epoch = timeline.nodes, timeline.epoch
    if nodes.alone:
        _write_records(people, timeline)
        return True
    adopted, stored = _Adopted(epoch), dict(timeline.records(_EPOCH))
    if stored.pop(adopted.record[1], None) == encoded(adopted.value()):
        reread()
        nodes.adopted(epoch)
        return True
    own = _Said(nodes.name, _Knew(epoch, nodes.knew))
    if stored.get(nodes.name) != (place := encoded(own.value())):
        # Not with what else is to be written: that may have to wait until the epoch is adopted.
        timeline.keep([(*own.record, place)])
    knew = {nodes.name: nodes.knew}
    for node, value in stored.items():
        if (said := decoded(_Knew, value)).epoch == epoch:
            knew[node] = said.place
    if waited < _PATIENT_SECONDS and not knew.keys() >= nodes.awaited:
        return False
    most = max(knew.values())
    first = min(node for node, place in knew.items() if place == most)
    if waited < 2 * _PATIENT_SECONDS and first != nodes.name:
        return False
    nodes.adopted(epoch)
    _write_records(people, timeline)
    people.save(adopted, *(_Deleted(_EPOCH, node) for node in {*stored, nodes.name}))
    return True


def _write_records(people: People, timeline: Timeline) -> None:
    """Have the store hold what is in memory. Waits. Raises Refused `storage`."""
    for kind in KINDS:
        stored = dict(timeline.records(kind))
        changed: list[Kept] = [
            each
            for each in list(kept(people, kind))
            if encoded(each.value()) != stored.pop(each.record[1], None)
        ]
        if stored:  # what began meanwhile is not in the former list
            here = {each.record[1] for each in kept(people, kind)}
            changed += [_Deleted(kind, number) for number in stored if number not in here]
        if changed:
            _log.warning("writing %d records of kind %s that the store lacks", len(changed), kind)
        for first in range(0, len(changed), _AT_ONCE):
            people.save(*changed[first : first + _AT_ONCE])


def kept(people: People, kind: str) -> Iterator[Kept]:
    """Yield what is kept of a kind, as it is in memory."""
    if kind == ACCOUNT:
        yield from people.accounts.values()
    elif kind == LOGIN:
        for account in people.accounts.values():
            yield from people.logins.of(account)
    elif kind == PRIVATE:
        yield from people.private.values()
    elif kind == MEMBERSHIP:
        for account in people.accounts.values():
            yield from account.memberships.values()
    elif kind == HOOK:
        yield from people.hooks.of(None)
    else:
        yield from people.marks.counted()


def _find_newest(people: People, timeline: Timeline) -> None:
    """Find the newest posts of private rooms, which members may join at. Waits. Raises Refused."""
    for name, position, _ in timeline.newest_posts(names.CONVERSATION):
        if (conversation := people.private.get(name)) is not None:
            conversation.newest = max(conversation.newest, position)
    for private in list(people.private.values()):
        if private.between:
            _limit(people, list(private.members.values()), private.newest)
        elif private.from_join:
            with timeline.opened(private.name):
                newest = timeline.position(private.name)
                _limit(people, list(private.members.values()), newest)


def _limit(people: People, memberships: Sequence[Membership], newest: int) -> None:
    """Let no membership begin after the newest post: it would hide what comes."""
    for each in memberships:
        if each.since > newest:
            each.since = newest
            people.records.note(each)
