"""Two devices of one person and a guest, while the server is killed.

Whatever was done before, was under way, or is done after: each has every post once and in order,
both devices the same rooms and marks, the conversation goes on, and nobody is there twice.
"""

import json
import signal
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conversations.peers import Plain, Rich, encode, of
from tests.conversations.story import REGISTER, Device, Story
from tests.process import Process, served

MARK: Final = 2
"""The position up to which Ann has read the lobby."""
LEFT: Final = "tea", "attic"
"""Rooms that Ann leaves, one after the other."""
REDACTED: Final = 3, 7
"""Positions of posts of her phone."""


class Killed:
    """A server that is killed, with Ann on two devices, a guest, and Bob, whom Ann writes to."""

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        self._folder = folder
        self._servers = servers
        self._start()
        self.laptop = Device(self.connect, account=REGISTER)
        token = self.laptop.peer.welcome["session"]
        self.account = self.laptop.peer.welcome["account"]
        self.phone = Device(self.connect, account={"session": token})
        self.guest = Device(self.connect, nick="Gus")
        self.bob = Device(self.connect, account={**REGISTER, "nick": "Bob"})
        self.ann = [self.laptop, self.phone]
        self.all = [self.guest, *self.ann, self.bob]
        self.here = list(self.all)
        """Those that are connected."""
        self.nick = "Ann"
        self.rooms = {"lobby", *LEFT}
        self.said: list[str] = []
        """What the lobby holds."""
        self.direct: list[str] = []
        """What the conversation of Ann and Bob holds."""
        self.turn = 0
        """How many faults are over."""
        self.banned = False
        self._words = count(1)
        for room in LEFT:
            self.laptop.ask("join", room=room)
        for _ in REDACTED:
            self.talk()
        self.phone.ask("read", room="lobby", position=MARK)

    def _start(self) -> None:
        self._server: Process = self._servers.enter_context(
            served(self._folder, "--web", "none", "--admin", "none", "--search", "off")
        )

    def connect(self, *args: Any, **hello: Any) -> Rich:
        peer = Rich(self._server.address, *args, **hello)
        self._servers.callback(peer.socket.close)
        return peer

    def operate(self, action: str, *, wait: bool = True, **fields: Any) -> dict[str, Any]:
        """Have an operator, who is in no room, do something, or only begin it."""
        token = (self._folder / "chat.db.operator").read_text().strip()
        olga = self.connect(rooms=[], token=token)
        if not wait:
            olga.tell("admin", action=action, **fields)
            return {}
        answer = olga.ask("admin", action=action, **fields)
        olga.socket.close()
        return answer

    def refused(self, device: Device) -> str:
        """Say hello as a device that is refused; return the code."""
        with Plain(self._server.address) as peer:
            peer.send(b"\x1e" + encode({"type": "hello", "version": 1, **device.hello}))
            return str(json.loads(peer.rest()[-1])["code"])

    def request(self, kind: str, *, wait: bool, **fields: Any) -> dict[str, Any]:
        """Have the phone ask for something and return the answer, or not wait for it."""
        if wait:
            return self.phone.ask(kind, **fields)
        self.phone.peer.tell(kind, **fields)
        return {}

    def lose(self, *devices: Device) -> None:
        for device in devices:
            device.peer.socket.close()
            if device in self.here:
                self.here.remove(device)

    def end(self, code: str) -> None:
        """Wait until both devices are told why they are gone."""
        for device in self.ann:
            assert of("bye", device.peer.closing())[0]["code"] == code
        self.lose(*self.ann)

    def kill(self) -> None:
        """Kill the server while all who are here say something, and start another."""
        under_way = [(device, f"under way {next(self._words)}") for device in self.here]
        for device, text in under_way:
            device.peer.say("lobby", text, key=text)
        self._server.signal(signal.SIGKILL)
        self._server.wait(30)
        self._start()
        self.here.clear()
        self.over()
        for device, text in under_way:  # whether it was stored or not
            device.say(text)
        for device in self.all:
            device.listen()
        before, now = len(self.said), self.guest.posts()
        assert sorted(now[before:]) == sorted(text for _, text in under_way)
        changed = [at for at, text in enumerate(self.said, start=1) if text != now[at - 1]]
        assert set(changed) <= {REDACTED[self.turn]}
        self.said = now

    def over(self) -> None:
        """Bring back all who are gone."""
        rules = self.operate("list")["rules"]
        assert rules or not self.banned
        if self.banned:
            assert self.refused(self.phone) == "banned"
        if rules:
            assert self.operate("unban", target=self.nick)["type"] == "admin"
        self.banned = False
        for device in self.all:
            if device not in self.here:
                device.come_back()
        self.here = list(self.all)

    def talk(self) -> None:
        """Have all who are here say something, and Ann and Bob in their conversation, too."""
        for device in self.here:
            self.said.append(f"said {next(self._words)}")
            device.say(self.said[-1])
        for device in self.here:
            if device is self.guest:
                continue
            to = self.nick if device is self.bob else "Bob"
            self.direct.append(f"between us {next(self._words)}")
            sent = device.ask("direct", to=to, text=self.direct[-1], key=self.direct[-1])
            assert (sent["stored"], sent["position"]) == (True, len(self.direct))
        members = self.guest.ask("who", room="lobby")
        assert len(set(members["nicks"])) == members["count"]

    def check(self) -> None:
        """Check all that there is to see, on each of the four."""
        conversation = self._check_conversation()
        for device in self.all:
            device.listen()
            assert device.posts() == self.said
        for device in self.ann:
            assert device.rooms == self.rooms | {conversation}
            assert device.posts(conversation) == self.direct
        stored = self.guest.peer.ask("history", room="lobby", limit=500)["posts"]
        assert [post["text"] for post in stored] == self.said
        assert [post["position"] for post in stored] == list(range(1, len(self.said) + 1))
        members = self.guest.peer.ask("who", room="lobby")
        assert sorted(members["nicks"]) == sorted((self.nick, "Bob", "Gus"))
        assert members["count"] == 3
        assert members["accounts"][self.nick] == self.account
        of_others = [post for post in stored[MARK:] if post.get("account") != self.account]
        for device in self.ann:
            mark = device.peer.ask("join", room="lobby")
            assert (mark["read"], mark["unread"]) == (MARK, len(of_others))

    def _check_conversation(self) -> str:
        rooms = set()
        for device, other in ((self.laptop, "Bob"), (self.phone, "Bob"), (self.bob, self.nick)):
            (shown,) = device.ask("conversations")["conversations"]
            assert (shown["with"]["nick"], shown["position"]) == (other, len(self.direct))
            rooms.add(shown["room"])
        (room,) = rooms
        return str(room)


Fault = Callable[[Killed, bool], None]
"""What happens to Ann's devices; False: it begins, and nothing is waited for."""


def drop(story: Killed, _: bool) -> None:
    story.lose(story.phone)


def drop_both(story: Killed, _: bool) -> None:
    story.lose(*story.ann)


def rename(story: Killed, wait: bool) -> None:
    nick = f"Ann{story.turn}"
    answer = story.request("nick", wait=wait, nick=nick)
    if wait:
        assert answer["nick"] == nick
        story.nick = nick


def kick(story: Killed, wait: bool) -> None:
    story.operate("kick", wait=wait, target=story.nick)
    if wait:
        story.end("kicked")


def ban(story: Killed, wait: bool) -> None:
    story.operate("ban", wait=wait, target=story.nick)
    if wait:
        story.end("banned")
        story.banned = True


def redact(story: Killed, wait: bool) -> None:
    position = REDACTED[story.turn]
    answer = story.request("redact", wait=wait, room="lobby", position=position)
    if wait:
        assert answer["type"] == "redacted"
        story.said[position - 1] = ""


def leave(story: Killed, wait: bool) -> None:
    room = LEFT[story.turn]
    answer = story.request("leave", wait=wait, room=room)
    if wait:
        assert answer["type"] == "left" or answer["code"] == "not_joined"
        story.rooms.remove(room)


FAULTS: Final[list[Fault]] = [drop, drop_both, rename, kick, ban, redact, leave]
EACH_FAULT = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)


@EACH_FAULT
def test_what_was_done_before_a_kill_holds_after_it_and_is_done_again(
    tmp_path: Path, fault: Fault
) -> None:
    with ExitStack() as servers:
        story = Killed(tmp_path, servers)
        fault(story, True)
        story.talk()
        story.kill()
        story.check()
        story.turn += 1
        fault(story, True)
        story.talk()
        story.over()
        story.check()


@EACH_FAULT
def test_what_was_under_way_at_a_kill_is_done_after_it(tmp_path: Path, fault: Fault) -> None:
    with ExitStack() as servers:
        story = Killed(tmp_path, servers)
        fault(story, False)
        story.kill()
        fault(story, True)
        story.talk()
        story.over()
        story.check()


def test_they_go_on_after_kills(tmp_path: Path) -> None:
    """A conversation, a private room, the set of rooms and a rename are what they were."""
    address: tuple[str, int] = ("", 0)

    def connect(**hello: Any) -> Rich:
        return Rich(address, **hello)

    with served(tmp_path) as server:
        address = server.address
        story = Story(connect)
        bob = Device(connect, account={**REGISTER, "nick": "Bob"})
        story.laptop.peer.ask("create", room="plans")
        story.laptop.peer.ask("invite", room="plans", nick="Bob")
        bob.peer.ask("join", room="plans")
        story.laptop.peer.say("plans", "ours")
        story.laptop.peer.ask("mute", room="plans", nick="Bob")
        story.laptop.peer.ask("block", nick="Bob")
        sent = story.laptop.peer.ask("direct", to="Bob", text="once", key="d")
        story.phone.peer.ask("nick", nick="Anna")
        bob.peer.hear(lambda event: event.get("text") == "once")
        server.signal(signal.SIGKILL)
        server.wait(30)
    with served(tmp_path) as server:
        address = server.address
        again = Device(connect, account={**REGISTER, "register": False, "nick": "Anna"})
        bob.come_back()
        assert bob.peer.ask("say", room="plans", text="x")["code"] == "muted"
        assert bob.peer.ask("direct", to="Anna", text="x")["code"] == "forbidden"
        assert again.rooms >= {"lobby", "plans"}
        assert again.posts("plans") == ["ours"]
        repeated = again.peer.ask("direct", to="Bob", text="once", key="e")
        assert repeated["room"] == sent["room"]
        assert repeated["position"] == 2
        (shown,) = again.peer.ask("conversations")["conversations"]
        assert (shown["room"], shown["position"]) == (sent["room"], 2)
        assert again.peer.ask("topic", room="plans", topic="mine")["type"] == "topic"
        story.guest.come_back()
        assert story.guest.peer.ask("join", room="plans")["code"] == "forbidden"
        for device in (*story.all, bob, again):
            device.peer.socket.close()
        server.signal(signal.SIGTERM)
        assert server.wait(30) == 0
