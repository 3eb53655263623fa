"""The network and the server fail; nothing is lost, nothing comes twice, and the page says so."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.door import Door
from tests.browser.tab import Tab
from tests.conversations.peers import Rich

KILLS = 3
SAID = 10
"""Messages between two kills."""


def test_messages_around_kills_are_there_once_and_in_order(
    serve: Callable[..., Door], open_tab: OpenTab
) -> None:
    door = serve()
    ann, ben = (open_tab(nick, door=door).open().join() for nick in ("ann", "ben"))
    numbers = iter(range((KILLS + 1) * SAID))
    for _ in range(KILLS):
        ann.say(*(f"message {next(numbers)}" for _ in range(SAID // 2)))
        door.kill()  # some were stored, some were not, of some the answer was lost
        ann.say(*(f"message {next(numbers)}" for _ in range(SAID // 2)))
        door.start()
        ann.retry()
    ann.say(*(f"message {number}" for number in numbers))
    ben.retry()
    for tab in (ann, ben):
        tab.expect_texts(*(f"message {number}" for number in range((KILLS + 1) * SAID)))
        expect(tab.banner).to_be_empty()
    expect(ann.log).not_to_contain_text("Sending")
    with Rich(door.address, rooms=[ann.room]) as reader:
        stored = [event["text"] for event in reader.greeting if event["type"] == "post"]
    assert stored == [f"message {number}" for number in range((KILLS + 1) * SAID)]


def test_a_banner_says_that_the_server_is_away_and_goes(
    serve: Callable[..., Door], open_tab: OpenTab
) -> None:
    door = serve()
    ann = open_tab("ann", door=door).open().join()
    expect(ann.banner).to_be_empty()
    door.kill()
    expect(ann.banner).to_contain_text("You can go on writing")
    door.start()
    ann.retry()
    expect(ann.banner).to_be_empty()


def test_what_is_typed_offline_is_sent_once_and_in_order(ann: Tab, bob: Rich) -> None:
    ann.say("before")
    bob.posts(1)
    ann.page.context.set_offline(True)
    expect(ann.banner).not_to_be_empty()
    ann.say("one", "two", "three")
    expect(ann.article("three")).to_contain_text("Sending")
    bob.say(ann.room, "meanwhile")
    posts = bob.posts(1)
    ann.page.context.set_offline(False)
    expect(ann.log).not_to_contain_text("Sending")
    texts = [post["text"] for post in posts + bob.posts(3)]
    assert texts == ["meanwhile", "one", "two", "three"]
    ann.expect_texts("before", *texts)
    expect(ann.banner).to_be_empty()


def test_what_was_not_sent_survives_a_reload(serve: Callable[..., Door], open_tab: OpenTab) -> None:
    door = serve()
    ann = open_tab("ann", door=door).open().join()
    ann.say("before")
    expect(ann.article("before")).not_to_contain_text("Sending")
    door.process.signal(signal.SIGSTOP)
    ann.say("one", "two")
    expect(ann.articles).to_have_count(3)
    door.process.signal(signal.SIGCONT)
    ann.page.reload()
    ann.expect_texts("before", "one", "two")
    expect(ann.log).not_to_contain_text("Sending")
    with Rich(door.address, rooms=[ann.room]) as reader:
        stored = [event["text"] for event in reader.greeting if event["type"] == "post"]
    assert stored == ["before", "one", "two"]


def test_one_plain_sentence_says_that_something_was_lost(
    serve: Callable[..., Door], open_tab: OpenTab
) -> None:
    door = serve("--timeline", "memory:")
    ann = open_tab("ann", door=door).open().join()
    ann.say("of the first life")
    expect(ann.article("of the first")).not_to_contain_text("Sending")
    door.kill()
    door.start()
    with Rich(door.address, rooms=[ann.room]) as bob:
        bob.say(ann.room, "of the second")
        bob.pong()
    ann.retry()
    expect(ann.article("of the second")).to_be_visible()
    expect(ann.page.get_by_text("Some messages may be missing here.")).to_have_count(1)
    expect(ann.article("of the first")).to_have_count(0)  # it may have changed unnoticed


def test_a_reload_keeps_the_draft_the_room_and_what_was_said(ann: Tab, bob: Rich) -> None:
    bob.say(ann.room, "hello")
    ann.expect_texts("hello")
    ann.say("hello bob")
    ann.expect_texts("hello", "hello bob")
    ann.message.press_sequentially("half a th")
    ann.page.reload()
    ann.expect_texts("hello", "hello bob")
    expect(ann.message).to_have_value("half a th")
    expect(ann.members).to_contain_text(ann.nick)


def test_what_came_during_a_reload_is_unread(ann: Tab, bob: Rich) -> None:
    bob.say(ann.room, "seen")
    ann.expect_texts("seen")
    ann.page.goto("about:blank")
    bob.say(ann.room, "not seen")
    bob.pong()
    ann.open()
    ann.expect_texts("seen", "not seen")
    line = ann.log.get_by_role("separator", name="New")
    assert line.evaluate("line => line.nextElementSibling.textContent").count("not seen")


def test_a_second_tab_takes_over_and_the_first_can_take_it_back(
    ann: Tab, bob: Rich, open_tab: OpenTab
) -> None:
    ann.message.fill("a draft")
    second = open_tab("ann", beside=ann).open()
    expect(second.members).to_contain_text(ann.nick)
    expect(ann.banner).to_contain_text("another tab")
    expect(ann.message).to_be_disabled()
    second.say("from the second")
    assert bob.posts(1)[0]["author"] == ann.nick
    ann.banner.get_by_role("button", name="Use it here").click()
    expect(ann.message).to_be_enabled()
    expect(second.banner).to_contain_text("another tab")
    ann.say("from the first")
    assert bob.posts(1)[0]["author"] == ann.nick
    ann.expect_texts("from the second", "from the first")


def test_a_tab_that_gave_its_place_away_does_not_take_it_back_by_itself(
    serve: Callable[..., Door], open_tab: OpenTab
) -> None:
    door = serve()
    ann = open_tab("ann", door=door).open().join()
    ann.evaluate("Math.random = () => 1_000")  # it does not try again before the test is over
    door.kill()
    expect(ann.banner).to_contain_text("You can go on writing")
    door.start()
    second = open_tab("ann", beside=ann, door=door).open()
    expect(second.members).to_contain_text(ann.nick)
    expect(ann.banner).to_contain_text("another tab")
    ann.retry()
    second.say("from the second")
    expect(second.article("from the second")).not_to_contain_text("Sending")
    expect(second.banner).to_be_empty()
    expect(ann.banner).to_contain_text("another tab")


def test_what_one_tab_could_not_send_is_sent_by_the_next_that_joins(
    serve: Callable[..., Door], open_tab: OpenTab
) -> None:
    door = serve()
    ann = open_tab("ann", door=door).open()
    second = open_tab("ann", beside=ann, door=door).open()
    expect(second.name).to_be_visible()
    ann.join()
    ann.evaluate("Math.random = () => 1_000")  # it does not try again before the test is over
    door.kill()
    expect(ann.banner).to_contain_text("You can go on writing")
    ann.say("one")
    door.start()
    second.join()
    second.expect_texts("one")
    expect(second.log).not_to_contain_text("Sending")
    expect(ann.articles).to_have_count(0)


def test_a_tab_that_the_server_replaces_saves_nothing_more(open_tab: OpenTab, bob: Rich) -> None:
    ann = open_tab("ann")
    ann.page.context.add_init_script(
        "Object.defineProperty(navigator, 'locks', {value: undefined})"  # as over plain HTTP
    )
    ann.open().join()
    bob.say(ann.room, "seen by the first")
    ann.expect_texts("seen by the first")
    second = open_tab("ann", beside=ann).open()
    expect(ann.banner).to_contain_text("another tab")
    bob.say(ann.room, "seen by the second")
    second.expect_texts("seen by the first", "seen by the second")
    second.page.wait_for_function(
        "room => JSON.parse(localStorage['geventchat.read'] ?? '{}')[room]?.position === 2",
        arg=ann.room,
    )
    ann.banner.get_by_role("button", name="Use it here").click()
    ann.expect_texts("seen by the first", "seen by the second")
    expect(ann.message).to_be_enabled()
    expect(ann.log.get_by_role("separator", name="New")).to_have_count(0)


def test_a_room_that_cannot_be_joined_again_is_closed_with_a_reason(
    serve: Callable[..., Door], open_tab: OpenTab, tmp_path: Path
) -> None:
    settings = tmp_path / "chat.toml"
    settings.write_text("[limits]\nrooms = 2\n")
    door = serve("--timeline", "memory:", "--config", str(settings))
    ann = open_tab("ann", door=door).open().join()
    ann.say("/join more")
    expect(ann.rooms).to_contain_text("more")
    expect(ann.log).to_have_accessible_name("Messages in more")
    ann.evaluate("Math.random = () => 1_000")  # it does not try again before this test says so
    door.kill()
    expect(ann.banner).to_contain_text("You can go on writing")
    ann.say("one")
    door.start()
    with Rich(door.address, rooms=["other"]) as bob:
        bob.pong()
        ann.retry()
        expect(ann.log).to_contain_text("Server room limit reached")
        expect(ann.log).to_contain_text("Not sent: one")
        expect(ann.rooms).not_to_contain_text("more")


def test_one_can_leave_while_the_server_is_away(
    serve: Callable[..., Door], open_tab: OpenTab
) -> None:
    door = serve()
    ann = open_tab("ann", door=door).open().join()
    ann.evaluate("Math.random = () => 1_000")  # it does not try again before the test is over
    door.kill()
    expect(ann.banner).to_contain_text("You can go on writing")
    ann.page.route("**", lambda route: route.fulfill(body="the form", content_type="text/html"))
    ann.say("/quit")
    expect(ann.page.get_by_text("the form")).to_be_visible()


def test_a_server_that_says_nothing_is_noticed(
    serve: Callable[..., Door], open_tab: OpenTab
) -> None:
    door = serve()
    ann = open_tab("ann", door=door)
    ann.page.clock.install()
    ann.open().join()
    ann.say("before")
    expect(ann.article("before")).not_to_contain_text("Sending")
    door.process.signal(signal.SIGSTOP)
    ann.say("is anybody there?")
    ann.page.clock.run_for(12_000)
    expect(ann.banner).to_contain_text("No answer from the server")
    ann.page.clock.run_for(12_000)
    expect(ann.banner).to_contain_text("You can go on writing")
    door.process.signal(signal.SIGCONT)
    deadline = time.monotonic() + 20
    while ann.banner.inner_text() and time.monotonic() < deadline:
        ann.page.clock.run_for(5_000)  # the server takes real time, between two attempts
    expect(ann.banner).to_be_empty()
    ann.expect_texts("before", "is anybody there?")
    expect(ann.log).not_to_contain_text("Sending")
