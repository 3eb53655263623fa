"""Posts of an account are changed from any of its devices, and by nobody else."""

from tests.conversations.chat import Chat
from tests.conversations.conftest import BOTH_DOORS
from tests.conversations.peers import of
from tests.conversations.signed_in import device, registered
from tests.conversations.test_edit import said

pytestmark = BOTH_DOORS


def test_a_post_of_one_device_is_edited_on_another(stored_chat: Chat) -> None:
    laptop = registered(stored_chat, "Ann")
    phone = device(stored_chat, laptop)
    bob = stored_chat.rich("Bob")
    said(laptop, "helo")
    bob.pong()
    laptop.pong()
    answer = phone.ask("edit", room="lobby", position=1, text="hello")
    account = phone.welcome["account"]
    assert (answer["type"], answer["by"], answer["account"]) == ("edited", "Ann", account)
    without_id = {name: value for name, value in answer.items() if name != "id"}
    assert of("edited", laptop.pong()) == of("edited", bob.pong()) == [without_id]
    assert laptop.ask("redact", room="lobby", position=1)["account"] == account


def test_the_same_program_signed_out_is_not_the_author(stored_chat: Chat) -> None:
    """The account is, wherever it is: not the client that it used."""
    ann = registered(stored_chat, "Ann")
    said(ann, "mine")
    ann.ask("bye")
    guest = stored_chat.rich("somebody", client=ann.client)
    assert guest.welcome.get("account") is None
    assert guest.ask("edit", room="lobby", position=1, text="x")["code"] == "forbidden"
    assert guest.ask("redact", room="lobby", position=1)["code"] == "forbidden"


def test_another_account_is_not_the_author(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann"), registered(stored_chat, "Bob")
    said(ann, "mine")
    assert bob.ask("redact", room="lobby", position=1)["code"] == "forbidden"
    assert ann.ask("redact", room="lobby", position=1)["type"] == "redacted"
