"""Two devices of one person and a guest, who check what they receive while they talk."""

from collections.abc import Callable
from itertools import count
from typing import Any, Final

from tests.conversations.peers import Rich, of
from tests.conversations.signed_in import PASSWORD

REGISTER: Final = {"nick": "Ann", "password": PASSWORD, "register": True}
_numbers: Final = count(1)


class Device:
    """A client that resumes where it was; it checks what it receives."""

    def __init__(self, connect: Callable[..., Rich], **hello: Any) -> None:
        self._connect = connect
        self.hello = hello
        """What it says of itself when it connects."""
        self._cursors: dict[str, dict[str, Any]] = {}
        self._posts: dict[str, dict[int, str]] = {}
        """The texts received, by room and position."""
        self.rooms: set[str] = set()
        self.present: dict[str, bool] = {}
        """Who is in the lobby, by account or nick, as presence told."""
        self.peer = connect(**hello)
        self._take(self.peer.greeting)
        if "account" in hello:
            token = self.peer.welcome.get("session", hello["account"].get("session"))
            self.hello = {"account": {"session": token}}
        self.hello["client"] = self.peer.client

    def posts(self, room: str = "lobby") -> list[str]:
        """Return the texts received in a room, in order; those redacted are empty."""
        return list(self._posts[room].values())

    def come_back(self) -> None:
        """Connect again and resume."""
        self.peer.socket.close()
        self.rooms, self.present = set(), {}
        rooms = {room: self._cursors.get(room) for room in self._posts}
        self.peer = self._connect(**self.hello, rooms=rooms)
        self._take(self.peer.greeting)

    def listen(self) -> None:
        """Take all that is there."""
        self._take(self.peer.pong())

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a request and return its answer; what comes before it is taken."""
        number = f"asked {next(_numbers)}"
        self.peer.tell(kind, id=number, **fields)
        heard = self.peer.hear(lambda event: event.get("id") == number)
        self._take(heard)
        return heard[-1]

    def say(self, text: str, room: str = "lobby") -> None:
        """Say something whose text is its key, and wait until it is received."""
        self.peer.say(room, text, key=text)
        while text not in self.posts(room):
            self.listen()

    def _take(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            room = event.get("room", "")
            match event["type"]:
                case "joined":
                    self._join(event, events)
                case "post":
                    assert event["position"] == self._cursors[room]["position"] + 1
                    self._cursors[room]["position"] += 1
                    self._posts[room][event["position"]] = event["text"]
                case "redacted":
                    self._posts[room][event["position"]] = ""
                    change = self._cursors[room]["change"]
                    self._cursors[room]["change"] = max(event["change"], change)
                case "left":
                    self.rooms.discard(room)
                case "presence" if room == "lobby" and "account" in event:
                    self._hear(event["account"], event["event"])

    def _join(self, event: dict[str, Any], events: list[dict[str, Any]]) -> None:
        room = event["room"]
        assert event["recovered"] is not False
        change = self._cursors.get(room, {}).get("change", 0)
        if event["recovered"] is None:
            self._posts[room], change = {}, event.get("change", 0)
        self.rooms.add(room)
        position = event["position"] - self._to_come(event, events)
        self._cursors[room] = {"epoch": event["epoch"], "position": position, "change": change}

    def _to_come(self, joined: dict[str, Any], events: list[dict[str, Any]]) -> int:
        """Return how many posts up to the position of `joined` are replayed."""
        posts = [each for each in of("post", events) if each["room"] == joined["room"]]
        return sum(each["position"] <= joined["position"] for each in posts)

    def _hear(self, account: str, event: str) -> None:
        if event != "rename":
            assert self.present.get(account) is not (event == "join")
            self.present[account] = event == "join"


class Story:
    """A server with Ann on her laptop and her phone, and a guest."""

    def __init__(self, connect: Callable[..., Rich]) -> None:
        self.laptop = Device(connect, account=REGISTER)
        token = self.laptop.peer.welcome["session"]
        self.phone = Device(connect, account={"session": token})
        self.guest = Device(connect, nick="Gus")
        self.all = [self.laptop, self.phone, self.guest]
        self.said: list[str] = []

    def talk(self) -> None:
        """Have each say something, which all receive once and in order."""
        for number, device in enumerate(self.all):
            text = f"{len(self.said)} of {number}"
            self.said.append(text)
            device.say(text)
        for device in self.all:
            device.listen()
            known = len(device.posts())
            assert device.posts() == self.said[-known:]
            assert known >= len(self.all)
        assert self.laptop.rooms == self.phone.rooms
        members = self.guest.peer.ask("who", room="lobby")
        assert members["count"] == 2
        assert len(members["nicks"]) == 2
