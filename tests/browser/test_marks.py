"""How far one has read is known on every device of an account, and after a reload."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab
from tests.browser.test_attention import LookAway, look_away, look_back
from tests.conversations.peers import Rich

__all__ = ["look_away"]


@pytest.fixture
def laptop(open_tab: OpenTab) -> Tab:
    return open_tab("ann").register()


@pytest.fixture
def phone(open_tab: OpenTab, laptop: Tab, look_away: LookAway) -> Tab:
    """Return another browser of the account, at which nobody looks."""
    phone = open_tab("ann").sign_in()
    expect(phone.title).to_have_text(laptop.room)
    look_away(phone)
    return phone


def after_the_line(tab: Tab) -> str:
    """Return the text of what follows the line of what is new."""
    line = tab.log.get_by_role("separator", name="New")
    expect(line).to_be_visible()
    script = "line => line.nextElementSibling.querySelector('.text').textContent"
    return str(line.evaluate(script))


def test_what_is_read_on_one_device_is_not_unread_on_the_other(
    laptop: Tab, phone: Tab, bob: Rich, look_away: LookAway
) -> None:
    look_away(laptop)
    bob.say(laptop.room, "one")
    bob.say(laptop.room, f"two, {laptop.nick}?")
    for each in (laptop, phone):
        expect(each.page).to_have_title(re.compile(r"^\(1\) "))
    look_back(laptop)
    for each in (laptop, phone):
        expect(each.page).to_have_title(re.compile(rf"^{laptop.room} "))


def test_a_new_browser_shows_where_one_has_stopped_reading(
    laptop: Tab, open_tab: OpenTab, bob: Rich, look_away: LookAway
) -> None:
    bob.say(laptop.room, "read")
    laptop.expect_texts("read")
    tea = f"{laptop.room}-tea"
    laptop.go(tea)
    for text in ("new", "newer", f"{laptop.nick}!"):
        bob.say(laptop.room, text)
    badge = laptop.rooms.get_by_role("button", name=re.compile("3 unread, mentions you"))
    expect(badge).to_be_visible()
    laptop.page.reload()
    expect(badge).to_be_visible()
    phone = open_tab("ann").sign_in()
    phone.rooms.get_by_role("button", name=re.compile(f"^{laptop.room}( |$)")).click()
    phone.expect_texts("read", "new", "newer", f"{laptop.nick}!")
    assert after_the_line(phone) == "new"
    expect(badge).to_have_count(0)


def test_reading_is_told_about_once_a_second(laptop: Tab, bob: Rich) -> None:
    sent: list[str] = []

    def note(payload: str | bytes) -> None:
        if '"type":"read"' in str(payload):
            sent.append(str(payload))

    laptop.page.on("websocket", lambda socket: socket.on("framesent", note))
    laptop.page.reload()
    expect(laptop.message).to_be_enabled()
    for number in range(200):
        bob.say(laptop.room, f"number {number}")
    newest = bob.posts(200)[-1]["position"]
    expect(laptop.article("number 199")).to_be_in_viewport()
    while f'"position":{newest}' not in "".join(sent):
        laptop.evaluate("() => new Promise(requestAnimationFrame)")
    assert len(sent) <= 15
