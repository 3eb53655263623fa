"""The page by keyboard alone, by its roles and names, and judged by axe-core in each view."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab
from tests.conftest import missing
from tests.conversations.peers import Rich

AXE: Final = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
PHONE: Final[dict[str, Any]] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
}
RUN: Final = """async (rules) => {
  const ends = (each) => Number.isFinite(each.effect.getComputedTiming().endTime);
  await Promise.all(document.getAnimations().filter(ends).map((each) => each.finished));
  const all = "wcag2a wcag2aa wcag21a wcag21aa wcag22aa best-practice".split(" ");
  const options = { runOnly: rules ?? all, resultTypes: ["violations"] };
  const { violations } = await axe.run(document, options);
  return violations.filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
}"""
VISIBLE_FOCUS: Final = """focused => {
  const isRinged = (each) => {
    if (!each) return false;
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(each);
    return (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none";
  };
  const { width, height } = focused.getBoundingClientRect();
  return width > 0 && height > 0 && (isRinged(focused) || isRinged(focused.closest("form, li")));
}"""


@pytest.fixture(scope="session")
def axe() -> str:
    """Return the source of axe-core."""
    if not AXE.exists():
        missing("axe-core (npm ci)", required_by="NODE")
    return AXE.read_text("utf-8")


def expect_no_finding(tab: Tab, axe: str) -> None:
    """Run axe-core on what is shown, and on its colours when it is dark."""
    if not tab.evaluate("'axe' in window"):
        tab.evaluate(axe)
    assert tab.evaluate(RUN) == []
    tab.page.emulate_media(color_scheme="dark")
    assert tab.evaluate(RUN, ["color-contrast"]) == []
    tab.page.emulate_media(color_scheme="light")


def test_no_view_has_a_serious_fault(open_tab: OpenTab, bob: Rich, axe: str) -> None:
    ann = open_tab("ann").open()
    expect(ann.name).to_be_focused()
    expect_no_finding(ann, axe)
    ann.name.fill("two words")
    ann.join_button.click()
    expect(ann.page.get_by_role("alert").filter(has_text="space")).to_be_visible()
    expect_no_finding(ann, axe)

    ann.join()
    bob.say(ann.room, f"{ann.nick}: see https://example.org and `code`\n```\nblock\n```")
    bob.tell("topic", room=ann.room, topic="a topic")
    bob.tell("direct", to=ann.nick, text="between us")
    ann.say("/me waves", "and says hello", "/topics")
    expect(ann.article("and says hello")).not_to_contain_text("Sending")
    expect(ann.rooms.get_by_role("button", name=f"{bob.nick} 1 unread")).to_be_visible()
    expect_no_finding(ann, axe)

    ann.members.get_by_role("button", name=bob.nick).click()
    expect(ann.page.get_by_role("menu")).to_be_visible()
    expect_no_finding(ann, axe)
    ann.page.keyboard.press("Escape")

    ann.page.get_by_role("button", name="Find rooms").click()
    expect(ann.page.get_by_role("list", name="Rooms found")).to_contain_text(ann.room)
    expect_no_finding(ann, axe)
    ann.page.keyboard.press("Escape")

    ann.message.fill("/help")
    ann.message.press("Enter")
    expect(ann.page.get_by_role("dialog")).to_contain_text("Shift+Enter")
    expect_no_finding(ann, axe)
    ann.page.keyboard.press("Escape")

    ann.page.context.set_offline(True)
    expect(ann.banner).not_to_be_empty()
    ann.say("waits")
    expect(ann.article("waits")).to_contain_text("Sending")
    expect_no_finding(ann, axe)


def test_no_view_of_a_phone_has_a_serious_fault(open_tab: OpenTab, bob: Rich, axe: str) -> None:
    ann = open_tab("ann", **PHONE).open()
    expect_no_finding(ann, axe)
    ann.join()
    bob.say(ann.room, "hello")
    expect(ann.article("hello")).to_be_visible()
    expect_no_finding(ann, axe)
    ann.page.get_by_role("button", name="Show rooms").click()
    expect(ann.rooms).to_be_visible()
    expect_no_finding(ann, axe)
    ann.page.keyboard.press("Escape")
    ann.page.get_by_role("button", name="Members").first.click()
    expect(ann.members).to_be_visible()
    expect_no_finding(ann, axe)


def focused(tab: Tab) -> Locator:
    """Return what has the focus, which must be visible."""
    locator = tab.page.locator(":focus")
    expect(locator).to_have_count(1)
    assert locator.evaluate(VISIBLE_FOCUS), locator.evaluate("it => it.outerHTML")
    return locator


def tab_to(tab: Tab, target: Locator, key: str = "Tab") -> None:
    """Press Tab until something has the focus; whatever has it on the way can be seen."""
    for _ in range(60):
        if target.evaluate("it => it === document.activeElement"):
            return
        tab.page.keyboard.press(key)
        focused(tab)
    pytest.fail(f"not reached by {key}: {target}")


def test_everything_works_by_keyboard(open_tab: OpenTab, bob: Rich) -> None:
    ann = open_tab("ann").open()
    keyboard = ann.page.keyboard
    keyboard.type(ann.nick)
    keyboard.press("Enter")
    expect(ann.message).to_be_focused()
    focused(ann)
    keyboard.type("hello")
    keyboard.press("Shift+Enter")
    keyboard.type("there")
    keyboard.press("Enter")
    assert bob.posts(1)[0]["text"] == "hello\nthere"

    keyboard.type(f"/join {ann.room}-tea")
    keyboard.press("Enter")
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(f"{ann.room}-tea")
    keyboard.press("Alt+ArrowUp")
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(ann.room)
    expect(ann.message).to_be_focused()

    keyboard.type(f"{bob.nick[:4]}")
    keyboard.press("Tab")
    expect(ann.message).to_have_value(f"{bob.nick}: ")
    keyboard.press("Escape")
    keyboard.type("yes?")
    keyboard.press("Enter")
    assert bob.posts(1)[0]["text"] == f"{bob.nick}: yes?"
    expect(ann.article("yes?")).to_have_attribute("data-state", "")  # sent
    keyboard.press("ArrowUp")
    expect(ann.message).to_have_value(f"{bob.nick}: yes?")
    keyboard.press("Control+a")
    keyboard.press("Delete")

    keyboard.press("Alt+k")
    expect(ann.page.get_by_role("dialog", name="Find a room")).to_be_visible()
    focused(ann)
    keyboard.press("Escape")
    expect(ann.page.get_by_role("dialog")).to_have_count(0)

    tab_to(ann, ann.members.get_by_role("button", name=bob.nick))
    keyboard.press("Enter")
    menu = ann.page.get_by_role("menu")
    expect(menu.get_by_role("menuitem").first).to_be_focused()
    keyboard.press("Escape")
    expect(menu).not_to_be_visible()
    expect(ann.members.get_by_role("button", name=bob.nick)).to_be_focused()
    keyboard.press("Enter")
    keyboard.press("Enter")
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(bob.nick)

    # Forwards from the first to the last and out of the page: nothing holds the focus.
    tab_to(ann, ann.message)
    tab_to(ann, ann.page.get_by_role("button", name="Find rooms"), "Shift+Tab")
    tab_to(ann, ann.message)


def test_the_roles_and_names_that_others_rely_on(ann: Tab, bob: Rich) -> None:
    bob.say(ann.room, "hello")
    expect(ann.articles).to_have_count(1)
    expect(ann.log).to_have_accessible_name(f"Messages in {ann.room}")
    for each in ann.rooms, ann.members, ann.message, ann.log:
        expect(each).to_have_count(1)
    assert ann.banner.count() == 1
    for button in ann.page.get_by_role("button").all():
        expect(button).to_have_accessible_name(re.compile(r"\S"))
    # What comes is told to a screen reader once; what was there before is not.
    expect(ann.page.locator("[aria-live=polite]").filter(has_text="hello")).to_have_count(1)


@pytest.mark.parametrize(
    ("width", "opener", "first"),
    [(390, "Show rooms", "Find rooms"), (900, "Members: 1", "Hide members")],
)
def test_the_focus_goes_into_a_drawer_and_back(
    ann: Tab, width: int, opener: str, first: str
) -> None:
    ann.page.set_viewport_size({"width": width, "height": 844})
    ann.page.get_by_role("button", name=opener).press("Enter")
    expect(ann.page.get_by_role("button", name=first)).to_be_focused()
    ann.page.keyboard.press("Escape")
    expect(ann.page.get_by_role("button", name=opener)).to_be_focused()


def test_what_a_command_answers_is_read_aloud(ann: Tab) -> None:
    ann.say("/who")
    expect(ann.page.locator("#spoken")).to_have_text(f"{ann.room}: {ann.nick}")


def test_no_view_of_people_has_a_serious_fault(open_tab: OpenTab, axe: str) -> None:
    ann, bob = open_tab("ann").open(), open_tab("bob").open()
    bob.enter("Register")
    expect(bob.message).to_be_enabled()
    ann.enter("Register", "short")
    expect(ann.password).to_have_attribute("aria-invalid", "true")
    expect_no_finding(ann, axe)
    ann.enter("Register")
    expect(ann.message).to_be_enabled()
    plans = f"plans-{ann.room}"
    bob.say(f"/create {plans}")
    expect(bob.title).to_have_text(plans)
    bob.say(f"/invite {ann.nick}", f"/msg {ann.nick} Come")
    expect(ann.rooms.get_by_role("button", name=bob.nick).first).to_be_visible()
    expect_no_finding(ann, axe)
    ann.rooms.get_by_role("button", name=f"Join {plans}").click()
    expect(ann.title).to_have_text(plans)
    bob.go(plans)
    bob.say(f"/moderator {ann.nick}")
    expect(ann.log).to_contain_text("Moderators of")
    expect_no_finding(ann, axe)
    for command, title in (
        ("/password", "Change the password"),
        ("/sessions", "Your sessions"),
        ("/conversations", "All conversations"),
    ):
        ann.say(command)
        expect(ann.page.get_by_role("dialog", name=title)).to_be_visible()
        expect_no_finding(ann, axe)
        ann.page.keyboard.press("Escape")
        expect(ann.message).to_be_focused()
    ann.page.get_by_role("button", name="New private room").click()
    expect_no_finding(ann, axe)


def test_the_form_is_used_by_keyboard_alone(open_tab: OpenTab) -> None:
    ann = open_tab("ann").open()
    ann.page.keyboard.press("Shift+Tab")
    ann.page.keyboard.press("ArrowRight")
    expect(ann.page.get_by_role("radio", name="Sign in")).to_be_checked()
    ann.page.keyboard.press("ArrowRight")
    expect(ann.page.get_by_role("radio", name="Register")).to_be_checked()
    expect(ann.page.get_by_role("radio", name="Register")).to_be_focused()
    ann.page.keyboard.press("Tab")
    ann.page.keyboard.type(ann.nick)
    ann.page.keyboard.press("Tab")
    ann.page.keyboard.type("correct horse")
    ann.page.keyboard.press("Enter")
    expect(ann.message).to_be_focused()
