"""Half-close: a client that has closed its sending side is read to the end, and answered."""

import json

import pytest

from tests.conversations.chat import Chat
from tests.conversations.conftest import Address
from tests.conversations.peers import Bystanders, Plain, Rich, encode, of, texts

HELLO = {"type": "hello", "version": 1, "client": "client-of-a-short-visit", "nonce": "n"}


def test_text_piped_into_a_connection_is_delivered(stored: Address) -> None:
    """As in `printf 'hi\\0' | nc`."""
    with Bystanders(stored) as bystanders, Plain(stored) as nc:
        nc.send(b"hi\0")
        nc.shut()
        assert nc.rest() == []
        bystanders.check_heard("hi")


def test_one_that_hangs_up_at_once_is_heard(chat: Chat) -> None:
    """Even with unread messages, for which its system resets the connection."""
    listener, talker = chat.plain_clients(2)
    said = [b"one %d" % number for number in range(50)]
    for text in said:
        with Plain(chat.address) as sender:
            chat.wait_accepted()
            talker.send(b"talk\0")
            sender.send(text + b"\0")
    heard = listener.frames(2 * len(said))
    assert [text for text in heard if text != b"talk"] == said


def test_all_whole_frames_of_a_plain_client_are_delivered(stored: Address) -> None:
    said = [str(number) for number in range(300)]
    with Bystanders(stored) as bystanders, Plain(stored) as ann:
        ann.send("\0".join([*said, ""]).encode())
        ann.shut()
        assert ann.rest() == []
        bystanders.check_heard(*said)


def test_all_posts_of_a_rich_client_come_back_with_their_keys(stored: Address) -> None:
    said = [str(number) for number in range(300)]
    with Bystanders(stored) as bystanders, Rich(stored) as ann:
        ann.send(
            b"".join(
                encode({"type": "say", "room": "lobby", "text": text, "key": f"k{text}"})
                for text in said
            )
        )
        ann.shut()
        posts = of("post", ann.closing())
        assert [(post["key"], post["text"]) for post in posts] == [(f"k{n}", n) for n in said]
        bystanders.check_heard(*said)


def test_every_request_is_answered_after_the_half_close(stored: Address) -> None:
    with Rich(stored) as ann:
        ann.say("lobby", "x", key="k1")
        ann.say("lobby", "x", key="k1")
        ann.tell("topic", room="lobby", topic="tea", id="i1")
        ann.tell("join", room="other", id="i2")
        ann.tell("history", room="other", limit=5, id="i3")
        ann.tell("who", room="lobby", id="i4")
        ann.tell("leave", room="lobby", id="i5")
        ann.tell("nosuch", id="i6")
        ann.tell("ping", id="i7")
        ann.shut()
        heard = ann.closing()
        assert [event["id"] for event in heard if "id" in event] == [f"i{n}" for n in range(1, 8)]
        assert [event["key"] for event in of("post", heard) + of("sent", heard)] == ["k1", "k1"]


def test_all_requests_may_be_sent_before_any_answer_is_read(stored: Address) -> None:
    say = {"type": "say", "room": "lobby", "text": "hello and goodbye", "key": "k1"}
    with Bystanders(stored) as bystanders, Plain(stored) as ann:
        ann.send(b"\x1e" + encode(HELLO) + encode(say))
        ann.shut()
        heard = [json.loads(frame) for frame in ann.rest()]
        assert heard[0]["nonce"] == "n"
        assert heard[1]["type"] == "joined"
        assert heard[-1]["key"] == "k1"
        bystanders.check_heard("hello and goodbye")


def test_a_bye_before_the_half_close_is_answered_after_everything(stored: Address) -> None:
    with Rich(stored) as ann:
        ann.say("lobby", "x", key="k1")
        ann.tell("bye", id="i1")
        ann.shut()
        heard = ann.closing()
        assert texts(heard) == ["x"]
        assert (heard[-1]["type"], heard[-1]["code"], heard[-1]["id"]) == ("bye", "quit", "i1")


@pytest.mark.parametrize("cut", [b"cut", b"q", b"\xff", b"\xe2\x82", b"x" * 60_000])
def test_a_frame_cut_off_by_the_end_is_dropped(address: Address, cut: bytes) -> None:
    with Bystanders(address) as bystanders, Plain(address) as ann:
        ann.send(b"whole\0" + cut)
        ann.shut()
        (line,) = ann.rest()
        assert line.startswith(b"* geventchat: ")
        assert rb"printf 'hi\0'" in line  # says what completes a message
        bystanders.check_heard("whole")


def test_a_request_cut_off_by_the_end_is_dropped(address: Address) -> None:
    with Bystanders(address) as bystanders, Rich(address) as ann:
        ann.say("lobby", "whole")
        ann.send(encode({"type": "say", "room": "lobby", "text": "cut"})[:-1])
        ann.shut()
        heard = ann.closing()
        assert texts(heard) == ["whole"]
        assert of("error", heard) == []
        bystanders.check_heard("whole")


def test_a_client_that_closes_without_sending_anything_has_no_effect(address: Address) -> None:
    with Bystanders(address) as bystanders, Plain(address) as ann, Rich(address) as bob:
        for client in (ann, bob):
            client.shut()
            assert client.rest() == []
        bystanders.check_heard()


def test_messages_of_others_before_the_half_close_are_still_delivered(address: Address) -> None:
    with Bystanders(address) as bystanders, Rich(address) as ann:
        bystanders.check_heard()
        ann.shut()
        assert texts(ann.closing()) == ["from rich", "from plain"]


def test_a_replay_is_delivered_to_its_end(stored_chat: Chat) -> None:
    ann, speaker = stored_chat.rich("Ann"), stored_chat.plain()
    speaker.send((b"x" * 1_000 + b"\0") * 500)
    ann.hear(lambda event: event.get("position") == 500)
    epoch = ann.ask("join", room="lobby")["epoch"]
    caller = stored_chat.track(Plain(stored_chat.address))
    rooms = {"lobby": {"epoch": epoch, "position": 0}}
    caller.send(b"\x1e" + encode(HELLO | {"rooms": rooms}))
    caller.shut()
    posts = of("post", list(map(json.loads, caller.rest())))
    assert [post["position"] for post in posts] == list(range(1, 501))


def test_a_half_closed_client_is_announced_as_left(chat: Chat) -> None:
    """A plain client that half-closes leaves like any other."""
    ann, plain = chat.rich("Ann"), chat.plain()
    plain.send(b"goodbye\0")
    plain.shut()
    assert plain.rest() == []
    events = ann.hear(lambda event: event.get("event") == "leave")
    assert [event["type"] for event in events] == ["presence", "post", "presence"]


def test_bye_comes_after_everything_before_it(stored_chat: Chat) -> None:
    """A `bye` is answered last, with its id; requests after it in the same piece are not."""
    ann = stored_chat.rich("Ann")
    says = [encode({"type": "say", "room": "lobby", "text": str(number)}) for number in range(100)]
    bye = [{"type": "bye", "id": "b"}, {"type": "say", "room": "lobby", "text": "too late"}]
    ann.send(b"".join([*says, *map(encode, bye)]))
    events = ann.closing()
    assert texts(events) == [str(number) for number in range(100)]
    assert (events[-1]["type"], events[-1]["id"], events[-1]["code"]) == ("bye", "b", "quit")
    assert (events[-1]["reconnect"], events[-1]["after_ms"]) == (False, 0)
