"""One room for all: browsers, terminals, plain sockets and bots."""

import re
import signal
from collections.abc import Callable, Iterator

import gevent
import pytest
from playwright.sync_api import expect

from geventchat.client import Connection, Post
from tests.browser.conftest import OpenTab
from tests.browser.door import Door
from tests.browser.tab import Tab
from tests.conversations.peers import SECONDS, Plain, Rich
from tests.terminal import Terminal

TURNS = range(3)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_terminal(*options: str) -> Terminal:
        opened.append(Terminal("connect", *options))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()


def test_everybody_sees_everything_in_one_order(
    serve: Callable[..., Door], open_tab: OpenTab, terminal: Callable[..., Terminal]
) -> None:
    door = serve()
    ann, ben = (open_tab(nick, door=door).open("").join() for nick in ("ann", "ben"))
    cleo = terminal(f":{door.address[1]}", "--nick", "cleo")
    with Connection(*door.address, nick="bot") as bot, Plain(door.address) as plain:
        plain.join_lobby()
        cleo.until(lambda lines: "5 here" in "".join(lines[-1:]))
        for turn in TURNS:
            ann.say(f"ann {turn}")
            bot.send("lobby", f"bot {turn}")
            ben.say(f"ben {turn}")
            plain.send(f"plain {turn}\0".encode())
            cleo.type(f"cleo {turn}\r")
        names = "ann", "ben", "bot", "cleo", "plain"
        said = {f"{name} {turn}" for name in names for turn in TURNS}
        with gevent.Timeout(SECONDS):
            posts = (event.text for event in bot if isinstance(event, Post))
            order = [next(posts) for _ in range(1 + len(said))]
        assert {*order[1:]} == said
        for tab in (ann, ben):
            tab.expect_texts(*order)
        # The prompt scrolls lines off the screen if it learns late where the cursor is.
        cleo.until(lambda _: sum(line.endswith(tuple(said)) for line in cleo.all_lines) == 15)
        assert [t for line in cleo.all_lines for t in said if line.endswith(t)] == order[1:]
        others = [text.encode() for text in order[1:] if not text.startswith("plain")]
        assert plain.frames(len(others)) == others


def test_a_message_is_shown_at_once_and_marked_until_it_is_stored(
    serve: Callable[..., Door], open_tab: OpenTab
) -> None:
    door = serve()
    ann = open_tab("ann", door=door).open().join()
    ann.say("before")
    expect(ann.article("before")).not_to_contain_text("Sending")
    door.process.signal(signal.SIGSTOP)
    ann.say("while the server is busy")
    expect(ann.article("while the server")).to_contain_text("Sending")
    door.process.signal(signal.SIGCONT)
    expect(ann.article("while the server")).not_to_contain_text("Sending")
    ann.expect_texts("before", "while the server is busy")


def test_two_people_who_type_see_it(ann: Tab, bob: Rich) -> None:
    bob.tell("typing", room=ann.room)
    expect(ann.page.get_by_text(f"{bob.nick} is typing")).to_be_visible()
    bob.say(ann.room, "hello")
    expect(ann.page.get_by_text(f"{bob.nick} is typing")).not_to_be_visible()
    ann.message.press_sequentially("hel")
    assert bob.hear(lambda event: event["type"] == "typing")[-1]["nick"] == ann.nick


def test_members_come_and_go(ann: Tab, bob: Rich) -> None:
    expect(ann.members.get_by_role("listitem")).to_have_count(2)
    expect(ann.members).to_contain_text(bob.nick)
    bob.tell("bye")
    expect(ann.members).not_to_contain_text(bob.nick)


def test_a_topic_is_seen_and_set(ann: Tab, bob: Rich) -> None:
    bob.tell("topic", room=ann.room, topic="first things")
    expect(ann.page.get_by_role("button", name="first things")).to_be_visible()
    ann.say("/topic second things")
    assert bob.hear(lambda event: event["type"] == "topic")[-1]["topic"] == "first things"
    assert bob.hear(lambda event: event["type"] == "topic")[-1]["topic"] == "second things"
    expect(ann.page.get_by_role("button", name="second things")).to_be_visible()


def test_messages_are_grouped_and_keep_their_lines(ann: Tab, bob: Rich) -> None:
    bob.say(ann.room, "one\ntwo")
    bob.say(ann.room, "see https://example.org/a?b=c, please")
    bob.say(ann.room, "```\nif x:\n    y()\n```")
    first, second, third = (ann.articles.nth(n) for n in range(3))
    expect(first).not_to_have_class(re.compile("grouped"))
    expect(second).to_have_class(re.compile("grouped"))
    assert first.locator(".text").inner_text() == "one\ntwo"
    link = second.get_by_role("link")
    expect(link).to_have_attribute("href", "https://example.org/a?b=c")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    assert third.locator("pre").inner_text() == "if x:\n    y()"


def test_a_direct_message_opens_a_conversation_of_its_own(ann: Tab, bob: Rich) -> None:
    bob.tell("direct", to=ann.nick, text="between us")
    entry = ann.rooms.get_by_role("button", name=f"{bob.nick} 1 unread")
    entry.click()
    ann.expect_texts("between us")
    ann.say("indeed")
    assert bob.hear(lambda event: event["type"] == "direct")[-1]["text"] == "indeed"
    ann.expect_texts("between us", "indeed")
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(bob.nick)
    ann.rooms.get_by_role("button", name=ann.room, exact=True).click()
    expect(ann.articles).to_have_count(0)
