"""A connection that is lost makes itself again, with the server's side spoken by hand."""

import random
import time

import gevent
import pytest
from msgspec import structs

from geventchat.client import (
    Cursor,
    Disconnected,
    Ended,
    Error,
    Gap,
    Post,
    Reconnected,
    ReconnectFailed,
    Refused,
    TooLong,
    backoff,
)
from geventchat.protocol.errors import PROXY
from geventchat.protocol.events import Bye
from tests.client.peer import EPOCH, Listener, joined, meanwhile, post, resuming, take

pytestmark = pytest.mark.usefixtures("at_once")


def test_rooms_resume_without_a_missing_or_repeated_post(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(joined(), post(1), post(2))
        take(chat, 3)
        peer.tell(post(3))
        peer.socket.close()
        again = listener.accept()
        hello = again.welcome()
        assert hello["client"] == chat.client
        assert hello["nick"] == "anna"
        # What was heard is not asked for again, though it was not read yet.
        assert hello["rooms"] == {"lobby": {"epoch": EPOCH, "position": 3}}
        again.tell(joined(5, True), post(4), post(5))
        heard = take(chat, 6)
        assert heard[0] == post(3)
        assert isinstance(heard[1], Disconnected)
        assert heard[1].bye.code == "lost"
        assert heard[2:] == [Reconnected("anna"), joined(5, True), post(4), post(5)]
        assert chat.cursors == {"lobby": Cursor(EPOCH, 5)}
        assert chat.ended is None


def test_a_room_lost_before_its_first_post_misses_none(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(joined(70))
        peer.socket.close()
        again = listener.accept()
        # Asked for afresh, it would begin with the newest 50 of by then.
        assert again.welcome()["rooms"] == {"lobby": {"epoch": EPOCH, "position": 20}}
        again.tell(joined(90, True), post(21))
        assert take(chat, 5)[3:] == [joined(90, True), post(21)]


def test_the_password_is_sent_on_every_connection(listener: Listener) -> None:
    with resuming(listener, "horse") as (_, peer):
        peer.socket.close()
        assert listener.accept().welcome()["password"] == "horse"


def test_a_gap_is_reported_once_before_newer_posts(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(joined(), post(1), post(2))
        take(chat, 3)
        peer.socket.close()
        again = listener.accept()
        again.welcome()
        again.tell(joined(90, False), post(41), post(42))
        assert take(chat, 6)[2:] == [Gap("lobby", 2), joined(90, False), post(41), post(42)]


def test_a_room_that_could_not_be_resumed_is_joined_from_its_cursor(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(joined(), post(1), post(2))
        take(chat, 3)
        peer.socket.close()
        again = listener.accept()
        again.welcome()
        again.tell(Error(code="storage", text="Later.", room="lobby"))
        assert isinstance(take(chat, 3)[-1], Error)
        joining = meanwhile(lambda: chat.join("lobby"))
        asked = again.request()
        assert (asked["epoch"], asked["position"]) == (EPOCH, 2)
        again.tell(structs.replace(joined(3, True), id=asked["id"]), post(3))
        assert joining.get().recovered
        assert take(chat, 2)[-1] == post(3)


def test_a_waiting_request_fails_when_the_connection_is_lost(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        asking = meanwhile(lambda: chat.direct("bert", "psst"))
        peer.request()
        peer.socket.close()
        with pytest.raises(Ended):
            asking.get()
        again = listener.accept()
        again.welcome()
        chat.send("lobby", "next")
        assert again.request()["text"] == "next"  # and not what was for one alone


def test_the_servers_retry_delay_is_obeyed(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        began = time.monotonic()
        peer.tell(Bye(code="shutdown", text="later", reconnect=True, after_ms=50))
        listener.accept().welcome()
        assert time.monotonic() - began >= 0.05
        (away, back) = take(chat, 2)
        assert isinstance(away, Disconnected)
        assert away.bye.after_ms == 50
        assert back == Reconnected("anna")


def test_a_bye_without_reconnect_ends_the_stream(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(Bye(code="kicked", text="out", reconnect=False, after_ms=0))
        assert list(chat) == []
        assert chat.ended is not None
        assert chat.ended.code == "kicked"
        with pytest.raises(Ended):
            chat.send("lobby", "too late")


def test_a_bye_without_reconnect_instead_of_the_welcome_ends_the_stream(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        peer.socket.close()
        again = listener.accept()
        again.frame()
        again.tell(Bye(code="banned", text="out", reconnect=False, after_ms=0))
        again.socket.close()
        (away,) = chat
        assert isinstance(away, Disconnected)
        assert chat.ended is not None
        assert chat.ended.code == "banned"


def test_a_client_that_comes_back_behind_a_proxy_does_not_tell_its_secrets_for_ever(
    listener: Listener,
) -> None:
    with resuming(listener) as (chat, peer):
        peer.socket.close()
        again = listener.accept()
        again.frame()
        again.tell(b"* geventchat: " + PROXY.text.encode())
        again.socket.close()
        (away,) = chat
        assert isinstance(away, Disconnected)
        assert chat.ended is not None
        assert (chat.ended.code, chat.ended.text) == ("protocol", PROXY.text)


def test_it_retries_until_there_is_a_welcome(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        peer.socket.close()
        for _ in range(3):
            listener.accept().socket.close()
        listener.accept().welcome()
        nobody = ReconnectFailed(f"No geventchat server at 127.0.0.1:{listener.port}.")
        assert take(chat, 3)[1:] == [nobody, Reconnected("anna")]


def test_the_reason_of_failed_reconnects_is_reported_when_it_changes(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        listener.close()
        peer.socket.close()
        assert take(chat, 2)[1] == ReconnectFailed("Connection refused")
        listener.open()
        full = Bye(code="full", text="The server is full.", reconnect=True)
        for _ in range(2):
            refusing = listener.accept()
            refusing.request()
            refusing.tell(full)
            refusing.socket.close()
        listener.accept().welcome()
        assert take(chat, 2) == [ReconnectFailed("The server is full."), Reconnected("anna")]


def test_posts_out_of_order_cause_a_reconnect_from_the_last_good_one(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(joined(), post(1), post(3), post(4))
        reading = meanwhile(lambda: take(chat, 6))
        again = listener.accept()
        assert again.welcome()["rooms"] == {"lobby": {"epoch": EPOCH, "position": 1}}
        again.tell(joined(2, True), post(2))
        heard = reading.get()
        assert isinstance(heard[2], Disconnected)
        assert "position 3 came after 1" in heard[2].bye.text
        assert heard[3:] == [Reconnected("anna"), joined(2, True), post(2)]


def test_posts_out_of_order_before_a_lost_connection_cause_one_reconnect(
    listener: Listener,
) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(joined(), post(1), post(3))
        peer.socket.close()
        again = listener.accept()
        assert again.welcome()["rooms"] == {"lobby": {"epoch": EPOCH, "position": 1}}
        again.tell(joined(2, True), post(2))
        again.socket.close()
        third = listener.accept()
        assert third.welcome()["rooms"] == {"lobby": {"epoch": EPOCH, "position": 2}}
        third.tell(joined(2, True), post(3))
        heard = take(chat, 10)
        assert [event.position for event in heard if isinstance(event, Post)] == [1, 2, 3]


def test_heard_does_not_wait_although_posts_were_out_of_order(
    listener: Listener,
) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(joined(), post(1), post(3), Error(code="muted", text="no", key="k"))
        asking = meanwhile(lambda: chat.who("lobby"))
        peer.tell(Error(code="not_joined", text="no", id=peer.request()["id"]))
        with pytest.raises(Refused):
            asking.get()
        with gevent.Timeout(20):
            assert chat.heard() == [joined(), post(1), Error(code="muted", text="no", key="k")]


def test_close_stops_reconnecting_at_once(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        listener.close()
        peer.socket.close()
        take(chat, 1)
        chat.send("lobby", "kept")
        chat.close()
        assert list(chat) == []
        assert [say.text for say in chat.pending] == ["kept"]


@pytest.mark.parametrize("after_ms", [-5, 10**30])
def test_an_unreasonable_retry_delay_is_clamped(
    listener: Listener, after_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "MAX_RETRY_AFTER_MS", 10)
    with resuming(listener) as (chat, peer):
        peer.tell(Bye(code="shutdown", text="later", reconnect=True, after_ms=after_ms))
        again = listener.accept()
        again.frame()
        again.tell(Bye(code="shutdown", text="later", reconnect=True, after_ms=after_ms))
        again.socket.close()
        listener.accept().welcome()
        assert take(chat, 2)[1] == Reconnected("anna")


def test_a_room_whose_join_was_not_answered_is_not_joined_on_reconnect(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        joining = meanwhile(lambda: chat.join("dev"))
        assert peer.request()["room"] == "dev"
        peer.socket.close()
        with pytest.raises(Ended):
            joining.get()
        assert list(listener.accept().welcome()["rooms"]) == ["lobby"]


@pytest.mark.parametrize("room", ["x" * 65_536, "\udcff"])
def test_a_room_that_could_not_be_asked_for_is_not_in_the_next_hello(
    listener: Listener, room: str
) -> None:
    with resuming(listener) as (chat, peer):
        with pytest.raises((TooLong, UnicodeEncodeError)):
            chat.join(room)
        peer.socket.close()
        assert listener.accept().welcome()["rooms"] == {"lobby": None}


def test_reconnects_back_off_with_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_SECONDS", 0.5)
    monkeypatch.setattr(backoff, "MAX_SECONDS", 30.0)
    drawn: list[tuple[float, float]] = []

    def highest(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    monkeypatch.setattr(random, "uniform", highest)
    waits = backoff.backoffs()
    assert [next(waits) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert {low for low, _ in drawn} == {0}
