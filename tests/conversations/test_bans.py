"""Bans: of clients, nicks and addresses, in every spelling, until they end or are removed."""

import pytest

from tests.conversations.chat import Chat, drop
from tests.conversations.operators import (
    NOTICE,
    admin,
    banned,
    elsewhere,
    forbidden,
    operator,
    set_clock,
)
from tests.conversations.peers import Bystanders, of, texts


def test_a_banned_client_gets_the_reason_and_cannot_return_by_nick_or_client(
    moderated: Chat,
) -> None:
    olga, eve = operator(moderated), moderated.rich("Eve")
    with Bystanders(moderated.address) as bystanders:
        answer = admin(olga, "ban", "EVE", reason="spam")
        assert [rule["target_type"] for rule in answer["rules"]] == ["client", "nick"]
        assert (answer["connections_closed"], answer["total"]) == (1, 2)
        bye = eve.closing()[-1]
        assert (bye["code"], bye["text"]) == ("banned", "You are banned from this server: spam")
        banned(moderated, client=eve.client, nick="Other")
        for nick in ("Eve", "eve", "\u0415ve", "ＥＶＥ"):
            assert "The nick Eve is banned" in banned(moderated, nick=nick)["text"]
        bystanders.check_heard()
    moderated.rich("Other")


def test_a_banned_nick_cannot_be_taken_by_a_connected_client(moderated: Chat) -> None:
    olga, ann = operator(moderated), moderated.rich("Ann")
    admin(olga, "ban", "Eve")
    assert "Eve is banned" in forbidden(ann, "nick", nick="\u0415ve")
    assert ann.ask("nick", nick="Ev")["type"] == "renamed"


def test_a_ban_can_be_limited_to_the_nick(moderated: Chat) -> None:
    olga, eve = operator(moderated), moderated.rich("Eve")
    answer = admin(olga, "ban", "Eve", target_type="nick")
    assert [rule["target_type"] for rule in answer["rules"]] == ["nick"]
    eve.closing()
    assert moderated.rich("Ann", client=eve.client).nick == "Ann"


def test_an_absent_client_can_be_banned(moderated: Chat) -> None:
    olga, eve = operator(moderated), moderated.rich("Eve")
    drop(eve)
    moderated.wait_disconnected(eve)
    assert len(admin(olga, "ban", "Eve")["rules"]) == 2
    banned(moderated, client=eve.client, nick="Ann")


def test_a_banned_client_cannot_replace_its_open_connection(moderated: Chat) -> None:
    olga, eve = operator(moderated), moderated.rich("Eve")
    admin(olga, "ban", "Ann")
    banned(moderated, client=eve.client, nick="Ann")
    assert of("bye", eve.pong()) == []


def test_a_banned_address_gets_a_line_and_is_closed(moderated: Chat) -> None:
    olga, far = operator(moderated), elsewhere(moderated)
    moderated.wait_accepted()
    with Bystanders(moderated.address) as bystanders:
        assert admin(olga, "ban", "127.0.0.9", reason="spam")["connections_closed"] == 1
        assert far.rest()[-1:] == [NOTICE + b"You are banned from this server: spam"]
        again = elsewhere(moderated)
        assert again.rest() == [NOTICE + b"Your address is banned: spam"]
        bystanders.check_heard()
    assert admin(olga, "unban", "127.0.0.9")["total"] == 0
    again = elsewhere(moderated)
    again.send(b"hello\0")
    assert texts(olga.posts(1)) == ["hello"]


def test_an_address_is_banned_by_a_nick_connected_from_it(moderated: Chat) -> None:
    olga, plain = operator(moderated), elsewhere(moderated)
    plain.send(b"hello\0")
    guest = olga.posts(1)[0]["author"]
    error = olga.ask("admin", action="ban", target=guest)
    assert (error["code"], "address" in error["text"]) == ("bad_field", True)
    (rule,) = admin(olga, "ban", guest, target_type="address")["rules"]
    assert (rule["target_type"], rule["target"]) == ("address", "127.0.0.9/32")
    assert len(plain.rest()) == 1


def test_a_ban_expires(moderated: Chat) -> None:
    olga, eve = operator(moderated), moderated.rich("Eve")
    until = admin(olga, "ban", "Eve", seconds=3600)["rules"][0]["until"]
    assert " until 20" in eve.closing()[-1]["text"]
    set_clock(moderated, until / 1000 - 1)
    banned(moderated, nick="Eve")
    set_clock(moderated, until / 1000)
    assert moderated.rich("Eve", client=eve.client).nick == "Eve"
    assert admin(olga, "list")["total"] == 0


def test_a_ban_can_be_removed(moderated: Chat) -> None:
    olga, eve = operator(moderated), moderated.rich("Eve")
    admin(olga, "ban", "Eve")
    eve.closing()
    assert len(admin(olga, "unban", "eve")["rules"]) == 2
    assert moderated.rich("Eve", client=eve.client).nick == "Eve"
    error = olga.ask("admin", action="unban", target="Eve")
    assert (error["type"], error["code"]) == ("error", "bad_field")


@pytest.mark.parametrize("target", ["Olga", "0lga", "127.0.0.1", "127.0.0.0/8", "0.0.0.0/0"])
@pytest.mark.parametrize("action", ["ban", "mute"])
def test_an_operator_cannot_ban_or_mute_itself(moderated: Chat, action: str, target: str) -> None:
    olga = operator(moderated)
    assert f"would also {action} you" in forbidden(olga, "admin", action=action, target=target)
    assert admin(olga, "list")["total"] == 0


def test_bans_do_not_apply_to_operators(moderated: Chat) -> None:
    olga, otto = operator(moderated), operator(moderated, "Otto")
    assert admin(olga, "ban", "Otto")["connections_closed"] == 0
    assert of("bye", otto.pong()) == []
    assert operator(moderated, "Otto", client=otto.client).nick == "Otto"


@pytest.mark.parametrize("target", ["guest-99999", "server", "a b", ""])
def test_an_invalid_nick_cannot_be_banned(moderated: Chat, target: str) -> None:
    olga = operator(moderated)
    error = olga.ask("admin", action="ban", target=target)
    assert (error["type"], error["code"] in ("no_such_nick", "bad_nick", "bad_field")) == (
        "error",
        True,
    )
    assert admin(olga, "list")["total"] == 0


@pytest.mark.parametrize("target", ["300.1.2.3", "10.1.2.3/33", "fe80::1/129", "10.0.0", "::1::"])
@pytest.mark.parametrize("action", ["ban", "mute", "kick"])
def test_an_invalid_address_is_an_error_and_not_a_nick(
    moderated: Chat, action: str, target: str
) -> None:
    olga = operator(moderated)
    error = olga.ask("admin", action=action, target=target)
    assert (error["code"], error["text"]) == (
        "bad_field",
        f"target: {target} is not a valid address.",
    )
    assert admin(olga, "list")["total"] == 0


@pytest.mark.parametrize("nick", ["127.0.0.9", "127.0.0.0", "::1", "fe80::1"])
def test_a_nick_cannot_look_like_an_address(moderated: Chat, nick: str) -> None:
    assert moderated.rich("Eve").ask("nick", nick=nick)["code"] == "bad_nick"


def test_a_network_of_ipv4_within_ipv6_is_banned(moderated: Chat) -> None:
    rule = admin(operator(moderated), "ban", "::ffff:127.0.0.8/127")["rules"][0]
    assert rule["target"] == "127.0.0.8/31"
    assert elsewhere(moderated).rest() == [NOTICE + b"Your address is banned."]


@pytest.mark.parametrize(
    "nick", ["Mallory", "mallory", "Ⓜⓐⓛⓛⓞⓡⓨ", "Ｍallory", "ᴹallory", "Маllоrу"]
)
def test_a_banned_nick_is_banned_in_every_spelling(moderated: Chat, nick: str) -> None:
    eve = moderated.rich("Eve")
    admin(operator(moderated), "ban", "Mallory", target_type="nick")
    assert moderated.refused(nick=nick)[-1]["code"] == "banned"
    assert "Mallory is banned" in forbidden(eve, "nick", nick=nick)
