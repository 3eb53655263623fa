"""Pings: silent clients are pinged, and disconnected if they do not answer."""

from tests.conversations.chat import Chat
from tests.conversations.conftest import BOTH_DOORS

pytestmark = BOTH_DOORS

PING_SECONDS = 30


def test_a_ping_is_answered_with_a_pong_that_carries_its_id(chat: Chat) -> None:
    ann = chat.rich(rooms=[])
    assert ann.ask("ping")["type"] == "pong"
    ann.tell("ping")
    assert ann.event() == {"type": "pong"}


def test_a_client_silent_for_ping_seconds_is_pinged_once(chat: Chat) -> None:
    ann = chat.rich(rooms=[])
    chat.advance_clock(PING_SECONDS - 1)
    chat.advance_clock(PING_SECONDS)
    chat.advance_clock(PING_SECONDS + 1)
    assert ann.pong() == [{"type": "ping"}]


def test_a_client_that_answers_no_ping_is_closed_and_asked_to_reconnect(chat: Chat) -> None:
    """Nothing within `ping_seconds` of the ping: `bye` `idle`."""
    ann = chat.rich(rooms=[])
    chat.advance_clock(PING_SECONDS)
    chat.advance_clock(2 * PING_SECONDS)
    ping, bye = ann.closing()
    assert ping == {"type": "ping"}
    assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "idle", True)
    assert bye["after_ms"] > 0


def test_any_frame_answers_a_ping(chat: Chat) -> None:
    """Not only `pong`: also a say, and a refused request."""
    ann, bob, eve = (chat.rich() for _ in range(3))
    chat.advance_clock(PING_SECONDS)
    ann.tell("pong")
    bob.say("lobby", "I am here")
    eve.send(b"nonsense\0")
    for peer in (ann, bob, eve):
        peer.pong()
    chat.advance_clock(PING_SECONDS - 1)
    for peer in (ann, bob, eve):
        assert peer.ask("ping")["type"] == "pong"


def test_a_pong_is_answered_with_nothing(chat: Chat) -> None:
    ann = chat.rich(rooms=[])
    ann.tell("pong")
    assert ann.pong() == []


def test_a_client_that_only_listens_is_pinged_too(chat: Chat) -> None:
    """Sending to a client does not prove that it is alive."""
    ann, bob = chat.rich_clients("Ann", "Bob")
    chat.advance_clock(PING_SECONDS)
    bob.ask("ping")
    bob.say("lobby", "anybody?")
    ann.posts(1)
    chat.advance_clock(2 * PING_SECONDS)
    assert ann.closing()[-1]["code"] == "idle"


def test_plain_clients_are_never_pinged(chat: Chat) -> None:
    """A plain client need never send anything."""
    listener, speaker = chat.plain_clients(2)
    chat.advance_clock(PING_SECONDS)
    chat.advance_clock(1_000 * PING_SECONDS)
    speaker.send(b"still here?\0")
    assert listener.frame() == b"still here?"
