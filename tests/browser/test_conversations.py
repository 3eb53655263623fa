"""Conversations of two accounts, which wait for who is away, and what is live alone."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.conversations.peers import Rich


def test_a_message_to_somebody_away_waits_and_is_answered(open_tab: OpenTab) -> None:
    ann, bob = open_tab("ann").register(), open_tab("bob").register()
    bob.page.goto("about:blank")
    ann.say(f"/msg {bob.nick} Lunch?")
    expect(ann.title).to_have_text(bob.nick)
    ann.expect_texts("Lunch?")
    expect(ann.article("Lunch?")).not_to_contain_text("Sending")
    bob.open()
    conversation = bob.rooms.get_by_role("button", name=f"{ann.nick} 1 unread")
    expect(conversation).to_be_visible()
    expect(bob.title).to_have_text(bob.room)  # what is read stays
    conversation.click()
    bob.expect_texts("Lunch?")
    bob.say("At noon")
    ann.expect_texts("Lunch?", "At noon")
    bob.page.reload()
    expect(bob.title).to_have_text(ann.nick)
    bob.expect_texts("Lunch?", "At noon")


def test_a_conversation_opens_without_taking_the_focus(open_tab: OpenTab) -> None:
    ann, bob = open_tab("ann").register(), open_tab("bob").register()
    bob.message.fill("half a sente")
    ann.members.get_by_role("button", name=bob.nick).click()
    ann.page.get_by_role("menuitem", name=f"Message {bob.nick}").click()
    expect(ann.title).to_have_text(bob.nick)
    expect(ann.log).to_contain_text("They are stored, also while one of you is away.")
    ann.say("psst")
    expect(bob.rooms.get_by_role("button", name=f"{ann.nick} 1 unread")).to_be_visible()
    expect(bob.page).to_have_title(re.compile(r"^\(1\) "))
    expect(bob.title).to_have_text(bob.room)
    expect(bob.message).to_be_focused()
    expect(bob.message).to_have_value("half a sente")


def test_both_browsers_of_a_person_show_the_conversation(open_tab: OpenTab) -> None:
    ann, bob = open_tab("ann").register(), open_tab("bob").register()
    phone = open_tab("ann").sign_in()
    ann.say(f"/msg {bob.nick} from the laptop")
    phone.rooms.get_by_role("button", name=bob.nick, exact=True).click()
    expect(phone.article("from the laptop")).to_have_class("own")
    bob.say(f"/nick new-{bob.room}")
    expect(phone.title).to_have_text(f"new-{bob.room}")
    expect(phone.log).to_contain_text("is now known as")
    phone.say("/leave")
    expect(ann.title).to_have_text(ann.room)
    ann.page.get_by_role("button", name="All conversations").click()
    ann.page.get_by_role("dialog").get_by_role("button", name=f"new-{bob.room}").click()
    expect(ann.title).to_have_text(f"new-{bob.room}")
    ann.expect_texts("from the laptop")


def test_a_new_browser_lists_the_conversations_that_are_open_on_the_others(
    open_tab: OpenTab,
) -> None:
    ann, bob, cid = (open_tab(nick).register() for nick in ("ann", "bob", "cid"))
    for other in bob, cid:
        ann.say(f"/msg {other.nick} Lunch?")
        expect(ann.title).to_have_text(other.nick)
    ann.say("/leave")
    phone = open_tab("ann").sign_in()
    listed = phone.rooms.get_by_role("button", name=bob.nick, exact=True)
    expect(listed).to_be_visible()
    expect(phone.rooms.get_by_role("button", name=cid.nick, exact=True)).to_have_count(0)
    listed.click()
    expect(phone.title).to_have_text(bob.nick)
    phone.expect_texts("Lunch?")
    phone.say("At noon?")
    ann.rooms.get_by_role("button", name=bob.nick).first.click()
    ann.expect_texts("Lunch?", "At noon?")
    phone.page.reload()
    expect(phone.title).to_have_text(bob.nick)
    phone.expect_texts("Lunch?", "At noon?")


def test_one_goes_on_writing_while_the_other_changes_their_nick(open_tab: OpenTab) -> None:
    ann, bob = open_tab("ann").register(), open_tab("bob").register()
    ann.say(f"/msg {bob.nick}")
    expect(ann.title).to_have_text(bob.nick)
    ann.say("Lunch?")
    expect(ann.article("Lunch?")).not_to_contain_text("Sending")
    ann.message.press("ArrowUp")
    expect(ann.message).to_have_value("Lunch?")
    ann.message.fill("Dinner?")
    bob.say(f"/nick rob-{bob.room}")
    expect(ann.title).to_have_text(f"rob-{bob.room}")
    expect(ann.message).to_have_value("Dinner?")
    ann.message.press("Enter")
    ann.expect_texts("Dinner? (edited)")


def test_a_message_to_a_guest_is_live_and_says_so(open_tab: OpenTab, bob: Rich) -> None:
    ann = open_tab("ann").register()
    ann.say(f"/msg {bob.nick} psst")
    direct = bob.hear(lambda event: event["type"] == "direct")[-1]
    assert (direct["author"], direct["text"]) == (ann.nick, "psst")
    expect(ann.title).to_have_text(bob.nick)
    expect(ann.log).to_contain_text("The server does not keep them")
    bob.tell("direct", to=ann.nick, text="yes?")
    ann.expect_texts("psst", "yes?")


def test_who_is_blocked_cannot_write(open_tab: OpenTab) -> None:
    ann, bob = open_tab("ann").register(), open_tab("bob").register()
    ann.members.get_by_role("button", name=bob.nick).click()
    ann.page.get_by_role("menuitem", name="Block").click()
    expect(ann.log).to_contain_text(f"{bob.nick} is blocked")
    ann.say("/block")
    expect(ann.log).to_contain_text(f"Blocked: {bob.nick}.")
    bob.say(f"/msg {ann.nick} psst")
    expect(bob.page.get_by_role("alert").filter(has_text="does not take messages")).to_be_visible()
    expect(bob.message).to_have_value(f"/msg {ann.nick} psst")
    ann.say(f"/unblock {bob.nick}")
    expect(ann.log).to_contain_text("not blocked any more")
    bob.message.press("Enter")
    expect(bob.title).to_have_text(ann.nick)
    bob.expect_texts("psst")


def test_what_was_said_while_away_is_sent_once(open_tab: OpenTab) -> None:
    ann, bob = open_tab("ann").register(), open_tab("bob").register()
    ann.say(f"/msg {bob.nick} one")
    ann.expect_texts("one")
    ann.page.context.set_offline(True)
    ann.say("two", "three")
    ann.page.context.set_offline(False)
    ann.retry()
    ann.expect_texts("one", "two", "three")
    bob.rooms.get_by_role("button", name=ann.nick).first.click()
    bob.expect_texts("one", "two", "three")
