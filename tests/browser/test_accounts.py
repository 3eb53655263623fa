"""Accounts: registering, signing in and out, several browsers of one person."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import OpenTab
from tests.browser.door import Door
from tests.browser.tab import PASSWORD, Tab
from tests.conversations.peers import Rich


def test_an_account_is_signed_in_by_itself_the_next_time(open_tab: OpenTab) -> None:
    ann = open_tab("ann").register()
    expect(ann.members).to_contain_text(ann.nick)
    ann.say("before")
    ann.expect_texts("before")
    ann.page.reload()
    ann.expect_texts("before")
    expect(ann.page.locator("#my-nick")).to_have_text(ann.nick)
    kept = ann.saved()
    assert kept["session"]
    assert PASSWORD not in str(kept)
    again = open_tab("ann", beside=ann).open()
    again.expect_texts("before")
    expect(ann.banner).to_contain_text("another tab")


def test_two_browsers_of_one_account_are_one_member_in_the_same_rooms(open_tab: OpenTab) -> None:
    laptop = open_tab("ann").register()
    phone = open_tab("ann").sign_in()
    expect(phone.title).to_have_text(laptop.room)
    expect(phone.members.get_by_role("listitem")).to_have_text([f"{laptop.nick}"])
    tea = f"{laptop.room}-tea"
    laptop.go(tea)
    laptop.say("said on the laptop")
    expect(phone.rooms.get_by_role("button", name=tea, exact=True)).to_be_visible()
    expect(phone.title).to_have_text(laptop.room)  # not moved
    phone.rooms.get_by_role("button", name=tea, exact=True).click()
    phone.expect_texts("said on the laptop")
    expect(phone.article("said on the laptop")).to_have_class("own")
    laptop.say("/leave")
    expect(phone.rooms.get_by_role("button", name=tea, exact=True)).to_have_count(0)
    laptop.say(f"/nick new-{laptop.room}")
    expect(phone.page.locator("#my-nick")).to_have_text(f"new-{laptop.room}")
    laptop.page.reload()
    expect(laptop.page.locator("#my-nick")).to_have_text(f"new-{laptop.room}")


def test_what_is_wrong_is_said_where_it_is(open_tab: OpenTab, bob: Rich) -> None:
    ann = open_tab("ann").register()
    other = open_tab("ann").open()
    for how, nick, password, field, why in (
        ("Sign in", ann.nick, "wrong password", other.password, "Wrong"),
        ("Sign in", ann.nick, " ", other.password, "Wrong"),
        ("Register", ann.nick, PASSWORD, other.name, "belongs to an account"),
        ("Register", bob.nick, PASSWORD, other.name, "in use"),
        ("Register", "two words", PASSWORD, other.name, "space"),
        ("Register", f"x-{ann.room}", "short", other.password, "8 characters"),
    ):
        other.enter(how, password, nick)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(other.page.get_by_role("alert").filter(has_text=why)).to_be_visible()
        expect(field).to_be_focused()
    other.page.get_by_role("radio", name="Guest").check(force=True)
    other.name.fill(ann.nick)
    other.join_button.click()
    expect(other.page.get_by_role("alert").filter(has_text="account")).to_be_visible()
    other.enter("Sign in")
    expect(other.message).to_be_enabled()


def test_who_signs_out_leaves_nothing_in_the_browser(open_tab: OpenTab) -> None:
    ann = open_tab("ann").register()
    ann.say("between us")
    token = ann.saved()["session"]
    ann.choose("Sign out")
    expect(ann.page.get_by_text("You are signed out.")).to_be_visible()
    expect(ann.name).to_have_value("")
    assert set(ann.saved()) <= {"client"}
    assert ann.room not in ann.page.url
    ann.page.evaluate(
        """token => {
          localStorage.setItem("geventchat.session", JSON.stringify(token));
          localStorage.setItem("geventchat.joined", "true");
        }""",
        token,
    )
    ann.page.reload()
    expect(ann.page.get_by_role("alert").filter(has_text="Sign in again")).to_be_visible()


def test_a_session_that_is_revoked_elsewhere_ends_with_its_reason(open_tab: OpenTab) -> None:
    laptop = open_tab("ann").register()
    phone = open_tab("ann").sign_in()
    laptop.choose("Your sessions…")
    sessions = laptop.page.get_by_role("list", name="Sessions").get_by_role("listitem")
    expect(sessions).to_have_count(2)
    expect(sessions.first).to_contain_text("This browser")
    for each in sessions.all():
        expect(each).to_contain_text("Chrome on Linux")
    laptop.page.get_by_role("button", name="End Connected now").click()
    expect(sessions).to_have_count(1)
    laptop.page.keyboard.press("Escape")
    expect(phone.page.get_by_role("alert").filter(has_text="revoked")).to_be_visible()
    expect(phone.name).to_have_value(phone.nick)
    expect(phone.password).to_be_focused()
    phone.password.fill(PASSWORD)
    phone.password.press("Enter")
    expect(phone.message).to_be_enabled()


def test_a_guest_keeps_the_nick_as_an_account(open_tab: OpenTab, room: str) -> None:
    ann = open_tab("ann").open().join()
    ann.choose("Register…")
    dialog = ann.page.get_by_role("dialog")
    expect(dialog.get_by_role("textbox", name="Name")).to_have_value(ann.nick)
    dialog.get_by_role("textbox", name="Password").fill("short")
    dialog.get_by_role("button", name="Register").click()
    expect(dialog.get_by_role("alert")).to_contain_text("at least 8")
    dialog.get_by_role("textbox", name="Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Register").click()
    expect(ann.log).to_contain_text("is your account now")
    ann.page.reload()
    expect(ann.log).to_contain_text(f"This is the beginning of {room}")
    phone = open_tab("ann").sign_in()
    expect(phone.members.get_by_role("listitem")).to_have_count(1)


def test_a_changed_password_ends_the_other_sessions(open_tab: OpenTab) -> None:
    laptop = open_tab("ann").register()
    phone = open_tab("ann").sign_in()
    laptop.say("/password")
    laptop.page.get_by_role("textbox", name="Present password").fill("not this one")
    laptop.page.get_by_role("textbox", name="New password").fill(" new horse ")
    change = laptop.page.get_by_role("button", name="Change", exact=True)
    change.click()
    expect(laptop.page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Wrong")
    laptop.page.get_by_role("textbox", name="Present password").fill(PASSWORD)
    change.click()
    expect(laptop.log).to_contain_text("password is changed")
    expect(phone.page.get_by_role("alert").filter(has_text="password was changed")).to_be_visible()
    phone.enter("Sign in", " new horse ")
    expect(phone.message).to_be_enabled()
    laptop.page.reload()
    expect(laptop.message).to_be_enabled()


def test_guests_are_refused_where_an_account_is_required(
    serve: Callable[..., Door], open_tab: OpenTab
) -> None:
    ann = open_tab("ann", door=serve("--accounts", "required")).open("")
    ann.name.fill("Ann")
    ann.join_button.click()
    expect(ann.page.get_by_role("alert").filter(has_text="account")).to_be_visible()
    expect(ann.page.get_by_role("radio")).to_have_count(2)
    ann.enter("Register")
    expect(ann.title).to_have_text("lobby")


def test_another_person_in_the_same_browser_sees_nothing_of_the_first(
    open_tab: OpenTab, room: str
) -> None:
    ann = open_tab("ann").register()
    ann.go(f"{room}-secret")
    ann.say("only mine")
    ann.expect_texts("only mine")
    ann.say("/quit")
    expect(ann.page.get_by_role("button", name=f"Continue as {ann.nick}")).to_be_focused()
    ann.open("").enter("Register", nick=f"eve-{room}")
    expect(ann.page.locator("#my-nick")).to_have_text(f"eve-{room}")
    expect(ann.rooms.get_by_role("button", name=f"{room}-secret", exact=True)).to_have_count(0)
    assert f"{room}-secret" not in str(ann.saved())


def test_who_left_the_chat_goes_on_with_one_click(open_tab: OpenTab) -> None:
    ann = open_tab("ann").register()
    ann.say("here", "/quit")
    ann.page.get_by_role("button", name=f"Continue as {ann.nick}").click()
    ann.expect_texts("here")


def test_a_password_in_the_line_goes_nowhere(ann: Tab) -> None:
    ann.say(f"/register {ann.nick} {PASSWORD}")
    name = ann.page.get_by_role("dialog").get_by_role("textbox", name="Name")
    expect(name).to_have_value(ann.nick)
    ann.page.keyboard.press("Escape")
    ann.message.press("ArrowUp")
    expect(ann.message).to_have_value("")
    assert PASSWORD not in str(ann.saved())


def test_where_nobody_may_register_the_form_says_so(
    serve: Callable[..., Door], open_tab: OpenTab
) -> None:
    ann = open_tab("ann", door=serve("--accounts", "closed")).open("").enter("Register")
    expect(ann.name).to_have_attribute("aria-invalid", "true")
    expect(ann.page.get_by_role("alert").filter(has_text="operator")).to_be_visible()
    ann.page.get_by_role("radio", name="Guest").check(force=True)
    ann.join()
