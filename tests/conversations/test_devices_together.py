"""Two devices of one person and a guest, through drops, renames, kicks and bans.

Whatever happens, and in whichever order: each of them receives every post once and in order, both
devices are in the same rooms, and the guest sees one person who comes and goes in turn.
"""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conversations.chat import Chat, chatting, drop
from tests.conversations.operators import admin, operator
from tests.conversations.peers import Rich, of
from tests.conversations.story import Story

Act = Callable[[Story, Chat, Rich], None]


def lose(story: Story, chat: Chat, _: Rich) -> None:
    """The phone loses its connection, and comes back."""
    drop(story.phone.peer)
    story.phone.come_back()


def lose_both(story: Story, chat: Chat, _: Rich) -> None:
    """Both are lost for longer than the nick is held, and come back in the other order."""
    for device in (story.phone, story.laptop):
        drop(device.peer)
    while sum(session.account is not None for session in chat.sessions()):
        story.guest.listen()
    chat.advance_clock(3_600)
    story.guest.listen()
    chat.advance_clock(0)  # the guest is heard again
    for device in (story.laptop, story.phone):
        device.come_back()


def rename(story: Story, chat: Chat, _: Rich) -> None:
    """The phone takes another nick; the laptop has it too."""
    nick = f"Ann{len(story.said)}"
    story.phone.peer.ask("nick", nick=nick)
    assert of("renamed", story.laptop.peer.pong())[-1]["nick"] == nick


def kick(story: Story, chat: Chat, olga: Rich) -> None:
    """Both devices are kicked, and come back."""
    admin(olga, "kick", nick_of_ann(story))
    closed(story, "kicked")


def ban(story: Story, chat: Chat, olga: Rich) -> None:
    """All are banned, and come back once they may."""
    nick = nick_of_ann(story)
    admin(olga, "ban", nick)
    closed(story, "banned", lambda: admin(olga, "unban", nick))


def nick_of_ann(story: Story) -> str:
    accounts: dict[str, str] = story.guest.peer.ask("who", room="lobby")["accounts"]
    return next(iter(accounts))


def closed(story: Story, code: str, then: Callable[[], object] = lambda: None) -> None:
    """Check that both devices were told why, and have them come back in the other order."""
    for device in (story.laptop, story.phone):
        (bye,) = of("bye", device.peer.closing())
        assert bye["code"] == code
    then()
    for device in (story.phone, story.laptop):
        device.come_back()


ACTS: Final[list[Act]] = [lose, lose_both, rename, kick, ban]


@pytest.fixture
def chat(tmp_path: Path, options: dict[str, Any]) -> Iterator[Chat]:
    with chatting(f"sqlite:{tmp_path}/chat.db", options=options) as chat:
        yield chat


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(*acts, id=" then ".join(act.__name__ for act in acts))
        for acts in product(ACTS, repeat=2)
    ],
)
def test_two_devices_and_a_guest_go_on_together(chat: Chat, first: Act, second: Act) -> None:
    story = Story(chat.rich)
    olga = operator(chat, rooms=[])
    story.talk()
    for act in (first, second):
        act(story, chat, olga)
        story.talk()
