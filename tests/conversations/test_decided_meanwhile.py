"""What is decided while somebody signs in holds for the connection, wherever signing in waits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from geventchat.protocol import requests
from geventchat.server.people.login import Login
from geventchat.server.session import accounts
from geventchat.server.session.session import Session
from tests.conversations.chat import chatting
from tests.conversations.operators import admin, operator
from tests.conversations.peers import Rich
from tests.conversations.signed_in import PASSWORD, registered

Decide = Callable[[Rich, Rich], object]
"""What Ann on her first device, or an operator, decides."""


def revoke(ann: Rich, _: Rich) -> None:
    (other,) = (each for each in ann.ask("sessions")["sessions"] if not each.get("current"))
    assert ann.ask("revoke", session=other["id"])["type"] == "sessions"


def change_password(ann: Rich, _: Rich) -> None:
    answer = ann.ask("password", password=PASSWORD, new_password="battery staple")
    assert answer["type"] == "signed_in"


def ban_account(_: Rich, olga: Rich) -> None:
    admin(olga, "ban", "Ann")


def ban_client(_: Rich, olga: Rich) -> None:
    """Of the guest that this client was before."""
    admin(olga, "ban", "Gus", target_type="client")


def remove(_: Rich, olga: Rich) -> None:
    assert olga.ask("accounts", action="remove", nick="Ann")["type"] == "accounts"


DECISIONS: Final[dict[Decide, tuple[str, int]]] = {
    revoke: ("account", 1),
    change_password: ("account", 1),
    remove: ("account", 0),
    ban_account: ("banned", 0),
    ban_client: ("banned", 2),
}
"""How the new connection ends, and how many others of the account are left."""


@pytest.mark.parametrize("decide", DECISIONS, ids=lambda decide: decide.__name__)
def test_it_holds_for_a_connection_that_is_signed_in_but_not_yet_the_accounts(
    tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, decide: Decide
) -> None:
    """All that signing in checks was checked before."""
    with chatting(f"sqlite:{tmp_path}/chat.db", options=options) as chat:
        ann, olga, gus = registered(chat, "Ann"), operator(chat), chat.rich("Gus")
        second = chat.rich(account={"nick": "Ann", "password": PASSWORD})
        sign_in = accounts.sign_in

        def then(
            session: Session, asked: requests.SignIn, client: bytes
        ) -> tuple[Login, str | None]:
            signed_in = sign_in(session, asked, client)
            decide(ann, olga)
            return signed_in

        monkeypatch.setattr(accounts, "sign_in", then)
        account = {"session": second.welcome["session"]}
        (bye,) = chat.refused(client=gus.client, account=account)
        code, left = DECISIONS[decide]
        assert (bye["type"], bye["code"]) == ("bye", code)
        (shown,) = olga.ask("accounts", action="list")["accounts"] or [{}]
        assert shown.get("connections", 0) == left
