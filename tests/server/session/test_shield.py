"""What is shielded ends even if its session does, and is not waited for without an end."""

import gevent
import pytest
from gevent.event import Event

from geventchat.protocol.errors import STORAGE, Ending, Refused
from geventchat.server.session import shield
from geventchat.server.session.shield import shielded
from tests.server.switches import let_run


def test_what_takes_too_long_ends_the_session_for_the_storage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shield, "_SECONDS", 0.01)
    over = Event()
    with gevent.Timeout(20), pytest.raises(Ending) as ended:
        shielded(over.wait)
    assert ended.value.reason is STORAGE
    over.set()


def test_what_was_begun_is_done_though_its_session_ends() -> None:
    go, done = Event(), Event()

    def act() -> None:
        go.wait()
        done.set()

    waiting = gevent.spawn(shielded, act)
    let_run()
    waiting.kill(Ending(STORAGE), block=False)
    let_run()
    go.set()
    assert done.wait(20)
    with pytest.raises(Ending):
        waiting.get()


def test_a_refusal_is_raised_where_it_is_waited_for() -> None:
    def refuse() -> None:
        raise Refused("forbidden", "No.")

    with pytest.raises(Refused, match="No"):
        shielded(refuse)
