"""The page on a phone: everything within reach of a thumb, nothing outside the screen."""

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab
from tests.browser.test_accessibility import PHONE
from tests.browser.test_hostile import outside
from tests.conversations.peers import Rich

THUMB = 36
"""Pixels that a button has at least."""


@pytest.fixture
def phone(open_tab: OpenTab) -> Tab:
    return open_tab("ann", **PHONE).open().join()


def large_enough(button: Locator) -> bool:
    box = button.bounding_box()
    return box is not None and min(box["width"], box["height"]) >= THUMB


def test_the_input_is_at_the_bottom_and_stays_above_a_keyboard(phone: Tab, bob: Rich) -> None:
    for number in range(40):
        bob.say(phone.room, f"message {number}, and some words that take more than one line here")
    expect(phone.article("message 39")).to_be_in_viewport(ratio=1)
    expect(phone.message).to_be_in_viewport(ratio=1)
    phone.message.tap()
    phone.page.set_viewport_size({"width": 390, "height": 844 - 336})  # a keyboard rises
    expect(phone.message).to_be_in_viewport(ratio=1)
    expect(phone.article("message 39")).to_be_in_viewport(ratio=1)
    phone.message.fill("a line\n" * 30)
    expect(phone.message).to_be_in_viewport(ratio=1)
    expect(phone.page.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
    phone.page.get_by_role("button", name="Send").tap()
    assert bob.posts(41)[-1]["text"].startswith("a line\na line")
    assert outside(phone) == []


def test_what_is_typed_is_in_the_middle_of_its_box(phone: Tab) -> None:
    box = phone.page.locator("#composer").bounding_box()
    line = phone.message.bounding_box()
    assert box is not None
    assert line is not None
    assert line["y"] - box["y"] == box["y"] + box["height"] - (line["y"] + line["height"])


def test_rooms_and_members_are_drawers(phone: Tab, bob: Rich) -> None:
    expect(phone.rooms).not_to_be_in_viewport()
    expect(phone.members).not_to_be_in_viewport()
    phone.say(f"/join {phone.room}-tea")
    expect(phone.page.get_by_role("heading", level=1)).to_have_text(f"{phone.room}-tea")
    show_rooms = phone.page.get_by_role("button", name="Show rooms")
    assert large_enough(show_rooms)
    show_rooms.tap()
    expect(phone.rooms).to_be_in_viewport(ratio=1)
    assert outside(phone) == []
    phone.rooms.get_by_role("button", name=phone.room, exact=True).tap()
    expect(phone.rooms).not_to_be_in_viewport()
    expect(phone.page.get_by_role("heading", level=1)).to_have_text(phone.room)
    phone.page.get_by_role("button", name="Members: 2").tap()
    expect(phone.members.get_by_text(bob.nick)).to_be_in_viewport()
    phone.page.get_by_role("button", name="Hide members").tap()
    expect(phone.members).not_to_be_in_viewport()


def test_buttons_are_large_enough_for_a_thumb(phone: Tab, bob: Rich) -> None:
    for name in "Show rooms", "Members: 2", "Room menu", "Send":
        assert large_enough(phone.page.get_by_role("button", name=name)), name
    phone.page.get_by_role("button", name="Room menu").tap()
    for choice in phone.page.get_by_role("menuitem").all():
        assert large_enough(choice)
    expect(phone.page.get_by_role("menu")).to_be_in_viewport(ratio=1)
