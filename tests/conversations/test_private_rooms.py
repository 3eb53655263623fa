"""Private rooms: only accounts are in them, by invitation, and their moderators keep them."""

import pytest

from tests.conversations.chat import Chat, chatting
from tests.conversations.devices import (
    admit,
    code,
    private_room,
    registered,
    rooms,
    sign_in,
)
from tests.conversations.nodes import beside
from tests.conversations.operators import admin, operator
from tests.conversations.peers import of, texts


def test_the_server_says_that_it_has_private_rooms(chat: Chat) -> None:
    assert "private" in chat.rich().welcome["features"]


# Making one


def test_who_makes_a_room_is_in_it_and_its_moderator(stored_chat: Chat) -> None:
    (ann,) = registered(stored_chat, "Ann")
    joined = ann.ask("create", room="Plans", private=True)
    assert joined["room"] == "plans"
    assert joined["private"]
    assert joined["moderator"]
    assert (joined["position"], joined["oldest"], joined["recovered"]) == (0, 1, None)
    ann.say("plans", "hello")
    assert ann.posts(1, "plans")[0]["position"] == 1


def test_it_opens_on_the_other_connections_of_who_made_it(chat: Chat) -> None:
    (ann,) = registered(chat, "Ann")
    phone = sign_in(chat, ann)
    ann.ask("create", room="plans")
    (joined,) = of("joined", phone.hear(lambda event: event["type"] == "joined"))
    assert joined["room"] == "plans"
    assert joined["moderator"]
    assert joined["private"]


def test_a_guest_makes_none(chat: Chat) -> None:
    guest = chat.rich("Gus")
    assert code(guest, "create", room="plans") == "forbidden"
    assert guest.ask("join", room="plans")["type"] == "joined"


@pytest.mark.parametrize("used", ["lobby", "taken", "said", "named", "plans"])
def test_a_name_that_was_ever_used_is_taken(stored_chat: Chat, used: str) -> None:
    """A room has members, had a post, has a topic, or is private: nobody may shut it."""
    ann, bob = registered(stored_chat, "Ann", "Bob")
    for room in ("taken", "said", "named"):
        bob.ask("join", room=room)
    bob.say("said", "hello")
    bob.ask("topic", room="named", topic="hello")
    bob.ask("leave", room="said")
    bob.ask("leave", room="named")
    bob.ask("create", room="plans")
    error = ann.ask("create", room=used)
    assert (error["code"], error["text"]) == (
        "forbidden",
        f"The name {used} is taken. Choose another.",
    )


def test_a_room_of_an_account_that_is_away_is_taken(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    bob.ask("join", room="quiet")
    bob.tell("bye")
    bob.closing()
    chat.wait_disconnected(bob)
    assert code(ann, "create", room="quiet") == "forbidden"


def test_a_room_with_a_rule_of_operators_is_taken(moderated: Chat) -> None:
    (ann,) = registered(moderated, "Ann")
    admin(operator(moderated), "freeze", "plans")
    assert code(ann, "create", room="plans") == "forbidden"


@pytest.mark.parametrize("name", ["@plans", "@AAAAAAAAAAAAAAAA", "＠plans", "a b", ""])
def test_names_keep_the_rules_of_rooms(chat: Chat, name: str) -> None:
    (ann,) = registered(chat, "Ann")
    assert code(ann, "create", room=name) == "bad_room"


def test_private_rooms_count_as_new_rooms_of_an_address() -> None:
    """Or one could use up the names of a server."""
    with chatting(options={"trust": ()}, new_rooms_per_day=2) as chat:
        (ann,) = registered(chat, "Ann")
        for name in ("one", "two"):
            assert ann.ask("create", room=name)["type"] == "joined"
        assert code(ann, "create", room="three") == "too_many_rooms"
        assert ann.ask("join", room="three")["type"] == "joined"  # nobody has it


# Invitations


def test_only_who_is_invited_joins(stored_chat: Chat) -> None:
    ann, bob, cid = registered(stored_chat, "Ann", "Bob", "Cid")
    ann.ask("create", room="plans")
    invited = ann.ask("invite", room="plans", nick="bob")
    bobs = bob.welcome["account"]
    expected = {"type": "invited", "room": "plans", "nick": "Bob", "account": bobs, "by": "Ann"}
    assert {**expected, "id": invited["id"]} == invited
    assert bob.event() == expected
    assert code(cid, "join", room="plans") == "forbidden"
    assert code(stored_chat.rich("Gus"), "join", room="plans") == "forbidden"
    joined = bob.ask("join", room="plans")
    assert joined["private"]
    assert not joined.get("moderator")
    ann.say("plans", "welcome")
    assert texts(bob.posts(1)) == ["welcome"]


def test_an_invitation_comes_to_all_connections_and_after_each_hello(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann", "Bob")
    phone = sign_in(stored_chat, bob)
    ann.ask("create", room="plans")
    ann.ask("invite", room="plans", nick="Bob")
    for device in (bob, phone):
        assert device.event()["type"] == "invited"
    tablet = sign_in(stored_chat, bob)
    (again,) = of("invited", tablet.greeting)
    assert (again["room"], again["by"]) == ("plans", "Ann")
    tablet.ask("join", room="plans")
    for device in (bob, phone):
        assert rooms(device.hear(lambda event: event["type"] == "joined")) == ["plans"]
    assert of("invited", sign_in(stored_chat, bob).greeting) == []


def test_an_invitation_is_declined_with_leave(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    phone = sign_in(chat, bob)
    ann.ask("create", room="plans")
    ann.ask("invite", room="plans", nick="Bob")
    assert bob.ask("leave", room="plans")["type"] == "left"
    left = phone.hear(lambda event: event["type"] == "left")[-1]
    assert (left["room"], left["reason"]) == ("plans", "elsewhere")
    assert code(bob, "join", room="plans") == "forbidden"
    assert of("invited", sign_in(chat, bob).greeting) == []


def test_an_invitation_is_withdrawn_with_remove(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    ann.ask("create", room="plans")
    ann.ask("invite", room="plans", nick="Bob")
    assert ann.ask("remove", room="plans", nick="Bob")["type"] == "removed"
    left = bob.hear(lambda event: event["type"] == "left")[-1]
    assert (left["room"], left["reason"]) == ("plans", "removed")
    assert code(bob, "join", room="plans") == "forbidden"


def test_every_member_invites_but_nobody_else(chat: Chat) -> None:
    ann, bob, cid, dan = registered(chat, "Ann", "Bob", "Cid", "Dan")
    private_room(chat, "plans", ann, bob)
    admit("plans", bob, cid)
    assert code(dan, "invite", room="plans", nick="Dan") == "not_joined"
    assert code(dan, "invite", room="lobby", nick="Bob") == "forbidden"
    assert code(ann, "invite", room="plans", nick="Cid") == "forbidden"  # is in it


def test_only_accounts_are_invited(chat: Chat) -> None:
    (ann,) = registered(chat, "Ann")
    chat.rich("Gus")
    ann.ask("create", room="plans")
    assert code(ann, "invite", room="plans", nick="Gus") == "no_such_nick"
    assert code(ann, "invite", room="plans", nick="Nobody") == "no_such_nick"


def test_who_is_blocked_invites_nobody(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    ann.ask("create", room="plans")
    bob.ask("block", nick="Ann")
    assert code(ann, "invite", room="plans", nick="Bob") == "forbidden"
    bob.ask("block", nick="Ann", on=False)
    assert ann.ask("invite", room="plans", nick="Bob")["type"] == "invited"


def test_an_invitation_waits_for_who_is_away(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann", "Bob")
    bob.socket.close()
    stored_chat.wait_disconnected(bob)
    ann.ask("create", room="plans")
    ann.ask("invite", room="plans", nick="Bob")
    assert [each["room"] for each in of("invited", sign_in(stored_chat, bob).greeting)] == ["plans"]


def test_nobody_collects_more_invitations_than_a_hundred(chat: Chat) -> None:
    ann, _ = registered(chat, "Ann", "Bob")
    for number in range(100):
        ann.ask("create", room=f"plans{number}")
        ann.ask("invite", room=f"plans{number}", nick="Bob")
    ann.ask("create", room="more")
    assert code(ann, "invite", room="more", nick="Bob") == "forbidden"


# Moderators


def test_moderators_are_named_by_moderators_and_all_hear_of_it(chat: Chat) -> None:
    ann, bob, cid = registered(chat, "Ann", "Bob", "Cid")
    private_room(chat, "plans", ann, bob, cid)
    assert code(bob, "moderator", room="plans", nick="Bob") == "forbidden"
    answer = ann.ask("moderator", room="plans", nick="Bob")
    assert [each["nick"] for each in answer["moderators"]] == ["Ann", "Bob"]
    heard = cid.hear(lambda event: event["type"] == "moderators")[-1]
    assert [each["nick"] for each in heard["moderators"]] == ["Ann", "Bob"]
    answer = bob.ask("moderator", room="plans", nick="Ann", on=False)
    assert [each["nick"] for each in answer["moderators"]] == ["Bob"]
    assert code(bob, "moderator", room="plans", nick="Bob", on=False) == "forbidden"  # the last


def test_who_is_still_invited_when_all_have_left_becomes_the_moderator(chat: Chat) -> None:
    ann, bob, cid = registered(chat, "Ann", "Bob", "Cid")
    private_room(chat, "plans", ann)
    for peer in (bob, cid):
        ann.ask("invite", room="plans", nick=peer.nick)
    ann.ask("leave", room="plans")
    assert bob.ask("join", room="plans")["moderator"]
    assert not cid.ask("join", room="plans").get("moderator")
    assert bob.ask("topic", room="plans", topic="news")["type"] == "topic"


def test_only_moderators_set_the_topic(chat: Chat) -> None:
    ann, bob = registered(chat, "Ann", "Bob")
    private_room(chat, "plans", ann, bob)
    assert code(bob, "topic", room="plans", topic="mine") == "forbidden"
    assert ann.ask("topic", room="plans", topic="ours")["topic"] == "ours"


def test_if_the_last_moderator_leaves_the_member_who_joined_first_becomes_one(
    stored_chat: Chat,
) -> None:
    ann, bob, cid = registered(stored_chat, "Ann", "Bob", "Cid")
    private_room(stored_chat, "plans", ann, cid, bob)
    ann.ask("leave", room="plans")
    heard = bob.hear(lambda event: event["type"] == "moderators")[-1]
    assert [each["nick"] for each in heard["moderators"]] == ["Cid"]
    assert sign_in(stored_chat, cid).ask("topic", room="plans", topic="mine")["topic"] == "mine"


def test_a_room_that_all_have_left_is_nobodys(chat: Chat) -> None:
    """It stays private: what was said there is for nobody who comes later."""
    ann, bob = registered(chat, "Ann", "Bob")
    ann.ask("create", room="plans")
    ann.say("plans", "secret")
    ann.ask("leave", room="plans")
    for peer in (ann, bob):
        assert code(peer, "join", room="plans") == "forbidden"
        assert code(peer, "create", room="plans") == "forbidden"


@pytest.mark.parametrize("kind", ["say", "topic"])
def test_who_is_muted_in_a_room_does_not_speak_there(chat: Chat, kind: str) -> None:
    ann, bob, cid = registered(chat, "Ann", "Bob", "Cid")
    private_room(chat, "plans", ann, bob, cid)
    ann.ask("moderator", room="plans", nick="Bob")
    muted = ann.ask("mute", room="plans", nick="Bob", seconds=60)
    assert (muted["nick"], muted["by"], muted["on"]) == ("Bob", "Ann", True)
    heard = cid.hear(lambda event: event["type"] == "muted")[-1]
    assert heard == {key: value for key, value in muted.items() if key != "id"}
    assert code(bob, kind, room="plans", text="x", topic="x") == "muted"
    assert bob.ask("join", room="attic")["type"] == "joined"
    bob.say("attic", "elsewhere I may")
    assert texts(bob.posts(1)) == ["elsewhere I may"]
    bob.tell("typing", room="plans")
    bob.pong()
    assert of("typing", cid.pong()) == []
    assert ann.ask("mute", room="plans", nick="Bob", on=False)["on"] is False
    bob.say("plans", "again")
    assert texts(cid.posts(1)) == ["again"]


def test_a_mute_ends_when_its_time_is_up(moderated: Chat) -> None:
    ann, bob = registered(moderated, "Ann", "Bob")
    private_room(moderated, "plans", ann, bob)
    ann.ask("mute", room="plans", nick="Bob", seconds=60)
    assert code(bob, "say", room="plans", text="x") == "muted"
    for node in beside(moderated.server):
        now = node._policy.clock()
        node._policy.clock = lambda now=now: now + 61  # type: ignore[misc]
    bob.say("plans", "x")
    assert texts(bob.posts(1)) == ["x"]


def test_only_moderators_mute_and_remove(chat: Chat) -> None:
    ann, bob, cid = registered(chat, "Ann", "Bob", "Cid")
    private_room(chat, "plans", ann, bob, cid)
    for kind in ("mute", "remove"):
        assert code(bob, kind, room="plans", nick="Cid") == "forbidden"
        assert code(ann, kind, room="plans", nick="Nobody") == "no_such_nick"


def test_operators_freeze_a_private_room(moderated: Chat) -> None:
    ann, bob = registered(moderated, "Ann", "Bob")
    private_room(moderated, "plans", ann, bob)
    admin(operator(moderated), "freeze", "plans")
    assert code(bob, "say", room="plans", text="x") == "forbidden"


def test_it_is_there_after_a_restart_of_who_is_in_it(stored_chat: Chat) -> None:
    ann, bob = registered(stored_chat, "Ann", "Bob")
    private_room(stored_chat, "plans", ann, bob)
    bob.socket.close()
    stored_chat.wait_disconnected(bob)
    assert sorted(rooms(sign_in(stored_chat, bob).greeting)) == ["lobby", "plans"]
