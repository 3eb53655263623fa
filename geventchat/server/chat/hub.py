"""The hub: who is connected, under which nick, in which rooms; what starts, stops and is due.

All of it changes only in stretches that never switch.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final

import gevent
from gevent.event import Event

from geventchat.config import Limits
from geventchat.protocol import names
from geventchat.protocol.errors import NEW_EPOCH, Reason
from geventchat.protocol.events import Post
from geventchat.server.access.rate_limits import HOUR, Buckets
from geventchat.server.chat.account_rooms import AccountRooms
from geventchat.server.chat.away import Away
from geventchat.server.chat.clients import Clients
from geventchat.server.chat.clock import Clock
from geventchat.server.chat.elsewhere import Elsewhere
from geventchat.server.chat.followed import Followed
from geventchat.server.chat.heard_presence import HeardPresence
from geventchat.server.chat.other_nodes import OtherNodes
from geventchat.server.chat.questions import Questions
from geventchat.server.chat.shared_presence import SharedPresence
from geventchat.server.chat.submissions import Submissions
from geventchat.server.logs.console import Console
from geventchat.server.people import new_epoch
from geventchat.server.people.people import People
from geventchat.server.search import Search
from geventchat.server.timeline import Timeline
from geventchat.server.timeline.nodes import Nodes

_FORMER_SECONDS: Final = 60 * 60.0
"""How often former nicks are given back."""
_STOP_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Hub(Clients):
    """Participants, nicks and rooms. Nothing here waits unless it says so."""

    def __init__(self, limits: Limits, console: Console) -> None:
        super().__init__(limits, console)
        self.account_rooms = AccountRooms(self)
        self.submissions = Submissions(self.rooms, self.delivery, console)
        self.clock = Clock(self.tick)
        self.conversations_begun = Buckets(HOUR)
        """By account, and by address."""
        self._former_due = 0.0
        """When former nicks are next given back, by the monotonic clock."""
        self.delivered = Event()
        """Set during shutdown, when everything stored is in the outboxes."""
        self.greenlets: list[gevent.Greenlet[..., None]] = []
        """Those that the server cannot do without."""
        self._adopting: gevent.Greenlet[..., None] | None = None
        self._ticking = False
        """Whether what was due at the last tick is still being done."""
        self.search: Search | None = None
        """None: there is no search."""
        self.other_nodes = OtherNodes()
        self.followed = Followed(self, self.account_rooms)
        self.other_nodes.on_records = self.followed.hear
        self.recycle: Callable[[], None] | None = None
        """Has all workers replaced; None: this is no worker."""

    def use(self, timeline: Timeline) -> None:
        """Set the timeline, which needs the hub as well, and load the accounts. Blocks.

        Raises ValueError if that is not possible.
        """
        self.timeline, self.people = timeline, People(timeline)
        timeline.epoch_changed = self.begin_epoch
        if not timeline.nodes.alone:
            self._share_presence(timeline.nodes)
        self.owners.nicks.numbers = timeline.nodes.next_guest
        self.other_nodes.on_moved = self.hear_moved
        self.questions = Questions(timeline.nodes)
        self.other_nodes.on_message = self.questions.hear
        self.other_nodes.on_gone.append(self.questions.gone)
        timeline.nodes.listen(self.other_nodes)
        self.owners.people = self.people
        self.submissions.private = self.people.private
        self.submissions.on_conversation = self.account_rooms.said
        self.submissions.stored = self.people.marks.count
        if self._heard is not None:
            self.submissions.stored = partial(_both, self.people.marks.count, self._heard.note_post)
        for account in self.people.accounts.values():
            if not account.removed:
                account.forget_former()
                self.owners.reserve(account)

    def _share_presence(self, nodes: Nodes) -> None:
        frozen, elsewhere = self._presence.frozen, Elsewhere(nodes)
        presence = SharedPresence(self.delivery, self.directory, self.rooms, self.people, elsewhere)
        presence.frozen = frozen
        self._presence, self.elsewhere = presence, elsewhere
        self._heard = HeardPresence(
            self, presence, elsewhere, self.other_nodes, self.moved, self.end_move
        )

    def quieten(self, frozen: Callable[[str], bool]) -> None:
        """Announce only the number of members in rooms for which `frozen` is true."""
        self._presence.frozen = frozen

    def start(self, *, ticking: bool = True) -> None:
        """Open the lobby, start delivery and, if `ticking`, the clock.

        May wait. Raises Refused `storage`.
        """
        self.timeline.open(names.LOBBY)  # for as long as the server runs
        self.people.catch_up()
        self.delivery.start()
        self.greenlets = [self.delivery.greenlet]
        if ticking:
            self.greenlets.append(self.clock.start())

    def drain(self, seconds: float) -> None:
        """Take the frames that have arrived so far, and then no more. Waits up to `seconds`."""
        gevent.wait([each.drain() for each in self.sessions], timeout=seconds)

    def end_all(self, reason: Reason) -> None:
        """End every session."""
        for participant in self.sessions:
            participant.end(reason)

    def begin_epoch(self) -> None:
        """End every session, since another epoch has begun; those that come back are told so.

        From now on nobody is in any room, so no position of the former epoch is left in one.
        """
        for participant, memberships in self.sessions.items():
            participant.end(NEW_EPOCH)
            for member in list(memberships.values()):
                self._remove(member)
        if self._heard is not None:
            self._heard.forget_here()
        self.hold_again()
        self.people.forget_positions()
        if self._adopting is not None:
            self._adopting.kill(block=False)
        self._adopting = gevent.spawn(
            new_epoch.adopt, self.people, self.timeline, self.followed.reread
        )
        self._adopting.name = "epoch"

    def finish(self, seconds: float) -> None:
        """Wait until everything stored is delivered, for up to `seconds`."""
        with suppress(TimeoutError), gevent.Timeout(seconds, TimeoutError):
            while not self.delivery.idle:
                self.delivery.work()  # its greenlet may be what has died
                gevent.sleep(0.001)
        self.delivered.set()

    def stop(self) -> None:
        """Stop delivering and keeping time. Waits."""
        adopting = [self._adopting] if self._adopting is not None else []
        gevent.killall([*self.greenlets, *adopting], timeout=_STOP_SECONDS)

    # Time

    def tick(self, now: float) -> None:
        """Start what is due: newcomers, crowd counts, held nicks, silent clients. Never waits."""
        self.people.marks.tick(now)
        if not self._ticking:  # under much load one errand may take longer than a second
            self._ticking = True
            self.delivery.errand(self._tick(now))
        self.delivery.work()

    def _tick(self, now: float) -> Iterator[None]:
        try:
            yield from self._due(now)
        finally:
            self._ticking = False

    def _due(self, now: float) -> Iterator[None]:
        for member in [each for each, due in self._newcomers.items() if due <= now]:
            if self._newcomers.pop(member, None) is not None:
                self.announce(member)
            yield
        if self._heard is not None:
            self._heard.tick(now)
        self._presence.count()
        if now >= self._former_due:
            self._former_due = now + _FORMER_SECONDS
            for account in list(self.people.accounts.values()):
                for nick in account.forget_former():
                    self.owners.release(account, nick)
                yield
        for client in list(self.owners.clients.values()):
            if isinstance(client, Away) and client.until <= now and self._held(client):
                self._leave(client)
            yield
        for number, moved in list(self.moved.items()):
            if moved.until <= now and self.moved.get(number) is moved:
                self.end_move(number)
            yield
        for participant in list(self.sessions):
            try:
                participant.tick(now)
            except Exception:  # a bug with one must not keep the others waiting
                _log.exception("the clock failed for a session")
            yield


def _both(one: Callable[[Post], None], other: Callable[[Post], None], post: Post) -> None:
    one(post)
    other(post)
