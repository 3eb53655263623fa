"""A room that the server cannot open now is joined as soon as it can, and the user is told."""

import gevent
import pytest
from gevent.event import Event
from msgspec import structs

from geventchat.client import Connection, Error, Joined, Left, Post, Refused, rejoining
from tests.client.peer import Listener, Peer, Request, joined, meanwhile, post, resuming, take

AWAY = Error(code="storage", text="The database is busy.", room="lobby")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each pause last no time, but double."""
    monkeypatch.setattr(rejoining, "FIRST_SECONDS", 0.001)
    monkeypatch.setattr(rejoining, "MAX_SECONDS", 0.004)


def asked(peer: Peer) -> Request:
    """Return the next request, which has to be a join that nobody waits for."""
    request = peer.request()
    assert (request["type"], "id" in request) == ("join", False)
    return request


def test_a_room_that_hello_refused_with_storage_is_joined_when_it_can_be(
    listener: Listener,
) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(AWAY)
        assert asked(peer) == {"type": "join", "room": "lobby"}
        peer.tell(AWAY)
        assert asked(peer) == {"type": "join", "room": "lobby"}
        peer.tell(joined(1), post(1))
        assert take(chat, 3) == [AWAY, joined(1), post(1)]  # told once


def test_it_is_joined_from_where_it_was_read(listener: Listener, at_once: None) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(joined(1), post(1))
        take(chat, 2)
        peer.socket.close()
        again = listener.accept()
        again.welcome()
        again.tell(AWAY)
        request = asked(again)
        assert (request["epoch"], request["position"]) == ("e" * 16, 1)
        again.tell(joined(2, recovered=True), post(2))
        found = [event for event in take(chat, 5) if isinstance(event, Joined | Post | Error)]
        assert found == [AWAY, joined(2, recovered=True), post(2)]


def test_what_was_lost_meanwhile_is_told(listener: Listener, at_once: None) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(joined(1), post(1))
        take(chat, 2)
        peer.socket.close()
        again = listener.accept()
        again.welcome()
        again.tell(AWAY)
        asked(again)
        again.tell(joined(9, recovered=False))
        kinds = [type(event).__name__ for event in take(chat, 5)]
        assert kinds == ["Disconnected", "Reconnected", "Error", "Gap", "Joined"]


@pytest.mark.parametrize("code", ["forbidden", "not_joined", "too_many_rooms", "unheard_of"])
def test_another_answer_ends_it(listener: Listener, code: str) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(AWAY)
        asked(peer)
        refusal = Error(code=code, text="No.", room="lobby")
        peer.tell(refusal)
        assert take(chat, 2) == [AWAY, refusal]
        pinging = meanwhile(chat.ping)
        assert peer.request()["type"] == "ping"  # and nothing before it
        pinging.kill()


def test_the_pause_doubles_up_to_half_a_minute() -> None:
    assert (rejoining.FIRST_SECONDS, rejoining.MAX_SECONDS) == (0.001, 0.004)
    pauses = [rejoining.pause(attempt) for attempt in range(9)]
    bounds = [0.001, 0.002, *[0.004] * 7]
    assert all(most / 2 <= each <= most for each, most in zip(pauses, bounds, strict=True))


def test_a_room_that_is_damaged_for_good_is_asked_for_rarely_and_locks_nobody_out(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []

    def noted(attempt: int) -> float:
        attempts.append(attempt)
        return 0.001

    monkeypatch.setattr(rejoining, "pause", noted)
    with resuming(listener) as (chat, peer):
        peer.tell(AWAY)
        for _ in range(20):
            asked(peer)
            peer.tell(AWAY)
        joining = meanwhile(lambda: chat.join("tea"))
        while (request := peer.request()) and request.get("room") != "tea":
            peer.tell(AWAY)
        peer.tell(structs.replace(joined(), room="tea", id=request["id"]))
        assert joining.get(timeout=20).room == "tea"
    assert attempts[:20] == list(range(20))


def test_a_user_can_leave_a_room_that_waits(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(AWAY)
        take(chat, 1)
        leaving = meanwhile(lambda: chat.leave("lobby"))
        while (request := peer.request())["type"] != "leave":
            pass
        peer.tell(Error(code="not_joined", text="Not in it.", room="lobby", id=request["id"]))
        left = Left(room="lobby", id=request["id"])
        assert leaving.get(timeout=20) == left
        assert take(chat, 1) == [left]
        assert chat.cursors == {}
        pinging = meanwhile(chat.ping)
        assert peer.request()["type"] == "ping"
        pinging.kill()


def test_leaving_a_room_that_one_is_not_in_is_still_refused(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        leaving = meanwhile(lambda: chat.leave("tea"))
        request = peer.request()
        peer.tell(Error(code="not_joined", text="Not in it.", id=request["id"]))
        with pytest.raises(Refused, match="Not in it"):
            leaving.get(timeout=20)


def test_a_room_that_the_user_joins_meanwhile_is_not_asked_for_again(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(AWAY)
        joining = meanwhile(lambda: chat.join("lobby"))
        while "id" not in (request := peer.request()):
            pass
        peer.tell(structs.replace(joined(), id=request["id"]))
        joining.get(timeout=20)
        pinging = meanwhile(chat.ping)
        while (request := peer.request())["type"] == "join":
            pass  # it was on its way
        assert request["type"] == "ping"
        pinging.kill()


def test_a_request_of_the_application_that_fails_with_storage_is_not_repeated(
    listener: Listener,
) -> None:
    with resuming(listener) as (chat, peer):
        joining = meanwhile(lambda: chat.join("tea"))
        number = peer.request()["id"]
        peer.tell(Error(code="storage", text="Away.", room="tea", id=number))
        with pytest.raises(Refused, match="Away"):
            joining.get(timeout=20)
        pinging = meanwhile(chat.ping)
        assert peer.request()["type"] == "ping"
        pinging.kill()


def test_nothing_is_asked_for_over_a_connection_that_is_gone(
    listener: Listener, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rejoining, "FIRST_SECONDS", 60)
    with resuming(listener) as (chat, peer):
        peer.tell(AWAY)
        take(chat, 1)
        peer.socket.close()
        again = listener.accept()
        assert again.welcome()["rooms"] == {"lobby": None}
        again.tell(joined())
        take(chat, 3)
        assert chat._reader.rejoining.rooms == []


def test_a_stream_without_resume_only_tells_of_it(listener: Listener) -> None:
    connecting = meanwhile(lambda: Connection("127.0.0.1", listener.port, resume=False))
    peer = listener.accept()
    peer.welcome()
    chat = connecting.get(timeout=20)
    peer.tell(AWAY)
    assert take(chat, 1) == [AWAY]
    assert chat._reader.rejoining.rooms == []
    listener.close()
    chat.close()


def test_an_end_while_a_room_waits_leaves_no_greenlet(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(AWAY)
        take(chat, 1)
        peer.socket.close()
    gevent.sleep(0)
    assert chat._reader.rejoining.rooms == []


def test_a_room_is_asked_for_though_others_requests_about_it_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses = iter([0.01, 60])
    monkeypatch.setattr(rejoining, "pause", lambda attempt: next(pauses))
    joined = Event()
    waiting = rejoining.Rejoining(lambda room: joined.set())
    assert not waiting.refused("tea")
    assert waiting.refused("tea")  # such as typing there
    assert joined.wait(20)
    waiting.clear()
