"""Slow readers: their memory is limited, they are asked to reconnect, and delay nobody."""

import json
import socket as native
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from geventchat.config import Limits
from geventchat.server.timeline.sqlite import SqliteTimeline
from tests.conversations.chat import Chat, chatting
from tests.conversations.peers import Plain, encode, of
from tests.server.record import settle

OUTBOX_BYTES = 64 << 10
SECONDS = 20
TEXT = "x" * 8_000
ENOUGH = 200
"""Number of posts of TEXT that exceed an outbox and the kernel's buffers: 1.6 MB."""


class SlowReader(Plain):
    """A client with a small kernel buffer that reads only when the test says so."""

    def __init__(self, chat: Chat) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(native.SOL_SOCKET, native.SO_RCVBUF, 4_096)
        self.socket.settimeout(SECONDS)
        self.socket.connect(chat.address)
        self._heard = b""
        chat.track(self)

    def hello(self, chat: Chat, **fields: Any) -> None:
        """Send hello, and wait until the server has read it."""
        client = fields.pop("client", "a-client-that-reads-late")
        hello = {"type": "hello", "version": 1, "client": client, "nonce": "n"}
        self.send(b"\x1e" + encode(hello | fields))
        assert self.frame().startswith(b'{"type":"welcome"')
        chat.wait_accepted()

    def events(self, count: int) -> list[dict[str, Any]]:
        """Return the next events; faster than one by one."""
        pieces = [self._heard]
        missing = count - self._heard.count(b"\0")
        while missing > 0:
            pieces.append(self.socket.recv(1 << 20))
            assert pieces[-1], "the connection ended"
            missing -= pieces[-1].count(b"\0")
        *frames, self._heard = b"".join(pieces).split(b"\0")
        return list(map(json.loads, frames))


def talk(chat: Chat, count: int) -> list[int]:
    """Post messages that a good reader receives; return the largest outbox after each."""
    speaker, listener = chat.plain(), chat.rich("Listener")
    sizes = []
    for number in range(count):
        speaker.send(f"{number} {TEXT}\0".encode())
        (post,) = listener.posts(1)
        assert post["text"].startswith(f"{number} ")
        sizes.append(max(session.outbox.size for session in chat.sessions()))
    return sizes


def test_a_plain_client_that_never_reads_is_closed_at_its_outbox_limit() -> None:
    """It is closed at its outbox limit; the others receive everything."""
    with chatting(outbox_bytes=OUTBOX_BYTES) as chat:
        slow = SlowReader(chat)
        chat.wait_accepted()
        sizes = talk(chat, ENOUGH)
        assert OUTBOX_BYTES / 2 < max(sizes) <= OUTBOX_BYTES
        assert sizes[-1] == 0
        *heard, line = slow.rest()
        assert line.startswith(b"* geventchat: ")
        assert [int(text.split()[0]) for text in heard] == list(range(len(heard)))
        assert len(heard) < ENOUGH


def test_a_rich_client_that_never_reads_hears_bye_slow_and_resumes_without_a_gap() -> None:
    """It receives everything up to the `bye`, and the rest when it reconnects."""
    with chatting(outbox_bytes=OUTBOX_BYTES) as chat:
        slow = SlowReader(chat)
        slow.hello(chat)
        joined = of("joined", [json.loads(slow.frame())])[0]
        talk(chat, ENOUGH)
        *events, bye = map(json.loads, slow.rest())
        assert (bye["type"], bye["code"], bye["reconnect"]) == ("bye", "slow", True)
        assert bye["after_ms"] > 0
        positions = [post["position"] for post in of("post", events)]
        assert positions == list(range(1, len(positions) + 1))
        assert len(positions) < ENOUGH
        cursor = {"epoch": joined["epoch"], "position": len(positions)}
        again = chat.rich(client="a-client-that-reads-late", rooms={"lobby": cursor})
        again_joined, *posts = again.greeting
        assert again_joined["recovered"] is True
        resumed = [post["position"] for post in of("post", posts)]
        assert resumed == list(range(len(positions) + 1, ENOUGH + 1))


def test_a_client_that_reads_late_but_within_its_limit_misses_nothing() -> None:
    with chatting() as chat:
        late = SlowReader(chat)
        chat.wait_accepted()
        talk(chat, 100)
        assert [int(text.split()[0]) for text in late.frames(100)] == list(range(100))


def test_a_client_that_reads_nothing_of_its_replay_does_not_delay_others() -> None:
    """A replay is sent at the client's pace; one page of it is in memory."""
    with chatting(outbox_bytes=1 << 20) as chat:
        talk(chat, ENOUGH)
        slow = SlowReader(chat)
        epoch = chat.rich("Ann").ask("join", room="lobby")["epoch"]
        slow.hello(chat, rooms={"lobby": {"epoch": epoch, "position": 0}})
        bob = chat.rich("Bob")
        bob.say("lobby", "the last")
        bob.posts(1)
        assert max(session.outbox.size for session in chat.sessions()) <= 300_000
        events = [json.loads(slow.frame()) for _ in range(1 + ENOUGH)]
        while events[-1].get("text") != "the last":
            events.append(json.loads(slow.frame()))
        positions = [post["position"] for post in of("post", events)]
        assert positions == list(range(1, ENOUGH + 2))


def test_a_replay_of_many_short_posts_stays_within_its_limit(tmp_path: Path) -> None:
    """One page of it is in memory; other events for the client fit as well."""
    with chatting(f"sqlite:{tmp_path}/chat.db") as chat:
        ann, speaker = chat.rich("Ann"), chat.plain()
        speaker.send(b"x\0" * 30_000)
        ann.hear(lambda event: event.get("position") == 30_000)
        epoch = ann.ask("join", room="lobby")["epoch"]
        slow = SlowReader(chat)
        slow.hello(chat, nick="Slow", rooms={"lobby": {"epoch": epoch, "position": 0}})
        assert json.loads(slow.frame())["type"] == "joined"
        assert json.loads(slow.frame())["position"] == 1
        assert max(session.outbox.size for session in chat.sessions()) <= 400_000
        assert ann.ask("direct", to="Slow", text="meanwhile")["type"] == "sent"
        events = slow.events(29_999 + 1)
        assert [post["position"] for post in of("post", events)] == list(range(2, 30_001))
        assert len(of("direct", events)) == 1


@pytest.mark.parametrize("kept", [1, 5])
def test_a_replay_that_is_overtaken_by_a_trim_ends_with_slow_and_the_next_join_says_so(
    tmp_path: Path, kept: int
) -> None:
    with chatting(f"sqlite:{tmp_path}/chat.db") as chat:
        talk(chat, ENOUGH)
        epoch = chat.rich("Ann").ask("join", room="lobby")["epoch"]
        slow = SlowReader(chat)
        slow.hello(chat, rooms={"lobby": {"epoch": epoch, "position": 0}})
        assert json.loads(slow.frame())["recovered"] is True
        timeline = chat.server._timeline
        assert isinstance(timeline, SqliteTimeline)
        timeline.configure(Limits(history_posts_per_room=kept))
        settle(timeline)
        while timeline._store.trim() or not timeline._store.retention.rounds:
            pass
        *posts, bye = map(json.loads, slow.rest())
        assert (bye["code"], bye["reconnect"]) == ("slow", True)
        positions = [post["position"] for post in of("post", posts)]
        assert positions == list(range(1, len(positions) + 1))
        assert len(positions) < ENOUGH - kept
        cursor = {"epoch": epoch, "position": len(positions)}
        joined, *posts = chat.rich(rooms={"lobby": cursor}).greeting
        assert (joined["recovered"], joined["epoch"]) == (False, epoch)
        assert joined["oldest"] == ENOUGH - kept + 1
        assert len(of("post", posts)) == kept


def test_unread_answers_count_against_the_outbox_limit() -> None:
    """Answers count against the same limit as messages of others."""
    with chatting(outbox_bytes=OUTBOX_BYTES) as chat:
        talk(chat, 20)
        slow, ann = SlowReader(chat), chat.rich("Ann")
        slow.hello(chat, rooms={})
        history = {"type": "history", "room": "lobby", "limit": 500}
        everybody = len(chat.sessions())
        slow.send((encode({"type": "join", "room": "lobby"}) + encode(history)) * 50)
        with gevent.Timeout(SECONDS):  # what is read meanwhile does not count as unread
            while len(chat.sessions()) == everybody:
                gevent.sleep(0.001)
        ann.say("lobby", "still here")
        assert ann.posts(1)[0]["position"] == 21
        assert json.loads(slow.rest()[-1])["code"] == "slow"
