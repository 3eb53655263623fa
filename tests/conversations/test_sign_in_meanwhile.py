"""What happens while an account is being stored takes nothing from it."""

from collections.abc import Callable

import pytest

from geventchat.protocol.errors import Refused
from geventchat.server.people.account import Account
from geventchat.server.people.records import Kept
from tests.conversations import nodes
from tests.conversations.chat import Chat
from tests.conversations.peers import Rich
from tests.conversations.signed_in import PASSWORD

CLIENT = "a-client-of-a-guest"


def while_saving(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]
) -> list[bool]:
    """Do something while the first account is being stored; return whether that was done."""
    done: list[bool] = []
    for node in nodes.beside(chat.server):
        people = node._hub.people

        def meanwhile(*changed: Kept, save: Callable[..., None] = people.save) -> None:
            if not done and any(isinstance(each, Account) for each in changed):
                done.append(True)
                act()
            save(*changed)

        monkeypatch.setattr(people, "save", meanwhile)
    return done


def renames(chat: Chat, guest: Rich) -> None:
    assert guest.ask("nick", nick="Zoe")["type"] == "renamed"


def closes(chat: Chat, guest: Rich) -> None:
    guest.socket.close()
    chat.wait_disconnected(guest)


def connects_again(chat: Chat, guest: Rich) -> None:
    chat.rich(client=CLIENT)


@pytest.mark.parametrize("act", [renames, closes, connects_again])
def test_the_guest_whose_client_registers_does_not_keep_the_nick_of_the_account(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, act: Callable[[Chat, Rich], None]
) -> None:
    guest = chat.rich("Ann", client=CLIENT)
    done = while_saving(chat, monkeypatch, lambda: act(chat, guest))
    account = {"nick": "Ann", "password": PASSWORD, "register": True}
    assert chat.rich(client=CLIENT, account=account).nick == "Ann"
    assert done
    assert chat.rich("Bob").ask("nick", nick="Ann")["code"] == "nick_in_use"
    assert chat.rich(account={"nick": "Ann", "password": PASSWORD}).nick == "Ann"


def failing(*_: Kept) -> None:
    raise Refused("storage", "The server could not store that. Try again.")


def fail_to_save(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    for node in nodes.beside(chat.server):
        monkeypatch.setattr(node._hub.people, "save", failing)


def test_a_guest_that_could_not_be_registered_hears_which_nick_it_has(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have heard of it already."""
    guest = chat.rich("Bob")
    fail_to_save(chat, monkeypatch)
    guest.tell("register", nick="Ann", password=PASSWORD, id="1")
    heard = guest.hear(lambda event: event.get("id") == "1")
    assert [(event["type"], event.get("nick")) for event in heard] == [
        ("renamed", "Ann"),
        ("error", None),
    ]
    assert "Ann" in chat.rich().ask("who", room="lobby")["nicks"]


def test_a_guest_keeps_its_nick_if_its_account_could_not_be_stored(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = chat.rich("Ann", client=CLIENT)
    fail_to_save(chat, monkeypatch)
    account = {"nick": "Ann", "password": PASSWORD, "register": True}
    assert chat.refused(client=CLIENT, account=account)[-1]["code"] == "account"
    assert chat.rich("Bob").ask("nick", nick="Ann")["code"] == "nick_in_use"
    assert guest.ask("nick", nick="Zoe")["type"] == "renamed"
    assert chat.rich("Ann").nick == "Ann"
