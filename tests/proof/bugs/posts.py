"""Bugs in how the server stores, changes and delivers posts."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import structs
from msgspec.structs import replace

from geventchat.protocol.events import Post
from geventchat.server.chat.memberships import Memberships
from geventchat.server.chat.room import Room
from geventchat.server.chat.submissions import Submissions
from geventchat.server.session import handlers, replay
from geventchat.server.session.session import Session
from geventchat.server.timeline import Batch, Change, Submission
from geventchat.server.timeline.sqlite import SqliteTimeline, schema, turn
from geventchat.server.timeline.sqlite.cleaning import Cleaning
from geventchat.server.timeline.sqlite.rollback_guard import RollbackGuard
from geventchat.server.timeline.sqlite.store import Store
from geventchat.server.timeline.sqlite.turn import Turn
from geventchat.server.transport.outbox import Outbox
from tests.proof.bugs.every import begin, now


def acknowledge_before_commit() -> None:
    """Commit only every tenth batch; acknowledge the others before."""
    real = Store._try_to_store

    class Lazy:
        def __init__(self, db: sqlite3.Connection) -> None:
            self._db = db

        def execute(self, text: str, *values: Any) -> Any:
            if text == "COMMIT" and not now("commit", 10):
                return None
            if text == "BEGIN IMMEDIATE" and self._db.in_transaction:
                return None
            return self._db.execute(text, *values)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._db, name)

    def lazily(self: Store, db: Any, submitted: list[Submission]) -> Batch:
        return real(self, Lazy(db), submitted)  # type: ignore[arg-type]

    real_keep = Store.keep

    def keep(self: Store, changes: Any) -> None:
        db = self._connection()
        if not db.in_transaction:
            real_keep(self, changes)
            return
        written = [change for change in changes if change[2] is not None]
        db.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", written)

    Store._try_to_store = lazily  # type: ignore[method-assign]
    Store.keep = keep  # type: ignore[method-assign]


def acknowledge_what_failed() -> None:
    """Deliver a batch before it is stored, and store only nine of ten."""
    real = Store.store

    def store_some(self: Store, submitted: list[Submission]) -> Batch:
        if not now("store", 10):
            return real(self, submitted)
        rooms = self._rooms_of(self._connection(), submitted)
        turn = Turn(self._connection(), rooms, looks_up=False)
        turn.made = dict.fromkeys(rooms, 1)
        return Batch(turn._assign_positions(submitted).entries)

    Store.store = store_some  # type: ignore[method-assign]


def drop_one_in_a_thousand() -> None:
    """Lose a delivery now and then."""
    real = Outbox.send
    begin("put", 900)

    def send(self: Outbox, item: bytes | memoryview) -> None:
        if not (b'"type":"post"' in bytes(item) and now("put", 1_000)):
            real(self, item)

    Outbox.send = send  # type: ignore[method-assign]


def deliver_twice() -> None:
    """Deliver something a second time now and then."""
    real = Outbox.send

    def send(self: Outbox, item: bytes | memoryview) -> None:
        real(self, item)
        if b'"type":"post"' in bytes(item) and now("put", 100):
            real(self, item)

    Outbox.send = send  # type: ignore[method-assign]


def duplicate_on_resume() -> None:
    """Send the last page of a replay twice."""
    real = replay._send

    def send(session: Session, page: Sequence[Post | Change]) -> None:
        real(session, page)
        real(session, page)

    replay._send = send


def skip_one_on_resume() -> None:
    """Leave out the first post of a page: an off-by-one at the edge of what was missed."""
    real = replay._send
    replay._send = lambda session, page: real(session, page[1:])


def swap() -> None:
    """Deliver two batches the wrong way round."""
    real = Submissions.deliver
    held: list[Batch] = []

    def deliver(self: Submissions, batch: Batch) -> None:
        if not held and now("swap", 5):  # visible only if the next batch is for the same room
            held.append(batch)
            return
        real(self, batch)
        if held:
            real(self, held.pop())

    Submissions.deliver = deliver  # type: ignore[method-assign]


def keep_the_epoch() -> None:
    """Do not notice that an older copy was restored."""
    RollbackGuard.detects_rollback = lambda *_: False  # type: ignore[method-assign]


def always_recovered() -> None:
    """Answer `recovered` whatever the client's cursor is."""
    real = replay.joined

    def joined(session: Session, room: Room, recovered: bool | None, request_id: str | None) -> Any:
        return real(session, room, None if recovered is None else True, request_id)

    replay.joined = joined


def never_recovered() -> None:
    """Do not recover although it is possible."""
    real = replay.enter

    def enter(session: Any, member: Any, cursor: Any, request_id: Any) -> None:
        real(session, member, cursor and structs.replace(cursor, epoch="x" * 16), request_id)

    handlers.enter = enter  # type: ignore[attr-defined]


def forget_keys() -> None:
    """Store a repeated message a second time."""
    schema._TABLES = schema._TABLES.replace("CREATE UNIQUE INDEX", "CREATE INDEX")  # type: ignore[misc]
    turn._INSERT = turn._INSERT.partition(" ON CONFLICT")[0]  # type: ignore[misc]


def change_a_text() -> None:
    """Store a text without the space at its end, or with a letter changed."""
    real = Store.store

    def changed(self: Store, submitted: list[Submission]) -> Batch:
        return real(self, [replace(s, text=s.text.replace("€", "e")) for s in submitted])

    Store.store = changed  # type: ignore[method-assign]


def invent() -> None:
    """Store a message that nobody sent."""
    real = Store.store

    def more(self: Store, submitted: list[Submission]) -> Batch:
        if now("invent", 20):
            invented = replace(submitted[0], number=0, text="never said", key=None)
            submitted = [*submitted, invented]
        return real(self, submitted)

    Store.store = more  # type: ignore[method-assign]


def leave_a_hole() -> None:
    """Use up a position for nothing."""
    real = Turn._assign_positions

    def number(self: Turn, submitted: list[Submission]) -> Any:
        if now("hole", 20) and self.rooms[submitted[0].room].top:
            self.rooms[submitted[0].room].top += 1
        return real(self, submitted)

    Turn._assign_positions = number  # type: ignore[method-assign]


def misplace() -> None:
    """Store something in another room."""
    real = Store.store

    def elsewhere(self: Store, submitted: list[Submission]) -> Batch:
        if now("room", 10):
            others = {"one": "two"}
            submitted = [replace(s, room=others.get(s.room, "one")) for s in submitted]
        return real(self, submitted)

    Store.store = elsewhere  # type: ignore[method-assign]


def misnumber_the_answer() -> None:
    """Answer a repeated message with the position after its own."""
    real = Submissions.deliver

    def deliver(self: Submissions, batch: Batch) -> None:
        batch.repeated = [(number, position + 1) for number, position in batch.repeated]
        real(self, batch)

    Submissions.deliver = deliver  # type: ignore[method-assign]


def stop_to_deliver() -> None:
    """Do not make some members live after their replay."""
    real = Memberships.go_live

    def go_live(self: Memberships, member: Any) -> None:
        if not now("live", 7):
            real(self, member)

    Memberships.go_live = go_live  # type: ignore[method-assign]


def lose_the_log() -> None:
    """Delete the write-ahead log at each start."""
    real = SqliteTimeline.__init__

    def init(self: SqliteTimeline, deliver: Any, path: str, *more: Any) -> None:
        for suffix in ("-wal", "-shm"):
            if os.path.exists(path + suffix):
                os.unlink(path + suffix)
        if os.path.exists(f"{path}.guard"):
            os.unlink(f"{path}.guard")
        real(self, deliver, path, *more)

    SqliteTimeline.__init__ = init  # type: ignore[method-assign,assignment]


def resume_without_changes() -> None:
    """Do not tell a client that resumes what has changed meanwhile."""

    def changes(self: SqliteTimeline, room: str, after: int, position: int) -> Any:
        return [], self.change(room)

    SqliteTimeline.changes = changes  # type: ignore[method-assign]


def leave_remains() -> None:
    """Leave redacted texts in the log, and in unused parts of the file."""
    Cleaning._begin = lambda self: None  # type: ignore[method-assign]


def acknowledge_changes_only() -> None:
    """Announce a change and do not store it, now and then."""
    real = Turn._change

    def change(self: Turn, submission: Submission) -> None:
        self._db.execute("SAVEPOINT bug")
        real(self, submission)
        self._db.execute("ROLLBACK TO bug" if now("change", 5) else "RELEASE bug")

    Turn._change = change  # type: ignore[method-assign]


def use_numbers_again() -> None:
    """Number changes from the beginning after each start."""
    real = Store.open

    def opened(self: Store, name: str) -> None:
        real(self, name)
        self.rooms[name].change = 0

    Store.open = opened  # type: ignore[method-assign]


CAUGHT_BY: Final[dict[Callable[[], None], tuple[str, ...]]] = {
    acknowledge_before_commit: ("lost", "ghost", "changed", "misnumbered"),
    acknowledge_what_failed: ("lost", "changed"),
    drop_one_in_a_thousand: ("unnoticed",),
    deliver_twice: ("doubled",),
    duplicate_on_resume: ("doubled",),
    skip_one_on_resume: ("lied",),
    swap: ("unnoticed",),
    keep_the_epoch: ("changed", "lied"),
    always_recovered: ("lied",),
    never_recovered: ("overcautious",),
    forget_keys: ("doubled",),
    change_a_text: ("changed",),
    invent: ("invented",),
    leave_a_hole: ("hole",),
    misplace: ("misplaced",),
    misnumber_the_answer: ("misnumbered",),
    stop_to_deliver: ("unheard",),
    lose_the_log: ("lost",),
    resume_without_changes: ("stale",),
    leave_remains: ("remains",),
    acknowledge_changes_only: ("lost", "ghost"),
    use_numbers_again: ("doubled", "changed", "ghost", "lost", "overcautious", "stale"),
}
