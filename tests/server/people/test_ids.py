"""The ids of webhooks and logins, which people give to commands."""

from geventchat.server.people.account import Account
from geventchat.server.people.hooks import Hooks
from geventchat.server.people.login import Login


def test_no_id_of_a_webhook_looks_like_an_option() -> None:
    hooks = Hooks()
    ids = [hooks.make("dev", "ann", 0, private=False)[0].id for _ in range(200)]
    assert all(each.isalnum() for each in ids)


def test_no_id_of_a_login_looks_like_an_option() -> None:
    account = Account("a", "ann", 0)
    assert all(Login.new(account, 0)[0].id.isalnum() for _ in range(200))
