"""Reading what was said before: no jump, no jank, and a way back to the newest."""

import itertools

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab
from tests.conversations.peers import Rich

POSTS = 400
MOST_PIXELS = 2
WHEEL_PIXELS = 300

# Notes for each frame by how much the articles in view have moved: the least and the most.
WATCH = """() => {
  const log = document.querySelector("[role=log]");
  const places = () => new Map([...log.querySelectorAll("article")]
    .map((each) => [each, each.getBoundingClientRect().top]));
  const { top, bottom } = log.parentElement.getBoundingClientRect();
  window.moves = [];
  let before = places();
  const frame = () => {
    const now = places();
    const inView = [...now].filter(([each, y]) => before.has(each) && y > top && y < bottom);
    const moved = inView.map(([each, y]) => y - before.get(each));
    moves.push(moved.length ? [Math.min(...moved), Math.max(...moved)] : null);
    before = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}"""
TWO_FRAMES = """() => new Promise((resolve) =>
  requestAnimationFrame(() => requestAnimationFrame(resolve)))"""


@pytest.fixture
def long(bob: Rich) -> Rich:
    """Return somebody who has said much in the room."""
    for number in range(POSTS):
        bob.say(bob.greeting[0]["room"], f"post {number}{' and more' * (number % 40)}")
    bob.posts(POSTS)
    return bob


def test_scrolling_up_loads_what_is_older_without_a_jump(long: Rich, open_tab: OpenTab) -> None:
    ann = open_tab("ann").open().join()
    last = ann.article(f"post {POSTS - 1}")
    expect(last).to_be_in_viewport()
    ann.log.hover()
    ann.evaluate(WATCH)
    first = ann.log.locator("article", has_text="post 0")
    for turn in itertools.count():
        ann.page.mouse.wheel(0, -WHEEL_PIXELS)
        ann.evaluate(TWO_FRAMES)
        if turn % 10 == 0 and first.count() and first.first.is_visible():
            break
    moves = ann.evaluate("moves")
    assert None not in moves, "something that was in view before is in view in each frame"
    assert max(most - least for least, most in moves) <= MOST_PIXELS, "all moves as one"
    # Nothing but the wheel moves what is read.
    assert min(least for least, _ in moves) >= -MOST_PIXELS
    assert max(most for _, most in moves) <= WHEEL_PIXELS + MOST_PIXELS


def test_what_arrives_does_not_move_what_is_read(long: Rich, open_tab: OpenTab) -> None:
    ann = open_tab("ann").open().join()
    expect(ann.article(f"post {POSTS - 1}")).to_be_in_viewport()
    ann.log.hover()
    ann.page.mouse.wheel(0, -900)
    button = ann.page.get_by_role("button", name="Newest messages")
    expect(button).to_be_visible()
    read = next(
        each for each in ann.articles.all() if (each.bounding_box() or {"y": -1})["y"] > 100
    )
    box = read.bounding_box()
    for number in range(30):
        long.say(ann.room, f"new {number}")
    button = ann.page.get_by_role("button", name="30 new messages")
    expect(button).to_be_visible()
    after = read.bounding_box()
    assert box
    assert after
    assert abs(after["y"] - box["y"]) <= MOST_PIXELS
    button.click()
    expect(ann.article("new 29")).to_be_in_viewport(ratio=1)
    expect(button).not_to_be_visible()
    long.say(ann.room, "followed")
    expect(ann.article("followed")).to_be_in_viewport(ratio=1)


def test_the_page_keeps_only_what_is_near(long: Rich, open_tab: OpenTab) -> None:
    ann = open_tab("ann").open().join()
    expect(ann.article(f"post {POSTS - 1}")).to_be_in_viewport()
    for number in range(POSTS):
        long.say(ann.room, f"later {number}")
    expect(ann.article(f"later {POSTS - 1}")).to_be_in_viewport()
    assert ann.articles.count() <= 250


def test_the_beginning_of_a_room_is_said(ann: Tab, bob: Rich) -> None:
    bob.say(ann.room, "the very first")
    expect(ann.log).to_contain_text(f"This is the beginning of {ann.room}.")


def test_all_of_a_long_message_is_shown_where_one_reads(ann: Tab, bob: Rich) -> None:
    ann.page.set_viewport_size({"width": 900, "height": 500})
    bob.say(ann.room, "\n".join(f"line {number}" for number in range(100)))
    top = "scroller => scroller.scrollTop"
    scroller = ann.page.locator("#scroller")
    ann.log.get_by_role("button", name="Show all").scroll_into_view_if_needed()
    before = scroller.evaluate(top)
    ann.log.get_by_role("button", name="Show all").click()
    expect(ann.article("line 99")).to_be_visible()
    bob.say(ann.room, "next")
    expect(ann.article("next")).not_to_be_in_viewport()
    assert scroller.evaluate(top) == before


def test_after_midnight_today_is_yesterday(ann: Tab, bob: Rich) -> None:
    bob.say(ann.room, "one")
    days = ann.log.get_by_role("separator")
    expect(days.first).to_have_text("Today")
    [post] = bob.posts(1)
    ann.page.clock.set_fixed_time((post["time"] + 86_400_000) / 1000)
    bob.say(ann.room, "two")
    ann.expect_texts("one", "two")
    expect(days.first).to_have_text("Yesterday")
