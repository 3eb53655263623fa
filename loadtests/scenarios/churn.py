"""Members join, leave, disconnect and resume in a busy room; none misses a post.

    python -m loadtests.scenarios.churn [--members 600] [--rate 100] [--timeline sqlite:…]

Every client is held to dense positions by `geventchat.client`: each post once, in order, across
leaving and coming back. At the end everyone must stand at the same, last position, or the exit
code is 1.
"""

import random
import time
from dataclasses import dataclass

import gevent

from geventchat.client import Connection, Joined, Post
from loadtests.support.arguments import positive, whole
from loadtests.support.command import Parser, command
from loadtests.support.preflight import check_users
from loadtests.support.server import serving

ROOM = "busy"


@dataclass
class Tally:
    """What happened."""

    posts: int = 0
    heard: int = 0
    joins: int = 0
    resumed: int = 0
    lost: int = 0


class Member:
    """A member that stays, or keeps leaving and reconnecting."""

    def __init__(self, port: int, tally: Tally, *, restless: bool) -> None:
        self._port = port
        self._tally = tally
        self._restless = restless
        self.chat = Connection("127.0.0.1", port, rooms=[ROOM], resume=False)
        self._listening = gevent.spawn(self._listen, self.chat)

    def _listen(self, chat: Connection) -> None:
        for event in chat:
            match event:
                case Post():
                    self._tally.heard += 1
                case Joined(recovered=recovered):
                    self._tally.joins += 1
                    self._tally.resumed += recovered is True
                    self._tally.lost += recovered is False

    def walk(self, end: float, dice: random.Random) -> None:
        """Come and go until the end."""
        while self._restless and time.monotonic() < end:
            gevent.sleep(dice.expovariate(1.0))
            match dice.choice(("leave", "drop", "close")):
                case "leave":
                    self.chat.leave(ROOM)
                    gevent.sleep(dice.random() / 10)
                    self.chat.join(ROOM)
                case "drop":
                    self._come_back(dice)
                case "close":
                    self.chat.close()
                    self._come_back(dice)

    def _come_back(self, dice: random.Random) -> None:
        # The second hello takes over from the first, whose last posts it may have read already.
        former = self.chat
        if dice.random() < 0.5:
            former.close()
        self._listening.kill()
        for _ in former.heard():
            self._tally.heard += 1
        self.chat = Connection(
            "127.0.0.1", self._port, rooms=former.cursors, client=former.client, resume=False
        )
        self._listening = gevent.spawn(self._listen, self.chat)

    def finish(self, top: int) -> bool:
        """Whether everything up to `top` was received; waits a little for it."""
        end = time.monotonic() + 10
        while self.position < top and time.monotonic() < end:
            gevent.sleep(0.05)
        return self.position == top and not self._listening.exception

    @property
    def position(self) -> int:
        """The post last read."""
        cursor = self.chat.cursors.get(ROOM)
        return cursor.position if cursor else 0


def talk(chat: Connection, rate: float, end: float, tally: Tally, dice: random.Random) -> int:
    """Send messages at a rate until the end; return the position of the last."""
    while time.monotonic() < end:
        gevent.sleep(dice.expovariate(rate))
        chat.send(ROOM, f"message {tally.posts}")
        tally.posts += 1
    return chat.say(ROOM, "the last")


def main() -> int:
    """Run the load against a server of its own; print what happened."""
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=whole(1), default=600)
    parser.add_argument("--rate", type=positive, default=100)
    parser.add_argument("--seconds", type=positive, default=30)
    parser.add_argument("--timeline")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    dice = random.Random(asked.seed)
    options = ["--timeline", asked.timeline] if asked.timeline else []
    with serving(None, *options) as address:
        check_users(address, asked.members)
        port = int(address.rpartition(":")[2])
        return run(port, asked.members, asked.rate, asked.seconds, dice)


def run(port: int, members: int, rate: float, seconds: float, dice: random.Random) -> int:
    """Let members come and go while one talks; print the counts; return the exit code."""
    tally = Tally()
    walkers = [Member(port, tally, restless=i % 6 == 0) for i in range(members)]
    end = time.monotonic() + seconds
    with Connection("127.0.0.1", port, rooms=[ROOM]) as talker:
        reading = gevent.spawn(lambda: [None for _ in talker])
        walks = [gevent.spawn(w.walk, end, random.Random(dice.random())) for w in walkers]
        top = talk(talker, rate, end, tally, dice)
        gevent.joinall(walks, timeout=10)
        reading.kill()
    level = [walker.finish(top) for walker in walkers]
    failed = [walk for walk in walks if not walk.successful()]
    print(tally, f"complete {sum(level)} of {members}, failed {len(failed)}")
    return 0 if all(level) and not failed and not tally.lost else 1


if __name__ == "__main__":
    command("churn", main)
