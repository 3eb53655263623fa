"""The transaction of a turn: posts, topics and changes of posts, in the order of submission."""

import sqlite3
import time
from itertools import groupby
from typing import Any, Final

from geventchat.protocol.events import Post, Topic
from geventchat.server.timeline import Batch, Entry, Submission
from geventchat.server.timeline.changes import changed, changes_nothing, event_of, refusal
from geventchat.server.timeline.sqlite.retention import StoredRoom
from geventchat.server.timeline.sqlite.schema import COLUMNS, checksum, is_intact, post_of

_INSERT: Final = (
    "INSERT INTO posts (room, position, time, author, text, client, key, account, hook, sum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (client, key, room) WHERE key IS NOT NULL DO NOTHING"
)


_UPDATE: Final = (
    "UPDATE posts SET text = ?, change = ?, changed_top = ?, changed_by = ?, changed_account = ?,"
    " redacted = ?, sum = ? WHERE room = ? AND position = ?"
)
NOTE_REMAINS: Final = "INSERT OR IGNORE INTO records VALUES ('remains', '', x'')"
"""Noted with a redaction, and until the file was searched after it: a crash may come between."""
_TEXT, _CLIENT, _CHANGE = map(COLUMNS.split(", ").index, ("text", "client", "change"))
_CHANGES: Final = frozenset(("edit", "redact"))


class _Said:
    """The entries of some says and topics of a turn, and the rows to write for them."""

    def __init__(self, tops: dict[str, int]) -> None:
        self.entries: list[tuple[Entry, int]] = []
        self.rows: list[tuple[object, ...]] = []
        self.tops = tops
        self.topics: dict[str, str] = {}


class Repetition(Exception):
    """A say is stored already, so what the turn has written must be rolled back."""


class Turn:
    """The entries of one turn, and what it changes in its rooms."""

    def __init__(
        self, db: sqlite3.Connection, rooms: dict[str, StoredRoom], *, looks_up: bool
    ) -> None:
        """`looks_up`: whether each say is looked up, since one of them is a repetition."""
        self._db = db
        self._looks_up = looks_up
        self.rooms = rooms
        self.batch = Batch()
        """For the verdicts on submissions that are not entries."""
        self.made: dict[str, int] = {}
        """The ids of rooms that are new, valid after the commit."""
        self.entries: list[tuple[Entry, int]] = []
        self.posts = 0
        self.tops: dict[str, int] = {}
        self.topics: dict[str, str] = {}
        self.changes: dict[str, int] = {}
        """The numbers of the newest changes."""
        self.redacts = False
        """Whether a text is taken back."""
        self.former: list[tuple[Any, ...]] = []
        """The rows of posts before they were changed."""

    def take(self, submitted: list[Submission]) -> None:
        """Write what was submitted, in its order.

        Raises Repetition if a say is stored already, and says are not looked up.
        """
        self._add_rooms(submitted)
        for changes, several in groupby(submitted, lambda each: each.kind in _CHANGES):
            if changes:
                for each in several:
                    self._change(each)
            else:
                self._say(list(several))
        if self.redacts:
            self._db.execute(NOTE_REMAINS)
        for name, topic in self.topics.items():
            self._db.execute("UPDATE rooms SET topic = ? WHERE id = ?", (topic, self.id_of(name)))

    def id_of(self, room: str) -> int:
        """Return the id of a room, 0 if it is not stored."""
        return self.made.get(room) or self.rooms[room].id

    def _say(self, submitted: list[Submission]) -> None:
        """Insert posts, and note topics."""
        again: list[tuple[Submission, Submission]] = []
        if self._looks_up:
            submitted, again = self._deduplicate(submitted)
        said = self._assign_positions(submitted)
        before = self._db.total_changes
        self._db.executemany(_INSERT, said.rows)
        if self._db.total_changes - before != len(said.rows):
            raise Repetition
        if again:
            places = {number: entry for entry, number in said.entries}
            for each, first in again:
                post = places[first.number]
                assert isinstance(post, Post)
                _add_verdict(self.batch, each, post.position, same=first.text == each.text)
        self.entries += said.entries
        self.posts += len(said.rows)
        self.tops = said.tops
        self.topics |= said.topics

    def _change(self, submission: Submission) -> None:
        """Edit or redact a post, or add the verdict why not."""
        name, number, batch = submission.room, submission.number, self.batch
        room = self.rooms[name]
        top = self.tops.get(name) or room.top
        place = self.id_of(name), submission.position
        row = None
        if submission.position <= top:
            row = _row(self._db, "room = ? AND position = ?", place)
        if row is not None and not is_intact(*row):
            batch.failed.append(number)  # a damaged post says nothing about its author
            return
        post = post_of(name, row) if row is not None else None
        client = row[_CLIENT] or b"" if row is not None else b""
        if (why := refusal(submission, post, client)) is not None:
            batch.refused.append((number, why))
            return
        assert row is not None
        assert post is not None
        by, account = submission.author, submission.account
        if changes_nothing(submission, post):
            batch.unchanged.append((number, event_of(post, by, account)))
            return
        change = self.changes[name] = (self.changes.get(name) or room.change) + 1
        now = changed(post, submission, change)
        values = change, top, by, account, int(now.redacted)
        fields = (*row[:_TEXT], now.text, *row[_TEXT + 1 : _CHANGE], *values)
        self.former.append(row)
        self.redacts = self.redacts or now.redacted
        self._db.execute(_UPDATE, (now.text, *values, checksum(*fields), *place))
        self.entries.append((event_of(now, by, account), number))

    def _add_rooms(self, submitted: list[Submission]) -> None:
        """Insert the rooms that are not stored yet."""
        wanted = {each.room for each in submitted if each.kind not in _CHANGES}
        for name, room in self.rooms.items():
            if not room.id and name in wanted:
                cursor = self._db.execute("INSERT INTO rooms (name) VALUES (?)", (name,))
                assert cursor.lastrowid is not None
                self.made[name] = cursor.lastrowid

    def _assign_positions(self, submitted: list[Submission]) -> _Said:
        """Assign positions to submissions; return the entries, and the rows of the posts."""
        now = int(time.time() * 1000)
        said = _Said(dict(self.tops))
        entries, rows, tops = said.entries, said.rows, said.tops
        for each in submitted:
            name, author, text, client, key, account, hook = (
                each.room, each.author, each.text, each.client, each.key, each.account, each.hook
            )  # fmt: skip
            if each.kind == "topic":
                said.topics[name] = text
                entries.append((Topic(room=name, topic=text, by=author), each.number))
                continue
            room = self.id_of(name)
            position = tops[name] = (tops.get(name) or self.rooms[name].top) + 1
            post = Post(name, position, author, now, text, key, account, hook=hook)
            entries.append((post, each.number))
            row = room, position, now, author, text, client, key, account, int(hook)
            rows.append((*row, checksum(*row)))
        return said

    def _deduplicate(
        self, submitted: list[Submission]
    ) -> tuple[list[Submission], list[tuple[Submission, Submission]]]:
        """Return the first submission of each key, and repetitions paired with their first.

        Repetitions of stored posts get their verdict in the batch.
        """
        fresh: list[Submission] = []
        firsts: dict[tuple[bytes, str, str], Submission] = {}
        again: list[tuple[Submission, Submission]] = []
        for each in submitted:
            if each.key is None:
                fresh.append(each)
                continue
            slot = each.client, each.key, each.room
            place = each.client, each.key, self.id_of(each.room)
            stored = _row(self._db, "client = ? AND key = ? AND room = ?", place)
            if stored is not None and not is_intact(*stored):
                self.batch.failed.append(each.number)  # the damaged text cannot be compared
            elif stored is not None:
                post = post_of(each.room, stored)
                # Nothing is known any more of a text that was changed.
                same = bool(post.change) or post.text == each.text
                _add_verdict(self.batch, each, post.position, same=same)
            elif slot in firsts:
                again.append((each, firsts[slot]))
            else:
                firsts[slot] = each
                fresh.append(each)
        return fresh, again


def _row(db: sqlite3.Connection, where: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
    """Return the COLUMNS of the post for which a condition holds, if there is one."""
    db.text_factory = lambda text: text.decode("utf-8", "replace")  # a damaged one does not match
    try:
        found: tuple[Any, ...] | None = db.execute(
            f"SELECT {COLUMNS} FROM posts WHERE {where}", values
        ).fetchone()
    finally:
        db.text_factory = str
    return found


def _add_verdict(batch: Batch, submission: Submission, position: int, *, same: bool) -> None:
    if same:
        batch.repeated.append((submission.number, position))
    else:
        batch.conflicts.append(submission.number)
