"""Messages that are not acknowledged are kept, sent again with their keys, and bounded."""

import gevent
import pytest

from geventchat.client import Ended, Error, Refused, Sent, TooManyPending, pending_says
from geventchat.protocol.events import Bye
from tests.client.peer import Listener, conversation, joined, meanwhile, post, resuming, take

pytestmark = pytest.mark.usefixtures("at_once")


def test_unacknowledged_messages_are_sent_again_in_order_with_their_keys(
    listener: Listener,
) -> None:
    with resuming(listener) as (chat, peer):
        peer.tell(joined())
        keys = [chat.send("lobby", text) for text in ("a", "b", "c")]
        peer.tell(post(1, "a", keys[0]))
        take(chat, 2)
        peer.socket.close()
        again = listener.accept()  # only now is it known as lost
        keys.append(chat.send("lobby", "d"))
        again.welcome()
        keys.append(chat.send("lobby", "e"))
        said = [again.request() for _ in range(4)]
        assert [(each["text"], each["key"]) for each in said] == list(
            zip("bcde", keys[1:], strict=True)
        )
        again.tell(Sent(room="lobby", key=keys[1], position=2))
        again.tell(
            *(post(at, text, key) for at, text, key in zip((3, 4, 5), "cde", keys[2:], strict=True))
        )
        asking = meanwhile(lambda: chat.who("lobby"))  # its answer comes after all that
        again.tell(Error(code="not_joined", text="no", id=again.request()["id"]))
        with pytest.raises(Refused):
            asking.get()
        assert chat.pending == []


def test_a_waiting_say_is_answered_on_the_next_connection(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        saying = meanwhile(lambda: chat.say("lobby", "hi", key="k"))
        assert peer.request()["key"] == "k"
        peer.socket.close()
        again = listener.accept()
        again.welcome()
        assert again.request()["key"] == "k"
        again.tell(Sent(room="lobby", key="k", position=7))
        assert saying.get() == 7


def test_queued_messages_are_sent_before_bye(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        peer.socket.close()
        take(chat, 1)
        chat.send("lobby", "kept")
        chat.send("lobby", "this too")

        def close_when_back() -> None:
            take(chat, 1)
            chat.close()

        closing = meanwhile(close_when_back)
        again = listener.accept()
        again.welcome()
        said = [again.request() for _ in range(3)]
        assert [each.get("text") for each in said] == ["kept", "this too", None]
        again.tell(Bye(code="quit", text="bye", reconnect=False))
        closing.get()


def test_pending_messages_are_bounded_in_number(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_says, "MAX_MESSAGES", 2)
    with resuming(listener) as (chat, peer):
        peer.socket.close()
        take(chat, 1)
        chat.send("lobby", "a", key="a")
        chat.send("lobby", "b", key="b")
        chat.send("lobby", "b", key="b")
        with pytest.raises(TooManyPending):
            chat.send("lobby", "c")


def test_pending_messages_are_bounded_in_bytes(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_says, "MAX_BYTES", 2_000)
    with resuming(listener) as (chat, peer):
        peer.socket.close()
        take(chat, 1)
        chat.send("lobby", "a" * 1_000)
        chat.send("lobby", "é" * 500)
        with pytest.raises(TooManyPending):
            chat.send("lobby", "c")


def test_a_tight_loop_of_sends_waits_for_acknowledgements(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_says, "MAX_MESSAGES", 2)
    with resuming(listener) as (chat, peer):
        sending = meanwhile(lambda: [chat.send("lobby", text, key=text) for text in "abcde"])
        peer.tell(joined())
        for position, text in enumerate("abcde", 1):
            assert peer.request()["text"] == text
            peer.tell(post(position, text, key=text))
        assert sending.get() == list("abcde")


def test_a_waiting_send_is_told_of_a_lost_connection_and_of_the_end(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_says, "MAX_MESSAGES", 1)
    with resuming(listener) as (chat, peer):
        chat.send("lobby", "a")
        sending = meanwhile(lambda: chat.send("lobby", "b"))
        peer.request()
        peer.socket.close()
        with pytest.raises(TooManyPending):
            sending.get()
        again = listener.accept()
        again.welcome()
        assert again.request()["text"] == "a"
        sending = meanwhile(lambda: chat.send("lobby", "b"))
        again.tell(Bye(code="kicked", text="out", reconnect=False, after_ms=0))
        with pytest.raises(Ended):
            sending.get()


def test_an_equal_key_and_id_are_not_confused(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        asking = meanwhile(lambda: chat.who("dev"))
        name = peer.request()["id"]
        saying = meanwhile(lambda: chat.say("lobby", "hi", key=name))
        assert peer.request()["key"] == name
        peer.tell(Error(code="not_joined", text="no", id=name))
        with pytest.raises(Refused):
            asking.get()
        assert [say.key for say in chat.pending] == [name]
        peer.socket.close()
        again = listener.accept()
        again.welcome()
        assert again.request()["key"] == name
        again.tell(joined(), post(1, "hi", name))
        assert saying.get() == 1
        assert chat.pending == []


def test_the_key_of_a_pending_message_cannot_be_used_for_another(listener: Listener) -> None:
    with resuming(listener) as (chat, peer):
        chat.send("lobby", "a", key="k")
        with pytest.raises(Refused, match="k") as refused:
            chat.send("lobby", "b", key="k")
        assert refused.value.code == "key_conflict"
        assert [say.text for say in chat.pending] == ["a"]
        chat.send("lobby", "a", key="k")
        assert [peer.request()["text"] for _ in range(2)] == ["a", "a"]


def test_a_message_whose_sender_is_killed_while_it_waits_for_others_is_sent(
    listener: Listener,
) -> None:
    with resuming(listener) as (chat, peer):
        link = chat._reader.link
        flooding = gevent.spawn(lambda: [chat.send("lobby", "x" * 60_000) for _ in range(200)])
        with gevent.Timeout(20):
            while not link._sending.locked():  # who has the lock waits for the socket
                gevent.sleep(0)
        sending = gevent.spawn(chat.send, "lobby", "late", key="late")
        gevent.sleep(0)
        assert [say.key for say in chat.pending][-1] == "late"
        sending.kill()
        with gevent.Timeout(20):
            while peer.request()["key"] != "late":
                pass
        flooding.kill()


@pytest.mark.parametrize("key", ["k" * 65, 7])
def test_a_key_that_no_server_can_answer_is_refused_at_once(listener: Listener, key: str) -> None:
    with resuming(listener) as (chat, peer):
        with pytest.raises(Refused, match=r"key: Expected") as refused:
            chat.say("lobby", "hi", key=key)
        assert refused.value.code == "bad_field"
        assert chat.pending == []
        chat.send("lobby", "next", key="k" * 64)
        assert peer.request()["text"] == "next"


def test_acknowledgements_are_waited_for_without_resuming_too() -> None:
    with conversation() as (chat, peer):
        key = chat.send("lobby", "hi")
        assert [say.key for say in chat.pending] == [key]
        waiting = meanwhile(chat.wait_acknowledged)
        assert peer.request()["key"] == key
        peer.tell(joined(), post(1, "of another"))
        take(chat, 2)
        assert not waiting.ready()
        peer.tell(post(2, "hi", key))
        waiting.get(timeout=20)
        assert chat.pending == []


def test_a_message_that_was_not_acknowledged_is_pending_at_the_end_without_resuming() -> None:
    with conversation() as (chat, peer):
        key = chat.send("lobby", "hi")
        peer.request()
        peer.socket.close()
        with pytest.raises(Ended):
            chat.wait_acknowledged()
        with pytest.raises(Ended):
            chat.send("lobby", "too late")
        assert [say.key for say in chat.pending] == [key]
