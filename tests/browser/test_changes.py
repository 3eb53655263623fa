"""Messages that are edited and taken back: by menu, by finger, by keys, by commands."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.door import Door
from tests.browser.tab import Tab
from tests.browser.test_accessibility import PHONE
from tests.browser.test_attention import RECORD, LookAway, look_away
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Rich, of

__all__ = ["look_away"]
GONE = "This message was taken back."
SENDING = "Your last message is still being sent. Try again in a moment."


def choose(tab: Tab, text: str, choice: str) -> None:
    """Choose from the menu of a message."""
    article = tab.article(text)
    article.hover()
    article.get_by_role("button", name="Message menu").click()
    tab.page.get_by_role("menuitem", name=choice).click()


def take_back(tab: Tab, text: str) -> None:
    choose(tab, text, "Take back…")
    tab.page.get_by_role("dialog").get_by_role("button", name="Take back").click()
    expect(tab.page.get_by_role("dialog")).to_have_count(0)


def test_a_message_is_edited_where_one_writes(ann: Tab, bob: Rich) -> None:
    ann.say("helo")
    expect(ann.article("helo")).not_to_contain_text("Sending")
    ann.message.fill("a draft")
    choose(ann, "helo", "Edit")
    expect(ann.page.get_by_text("Editing your message")).to_be_visible()
    expect(ann.message).to_have_value("helo")
    expect(ann.message).to_be_focused()
    ann.message.fill("hello")
    ann.page.get_by_role("button", name="Save").click()
    ann.expect_texts("hello (edited)")
    expect(ann.message).to_have_value("a draft")
    edited = bob.hear(lambda event: event["type"] == "edited")[-1]
    assert (edited["text"], edited["by"]) == ("hello", ann.nick)


def test_help_names_no_numbers_which_the_page_does_not_show(ann: Tab) -> None:
    ann.say("/help")
    dialog = ann.page.get_by_role("dialog")
    expect(dialog).to_contain_text("/edit TEXT")
    expect(dialog).not_to_contain_text("POST")
    ann.page.keyboard.press("Escape")
    ann.say("/edit")
    expect(ann.page.locator("#composer-error")).to_have_text("Missing argument. Usage: /edit TEXT")


def test_arrow_up_recalls_a_command_as_help_says(ann: Tab) -> None:
    ann.say("one")
    expect(ann.article("one")).to_have_attribute("data-state", "")
    ann.say("/help")
    expect(ann.page.get_by_role("dialog")).to_contain_text("after a command, recall it")
    ann.page.keyboard.press("Escape")
    ann.message.press("ArrowUp")
    expect(ann.message).to_have_value("/help")
    ann.say("two")
    expect(ann.article("two")).to_have_attribute("data-state", "")
    ann.message.press("ArrowUp")
    expect(ann.page.get_by_text("Editing your message")).to_be_visible()


def test_an_edit_that_is_empty_says_what_to_do(ann: Tab) -> None:
    ann.say("one")
    expect(ann.article("one")).to_have_attribute("data-state", "")
    ann.message.press("ArrowUp")
    ann.message.fill("")
    ann.message.press("Enter")
    error = ann.page.locator("#composer-error")
    expect(error).to_have_text("A message cannot be empty. Take it back from its menu.")
    ann.expect_texts("one")


def test_arrow_up_edits_the_last_message_and_escape_leaves_it(ann: Tab, bob: Rich) -> None:
    ann.say("one", "two")
    ann.expect_texts("one", "two")
    bob.say(ann.room, "three")
    ann.expect_texts("one", "two", "three")
    ann.message.press("ArrowUp")
    expect(ann.message).to_have_value("two")
    ann.page.keyboard.type("!")
    ann.message.press("Escape")
    expect(ann.message).to_have_value("")
    expect(ann.page.get_by_text("Editing your message")).not_to_be_visible()
    ann.message.press("ArrowUp")
    ann.message.fill("2")
    ann.message.press("Enter")
    ann.expect_texts("one", "2 (edited)", "three")


def test_a_message_on_its_way_is_not_mistaken_for_the_one_before(
    open_tab: OpenTab, serve: Callable[..., Door]
) -> None:
    door = serve()
    ann = open_tab("ann", door=door).open().join()
    ann.say("first")
    expect(ann.article("first")).to_have_attribute("data-state", "")
    door.kill()
    ann.say("second")
    ann.message.press("ArrowUp")
    error = ann.page.locator("#composer-error")
    expect(error).to_have_text(SENDING)
    expect(ann.message).to_have_value("")
    expect(ann.page.get_by_text("Editing your message")).not_to_be_visible()
    for line in "/edit the second", "/redact":
        ann.say(line)
        expect(error).to_have_text(SENDING)
        expect(ann.message).to_have_value(line)
        ann.message.fill("")
        expect(error).to_be_empty()
    door.start()
    ann.retry()
    expect(ann.article("second")).to_have_attribute("data-state", "")
    ann.say("/edit the second")
    ann.expect_texts("first", "the second (edited)")


def test_what_the_server_does_not_keep_cannot_be_changed(ann: Tab, bob: Rich) -> None:
    ann.say(f"/msg {bob.nick} psst")
    ann.expect_texts("psst")
    for line in "/edit hush", "/redact", "/redact #1":
        ann.say(line)
        expect(ann.page.locator("#composer-error")).to_contain_text("Messages here are not kept")
        expect(ann.message).to_have_value(line)


def test_what_looks_like_a_command_is_not_sent_by_an_edit(ann: Tab, bob: Rich) -> None:
    ann.say("//one")
    ann.expect_texts("/one")
    ann.message.press("ArrowUp")
    expect(ann.message).to_have_value("//one")
    ann.message.fill(f"/msg {bob.nick} a secret")
    ann.message.press("Enter")
    expect(ann.page.get_by_text("Not changed: it looks like a command")).to_be_visible()
    ann.message.fill("/me waves")
    ann.message.press("Enter")
    ann.expect_texts(f"{ann.nick} waves (edited)")
    assert of("edited", bob.pong())[-1]["text"] == "/me waves"


@pytest.mark.parametrize("text", ["word " * 200, f"```\n{'x' * 500}\n```"], ids=["text", "code"])
def test_the_button_of_a_message_covers_none_of_it(ann: Tab, text: str) -> None:
    ann.say(text)
    ann.articles.hover()
    button = ann.articles.get_by_role("button", name="Message menu").bounding_box()
    body = ann.articles.locator(".text").bounding_box()
    assert button is not None
    assert body is not None
    assert body["x"] + body["width"] <= button["x"]


def test_a_message_is_taken_back(ann: Tab, bob: Rich) -> None:
    bob.say(ann.room, "mine stays")
    ann.expect_texts("mine stays")
    ann.say("a secret")
    expect(ann.article("a secret")).not_to_contain_text("Sending")
    take_back(ann, "a secret")
    ann.expect_texts("mine stays", GONE)
    assert "a secret" not in (ann.page.content())
    choose(ann, "mine stays", "Copy text")
    ann.article(GONE).get_by_role("button", name="Message menu").click()
    expect(ann.page.get_by_role("menuitem", name="Edit")).to_have_count(0)
    expect(ann.page.get_by_role("menuitem", name="Take back…")).to_have_count(0)


def test_a_message_is_copied_over_plain_http_too(ann: Tab) -> None:
    """A browser gives a page `navigator.clipboard` only over HTTPS or on its own machine."""
    ann.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    ann.say("two\nlines")
    choose(ann, "two", "Copy text")
    ann.message.press("Control+V")
    expect(ann.message).to_have_value("two\nlines")


def test_commands_change_the_last_message(ann: Tab) -> None:
    ann.say("first", "second")
    ann.expect_texts("first", "second")
    expect(ann.article("second")).not_to_contain_text("Sending")
    ann.say("/edit the second")
    ann.expect_texts("first", "the second (edited)")
    ann.say("/redact")
    ann.expect_texts("first", GONE)
    ann.say("/redact")
    ann.expect_texts(GONE, GONE)
    ann.say("/redact")
    expect(ann.page.get_by_role("alert").first).to_contain_text("nothing here lately")


def test_a_number_without_a_text_changes_nothing(ann: Tab) -> None:
    ann.say("first")
    expect(ann.article("first")).to_have_attribute("data-state", "")
    ann.say("/edit #1")
    expect(ann.page.get_by_role("alert").first).to_contain_text("Missing argument. Usage: /edit")
    expect(ann.message).to_have_value("/edit #1")
    ann.say("/edit 1 text")
    ann.expect_texts("1 text (edited)")


def test_a_finger_held_on_a_message_opens_its_menu(open_tab: OpenTab, bob: Rich) -> None:
    ann = open_tab("ann", **PHONE).open().join()
    ann.say("typo")
    expect(ann.article("typo")).not_to_contain_text("Sending")
    box = ann.article("typo").locator(".text").bounding_box()
    assert box is not None
    point = {"x": box["x"] + 5, "y": box["y"] + 5}
    session = ann.page.context.new_cdp_session(ann.page)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    menu = ann.page.get_by_role("menu")
    expect(menu.get_by_role("menuitem", name="Edit")).to_be_visible()
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    ann.page.evaluate("() => new Promise((done) => setTimeout(() => requestAnimationFrame(done)))")
    menu.get_by_role("menuitem", name="Edit").tap()
    ann.message.fill("no typo")
    ann.page.get_by_role("button", name="Save").tap()
    ann.expect_texts("no typo (edited)")


def test_another_device_of_the_account_edits_what_was_said_on_the_first(open_tab: OpenTab) -> None:
    laptop = open_tab("ann").register()
    phone = open_tab("ann").sign_in()
    laptop.say("said there")
    phone.expect_texts("said there")
    phone.message.press("ArrowUp")
    phone.message.fill("edited here")
    phone.message.press("Enter")
    laptop.expect_texts("edited here (edited)")
    take_back(laptop, "edited here")
    phone.expect_texts(GONE)


def test_what_others_say_is_not_mine_to_change(ann: Tab, bob: Rich) -> None:
    bob.say(ann.room, "of bob")
    ann.article("of bob").get_by_role("button", name="Message menu").click()
    expect(ann.page.get_by_role("menuitem", name="Copy text")).to_be_visible()
    for choice in ("Edit", "Take back…"):
        expect(ann.page.get_by_role("menuitem", name=choice)).to_have_count(0)
    ann.page.keyboard.press("Escape")
    ann.say("/edit #1 of ann")
    expect(ann.page.locator("#composer-error")).not_to_be_empty()
    ann.expect_texts("of bob")
    expect(ann.message).to_have_value("/edit #1 of ann")


def test_an_operator_takes_back_what_others_have_said(
    open_tab: OpenTab, serve: Callable[..., Door], tmp_path: Path
) -> None:
    file = tmp_path / "operator"
    file.write_text(f"{TOKEN}\n")
    door = serve("--operator-file", str(file))
    olga = open_tab("olga", door=door).open().join()
    olga.say(f"/oper {TOKEN}")
    with Rich(door.address, rooms=[olga.room]) as mallory:
        mallory.say(olga.room, "spam")
        take_back(olga, "spam")
        olga.expect_texts(GONE)
        assert mallory.hear(lambda event: event["type"] == "redacted")[-1]["by"] == olga.nick


def test_changes_made_meanwhile_are_shown_after_reconnecting(
    open_tab: OpenTab, serve: Callable[..., Door], room: str
) -> None:
    door = serve()
    ann = open_tab("ann", door=door).open().join()
    with Rich(door.address, rooms=[room], client="client-of-bob-000") as bob:
        for text in ("one", "two", "three"):
            bob.say(room, text)
        ann.expect_texts("one", "two", "three")
        door.kill()
    door.start()
    with Rich(door.address, rooms=[room], client="client-of-bob-000") as bob:
        bob.ask("edit", room=room, position=1, text="1")
        bob.ask("redact", room=room, position=2)
        bob.say(room, "four")
        bob.posts(1)
        ann.retry()
        ann.expect_texts("1 (edited)", GONE, "three", "four")


def test_a_mention_that_is_taken_back_is_none(ann: Tab, bob: Rich, look_away: LookAway) -> None:
    ann.say("hello")
    ann.expect_texts("hello")
    look_away(ann)
    bob.say(ann.room, f"{ann.nick}, a mistake")
    position = bob.posts(2)[-1]["position"]
    expect(ann.page).to_have_title(re.compile(r"^\(1\) "))
    bob.ask("redact", room=ann.room, position=position)
    expect(ann.page).to_have_title(re.compile("^• "))
    ann.expect_texts("hello", GONE)
    expect(ann.log.get_by_role("separator", name="New")).to_be_visible()


def test_a_notification_does_not_outlive_its_text(
    open_tab: OpenTab, bob: Rich, look_away: LookAway
) -> None:
    ann = open_tab("ann", permissions=["notifications"])
    close = "Notification.prototype.close = function () { shown.push(['closed', this.body]); };"
    ann.page.add_init_script(RECORD + close)
    ann.open().join()
    ann.rooms.get_by_role("button", name=ann.nick).click()
    ann.page.get_by_role("menuitemcheckbox", name="Notifications").click()
    look_away(ann)
    text = f"{ann.nick}: a secret"
    bob.say(ann.room, text)
    position = bob.posts(1)[-1]["position"]
    ann.page.wait_for_function("() => shown.length === 1")
    bob.ask("redact", room=ann.room, position=position)
    ann.page.wait_for_function("() => shown.length === 2")
    assert ann.evaluate("shown[1]") == ["closed", text]


@pytest.mark.parametrize("text", ["<img src=x onerror=alert(1)>", "\u202egro.elpmaxe", "`code`"])
def test_an_edit_is_text_like_any_other(ann: Tab, bob: Rich, text: str) -> None:
    bob.say(ann.room, "harmless")
    bob.posts(1)
    ann.expect_texts("harmless")
    bob.ask("edit", room=ann.room, position=1, text=text)
    expect(ann.articles.locator(".text")).to_contain_text("(edited)")
    assert ann.articles.locator(".text img").count() == 0
    assert "\u202e" not in ann.articles.locator(".text").inner_text()
