"""Nicks: one owner each, held for a dropped client, free at once after a bye."""

import re

import pytest
from gevent import joinall, spawn

from tests.conversations.conftest import Address, Serve
from tests.conversations.control import Control
from tests.conversations.peers import Plain, Rich, encode, of


def drop(peer: Rich) -> None:
    """End a connection without bye, and reconnect once the server has noticed."""
    peer.shut()
    peer.rest()


def quit_(peer: Rich) -> None:
    """Send bye, and reconnect once the server has ended the session."""
    peer.tell("bye")
    peer.rest()


def test_a_rename_is_answered_and_changes_the_author_of_later_posts(address: Address) -> None:
    with Rich(address, "ann") as ann, Rich(address, "bob") as bob:
        renamed = ann.ask("nick", nick="zoe")
        assert (renamed["type"], renamed["nick"]) == ("renamed", "zoe")
        ann.say("lobby", "hello")
        assert bob.posts(1)[0]["author"] == "zoe"


def test_posts_from_before_a_rename_keep_their_author(stored: Address) -> None:
    with Rich(stored, "ann") as ann:
        ann.send(
            b'{"type":"say","room":"lobby","text":"one"}\0'
            b'{"type":"nick","nick":"zoe"}\0'
            b'{"type":"say","room":"lobby","text":"two"}\0'
        )
        assert [post["author"] for post in ann.posts(2)] == ["ann", "zoe"]


@pytest.mark.parametrize("nick", ["ann", "Ann", "ANN", "\uff41\uff4e\uff4e", "\uff21nn"])
def test_a_nick_in_use_is_refused_in_every_spelling(address: Address, nick: str) -> None:
    with Rich(address, "ann"), Rich(address, "bob") as bob:
        error = bob.ask("nick", nick=nick)
        assert (error["type"], error["code"]) == ("error", "nick_in_use")
        bob.say("lobby", "hello")
        assert bob.posts(1)[0]["author"] == "bob"


@pytest.mark.parametrize(
    ("nick", "other"),
    [("ann", "\u0430nn"), ("paul", "pau1"), ("modern", "modem"), ("Ilia", "llia"), ("bo", "b0")],
)
def test_a_nick_that_only_looks_like_one_in_use_is_refused(
    address: Address, nick: str, other: str
) -> None:
    with Rich(address, nick) as ann, Rich(address, "xx") as eve:
        assert ann.nick == nick
        error = eve.ask("nick", nick=other)
        assert (error["type"], error["code"]) == ("error", "nick_too_similar")


@pytest.mark.parametrize(
    "nick",
    ["server", "SYSTEM", "geventchat", "guest-1", "Guest-99999", "guest-", "s\u0435rver"],
)
def test_a_reserved_nick_is_refused(address: Address, nick: str) -> None:
    with Rich(address, "ann") as ann:
        error = ann.ask("nick", nick=nick)
        assert (error["type"], error["code"]) == ("error", "bad_nick")


@pytest.mark.parametrize(
    "nick",
    [
        "",
        " ",
        "a b",
        "x" * 33,
        "x" * 5000,
        "a\tb",
        "a\u00a0b",
        "a\u200bb",
        "a\u202eb",
        "\u2028",
        "\u3164",
        "a\u007f",
        "\ufdfa\ufdfa",  # two characters that NFKC makes 36 of, spaces among them
    ],
)
def test_a_bad_nick_is_refused(address: Address, nick: str) -> None:
    with Rich(address, "ann") as ann:
        error = ann.ask("nick", nick=nick)
        assert (error["type"], error["code"]) == ("error", "bad_nick")


@pytest.mark.parametrize("nick", ["x", "x" * 32, "\u00e9l\u00e8ve", "\u5f20\u4e09", "\U0001f600"])
def test_a_nick_may_be_in_any_script(address: Address, nick: str) -> None:
    with Rich(address, nick) as ann:
        assert ann.nick == nick


def test_a_nick_is_kept_in_its_nfkc_form(address: Address) -> None:
    with Rich(address, "\uff21nne\u0301") as ann:
        assert ann.nick == "Ann\u00e9"


def test_a_client_may_respell_its_own_nick(address: Address) -> None:
    with Rich(address, "ann") as ann, Rich(address, "bob") as bob:
        assert ann.ask("nick", nick="Ann")["nick"] == "Ann"
        (presence,) = of("presence", bob.pong())
        assert (presence["nick"], presence["new_nick"]) == ("ann", "Ann")
        assert ann.ask("nick", nick="\u0410nn")["type"] == "renamed"  # it looks like its own
        assert bob.ask("nick", nick="Ann")["code"] == "nick_too_similar"


def test_a_nick_that_is_respelled_while_reconnecting_is_announced_once(address: Address) -> None:
    with Rich(address, "ann") as ann, Rich(address, "bob") as bob:
        drop(ann)
        with Rich(address, "Ann", client=ann.client) as again:
            assert again.nick == "Ann"
            (presence,) = of("presence", bob.pong())
            assert (presence["event"], presence["new_nick"]) == ("rename", "Ann")


def test_a_refused_nick_says_which_one_is_in_the_way_and_for_how_long(address: Address) -> None:
    with Rich(address, "Bernd") as bernd, Rich(address, "eve") as eve:
        assert "looks like Bernd, which is in use." in eve.ask("nick", nick="Bemd")["text"]
        drop(bernd)
        for nick in ("Bemd", "bernd"):
            text = eve.ask("nick", nick=nick)["text"]
            assert re.search(r"is held for its former user for (5\d|60) more seconds\.", text)


def test_renaming_to_the_current_nick_is_answered_and_not_announced(address: Address) -> None:
    with Rich(address, "ann") as ann, Rich(address, "bob") as bob:
        assert ann.ask("nick", nick="ann")["nick"] == "ann"
        assert of("presence", bob.pong()) == []


def test_a_refused_rename_is_not_announced(address: Address) -> None:
    with Rich(address, "ann") as ann, Rich(address, "bob") as bob:
        ann.ask("nick", nick="bob")
        ann.ask("nick", nick="server")
        assert of("presence", bob.pong()) == []


def test_a_nick_is_free_as_soon_as_its_owner_takes_another(address: Address) -> None:
    with Rich(address, "ann") as ann, Rich(address, "bob") as bob:
        ann.ask("nick", nick="zoe")
        assert bob.ask("nick", nick="ann")["nick"] == "ann"
        assert ann.ask("nick", nick="bob")["nick"] == "bob"


def test_a_nick_is_free_as_soon_as_its_owner_says_bye(address: Address) -> None:
    with Rich(address, "ann") as ann, Rich(address, "bob") as bob:
        quit_(ann)
        assert bob.ask("nick", nick="ann")["nick"] == "ann"
        with Rich(address, client=ann.client) as again:
            assert again.nick.startswith("guest-")


def test_a_nick_is_held_only_for_the_client_that_dropped(address: Address) -> None:
    with Rich(address, "ann") as ann, Rich(address, "bob") as bob:
        drop(ann)
        assert bob.ask("nick", nick="Ann")["code"] == "nick_in_use"
        assert bob.ask("nick", nick="\u0430nn")["code"] == "nick_too_similar"
        with Rich(address, "ann") as eve:
            assert eve.nick.startswith("guest-")
        with Rich(address, client=ann.client) as again:
            assert again.nick == "ann"


def test_a_dropped_client_may_ask_for_its_own_nick(address: Address) -> None:
    with Rich(address, "ann") as ann:
        drop(ann)
        with Rich(address, "ANN", client=ann.client) as again:
            assert again.nick == "ANN"
            assert of("error", again.greeting) == []


def test_a_client_that_comes_back_under_another_nick_frees_the_one_held(address: Address) -> None:
    with Rich(address, "ann") as ann, Rich(address, "bob") as bob:
        drop(ann)
        with Rich(address, "zoe", client=ann.client) as again:
            assert again.nick == "zoe"
            assert bob.ask("nick", nick="ann")["nick"] == "ann"


def test_a_guest_that_dropped_comes_back_as_the_same_guest(address: Address) -> None:
    with Rich(address) as ann:
        drop(ann)
        with Rich(address, client=ann.client) as again:
            assert again.nick == ann.nick


def test_a_nick_is_held_again_each_time_its_client_drops(address: Address) -> None:
    with Rich(address, "ann") as ann, Rich(address, "bob") as bob:
        drop(ann)
        for _ in range(3):
            with Rich(address, client=ann.client) as again:
                assert again.nick == "ann"
                drop(again)
            assert bob.ask("nick", nick="ann")["code"] == "nick_in_use"


def test_a_nick_is_free_when_its_hold_ends(serve: Serve) -> None:
    address = serve(nick_hold_seconds=1)
    with Control(address), Rich(address, "ann") as ann, Rich(address, "bob") as bob:
        drop(ann)
        bob.hear(lambda event: event.get("event") == "leave" and event["nick"] == "ann")
        assert bob.ask("nick", nick="ann")["nick"] == "ann"
        with Rich(address, client=ann.client) as again:
            assert again.nick.startswith("guest-")


def test_a_plain_member_has_a_unique_guest_name(address: Address) -> None:
    with Plain(address) as eve, Rich(address) as ann, Rich(address) as bob:
        eve.send(b"hello\0")
        author = bob.posts(1)[0]["author"]
        assert author.startswith("guest-")
        assert author not in (ann.nick, bob.nick)


def test_one_of_many_racing_clients_gets_the_nick(address: Address) -> None:
    peers = [Rich(address) for _ in range(20)]
    answers = []

    def race(peer: Rich) -> None:
        answers.append(peer.ask("nick", nick="crown"))

    joinall([spawn(race, peer) for peer in peers], raise_error=True)
    winners = [answer for answer in answers if answer["type"] == "renamed"]
    assert [winner["nick"] for winner in winners] == ["crown"]
    assert [answer.get("code") for answer in answers].count("nick_in_use") == 19
    for peer in peers:
        peer.socket.close()


def test_one_of_many_racing_hellos_gets_the_nick(address: Address) -> None:
    peers = []

    def race(_: int) -> None:
        peers.append(Rich(address, "crown"))

    joinall([spawn(race, number) for number in range(20)], raise_error=True)
    assert [peer.nick for peer in peers].count("crown") == 1
    assert len({peer.nick for peer in peers}) == 20
    for peer in peers:
        peer.socket.close()


def test_a_listener_can_follow_any_number_of_renames(address: Address) -> None:
    """Each is answered; several at once may be told as one, and never so as to mislead."""
    with (
        Rich(address, "listener") as listener,
        Rich(address, "ann") as ann,
        Rich(address, "bob") as bob,
    ):
        listener.pong()
        nicks = {"listener", "ann", "bob"}
        for number in range(20):
            wanted = {
                peer: [f"{peer.nick}{number}-{step}" for step in "123"] for peer in (ann, bob)
            }
            for peer, own in wanted.items():
                peer.send(b"".join(encode({"type": "nick", "nick": nick}) for nick in own))
            for peer, own in wanted.items():
                assert [answer["nick"] for answer in of("renamed", peer.pong())] == own
            for event in of("presence", listener.pong()):
                nicks.remove(event["nick"])
                nicks.add(event["new_nick"])
            assert nicks == {"listener", wanted[ann][-1], wanted[bob][-1]}
