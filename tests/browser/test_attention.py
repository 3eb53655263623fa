"""What arrives while nobody looks: unread when they look again, and announced as they want it."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab
from tests.conversations.peers import Rich

RECORD = """
window.shown = [];
window.Notification = class extends Notification {
  constructor(title, options) {
    super(title, options);
    shown.push([title, options.body]);
  }
};
"""
LookAway = Callable[[Tab], None]


@pytest.fixture
def look_away() -> LookAway:
    """Return a function that shows another tab of the browser; the one before loses the focus."""

    def look_away(tab: Tab) -> None:
        context = tab.page.context
        session = context.new_cdp_session(tab.page)
        session.send("Emulation.setFocusEmulationEnabled", {"enabled": False})
        context.new_page().bring_to_front()
        tab.page.wait_for_function("() => !document.hasFocus()")

    return look_away


def look_back(tab: Tab) -> None:
    session = tab.page.context.new_cdp_session(tab.page)
    session.send("Emulation.setFocusEmulationEnabled", {"enabled": True})
    tab.page.bring_to_front()


def test_what_arrives_meanwhile_is_unread_until_one_looks(
    ann: Tab, bob: Rich, look_away: LookAway
) -> None:
    bob.say(ann.room, "seen")
    ann.expect_texts("seen")
    look_away(ann)
    bob.say(ann.room, "one")
    bob.say(ann.room, f"two, {ann.nick}?")
    ann.expect_texts("seen", "one", f"two, {ann.nick}?")
    expect(ann.page).to_have_title(re.compile(r"^\(1\) "))
    line = ann.log.get_by_role("separator", name="New")
    assert "one" in line.evaluate("line => line.nextElementSibling.textContent")
    look_back(ann)
    expect(ann.page).to_have_title(re.compile(rf"^{ann.room} "))
    expect(line).to_be_visible()  # where one goes on reading


def test_mentions_and_direct_messages_are_notified_to_who_wants_it(
    open_tab: OpenTab, bob: Rich, look_away: LookAway
) -> None:
    ann = open_tab("ann", permissions=["notifications"])
    ann.page.add_init_script(RECORD)
    ann.open().join()
    bob.say(ann.room, f"{ann.nick}: before it is wanted")
    expect(ann.article("before")).to_be_visible()
    ann.rooms.get_by_role("button", name=ann.nick).click()
    ann.page.get_by_role("menuitemcheckbox", name="Notifications").click()
    expect(ann.log.get_by_text("Mentions and direct messages are notified.")).to_be_visible()
    bob.say(ann.room, f"{ann.nick}: while one looks")
    expect(ann.article("while one looks")).to_be_visible()
    look_away(ann)
    bob.say(ann.room, "not about anybody")
    bob.say(ann.room, f"<b>{ann.nick}</b>: away?")
    bob.tell("direct", to=ann.nick, text="between us")
    ann.page.wait_for_function("() => shown.length === 2")
    assert sorted(ann.evaluate("shown")) == [
        [bob.nick, "between us"],
        [f"{bob.nick} in {ann.room}", f"<b>{ann.nick}</b>: away?"],
    ]


def test_the_page_can_be_installed(ann: Tab) -> None:
    manifest = ann.evaluate("""async () => {
        const { href } = document.querySelector("link[rel=manifest]");
        const manifest = await (await fetch(href)).json();
        const loads = ({ src }) => new Promise((resolve) => {
          const image = new Image();
          image.onload = () => resolve([image.naturalWidth, image.naturalHeight]);
          image.onerror = () => resolve(null);
          image.src = new URL(src, href);
        });
        return { ...manifest, loaded: await Promise.all(manifest.icons.map(loads)) };
    }""")
    assert manifest["name"]
    assert manifest["display"] == "standalone"
    assert None not in manifest["loaded"]
    assert [192, 192] in manifest["loaded"]
    assert [512, 512] in manifest["loaded"]
    session = ann.page.context.new_cdp_session(ann.page)
    assert session.send("Page.getAppManifest")["errors"] == []
