"""A room and its members, whose turns the test takes."""

from geventchat.protocol import events
from geventchat.protocol.events import Post
from geventchat.server.chat.room import Member, Room
from geventchat.server.chat.turn import Pending, Turn
from geventchat.server.session.session import Session
from tests.server.hub_harness import Harness
from tests.server.switches import never_switches


class RoomFixture:
    """A room and its members."""

    def __init__(self, position: int = 0) -> None:
        self.harness = Harness()
        self.room = Room("lobby", position, "")
        self._position = position

    def joining_member(self, *, rich: bool = False) -> Session:
        """Add a member that is not live yet."""
        session = self.harness.session(rich=rich)
        self.room.add(Member(session, self.room))
        return session

    def member(self, *, rich: bool = False) -> Session:
        session = self.joining_member(rich=rich)
        self.room.go_live(self.room.members[session])
        return session

    def post(self, text: str, author: Session) -> Post:
        self._position += 1
        post = Post("lobby", self._position, author.nick, 0, text)
        author._unacknowledged += 1
        assert self.room.post(post, Pending(author, None, 0.0))
        return post

    def begin(self) -> Turn:
        turn = self.room.begin_turn()
        assert turn is not None
        return turn

    def reach(self, count: int) -> list[Turn]:
        """Have the next `count` members receive the turns; return those that have ended."""
        with never_switches():
            return self.room.reach(count)

    def turn(self) -> None:
        """Take a whole turn."""
        turn = self.begin()
        while turn not in self.reach(2):
            pass


def rich_frame(post: Post) -> bytes:
    return events.encode(post)
