"""Private rooms: who is in by invitation, who moderates, and who was removed."""

import re
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.tab import Tab


def made(tab: Tab, history: str = "All that was said") -> str:
    """Make a private room by the dialog; return its name."""
    name = f"plans-{tab.room}"
    tab.page.get_by_role("button", name="New private room").click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Name").fill(name)
    dialog.get_by_role("combobox").select_option(history)
    dialog.get_by_role("button", name="Create").click()
    expect(tab.title).to_have_text(name)
    return name


def invite(tab: Tab, other: Tab) -> None:
    """Invite somebody by the menu of the room."""
    tab.page.get_by_role("button", name="Room menu").click()
    tab.page.get_by_role("menuitem", name="Invite…").click()
    tab.page.get_by_role("textbox", name="Name of an account").fill(other.nick)
    tab.page.get_by_role("button", name="Invite", exact=True).click()
    expect(tab.log).to_contain_text(f"{other.nick} is invited")


def moderate(tab: Tab, other: Tab, what: str) -> None:
    """Choose in the menu of a member."""
    tab.members.get_by_role("button", name=other.nick).click()
    tab.page.get_by_role("menuitem", name=what, exact=True).click()


def test_who_is_invited_accepts_and_reads(open_tab: OpenTab) -> None:
    ann, bob = open_tab("ann").register(), open_tab("bob").register()
    plans = made(ann)
    expect(ann.page.get_by_role("img", name="Private room")).to_be_visible()
    ann.say("the cake is a surprise")
    invite(ann, bob)
    expect(bob.log).to_contain_text(f"{ann.nick} invites you to {plans}")
    expect(bob.title).to_have_text(bob.room)
    bob.page.reload()
    bob.rooms.get_by_role("button", name=f"Join {plans} from {ann.nick}").click()
    expect(bob.title).to_have_text(plans)
    bob.expect_texts("the cake is a surprise")
    expect(bob.rooms.get_by_role("list", name="Invitations").get_by_role("listitem")).to_have_count(
        0
    )
    expect(ann.members).to_contain_text(bob.nick)


def test_an_invitation_is_declined(open_tab: OpenTab) -> None:
    ann, bob = open_tab("ann").register(), open_tab("bob").register()
    plans = made(ann)
    invite(ann, bob)
    bob.rooms.get_by_role("button", name=f"Decline {plans}").click()
    expect(bob.rooms.get_by_role("button", name=f"Decline {plans}")).to_have_count(0)
    bob.say(f"/join {plans}")
    expect(bob.page.get_by_role("alert").filter(has_text="invitation")).to_be_visible()


def test_newcomers_see_what_is_said_after_they_join(open_tab: OpenTab) -> None:
    ann, bob = open_tab("ann").register(), open_tab("bob").register()
    plans = made(ann, "What is said after they join")
    ann.say("before")
    ann.expect_texts("before")
    invite(ann, bob)
    bob.go(plans)
    ann.say("after")
    bob.expect_texts("after")


def test_who_is_removed_is_told_and_sees_nothing_more(open_tab: OpenTab) -> None:
    ann, bob = open_tab("ann").register(), open_tab("bob").register()
    phone = open_tab("bob").sign_in()
    plans = made(ann)
    invite(ann, bob)
    bob.go(plans)
    expect(phone.rooms.get_by_role("button", name=plans, exact=True)).to_be_visible()
    moderate(ann, bob, "Remove from this room")
    expect(ann.log).to_contain_text(f"{bob.nick} is removed")
    for tab in bob, phone:
        expect(tab.log).to_contain_text(f"You were removed from {plans}.")
        expect(tab.title).to_have_text(tab.room)
        expect(tab.rooms.get_by_role("button", name=plans, exact=True)).to_have_count(0)


def test_moderators_mute_and_make_others_moderators(open_tab: OpenTab) -> None:
    ann, bob = open_tab("ann").register(), open_tab("bob").register()
    plans = made(ann)
    invite(ann, bob)
    bob.go(plans)
    moderate(ann, bob, "Mute in this room…")
    ann.page.get_by_role("button", name="Mute", exact=True).click()
    expect(bob.log).to_contain_text(f"{ann.nick} has muted {bob.nick} until")
    bob.say("but")
    expect(bob.article("but")).to_contain_text("Not sent.")
    ann.say(f"/unmute {bob.nick}")
    expect(bob.log).to_contain_text(f"{ann.nick} has unmuted {bob.nick}")
    bob.page.get_by_role("button", name="Try again").click()
    ann.expect_texts("but")
    bob.members.get_by_role("button", name=ann.nick).click()
    expect(bob.page.get_by_role("menuitem", name="Remove from this room")).to_have_count(0)
    bob.page.keyboard.press("Escape")
    moderate(ann, bob, "Make a moderator")
    expect(bob.log).to_contain_text(f"Moderators of {plans}: {ann.nick}, {bob.nick}")
    moderate(bob, ann, "No longer a moderator")
    expect(ann.log).to_contain_text(f"Moderators of {plans}: {bob.nick}")


def test_guests_see_no_way_to_what_needs_an_account(ann: Tab) -> None:
    expect(ann.page.get_by_role("button", name="New private room")).to_have_count(0)
    expect(ann.page.get_by_role("button", name="All conversations")).to_have_count(0)
    ann.say("/create plans")
    expect(ann.page.get_by_role("alert").filter(has_text="account")).to_be_visible()
    ann.say("/invite Bob")
    expect(ann.page.get_by_role("alert").filter(has_text="not a private room")).to_be_visible()


def test_a_moderator_makes_a_webhook_and_revokes_it(open_tab: OpenTab) -> None:
    ann = open_tab("ann").register()
    plans = made(ann)
    ann.say("/hook add")
    notice = ann.log.get_by_text(re.compile(rf"Webhook \S+ posts into {plans}"))
    number, address = re.findall(r"Webhook (\S+) .* (http\S+)$", notice.inner_text())[0]
    with urlopen(address, b"build is green") as answer:
        assert answer.status == 200
    ann.expect_texts("build is green")
    ann.say("/hook")
    expect(ann.log).to_contain_text(f"{number} posts into {plans}, made by {ann.nick}")
    ann.say(f"/hook revoke {number}")
    expect(ann.log).to_contain_text(f"revoked: {number}")
    with pytest.raises(HTTPError, match="404"):
        urlopen(address, b"build is red")
