"""What a user sees of edits and redactions, and how a user makes them."""

from collections.abc import Callable
from datetime import datetime

import pytest

from geventchat.client import Connection, Edited, Gap, Post, Redacted
from geventchat.client.terminal import piped
from geventchat.client.terminal.command import run_command
from geventchat.client.terminal.errors import NotUnderstood
from geventchat.client.terminal.recent import MAX_POSTS, RecentPosts
from geventchat.client.terminal.room import PendingSay
from geventchat.client.terminal.typed import read
from geventchat.client.terminal.view import View
from tests.client.terminal.test_view import NOON, hear, joined, post, text

Ask = Callable[[str], list[str]]


@pytest.fixture
def view() -> View:
    view = View("lobby", "anna", NOON.date())
    view.hear(joined())
    return view


def edited(
    position: int, said: str, by: str = "bert", change: int = 1, room: str = "lobby"
) -> Edited:
    return Edited(room=room, position=position, change=change, text=said, by=by)


def redacted(position: int, by: str = "bert", change: int = 1, room: str = "lobby") -> Redacted:
    return Redacted(room=room, position=position, change=change, by=by)


def test_an_edit_is_a_line_with_the_time_of_the_message(view: View) -> None:
    hear(view, post(1, "helo"))
    assert hear(view, edited(1, "hello")) == ["    · bert edited (12:00): hello"]


def test_a_redaction_says_whose_message_it_was(view: View) -> None:
    hear(view, post(1, "one"), post(2, "two"))
    assert hear(view, redacted(1)) == ["    · bert redacted a message (12:00)"]
    assert hear(view, redacted(2, "olga", 2)) == ["    · olga redacted a message of bert (12:00)"]
    assert hear(view, redacted(9, "olga", 3)) == ["    · olga redacted a message"]


def test_changed_posts_say_so_when_they_are_replayed(view: View) -> None:
    assert hear(view, post(1, "hello", change=1)) == ["12:00 bert: hello (edited)"]
    gone = post(2, "", change=2, redacted=True)
    assert hear(view, gone) == ["12:00 bert: (redacted)"]


def test_posts_that_wait_in_another_room_are_shown_as_they_are_then(view: View) -> None:
    hear(view, joined("dev"), post(1, "secret", room="dev"), post(2, "helo", room="dev"))
    assert hear(view, redacted(1, room="dev"), edited(2, "hello", change=2, room="dev")) == []
    assert text(view.enter("dev"))[1:] == ["12:00 bert: (redacted)", "12:00 bert: hello (edited)"]
    view.enter("lobby")
    assert hear(view, edited(2, "hi", change=3, room="dev")) == []
    assert text(view.enter("dev"))[1:] == ["    · bert edited (12:00): hi"]


def test_changes_by_ignored_users_are_not_shown(view: View) -> None:
    view.ignored.add("bert")
    assert hear(view, post(1, "helo"), edited(1, "hello"), edited(7, "x", change=2)) == []


def test_the_text_of_an_edit_cannot_act_on_the_terminal(view: View) -> None:
    (line,) = hear(view, edited(1, "\x1b[31mred\u202e\nnext"))
    assert "\x1b" not in line
    assert "\u202e" not in line


def test_only_the_newest_posts_are_known_without_their_former_texts() -> None:
    recent = RecentPosts()
    for position in range(1, MAX_POSTS + 2):
        recent.add(post(position, "former"), own=True)
    assert recent.change(edited(1, "x")) is None
    recent.change(redacted(MAX_POSTS + 1))
    last = recent.last_own()
    assert last is not None
    assert last.position == MAX_POSTS
    recent.change(edited(MAX_POSTS, "now", change=2))
    recent.change(edited(MAX_POSTS, "late", change=1))
    assert [each.text for each in recent.newest()][:2] == ["now", "former"]


# Commands


class Changing:
    """What the commands call of a connection."""

    def __init__(self, *features: str) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.welcome = self
        self.features = features

    def edit(self, room: str, position: int, text: str) -> None:
        self.asked.append(("edit", room, position, text))

    def redact(self, room: str, position: int) -> None:
        self.asked.append(("redact", room, position))


@pytest.fixture
def chat() -> Changing:
    return Changing("edit", "redact")


@pytest.fixture
def ask(chat: Changing, view: View) -> Ask:
    def ask(line: str) -> list[str]:
        meant = read(line)
        assert isinstance(meant, tuple)
        connection: Connection = chat  # type: ignore[assignment]
        return text(list(run_command(*meant, connection, view)))

    return ask


def say(view: View, position: int, said: str) -> Post:
    """Have the user say something."""
    view.pending[f"k{position}"] = PendingSay("lobby", said, 0.0)
    mine = post(position, said, "anna", key=f"k{position}")
    view.hear(mine)
    return mine


def test_edit_and_redact_are_about_the_last_own_message(
    ask: Ask,
    chat: Changing,
    view: View,
) -> None:
    say(view, 1, "helo")
    hear(view, post(2, "hi"))
    assert ask("/edit hello there") == []
    assert ask("/redact") == []
    assert chat.asked == [("edit", "lobby", 1, "hello there"), ("redact", "lobby", 1)]
    hear(view, redacted(1, "anna"))
    with pytest.raises(NotUnderstood, match="said nothing in lobby"):
        ask("/redact")


def test_another_message_is_named_by_its_number(
    ask: Ask,
    chat: Changing,
    view: View,
) -> None:
    hear(
        view, post(7, "one"), post(8, "a long\ntext", "carl"), post(9, "", redacted=True, change=1)
    )
    assert ask("/recent") == ["    · #7 12:00 bert: one", "    · #8 12:00 carl: a long…"]
    assert ask("/recent CARL") == ["    · #8 12:00 carl: a long…"]
    assert ask("/recent dora") == ["    · dora has said nothing here lately"]
    ask("/edit #7 two")
    ask("/redact #8")
    assert chat.asked == [("edit", "lobby", 7, "two"), ("redact", "lobby", 8)]


def test_a_text_may_begin_with_a_number(ask: Ask, chat: Changing, view: View) -> None:
    say(view, 1, "2 apples")
    ask("/edit 3 apples")
    assert chat.asked == [("edit", "lobby", 1, "3 apples")]


def test_what_goes_to_one_user_alone_changes_nothing_in_a_room(
    ask: Ask, chat: Changing, view: View
) -> None:
    say(view, 1, "helo")
    view.partner = "Zoe"
    for line in ("/edit you are fired", "/edit #1 x", "/redact", "/topic secret"):
        with pytest.raises(NotUnderstood, match="goes to Zoe alone; /query without a nick ends"):
            ask(line)
    assert chat.asked == []


def test_no_message_is_changed_in_the_place_of_one_that_is_being_sent(
    ask: Ask, chat: Changing, view: View
) -> None:
    say(view, 1, "one")
    view.pending["k2"] = PendingSay("lobby", "two", 0.0)
    for line in ("/edit three", "/redact"):
        with pytest.raises(NotUnderstood, match="Your last message is still being sent"):
            ask(line)
    ask("/edit #1 three")
    assert chat.asked == [("edit", "lobby", 1, "three")]


def test_the_list_says_which_messages_were_edited(ask: Ask, view: View) -> None:
    hear(view, post(7, "one"), edited(7, "two"))
    assert ask("/recent") == ["    · #7 12:00 bert: two (edited)"]


def test_a_number_without_a_text_changes_nothing(ask: Ask, chat: Changing, view: View) -> None:
    say(view, 1, "helo")
    with pytest.raises(NotUnderstood, match=r"Missing argument\. Usage: /edit"):
        ask("/edit #17")
    assert chat.asked == []


def test_a_server_without_the_feature_is_not_asked(ask: Ask, chat: Changing, view: View) -> None:
    say(view, 1, "helo")
    chat.features = ()
    for line in ("/edit hello", "/redact"):
        with pytest.raises(NotUnderstood, match="does not support"):
            ask(line)


def test_after_a_gap_nothing_before_it_is_known(ask: Ask, view: View) -> None:
    say(view, 1, "helo")
    hear(view, Gap("lobby", 1))
    with pytest.raises(NotUnderstood):
        ask("/edit hello")


# In a pipeline


def test_a_change_is_a_line_in_which_no_nick_is_taken_for_its_author() -> None:
    now = datetime(2026, 3, 3, 12, 0, 5)
    assert piped.changed(edited(17, "hello\nthere"), now) == (
        "2026-03-03 12:00:05 lobby bert edited #17: hello\\nthere"
    )
    assert piped.changed(redacted(17), now) == "2026-03-03 12:00:05 lobby bert redacted #17"
