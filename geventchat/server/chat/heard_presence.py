"""What this node hears of who comes and goes on others. Nothing here waits."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from geventchat.protocol import events
from geventchat.protocol.events import Post
from geventchat.server.chat.away import Away
from geventchat.server.chat.devices import person_of
from geventchat.server.chat.elsewhere import Elsewhere
from geventchat.server.chat.memberships import Memberships
from geventchat.server.chat.other_nodes import OtherNodes
from geventchat.server.chat.shared_presence import SharedPresence
from geventchat.server.participant import Participant
from geventchat.server.timeline.nodes import Came, Part, Person, Resumed, Typed

_RESUMED_SECONDS: Final = 30.0
"""How long to remember where somebody has resumed, until it is heard that they left elsewhere."""
_MOST_POSTED: Final = 1_000
"""Authors whose last posts are remembered, for a moment."""

_log = logging.getLogger(__name__)


class HeardPresence:
    """Follows the parts of other nodes, and gives up who is there."""

    def __init__(
        self,
        hub: Memberships,
        presence: SharedPresence,
        elsewhere: Elsewhere,
        heard: OtherNodes,
        moved: Mapping[bytes, Away],
        end_move: Callable[[bytes], None],
    ) -> None:
        """`hub`: whose rooms and clients these are.

        `moved` are the clients of this node that others have now, and have not resumed yet;
        `end_move` is called with a client that has moved, and rejoined what it wanted.
        """
        self._hub = hub
        self._presence = presence
        self._elsewhere = elsewhere
        self._moved = moved
        self._end_move = end_move
        self._resuming: set[Participant] = set()
        """Those that have not rejoined all their rooms yet."""
        self._resumed: dict[str, tuple[str, float]] = {}
        """The nodes on which clients and people have just resumed, and until when that counts.

        It may be heard later that they moved, or that the node where they were has ended.
        """
        self._posted: dict[tuple[str, str], int] = {}
        """The position of the last post of some authors, by room and nick."""
        self._later: deque[Iterator[None]] = deque()
        """What was heard and is not followed yet, in its order."""
        self._ended: set[str] = set()
        """Nodes that have ended, of which nothing more is followed."""
        heard.on_part = self._follow
        heard.on_resumed = self._follow_resumed
        heard.on_typed = self._follow_typing
        heard.on_gone.append(self._follow_end)
        hub.owners.on_identity = self._reidentify

    def note_post(self, post: Post) -> None:
        """Note who has posted: what is heard later of their typing was before, if it says so."""
        if len(self._posted) >= _MOST_POSTED:
            self._posted.clear()
        self._posted[post.room, post.author] = post.position

    def begin_resume(self, participant: Participant) -> None:
        """Note that a client rejoins its rooms, which it may have had on another node."""
        self._resuming.add(participant)

    def finish_resume(self, participant: Participant) -> None:
        """Tell all nodes that a client has rejoined what it wanted, unless they know."""
        if participant in self._resuming:
            self._resuming.remove(participant)
            resumed = Resumed(participant.client, person_of(participant).id)
            self._in_order(partial(self._note_resumed, "", resumed))
            self._hub.timeline.nodes.tell(resumed)

    def give_up_resume(self, participant: Participant) -> None:
        """Note that a client that was rejoining its rooms is lost, or does so on another node."""
        self._resuming.discard(participant)

    def tick(self, now: float) -> None:
        """Announce who did not come back from a node that has ended."""
        self._elsewhere.share_counts()
        self._hub.delivery.errand(self._expire(now))
        for number in [each for each, (_, until) in self._resumed.items() if until <= now]:
            del self._resumed[number]

    def has_resumed(self, away: Away, node: str) -> bool:
        """Give up the places of a client of this node that another one has now, where it is there.

        Return whether it has rejoined all that it wanted; else it is waited for in the other rooms.
        """
        person = person_of(away)
        for room in list(away.rooms):
            if self._elsewhere.is_on_others(room.name, person.id):
                self._stop_waiting(room.name, person.id)
        where, _ = self._resumed.get(away.client.hex(), ("", 0.0))
        return where == node

    def forget_here(self) -> None:
        """Have nobody in any room of this node, and close them: positions begin anew."""
        for room in list(self._hub.rooms.values()):
            room.away.clear()
            if not room.members:
                self._hub.close_if_unused(room)
        self._presence.follow(self._elsewhere.leave_all())

    def _expire(self, now: float) -> Iterator[None]:
        for told in self._elsewhere.expired(now):
            self._presence.follow(told)
            yield

    def _follow(self, node: str, changes: Sequence[Part], whole: bool) -> None:
        if whole:
            self._put_off(self._replace(node, changes))
        else:
            self._in_order(partial(self._follow_some, node, changes))
        self._hub.delivery.work()

    def _follow_some(self, node: str, changes: Sequence[Part]) -> None:
        if node in self._ended:
            return
        self._presence.follow(self._elsewhere.follow(node, changes))
        for change in changes:
            if isinstance(change, Came):
                self._came(change)

    def _in_order(self, follow: Callable[[], None]) -> None:
        """Follow something when all that was heard before is followed, usually now."""
        if self._later:
            self._put_off(_one_step(follow))
        else:
            follow()

    def _put_off(self, steps: Iterator[None]) -> None:
        """Follow something in small steps, when all that was heard before is followed."""
        self._later.append(steps)
        if len(self._later) == 1:
            self._hub.delivery.errand(self._catch_up())

    def _catch_up(self) -> Iterator[None]:
        while self._later:
            try:
                yield from self._later[0]
            except Exception:
                _log.exception("following another node failed")
            self._later.popleft()

    def _replace(self, node: str, changes: Sequence[Part]) -> Iterator[None]:
        for told in self._elsewhere.replace(node, changes):
            self._presence.follow(told)
            yield
            if node in self._ended:
                return
        for change in changes:
            if isinstance(change, Came):
                self._came(change)
                yield

    def _came(self, came: Came) -> None:
        """Stop waiting in a room for a guest who has moved and is there on another node now."""
        if self._moved:
            with suppress(ValueError):  # else it is no guest's
                if bytes.fromhex(came.person.id) in self._moved:
                    self._stop_waiting(came.room, came.person.id)

    def _stop_waiting(self, name: str, number: str) -> None:
        """Give up the place in a room that is held for somebody who is there on another node."""
        room, person = self._hub.rooms.get(name), self._elsewhere.here(name).get(number)
        if room is not None and person is not None and person.nick in room.away:
            room.away.discard(person.nick)
            self._presence.gave_up(room, number)
            self._hub.close_if_unused(room)

    def _follow_resumed(self, node: str, resumed: Resumed) -> None:
        self._in_order(partial(self._resume, node, resumed))
        self._hub.delivery.work()

    def _resume(self, node: str, resumed: Resumed) -> None:
        self._note_resumed(node, resumed)
        self._end_move(resumed.client)

    def _note_resumed(self, node: str, resumed: Resumed) -> None:
        until = time.monotonic() + _RESUMED_SECONDS
        for number in (resumed.client.hex(), resumed.id):
            self._resumed[number] = node, until
        self._presence.follow(self._elsewhere.came_back(resumed.id))

    def _follow_end(self, node: str) -> None:
        self._ended.add(node)
        self._put_off(self._end(node))
        self._hub.delivery.work()

    def _end(self, node: str) -> Iterator[None]:
        until = time.monotonic() + self._hub.limits.nick_hold_seconds
        back = {number for number, (where, _) in self._resumed.items() if where != node}
        for told in self._elsewhere.gone(node, until, back):
            self._presence.follow(told)
            yield

    def _follow_typing(self, node: str, typed: Typed) -> None:
        del node
        room = self._hub.rooms.get(typed.room)
        posted = self._posted.get((typed.room, typed.nick), 0) > typed.position
        if room is not None and not room.crowded and not posted:
            self._hub.tell(room, events.Typing(room=typed.room, nick=typed.nick))

    def _reidentify(self, participant: Participant, former: Person) -> None:
        for name, member in self._hub.sessions[participant].items():
            if member.announced:
                self._presence.reidentified(name, participant, former.id)


def _one_step(follow: Callable[[], None]) -> Iterator[None]:
    follow()
    yield
