"""An outbox with puts, a slow socket and a client that may vanish, in any order."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from geventchat.protocol.errors import LOST, SLOW, Reason
from geventchat.server.transport.outbox import ITEM_BYTES, Outbox
from tests.server.links import FakeLink
from tests.server.switches import let_run, never_switches

LIMIT = 1_000


class OutboxModel(RuleBasedStateMachine):
    """Received bytes are a prefix of the items, and in the end all of them unless it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.link = FakeLink()
        self.ends: list[Reason] = []
        self.outbox = Outbox(self.link, LIMIT, self.ends.append)
        self.put_so_far: list[bytes] = []
        self.since_empty = 0
        """Size of the items put since the outbox was empty."""

    @rule(length=st.integers(0, 400) | st.integers(0, 30))
    def put(self, length: int) -> None:
        item = b"%d:" % len(self.put_so_far) + b"." * length + b"\0"
        cost = len(item) + ITEM_BYTES
        empty = self.outbox.size == 0
        if empty:
            self.since_empty = 0
        ended = bool(self.ends)
        with never_switches():
            self.outbox.put(item)
        if ended:
            return
        if self.ends:
            assert self.ends == [SLOW]
            assert not empty
            assert self.since_empty + cost > LIMIT
        else:
            self.put_so_far.append(item)
            self.since_empty += cost

    @rule()
    def flush(self) -> None:
        with never_switches():
            self.outbox.flush()

    @rule(count=st.integers(1, 500))
    def the_link_takes(self, count: int) -> None:
        if self.link.room is not None:
            self.link.take(count)

    @rule()
    def the_link_takes_everything(self) -> None:
        self.link.take(None)

    @rule()
    def the_link_blocks(self) -> None:
        self.link.room = 0

    @rule()
    def others_run(self) -> None:
        let_run()

    @precondition(lambda self: len(self.put_so_far) > 3)
    @rule()
    def the_link_is_lost(self) -> None:
        self.link.lose()

    @invariant()
    def what_arrives_is_a_prefix_of_what_was_put(self) -> None:
        assert b"".join(self.put_so_far).startswith(self.link.taken)

    @invariant()
    def what_is_held_is_bounded_and_accounted_for(self) -> None:
        unsent = len(b"".join(self.put_so_far)) - len(self.link.taken)
        assert unsent <= self.outbox.size <= self.since_empty
        assert self.outbox.size <= max(LIMIT, max(map(len, self.put_so_far), default=0) + 64)

    @invariant()
    def the_end_comes_once_but_for_a_loss_after_slowness(self) -> None:
        assert self.ends in ([], [SLOW], [LOST], [SLOW, LOST])
        assert self.link.lost or LOST not in self.ends

    def teardown(self) -> None:
        self.link.take(None)
        self.outbox.flush()
        let_run()
        if not self.link.lost:
            assert self.link.taken == b"".join(self.put_so_far)
            assert self.outbox.size == 0
            assert self.outbox.drained(0)


TestOutboxModel = pytest.mark.timeout(600)(OutboxModel.TestCase)  # to shrink what fails takes long
TestOutboxModel.settings = settings(max_examples=150, stateful_step_count=40)
