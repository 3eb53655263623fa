"""Bad input in quantity: other clients lose nothing and are not delayed."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import gevent
import pytest
from gevent.event import Event

from tests.conversations.chat import Chat, chatting
from tests.conversations.peers import Bystanders, Plain, Rich, encode, of
from tests.cores import Cores

STRANGER: Final = "127.0.0.9"
LATE_SECONDS: Final = 0.5
"""Maximum time of a round of the others: two messages received, and the history, in a process
that runs the nuisance, too. Time that other programs took from it does not count."""


@contextmanager
def talking_clients(chat: Chat) -> Iterator[None]:
    """Keep two clients talking; whatever happens, their messages are delivered quickly."""
    rounds: list[float] = []
    over = Event()

    def talk() -> None:
        with Bystanders(chat.address) as bystanders:
            due, before, last = time.monotonic(), Cores.now(), False
            for _ in range(150):  # whose history is one page
                bystanders.check_heard()
                lost = Cores.now().lost_since(before)
                rounds.append(time.monotonic() - due - lost)  # including delays before it
                if last:
                    return
                due, before = time.monotonic() + 0.01, Cores.now()
                last = over.wait(0.01)

    talking = gevent.spawn(talk)
    try:
        yield
    finally:
        over.set()
        talking.get(timeout=20)
    assert rounds
    assert max(rounds) < LATE_SECONDS


@pytest.fixture
def chat() -> Iterator[Chat]:
    """Return a server that trusts only 127.0.0.1."""
    with chatting(options={"trust": ("127.0.0.1/32",)}, flood_seconds=1) as chat:
        yield chat


def send_all(peer: Plain, *pieces: bytes) -> None:
    """Send as much of this as the server accepts."""
    with suppress(OSError):
        peer.send(*pieces)


NOISE: Final = random.Random(1).randbytes(65_536)
PLAIN: Final = {
    "a million empty frames": ([b"\0" * 1_000_000], "too fast"),
    "64 KiB of noise": ([NOISE], "UTF-8"),
    "64 KiB of noise without a null byte": ([NOISE.replace(b"\0", b"\xff") * 2], "at most"),
    "ten thousand frames that are not UTF-8": ([b"\xff\0" * 10_000], "Three frames"),
    "a banner of SMB": ([b"\0\0\0\x85\xffSMBr\0\0\0\0\x18\x53\xc8\xff\0\xfe\0\xfe\0"], "Three"),
    "a frame without an end": ([b"x" * 100_000], "at most"),
    "a frame without an end, byte by byte": ([b"x"] * 3_000, None),
}


@pytest.mark.parametrize("source", ["127.0.0.1", STRANGER])
@pytest.mark.parametrize(("pieces", "line"), PLAIN.values(), ids=PLAIN)
def test_noise_does_not_delay_other_clients(
    chat: Chat, pieces: list[bytes], line: str | None, source: str
) -> None:
    with talking_clients(chat), Plain(chat.address, source=source) as bad:
        sending = gevent.spawn(send_all, bad, *pieces)
        if line == "too fast" and source != STRANGER:  # a trusted client cannot flood
            sending.get()
            bad.shut()
        elif line is None:
            sending.get()
        if line is not None:
            heard = [each for each in bad.rest() if each.startswith(b"* geventchat: ")]
            if line != "too fast" or source == STRANGER:
                assert line.encode() in heard[-1]


def many(count: int, **request: Any) -> bytes:
    return b"".join(
        encode({name: value.format(n=number) for name, value in request.items()})
        for number in range(count)
    )


RICH: Final = {
    "a thousand new nicks": (many(1_000, type="nick", nick="eve{n}"), {"renamed"}),
    "a thousand joins": (
        many(1_000, type="join", room="room{n}"),
        {"joined", "error:too_many_rooms"},
    ),
    "a thousand joins and leaves": (
        many(500, type="join", room="a") + many(1, type="leave", room="a"),
        {"joined", "left"},
    ),
    "a thousand keys of one text": (many(1_000, type="say", room="aside", text="x", key="k"), None),
    "ten thousand requests that there are not": (
        many(10_000, type="/help {n}"),
        {"error:unknown_type"},
    ),
    "a request with thousands of fields": (
        encode({"type": "ping"} | {f"{number:x}": number for number in range(5_000)}),
        {"pong"},
    ),
    "a request with a field twice": (
        b'{"type":"say","room":"nowhere","room":"aside","text":"x"}\0',
        {"error:not_joined"},
    ),
    "a number of five thousand digits": (
        b'{"type":"history","room":"lobby","limit":' + b"9" * 5_000 + b"}\0",
        {"error:bad_field"},
    ),
    "a number beyond all": (
        b'{"type":"history","room":"lobby","limit":1e999}\0',
        {"error:bad_field", "error:bad_json"},
    ),
    "words of SQL": (
        many(1, type="join", room="x';drop-table-posts;--")
        + many(1, type="who", room="%_")
        + many(1, type="direct", to="' OR 1=1", text="x"),
        {"joined", "error:bad_room", "error:bad_nick", "error:not_joined", "error:no_such_nick"},
    ),
}


@pytest.mark.parametrize("source", ["127.0.0.1", STRANGER])
@pytest.mark.parametrize(("data", "kinds"), RICH.values(), ids=RICH)
def test_many_requests_of_one_client_do_not_delay_others(
    chat: Chat, data: bytes, kinds: set[str] | None, source: str
) -> None:
    with talking_clients(chat), Rich(chat.address, "Eve", rooms=[], source=source) as bad:
        gevent.spawn(send_all, bad, data)
        heard = [bad.event() for _ in range(2 if data.count(b"\0") > 4 else 1)]
        announced = {
            f"error:{event['code']}" if event["type"] == "error" else event["type"]
            for event in heard
        }
        assert kinds is None or announced <= kinds


def test_ten_thousand_frames_in_one_read_are_served_in_slices(chat: Chat) -> None:
    """Nobody is delayed, and each is handled as if it had arrived by itself."""
    with talking_clients(chat), Rich(chat.address, "Ann", rooms=["aside"]) as ann:
        data = b"".join(
            encode({"type": "say", "room": "aside", "text": str(number)})
            for number in range(10_000)
        )
        sending = gevent.spawn(ann.send, data)
        assert [post["text"] for post in ann.posts(10_000)] == list(map(str, range(10_000)))
        sending.get()


def test_renames_are_announced_at_the_rate_limit_of_their_client(chat: Chat) -> None:
    ann = chat.rich("Ann", rooms=["aside"])
    with talking_clients(chat), Rich(chat.address, "Eve", rooms=["aside"], source=STRANGER) as bad:
        gevent.spawn(send_all, bad, many(1_000, type="nick", nick="eve{n}"))
        for _ in range(2):
            bad.event()
        announced = of("presence", ann.pong())
        assert len(announced) < 10


@pytest.mark.parametrize("text", ["\ufeff", " ", "\u200b" * 1_000, "a" + "\u0301" * 10_000])
def test_unusual_text_is_delivered_as_text(chat: Chat, text: str) -> None:
    ann, bob = chat.rich_clients("Ann", "Bob")
    ann.say("lobby", text)
    assert bob.posts(1)[0]["text"] == text


@pytest.mark.parametrize(
    "text",
    ["\x1b]52;c;eA==\x07", "\x1bP+q\x1b\\", "a\rb", "a\x08b", "\x9b31m", "\x7f", "\u202etxet"],
)
def test_terminal_escapes_are_delivered_unchanged(chat: Chat, text: str) -> None:
    """Escaping is the task of the client that shows it."""
    ann = chat.rich("Ann")
    plain = chat.plain()
    ann.say("lobby", text)
    assert plain.frame() == text.encode()
    assert json.loads(json.dumps(ann.posts(1)[0]["text"])) == text
