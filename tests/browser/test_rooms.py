"""Joining, links to rooms, the finder, and the rooms that something new was said in."""

import re
import signal
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.door import Door
from tests.browser.tab import Tab
from tests.conversations.peers import Rich


def test_a_name_and_enter_lead_to_the_lobby(serve: Callable[..., Door], open_tab: OpenTab) -> None:
    ann = open_tab("ann", door=serve()).open("")
    expect(ann.name).to_be_focused()
    ann.page.keyboard.type("Ann")
    ann.page.keyboard.press("Enter")
    expect(ann.message).to_be_focused()
    ann.page.keyboard.type("hello")
    ann.page.keyboard.press("Enter")
    ann.expect_texts("hello")
    expect(ann.page.get_by_role("heading", level=1)).to_have_text("lobby")


def test_a_link_opens_its_room(ann: Tab, bob: Rich) -> None:
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(ann.room)
    bob.tell("join", room=f"{ann.room}-tea")
    bob.say(f"{ann.room}-tea", "in another room")
    ann.open(f"#{ann.room}-TEA")  # while the page is open
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(f"{ann.room}-tea")
    ann.expect_texts("in another room")
    ann.page.reload()
    ann.expect_texts("in another room")
    expect(ann.rooms.get_by_role("button", name=ann.room, exact=True)).to_be_visible()


def test_a_nick_in_use_or_alike_is_refused_beside_the_name(
    open_tab: OpenTab, bob: Rich, room: str
) -> None:
    ann = open_tab("ann").open()
    for nick, why in (
        (bob.nick, "in use"),
        (f"b0b-{room}", bob.nick),
        ("two words", "space"),
        ("server", "server"),
    ):
        ann.name.fill(nick)
        ann.join_button.click()
        expect(ann.name).to_have_attribute("aria-invalid", "true")
        expect(ann.page.get_by_role("alert").filter(has_text=why)).to_be_visible()
        expect(ann.name).to_be_focused()
    ann.join()
    expect(ann.members).to_contain_text(ann.nick)


def test_unread_messages_and_mentions_are_counted_by_room(ann: Tab, bob: Rich) -> None:
    tea = f"{ann.room}-tea"
    ann.say(f"/join {tea}")
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(tea)
    title = ann.page.title()
    bob.say(ann.room, "one")
    bob.say(ann.room, "two")
    expect(ann.rooms.get_by_role("button", name=f"{ann.room} 2 unread", exact=True)).to_be_visible()
    bob.say(ann.room, f"{ann.nick}: three")
    entry = ann.rooms.get_by_role("button", name=f"{ann.room} 3 unread, mentions you")
    expect(entry).to_be_visible()
    expect(ann.page).to_have_title(re.compile(r"^\(\d+\) "))
    entry.click()
    ann.expect_texts("one", "two", f"{ann.nick}: three")
    line = ann.log.get_by_role("separator", name="New")
    assert "one" in line.evaluate("line => line.nextElementSibling.textContent")
    expect(ann.page).to_have_title(title.replace(tea, ann.room))
    expect(ann.rooms.get_by_role("button", name=ann.room, exact=True)).to_be_visible()


def test_rooms_are_found_by_their_first_letters(ann: Tab, bob: Rich) -> None:
    for name in "tea", "toast", ".secret":
        bob.tell("join", room=f"{name}-{ann.room}")
    bob.tell("topic", room=f"tea-{ann.room}", topic="with milk")
    bob.pong()
    ann.page.get_by_role("button", name="Find rooms").click()
    finder = ann.page.get_by_role("dialog")
    finder.get_by_role("textbox").or_(finder.get_by_role("searchbox")).fill("t")
    expect(finder).to_contain_text(f"toast-{ann.room}")
    expect(finder).to_contain_text("with milk")
    expect(finder).not_to_contain_text("secret")
    finder.get_by_text(f"tea-{ann.room}").click()
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(f"tea-{ann.room}")
    expect(finder).not_to_be_visible()


def test_a_dialog_closes_by_a_click_beside_it_alone(ann: Tab) -> None:
    topic = ann.page.get_by_role("textbox", name="Topic")
    mouse = ann.page.mouse
    ann.page.get_by_role("button", name="Room menu").click()
    ann.page.get_by_role("menuitem", name="Set the topic").click()
    topic.fill("a long thought")
    left, y = ann.page.get_by_role("dialog").evaluate(
        "({ offsetLeft: x, offsetTop: y, offsetHeight: h }) => [x, y + h / 2]"
    )
    mouse.click(left + 5, y)  # between its edge and its fields
    expect(topic).to_be_visible()
    topic.hover()
    mouse.down()
    mouse.move(left - 50, y)  # selects up to the beginning of the field
    mouse.up()
    expect(topic).to_have_value("a long thought")
    expect(topic).to_be_visible()
    mouse.click(left - 50, y)
    expect(topic).to_be_hidden()


def test_leaving_a_room_shows_another(ann: Tab) -> None:
    ann.say(f"/join {ann.room}-tea")
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(f"{ann.room}-tea")
    ann.rooms.get_by_role("button", name=f"Leave {ann.room}-tea").click()
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(ann.room)
    expect(ann.rooms.get_by_text(f"{ann.room}-tea")).to_have_count(0)


def test_a_late_answer_to_a_join_does_not_take_the_view_away(
    serve: Callable[..., Door], open_tab: OpenTab
) -> None:
    door = serve()
    ann = open_tab("ann", door=door).open().join()
    expect(ann.members).to_contain_text(ann.nick)
    door.process.signal(signal.SIGSTOP)
    ann.say("/join tea", f"/join {ann.room}", "meant for the first room")
    door.process.signal(signal.SIGCONT)
    expect(ann.rooms).to_contain_text("tea")
    expect(ann.article("meant for the first")).not_to_contain_text("Sending")
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(ann.room)


def test_each_room_keeps_its_draft(ann: Tab) -> None:
    ann.message.press_sequentially("for the first")
    ann.page.goto(f"{ann.address}#{ann.room}-tea")
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(f"{ann.room}-tea")
    expect(ann.message).to_have_value("")
    ann.message.press_sequentially("for the second")
    ann.rooms.get_by_role("button", name=ann.room, exact=True).click()
    expect(ann.message).to_have_value("for the first")
    ann.page.reload()
    expect(ann.message).to_have_value("for the first")
    ann.rooms.get_by_role("button", name=f"{ann.room}-tea", exact=True).click()
    expect(ann.message).to_have_value("for the second")


def test_a_command_that_does_not_exist_is_not_sent(ann: Tab, bob: Rich) -> None:
    ann.say("/topik of the day")
    expect(ann.page.get_by_role("alert").filter(has_text="did you mean /topic?")).to_be_visible()
    expect(ann.message).to_have_value("/topik of the day")
    bob.say(ann.room, "first")
    ann.expect_texts("first")
