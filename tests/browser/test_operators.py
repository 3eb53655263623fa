"""A server with a password, operators with their menu, and what they do to others, as sentences."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.door import Door
from tests.browser.tab import Tab
from tests.conversations.operators import TOKEN
from tests.conversations.peers import Rich, of


@pytest.fixture
def moderated(serve: Callable[..., Door], tmp_path: Path) -> Door:
    """Return a server with operators."""
    file = tmp_path / "operator"
    file.write_text(f"{TOKEN}\n")
    return serve("--operator-file", str(file))


@pytest.fixture
def mallory(moderated: Door, room: str) -> Iterator[Rich]:
    with Rich(moderated.address, f"mallory-{room}", rooms=[room]) as mallory:
        yield mallory


@pytest.fixture
def olga(open_tab: OpenTab, moderated: Door) -> Tab:
    """Return the tab of an operator."""
    olga = open_tab("olga", door=moderated).open().join()
    olga.page.get_by_role("button", name=re.compile(olga.nick)).last.focus()
    me = olga.rooms.get_by_role("button", name=olga.nick)
    me.click()
    olga.page.get_by_role("menuitem", name="Become an operator").click()
    dialog = olga.page.get_by_role("dialog")
    dialog.get_by_label("Operator token").fill("wrong")
    dialog.get_by_role("button", name="Become operator").click()
    expect(dialog.get_by_role("alert")).not_to_be_empty()
    dialog.get_by_label("Operator token").fill(TOKEN)
    dialog.get_by_role("button", name="Become operator").click()
    expect(dialog).not_to_be_visible()
    return olga


def choose(tab: Tab, nick: str, choice: str) -> None:
    """Choose from the menu of a member."""
    tab.members.get_by_role("button", name=nick).click()
    tab.page.get_by_role("menuitem", name=choice).click()


def test_an_operator_mutes_and_unmutes_by_the_menu(olga: Tab, mallory: Rich) -> None:
    mallory.say(olga.room, "first")
    expect(olga.article("first")).to_be_visible()
    choose(olga, mallory.nick, "Mute…")
    dialog = olga.page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("too loud")
    dialog.get_by_role("button", name="Mute").click()
    expect(olga.log.get_by_text(f"mute nick {mallory.nick} until")).to_be_visible()
    assert mallory.ask("say", room=olga.room, text="second", key="k")["code"] == "muted"
    choose(olga, mallory.nick, "Unmute")
    expect(olga.log.get_by_text(f"removed: mute nick {mallory.nick}")).to_be_visible()
    mallory.say(olga.room, "third")
    expect(olga.article("third")).to_be_visible()
    olga.expect_texts("first", "third")


def test_an_operator_kicks_from_the_menu_of_a_message(olga: Tab, mallory: Rich) -> None:
    mallory.say(olga.room, "spam")
    olga.article("spam").hover()
    olga.article("spam").get_by_role("button", name="Message menu").click()
    olga.page.get_by_role("menuitem", name="Kick…").click()
    olga.page.get_by_role("dialog").get_by_role("button", name="Kick").click()
    assert [bye["code"] for bye in of("bye", mallory.closing())] == ["kicked"]
    expect(olga.members).not_to_contain_text(mallory.nick)
    expect(olga.article("spam")).to_be_visible()


def test_all_of_a_menu_can_be_reached_where_there_is_little_height(
    olga: Tab, mallory: Rich
) -> None:
    mallory.say(olga.room, "spam")
    olga.page.set_viewport_size({"width": 640, "height": 300})
    olga.article("spam").press("Enter")
    expect(olga.page.get_by_role("menuitem", name="Copy text")).to_be_focused()
    olga.page.keyboard.press("End")
    expect(olga.page.get_by_role("menuitem", name="Ban")).to_be_in_viewport(ratio=1)


def test_who_is_not_an_operator_has_no_such_menu(
    open_tab: OpenTab, moderated: Door, mallory: Rich
) -> None:
    ann = open_tab("ann", door=moderated).open().join()
    ann.members.get_by_role("button", name=mallory.nick).click()
    expect(ann.page.get_by_role("menuitem", name="Ignore")).to_be_visible()
    expect(ann.page.get_by_role("menuitem", name="Ban")).to_have_count(0)


def test_a_refused_message_stays_and_says_why(
    open_tab: OpenTab, moderated: Door, room: str
) -> None:
    ann = open_tab("ann", door=moderated).open().join()
    with Rich(moderated.address, "op", token=TOKEN, rooms=[room]) as operator:
        operator.ask("admin", action="mute", target=ann.nick, target_type="nick")
        ann.say("may I?")
        expect(ann.article("may I?")).to_contain_text("You are muted by an operator")
        operator.ask("admin", action="unmute", target=ann.nick, target_type="nick")
        ann.article("may I?").get_by_role("button", name="Try again").click()
        assert operator.posts(1)[0]["text"] == "may I?"
        ann.expect_texts("may I?")


def test_who_is_banned_reads_why_and_for_how_long(
    open_tab: OpenTab, moderated: Door, room: str
) -> None:
    ann = open_tab("ann", door=moderated).open().join()
    ann.say("spam")
    with Rich(moderated.address, "op", token=TOKEN, rooms=[room]) as operator:
        operator.ask("admin", action="ban", target=ann.nick, seconds=3_600, reason="for spam")
    expect(ann.banner).to_contain_text("banned")
    expect(ann.banner).to_contain_text("for spam")
    expect(ann.message).to_be_disabled()
    ann.page.reload()
    expect(ann.page.get_by_text("for spam")).to_be_visible()


def test_a_server_password_is_asked_for_and_known_until_quit(
    serve: Callable[..., Door], open_tab: OpenTab, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("correct horse\n")
    ann = open_tab("ann", door=serve("--password-file", str(file))).open()
    password = ann.page.get_by_label("Password of this server")
    expect(password).not_to_be_visible()
    ann.name.fill(ann.nick)
    ann.join_button.click()
    for said in "wrong", "correct horse":
        expect(password).to_be_focused()
        expect(ann.page.get_by_role("alert").filter(has_text="password")).to_be_visible()
        password.fill(said)
        password.press("Enter")
    expect(ann.message).to_be_focused()
    ann.say("inside")
    ann.page.reload()
    ann.expect_texts("inside")
    ann.say("/quit")
    expect(ann.name).to_be_visible()
    assert "correct horse" not in ann.evaluate("JSON.stringify([localStorage, sessionStorage])")


def test_an_operator_ends_a_private_room_and_its_members_are_told(
    olga: Tab, open_tab: OpenTab, moderated: Door
) -> None:
    ann = open_tab("ann", door=moderated).register()
    plans = f"plans-{ann.nick}"
    ann.say(f"/create {plans}")
    expect(ann.title).to_have_text(plans)
    olga.say(f"/end {plans}")
    expect(olga.log).to_contain_text("The private room has ended.")
    expect(ann.log).to_contain_text(f"An operator has ended {plans}.")
    expect(ann.title).to_have_text(ann.room)
