"""What is sent, whatever is typed, and wherever the browser keeps it meanwhile."""

import json
from collections.abc import Callable

from playwright.sync_api import WebSocket, expect

from tests.browser.conftest import OpenTab
from tests.browser.door import Door
from tests.browser.tab import Tab
from tests.conversations.peers import Rich

LIMIT = 65_536
"""Bytes that the server accepts."""
BLOCKED = """
const deny = () => { throw new DOMException("denied", "SecurityError"); };
for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, { get: deny });
}
LockManager.prototype.request = async () => deny();
"""
"""What a browser denies to a page that may store nothing."""
FULL = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }"


def test_whatever_is_typed_is_sent_or_refused_with_a_reason(ann: Tab, bob: Rich) -> None:
    ann.say("x" * 60_000)
    assert bob.posts(1)[0]["text"] == "x" * 60_000
    ann.say("ü" * LIMIT)
    expect(ann.page.get_by_role("alert").filter(has_text="too long")).to_be_visible()
    expect(ann.message).to_have_value("ü" * LIMIT)  # not lost
    ann.message.evaluate("input => { input.value = 'half a pair: \\ud83d.'; }")
    ann.message.press("Enter")
    ann.say("after it")
    texts = [post["text"] for post in bob.posts(2)]
    assert texts == ["half a pair: \N{REPLACEMENT CHARACTER}.", "after it"]
    expect(ann.log).not_to_contain_text("Sending")


def test_a_null_character_is_refused_and_says_so(ann: Tab, bob: Rich) -> None:
    ann.message.evaluate("input => { input.value = 'a\\0b'; }")
    ann.message.press("Enter")
    ann.say("after it")
    assert bob.posts(1)[0]["text"] == "after it"
    expect(ann.log).not_to_contain_text("Sending")


def test_what_another_tab_had_not_sent_is_sent_once(
    serve: Callable[..., Door], open_tab: OpenTab
) -> None:
    door = serve()
    first = open_tab("ann", door=door).open().join()
    first.say("before")
    expect(first.article("before")).not_to_contain_text("Sending")
    door.kill()
    first.say("one", "two")
    expect(first.articles).to_have_count(3)
    door.start()
    second = open_tab("ann", beside=first, door=door).open()
    second.say("three")
    second.expect_texts("before", "one", "two", "three")
    expect(second.log).not_to_contain_text("Sending")
    with Rich(door.address, rooms=[first.room]) as reader:
        stored = [event["text"] for event in reader.greeting if event["type"] == "post"]
    assert stored == ["before", "one", "two", "three"]


def test_a_direct_message_to_somebody_who_is_gone_stays_and_says_so(ann: Tab, bob: Rich) -> None:
    ann.say(f"/msg {bob.nick} hello")
    assert bob.hear(lambda event: event["type"] == "direct")[-1]["text"] == "hello"
    bob.tell("bye")
    bob.closing()
    ann.say("are you there?")
    expect(ann.article("are you there?")).to_contain_text("is not online")
    ann.page.reload()
    ann.expect_texts("hello")


def test_a_browser_that_stores_nothing_can_talk(open_tab: OpenTab, bob: Rich) -> None:
    for number, script in enumerate((BLOCKED, FULL)):
        tab = open_tab(f"ann{number}")
        tab.page.add_init_script(script)
        tab.open().join()
        tab.say(f"hello {number}")
        assert bob.posts(1)[0]["text"] == f"hello {number}"
        expect(tab.article(f"hello {number}")).not_to_contain_text("Sending")


def test_the_way_back_leads_to_the_room_before(ann: Tab) -> None:
    title = ann.page.get_by_role("heading", level=1)
    for name in "tea", "toast":
        ann.say(f"/join {ann.room}-{name}")
        expect(title).to_have_text(f"{ann.room}-{name}")
    ann.page.go_back()
    expect(title).to_have_text(f"{ann.room}-tea")
    ann.page.go_back()
    expect(title).to_have_text(ann.room)
    ann.page.go_forward()
    expect(title).to_have_text(f"{ann.room}-tea")


def test_who_is_ignored_is_not_seen_until_they_are_heard_again(ann: Tab, bob: Rich) -> None:
    bob.say(ann.room, "one")
    ann.expect_texts("one")
    ann.members.get_by_role("button", name=bob.nick).click()
    ann.page.get_by_role("menuitem", name="Ignore").click()
    expect(ann.articles).to_have_count(0)
    bob.say(ann.room, "two")
    bob.pong()
    ann.say("three")
    ann.expect_texts("three")
    ann.say(f"/unignore {bob.nick}")
    ann.expect_texts("one", "two", "three")


def test_many_short_pending_messages_are_not_sent_all_at_once(ann: Tab) -> None:
    waiting: dict[str, int] = {}
    most = 0

    def sent(frame: str | bytes) -> None:
        nonlocal most
        if (said := json.loads(frame))["type"] == "say":
            waiting[said["key"]] = len(frame)
            most = max(most, sum(waiting.values()))

    def received(frame: str | bytes) -> None:
        waiting.pop(json.loads(frame).get("key", ""), None)

    def watch(socket: WebSocket) -> None:
        socket.on("framesent", sent)
        socket.on("framereceived", received)

    ann.page.goto("about:blank")
    ann.page.on("websocket", watch)
    script = """for (let i = 1; i <= 600; i++) {
      const say = { room: 'ROOM', text: String(i), key: String(i).padStart(22, '0') };
      localStorage['geventchat.say.' + String(i).padStart(16, '0')] = JSON.stringify(say);
    }"""
    ann.page.add_init_script(script.replace("ROOM", ann.room))
    ann.open()
    expect(ann.article("600")).to_be_visible()
    expect(ann.log).not_to_contain_text("Sending")
    assert 0 < most < 32 << 10  # what the server waits for
