"""Messages are found, in every room one is in, and shown in their place."""

import itertools
import time

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab
from tests.browser.test_accessibility import PHONE, axe, expect_no_finding
from tests.browser.test_changes import choose
from tests.browser.test_history import TWO_FRAMES
from tests.browser.test_hostile import outside
from tests.conversations.peers import Rich

__all__ = ["axe"]
POSTS = 600
PLACE = 120
"""The position of the message that is searched for: far above what the page has."""


@pytest.fixture
def needle(bob: Rich, room: str) -> str:
    """Return a word that one of very many posts has."""
    word = f"needle{room}"
    for number in range(1, POSTS + 1):
        bob.say(room, f"number {number}{f', the {word} of café' if number == PLACE else ''}")
    bob.posts(POSTS)
    return word


def search(tab: Tab, text: str) -> Locator:
    """Search, and return what is found, of which there has to be something."""
    tab.page.keyboard.press("Control+k")
    tab.page.get_by_role("searchbox", name="Words").fill(text)
    found = tab.page.get_by_role("list", name="Messages found").get_by_role("button")
    while True:
        tab.page.keyboard.press("Enter")
        said = tab.page.get_by_role("dialog").get_by_role("status")
        expect(found.first.or_(said.filter(has_text="Nothing was found."))).to_be_visible()
        if found.count():
            return found


def numbers(tab: Tab) -> list[int]:
    """Return the numbers of the messages in the log, in their order."""
    texts = tab.articles.locator(".text").all_inner_texts()
    return [int(text.split()[1].rstrip(",")) for text in texts]


def consecutive(numbers: list[int]) -> bool:
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_choosing_what_was_found_goes_there(needle: str, open_tab: OpenTab, bob: Rich) -> None:
    ann = open_tab("ann").open().join()
    expect(ann.article(f"number {POSTS}")).to_be_in_viewport()
    ann.say(f"/join {ann.room}-tea")
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(f"{ann.room}-tea")
    found = search(ann, f"{needle.upper()} cafe")
    expect(found).to_have_count(1)
    expect(found).to_contain_text(ann.room)
    expect(found).to_contain_text(bob.nick)
    assert found.locator("mark").all_inner_texts() == [needle, "café"]
    found.click()
    expect(ann.page.get_by_role("dialog")).to_have_count(0)
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(ann.room)
    expect(ann.article(needle)).to_be_in_viewport(ratio=1)
    expect(ann.article(needle)).to_be_focused()
    assert consecutive(numbers(ann))


def test_from_there_one_reads_on_to_what_is_said_now(
    needle: str, open_tab: OpenTab, bob: Rich
) -> None:
    ann = open_tab("ann").open().join()
    search(ann, needle).click()
    expect(ann.article(needle)).to_be_in_viewport()
    bob.say(ann.room, f"number {POSTS + 1}")
    expect(ann.page.get_by_role("button", name="1 new message")).to_be_visible()
    expect(ann.article(f"number {POSTS + 1}")).to_have_count(0)
    ann.log.hover()
    newest = ann.article(f"number {POSTS + 1}")
    for turn in itertools.count():
        ann.page.mouse.wheel(0, 900)
        ann.evaluate(TWO_FRAMES)
        if turn % 10 == 0:
            assert consecutive(numbers(ann))
            if newest.count() and newest.is_visible():
                break
    ann.page.mouse.wheel(0, 2_000)
    bob.say(ann.room, f"number {POSTS + 2}")
    expect(ann.article(f"number {POSTS + 2}")).to_be_in_viewport()
    assert consecutive(numbers(ann))


def test_one_reads_up_from_there_and_goes_back_to_the_newest(
    needle: str, open_tab: OpenTab
) -> None:
    ann = open_tab("ann").open().join()
    search(ann, needle).click()
    expect(ann.article(needle)).to_be_in_viewport()
    ann.log.hover()
    first = ann.log.get_by_text("number 1", exact=True)
    while not (first.count() and first.is_visible()):
        ann.page.mouse.wheel(0, -900)
        ann.evaluate(TWO_FRAMES)
    assert consecutive(numbers(ann))
    ann.page.get_by_role("button", name="Newest messages").click()
    expect(ann.article(f"number {POSTS}")).to_be_in_viewport()
    assert consecutive(numbers(ann))


def test_what_is_found_changes_with_its_message(needle: str, ann: Tab, bob: Rich) -> None:
    found = search(ann, needle)
    bob.ask("edit", room=ann.room, position=PLACE, text=f"the {needle} <b>was</b> moved")
    expect(found).to_contain_text(f"the {needle} <b>was</b> moved")
    bob.ask("redact", room=ann.room, position=PLACE)
    expect(found).to_contain_text("This message was taken back.")


def test_a_search_is_narrowed_to_an_author_and_to_the_room(
    needle: str, ann: Tab, bob: Rich
) -> None:
    ann.say(f"/join {ann.room}-tea")
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(f"{ann.room}-tea")
    expect(search(ann, f"{needle} from:{bob.nick}")).to_have_count(1)
    words = ann.page.get_by_role("searchbox", name="Words")
    words.fill(f"from:{ann.nick} {needle}")
    words.press("Enter")
    expect(ann.page.get_by_text("Nothing was found.")).to_be_visible()
    words.fill(needle)
    words.press("Enter")
    expect(ann.page.get_by_role("list", name="Messages found").get_by_role("button")).to_have_count(
        1
    )
    ann.page.get_by_role("checkbox", name="Only in").check()
    expect(ann.page.get_by_text("Nothing was found.")).to_be_visible()
    ann.page.keyboard.press("Escape")
    expect(ann.page.get_by_role("dialog")).to_have_count(0)


def test_more_is_shown_by_the_page(open_tab: OpenTab, bob: Rich, room: str) -> None:
    for number in range(60):
        bob.say(room, f"straw{room} {number}")
        [last] = bob.posts(1)
        while int(time.time() * 1000) <= last["time"]:  # posts of one millisecond share a page
            pass
    ann = open_tab("ann").open().join()
    expect(ann.article(last["text"])).to_be_visible()
    found = search(ann, f"straw{room}")
    while " 59" not in found.first.inner_text():  # it is found some seconds after it was said
        ann.page.keyboard.press("Escape")
        found = search(ann, f"straw{room}")
    more = ann.page.get_by_role("button", name="Show more")
    pages = [found.count()]
    while pages[-1] < 60:
        more.click()
        expect(found.nth(pages[-1])).to_be_visible()
        pages.append(found.count())
    assert pages == [25, 50, 60]
    assert [int(text.split()[-1]) for text in found.all_inner_texts()] == list(range(59, -1, -1))


def test_the_search_fits_a_phone(needle: str, open_tab: OpenTab) -> None:
    ann = open_tab("ann", **PHONE).open().join()
    ann.page.get_by_role("button", name="Search messages").tap()
    ann.page.get_by_role("searchbox", name="Words").fill(needle)
    ann.page.get_by_role("button", name="Search", exact=True).tap()
    found = ann.page.get_by_role("list", name="Messages found").get_by_role("button")
    expect(found).to_have_count(1)
    assert outside(ann) == []
    found.tap()
    expect(ann.article(needle)).to_be_in_viewport()


def test_neither_search_nor_changes_have_a_serious_fault(
    ann: Tab, bob: Rich, room: str, axe: str
) -> None:
    for text in ("first", f"straw{room}", "third"):
        ann.say(text)
        expect(ann.article(text)).to_have_attribute("data-state", "")
    ann.say("/redact #1", "/edit the last")
    expect(ann.article("the last (edited)")).to_be_visible()
    search(ann, f"straw{room}")
    expect_no_finding(ann, axe)
    ann.page.keyboard.press("Escape")
    choose(ann, "the last", "Edit")
    expect(ann.page.get_by_text("Editing your message")).to_be_visible()
    expect_no_finding(ann, axe)
