"""Records: what changed in memory reaches the disk, and many changes with one write."""

from collections.abc import Callable, Sequence

import gevent
import msgspec
import pytest
from gevent.event import Event

from geventchat.protocol.errors import Refused
from geventchat.server.people import records
from geventchat.server.people.records import Records, decoded
from geventchat.server.timeline import Behind, RecordChange


class Kept:
    def __init__(self, name: str, state: object = 0) -> None:
        self.record = ("test", name)
        self.state = state

    def value(self) -> object:
        return self.state


class Disk:
    """Writes when the test says so, or fails."""

    def __init__(self) -> None:
        self.ready = Event()
        self.ready.set()
        self.written: list[dict[str, object]] = []
        self.failures = 0
        self.faster: list[Callable[[], None]] = []
        """What another server does before each of the next writes, which are behind then."""

    def keep(self, changes: Sequence[RecordChange]) -> None:
        self.ready.wait()
        if self.faster:
            self.faster.pop(0)()
            raise Behind
        if self.failures:
            self.failures -= 1
            raise Refused("storage", "The disk is full.")
        self.written.append({name: value and decoded(int, value) for _, name, value in changes})


def test_save_returns_when_it_is_on_disk() -> None:
    disk = Disk()
    Records(disk.keep).save(Kept("a", 1), Kept("b", 2))
    assert disk.written == [{"a": 1, "b": 2}]


def test_what_changes_during_a_write_goes_out_with_the_next_all_at_once() -> None:
    disk = Disk()
    kept, both = Records(disk.keep), Kept("a", 1)
    disk.ready.clear()
    saving = [gevent.spawn(kept.save, both)]
    gevent.idle()
    both.state = 2
    saving += [gevent.spawn(kept.save, each) for each in (both, Kept("b", 3), Kept("c", None))]
    gevent.idle()
    assert not any(each.ready() for each in saving)
    disk.ready.set()
    gevent.joinall(saving, timeout=20, raise_error=True)
    assert disk.written == [{"a": 1}, {"a": 2, "b": 3, "c": None}]


def test_a_caller_that_stops_waiting_does_not_stop_the_write() -> None:
    disk = Disk()
    disk.ready.clear()
    kept = Records(disk.keep)
    saving = gevent.spawn(kept.save, Kept("a", 1))
    gevent.idle()
    saving.kill()
    disk.ready.set()
    kept.save(Kept("b", 2))
    assert disk.written == [{"a": 1}, {"b": 2}]


def test_a_failed_write_is_reported_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_RETRY_SECONDS", 0)
    disk = Disk()
    disk.failures = 2
    kept, account = Records(disk.keep), Kept("a", 1)
    with pytest.raises(Refused):
        kept.save(account)
    account.state = 2
    kept.note(Kept("b", 3)).get(timeout=20)
    kept.save()
    assert disk.written == [{"a": 2, "b": 3}]


def test_what_cannot_be_encoded_fails_for_who_saves_it_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A bug of ours: whoever made it gets the traceback, and nobody else notices."""
    disk = Disk()
    disk.ready.clear()
    kept = Records(disk.keep)
    saving = gevent.spawn(kept.save, Kept("a", 1))
    gevent.idle()
    other = gevent.spawn(kept.save, Kept("b", 2))
    gevent.idle()
    with pytest.raises(TypeError):
        kept.save(Kept("c", 3), Kept("bad", object()))
    disk.ready.set()
    gevent.joinall([saving, other], timeout=20, raise_error=True)
    kept.save(Kept("d", 4))
    assert disk.written == [{"a": 1}, {"b": 2}, {"d": 4}]
    assert not caplog.records


def test_what_cannot_be_encoded_later_is_logged_once_and_delays_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = Disk()
    kept = Records(disk.keep)
    kept.note(Kept("bad", "\ud800"), Kept("a", 1)).get(timeout=20)
    kept.save(Kept("b", 2))
    assert disk.written == [{"a": 1}, {"b": 2}]
    assert [record.getMessage() for record in caplog.records] == [
        "a record of kind test cannot be encoded"
    ]
    assert caplog.records[0].exc_info


def test_there_is_nothing_to_wait_for_if_nothing_changed() -> None:
    disk = Disk()
    Records(disk.keep).save()
    assert disk.written == []


def test_what_others_changed_is_waited_for_and_not_written_again() -> None:
    disk = Disk()
    kept, account = Records(disk.keep), Kept("a", 1)
    kept.settle(account)
    assert disk.written == []
    disk.ready.clear()
    kept.note(account)
    waiting = [gevent.spawn(kept.settle, account)]
    gevent.idle()
    waiting.append(gevent.spawn(kept.settle, account))  # while it is being written
    gevent.idle()
    assert not any(each.ready() for each in waiting)
    disk.ready.set()
    gevent.joinall(waiting, timeout=20, raise_error=True)
    assert disk.written == [{"a": 1}]


# The end


def test_after_the_timeline_was_closed_nothing_is_tried_again_and_whoever_waits_is_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(records, "_RETRY_SECONDS", 0.001)
    disk = Disk()
    disk.ready.clear()
    disk.failures = 1
    kept = Records(disk.keep)
    under_way = kept.note(Kept("a", 1))
    gevent.idle()
    behind = kept.note(Kept("b", 2))
    kept.close()
    disk.ready.set()
    for noted in under_way, behind, kept.note(Kept("c", 3)):
        assert isinstance(noted.get(timeout=20), Refused)
    gevent.sleep(0.01)
    assert disk.written == []
    assert not kept._writing
    assert [record.getMessage() for record in caplog.records] == [
        "2 records were not written in time"
    ]


def test_a_server_that_has_written_everything_ends_without_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = Records(Disk().keep)
    kept.save(Kept("a", 1))
    kept.close()
    assert not caplog.records


# Another server on the same store


def test_what_another_server_wrote_first_is_merged_and_not_overwritten() -> None:
    disk = Disk()
    kept, both = Records(disk.keep), Kept("a", 1)

    def hear() -> None:
        both.state = 5  # what is there is the larger of the two
        kept.hear(both, msgspec.msgpack.encode(4))

    disk.faster = [hear, lambda: None]
    kept.save(both, Kept("b", 2))
    assert disk.written == [{"a": 5, "b": 2}]


def test_what_another_server_wrote_as_it_is_here_is_not_written_again() -> None:
    disk = Disk()
    disk.ready.clear()
    kept, under_way, next_one = Records(disk.keep), Kept("a", 1), Kept("b", 2)
    saving = gevent.spawn(kept.save, under_way)
    gevent.idle()
    later = gevent.spawn(kept.save, next_one, Kept("c", 3))
    gevent.idle()

    def hear() -> None:
        kept.hear(under_way, msgspec.msgpack.encode(1))
        kept.hear(next_one, msgspec.msgpack.encode(2))

    disk.faster = [hear]
    disk.ready.set()
    gevent.joinall([saving, later], timeout=20, raise_error=True)
    assert disk.written == [{"c": 3}]


def test_a_record_that_another_server_made_anew_is_written_from_its_new_place() -> None:
    """Somebody left a room here, and joined it again there: that is another membership."""
    disk = Disk()
    kept, left, joined = Records(disk.keep), Kept("a", None), Kept("a", 7)
    disk.faster = [lambda: kept.hear(joined, msgspec.msgpack.encode(6))]
    kept.save(left)
    assert disk.written == [{"a": 7}]


def test_a_record_that_is_not_to_be_written_is_not_written_because_another_server_did() -> None:
    disk = Disk()
    kept = Records(disk.keep)
    kept.hear(Kept("a", 1), msgspec.msgpack.encode(2))
    kept.save()
    assert disk.written == []


def test_who_is_always_behind_is_refused_once_and_tried_again_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(records, "_RETRY_SECONDS", 0)
    disk = Disk()
    disk.faster = [lambda: None] * 10
    kept = Records(disk.keep)
    with pytest.raises(Refused):
        kept.save(Kept("a", 1))
    assert [record.getMessage() for record in caplog.records] == [
        "writing 1 records failed: other servers write them too"
    ]
    kept.save(Kept("b", 2))
    assert disk.written == [{"a": 1, "b": 2}]


def test_settled_waits_for_what_was_noted_and_for_nothing_else() -> None:
    disk = Disk()
    kept = Records(disk.keep)
    kept.settled()
    disk.ready.clear()
    kept.note(Kept("a", 1))
    waiting = [gevent.spawn(kept.settled)]
    gevent.idle()
    waiting.append(gevent.spawn(kept.settled))  # while it is being written
    gevent.idle()
    assert not any(each.ready() for each in waiting)
    disk.ready.set()
    gevent.joinall(waiting, timeout=20, raise_error=True)
    assert disk.written == [{"a": 1}]
