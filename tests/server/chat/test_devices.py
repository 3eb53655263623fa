"""Several connections of one account: others see one member, and all of them have its rooms."""

import hashlib
from collections.abc import Sequence

import gevent
import pytest
from gevent.event import Event as Flag

from geventchat.protocol import events, requests
from geventchat.protocol.errors import ACCOUNT, KICKED, LOST, QUIT, Ending, Refused
from geventchat.protocol.events import Left, Presence
from geventchat.server.chat.away import Away
from geventchat.server.people.account import MOST_FORMER, Account
from geventchat.server.session import handlers
from geventchat.server.session.session import Session
from geventchat.server.timeline import RecordChange
from geventchat.server.wire import JSON
from tests.server.hub_harness import Harness, account, connect, link_of, plain, seen
from tests.server.switches import let_run


@pytest.fixture
def harness() -> Harness:
    return Harness()


def expire(harness: Harness) -> None:
    for client in list(harness.hub.owners.clients.values()):
        if isinstance(client, Away):
            client.until = 0.0
    harness.hub.tick(1.0)


def coming(event: str, who: Account) -> Presence:
    return Presence(room="lobby", nick=who.nick, event=event, account=who.id)  # type: ignore[arg-type]


# Presence


def test_others_see_one_member_that_comes_with_the_first_and_goes_with_the_last(
    harness: Harness,
) -> None:
    other = connect(harness, "bert")
    anna = account(harness, "anna")
    laptop, phone = connect(harness, "laptop", anna), connect(harness, "phone", anna)
    assert seen(other) == [coming("join", anna)]
    assert harness.hub.rooms["lobby"].count == 2
    harness.hub.remove(laptop, QUIT)
    assert seen(other) == []
    harness.hub.remove(phone, QUIT)
    assert seen(other) == [coming("leave", anna)]
    assert harness.hub.rooms["lobby"].count == 1


def test_a_lost_connection_is_not_missed_while_there_is_another(harness: Harness) -> None:
    other, anna = connect(harness, "bert"), account(harness, "anna")
    laptop, phone = connect(harness, "laptop", anna), connect(harness, "phone", anna)
    seen(other)
    harness.hub.remove(laptop, LOST)
    expire(harness)
    assert (seen(other), harness.hub.rooms["lobby"].count) == ([], 2)
    harness.hub.remove(phone, LOST)
    assert (seen(other), harness.hub.rooms["lobby"].count) == ([], 2)
    expire(harness)
    assert (seen(other), harness.hub.rooms["lobby"].count) == ([coming("leave", anna)], 1)


def test_the_hold_of_an_earlier_loss_does_not_end_that_of_a_later_one(harness: Harness) -> None:
    other, anna = connect(harness, "bert"), account(harness, "anna")
    laptop = connect(harness, "laptop", anna)
    harness.hub.remove(laptop, LOST)
    phone = connect(harness, "phone", anna)
    harness.hub.remove(phone, LOST)
    seen(other)
    first = harness.hub.owners.clients[laptop.client]
    assert isinstance(first, Away)
    first.until = 0.0
    harness.hub.tick(1.0)
    assert (seen(other), harness.hub.rooms["lobby"].count) == ([], 2)
    expire(harness)
    assert (seen(other), harness.hub.rooms["lobby"].count) == ([coming("leave", anna)], 1)


def test_the_hold_of_one_connection_does_not_end_the_return_of_another(harness: Harness) -> None:
    other, anna = connect(harness, "bert"), account(harness, "anna")
    laptop = connect(harness, "laptop", anna)
    harness.hub.remove(laptop, LOST)
    harness.hub.remove(connect(harness, "phone", anna), LOST)
    seen(other)
    back, (login, _, _) = plain(harness), harness.hub.people.logins.begin(anna, None)
    harness.hub.authenticate(back, laptop.client, JSON, login)
    expire(harness)  # that of the phone, before the laptop is in the room again
    assert (seen(other), harness.hub.rooms["lobby"].count) == ([], 2)
    member = harness.hub.join(back, "lobby")
    harness.hub.finish_resume(back)
    assert (seen(other), harness.hub.rooms["lobby"].count) == ([], 2)
    harness.hub.leave(member)
    assert (seen(other), harness.hub.rooms["lobby"].count) == ([coming("leave", anna)], 1)


def test_who_returns_on_another_connection_was_never_gone(harness: Harness) -> None:
    other, anna = connect(harness, "bert"), account(harness, "anna")
    harness.hub.remove(connect(harness, "laptop", anna), LOST)
    connect(harness, "phone", anna)
    expire(harness)
    assert seen(other) == [coming("join", anna)]


def test_members_are_listed_once(harness: Harness) -> None:
    connect(harness, "bert")
    anna = account(harness, "anna")
    connect(harness, "laptop", anna)
    connect(harness, "phone", anna)
    listed = harness.hub.nicks_in(harness.hub.rooms["lobby"], 500)
    assert listed == {"bert": None, "anna": anna.id}


def test_a_kicked_connection_leaves_the_other_in_its_place(harness: Harness) -> None:
    other, anna = connect(harness, "bert"), account(harness, "anna")
    laptop, phone = connect(harness, "laptop", anna), connect(harness, "phone", anna)
    seen(other)
    harness.hub.remove(laptop, KICKED)
    assert seen(other) == []
    assert harness.hub.owners.find_rich("anna") is phone


# Nicks


def test_the_nick_of_an_account_is_refused_to_others_also_while_it_is_away(
    harness: Harness,
) -> None:
    account(harness, "Anna")
    guest = connect(harness, "bert")
    for nick, code in (("anna", "nick_in_use"), ("Аnna", "nick_too_similar")):
        with pytest.raises(Refused) as caught:
            harness.hub.rename(guest, nick)
        assert caught.value.code == code
        assert "belongs to an account" in caught.value.text


def test_a_rename_is_announced_once_and_holds_for_all_connections(harness: Harness) -> None:
    other, anna = connect(harness, "bert"), account(harness, "anna")
    laptop, phone = connect(harness, "laptop", anna), connect(harness, "phone", anna)
    seen(other)
    harness.hub.rename(phone, "hanna")
    assert (anna.nick, laptop.nick, phone.nick) == ("hanna", "hanna", "hanna")
    assert seen(other) == [
        Presence(room="lobby", nick="anna", event="rename", new_nick="hanna", account=anna.id)
    ]
    with pytest.raises(Refused):  # the former nick is kept for it
        harness.hub.rename(other, "anna")
    assert harness.hub.rename(laptop, "Anna") == "Anna"
    assert list(anna.former) == ["hanna"]


def test_renames_on_several_connections_in_one_turn_become_one(harness: Harness) -> None:
    """The first was moved to the last nick, and the second announced one that nobody had."""
    other = connect(harness, "bert")
    anna = account(harness, "anna")
    laptop, phone = connect(harness, "laptop", anna), connect(harness, "phone", anna)
    seen(other)
    room = harness.hub.rooms["lobby"]
    room.busy = True  # no turn begins
    for device, nick in ((laptop, "Bea"), (phone, "Cleo"), (laptop, "Dora")):
        harness.hub.rename(device, nick)
    room.busy = False
    harness.hub.delivery.add(room)
    harness.slice()
    assert [(each.nick, each.new_nick) for each in seen(other) if isinstance(each, Presence)] == [
        ("anna", "Dora")
    ]


def test_a_lost_connection_has_the_new_nick_when_it_is_announced_as_gone(harness: Harness) -> None:
    other, anna = connect(harness, "bert"), account(harness, "anna", "lobby", "attic")
    laptop = connect(harness, "laptop", anna)
    harness.hub.remove(laptop, LOST)
    phone = connect(harness, "phone", anna)
    harness.hub.rename(phone, "hanna")
    harness.hub.remove(phone, LOST)
    expire(harness)
    assert seen(other)[-1] == coming("leave", anna)
    assert not harness.hub.rooms["lobby"].away


def test_a_client_alone_never_brings_back_the_nick_of_an_account(harness: Harness) -> None:
    anna = account(harness, "anna")
    harness.hub.remove(connect(harness, "laptop", anna), LOST)
    guest = harness.session()
    guest.rooms = harness.hub.add(guest)
    harness.hub.authenticate(guest, hashlib.blake2b(b"laptop").digest(), JSON)
    assert guest.nick.startswith("guest-")
    assert guest.account is None


def test_a_guest_that_signs_in_gives_its_own_nick_back(harness: Harness) -> None:
    other, anna = connect(harness, "bert"), account(harness, "anna")
    guest = connect(harness, "laptop")
    harness.hub.remove(guest, LOST)
    connect(harness, "laptop", anna)
    assert harness.hub.rename(other, "laptop") == "laptop"


def test_a_new_account_has_the_nick_and_the_rooms_of_its_first_connection(
    harness: Harness,
) -> None:
    other, guest = connect(harness, "bert", None, "attic"), connect(harness, "anna", None, "attic")
    seen(other)
    anna = harness.hub.people.create("anna")
    harness.hub.owners.adopt(guest, anna)
    assert anna.rooms == ["attic"]
    assert seen(other) == []
    phone = connect(harness, "phone", anna)
    assert seen(other) == []
    assert phone.nick == "anna"


def test_nobody_signs_in_to_an_account_that_was_removed(harness: Harness) -> None:
    anna = account(harness, "anna")
    login, *_ = harness.hub.people.logins.begin(anna, None)
    anna.removed = True
    session = harness.session()
    session.rooms = harness.hub.add(session)
    with pytest.raises(Ending) as caught:
        harness.hub.authenticate(session, b"c" * 16, JSON, login)
    assert caught.value.reason is ACCOUNT


def test_nobody_signs_in_with_a_login_that_was_ended(harness: Harness) -> None:
    login, *_ = harness.hub.people.logins.begin(account(harness, "anna"), None)
    harness.hub.people.logins.end(login)
    session = harness.session()
    session.rooms = harness.hub.add(session)
    with pytest.raises(Ending) as caught:
        harness.hub.authenticate(session, b"c" * 16, JSON, login)
    assert caught.value.reason is ACCOUNT
    assert session.account is None
    assert "lobby" in session.rooms  # nothing has changed


def test_a_former_nick_is_free_after_a_while(harness: Harness) -> None:
    other, anna = connect(harness, "bert"), account(harness, "anna")
    harness.hub.rename(connect(harness, "laptop", anna), "hanna")
    anna.former["anna"] = 0
    harness.hub.tick(1.0)
    assert harness.hub.rename(other, "anna") == "anna"
    assert harness.hub.owners.find_account("hanna") is anna


def test_an_account_cannot_keep_any_number_of_nicks_from_others(harness: Harness) -> None:
    anna = account(harness, "anna")
    laptop = connect(harness, "laptop", anna)
    for number in range(MOST_FORMER):
        harness.hub.rename(laptop, f"anna{number}")
    with pytest.raises(Refused) as caught:
        harness.hub.rename(laptop, "another")
    assert caught.value.code == "forbidden"
    assert harness.hub.rename(laptop, "anna3") == "anna3"  # one of its own
    assert harness.hub.rename(laptop, "Anna3") == "Anna3"


def test_a_post_carries_the_account_of_its_author(harness: Harness) -> None:
    anna, other = account(harness, "anna"), connect(harness, "bert")
    laptop, phone = connect(harness, "laptop", anna), connect(harness, "phone", anna)
    for session in (other, laptop, phone):
        seen(session)
    handlers.answer(laptop, requests.Say(room="lobby", text="Hi", key="k"))
    harness.timeline.store()
    harness.timeline.deliver_next()
    for session in (other, laptop, phone):
        (post,) = seen(session)
        assert isinstance(post, events.Post)
        assert (post.author, post.account, post.key) == ("anna", anna.id, "k")


# Rooms


def test_a_room_that_one_connection_joins_is_joined_by_the_others(harness: Harness) -> None:
    anna = account(harness, "anna")
    laptop, phone = connect(harness, "laptop", anna), connect(harness, "phone", anna)
    handlers.answer(laptop, requests.Join(room="attic"))
    assert "attic" not in phone.rooms  # its own reader joins
    handlers.follow(phone)
    (joined,) = seen(phone)
    assert isinstance(joined, events.Joined)
    assert (joined.room, joined.recovered, joined.count) == ("attic", None, 1)
    assert anna.rooms == ["lobby", "attic"]


def test_a_room_that_one_connection_leaves_is_left_by_the_others(harness: Harness) -> None:
    anna = account(harness, "anna")
    laptop, phone = connect(harness, "laptop", anna), connect(harness, "phone", anna)
    other = connect(harness, "bert")
    seen(laptop), seen(phone)
    handlers.answer(laptop, requests.Leave(room="lobby", id="1"))
    assert seen(phone) == [Left(room="lobby", reason="elsewhere")]
    assert seen(laptop) == [Left(room="lobby", id="1")]
    assert seen(other) == [coming("leave", anna)]
    assert (anna.rooms, phone.rooms) == ([], {})


def test_a_waiting_reader_is_woken_to_follow(harness: Harness) -> None:
    anna = account(harness, "anna")
    laptop = connect(harness, "laptop", anna)
    link = link_of(laptop)
    wakes: list[bytes] = []
    reading = gevent.spawn(lambda: wakes.extend(link.frames(laptop.outbox)))
    let_run()
    harness.hub.people.join(anna, "attic")
    harness.hub.account_rooms.follow(anna, "attic")
    link.shut()
    reading.join(20)
    assert wakes == [b""]


def test_a_room_that_was_left_again_is_not_followed(harness: Harness) -> None:
    anna = account(harness, "anna")
    laptop, phone = connect(harness, "laptop", anna), connect(harness, "phone", anna)
    handlers.answer(laptop, requests.Join(room="attic"))
    handlers.answer(laptop, requests.Leave(room="attic"))
    handlers.follow(phone)
    assert seen(phone) == []


def test_a_join_that_is_overtaken_by_a_leave_is_refused(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = account(harness, "anna")
    laptop, phone = connect(harness, "laptop", anna), connect(harness, "phone", anna)
    written, keep = Flag(), harness.hub.people.records._keep

    def slowly(changes: Sequence[RecordChange]) -> None:
        written.wait()
        keep(changes)

    monkeypatch.setattr(harness.hub.people.records, "_keep", slowly)
    joining = gevent.spawn(outcome, laptop, requests.Join(room="attic"))
    let_run()
    leaving = gevent.spawn(outcome, phone, requests.Join(room="attic"))
    let_run()
    harness.hub.people.leave(anna.memberships["attic"])
    harness.hub.account_rooms.leave_everywhere(anna, "attic", "elsewhere")
    written.set()
    gevent.joinall([joining, leaving], timeout=20)
    for each in (joining, leaving):
        assert isinstance(each.value, Refused)
        assert each.value.code == "not_joined"
    assert "attic" not in harness.hub.rooms


def outcome(session: Session, request: requests.AnyRequest) -> Refused | None:
    try:
        handlers.answer(session, request)
    except Refused as refusal:
        return refusal
    return None


def resume_where_a_post_is_on_its_way(
    harness: Harness, anna: Account, author: Session
) -> "tuple[Session, gevent.Greenlet[..., None]]":
    """Have a connection resume the attic behind a post that is stored and not delivered yet."""
    phone = plain(harness)
    harness.say(author, "stored, and on its way", "attic")
    harness.timeline.store()
    _, token, _ = harness.hub.people.logins.begin(anna, None)
    hello = requests.Hello(
        version=1,
        client="the phone of anna",
        rooms={"attic": requests.Cursor(harness.timeline.epoch, 1)},
        account=requests.SignIn(session=token),
    )
    resuming = gevent.spawn(handlers.welcome, phone, hello)
    let_run()
    assert "attic" in phone.rooms
    return phone, resuming


def test_a_connection_does_not_wait_for_a_room_that_its_account_was_the_last_to_leave(
    harness: Harness,
) -> None:
    anna = account(harness, "anna", "lobby", "attic")
    laptop, other = connect(harness, "laptop", anna), connect(harness, "bert", None, "attic")
    phone, resuming = resume_where_a_post_is_on_its_way(harness, anna, other)
    harness.hub.remove(other, QUIT)
    let_run()  # until it waits again: others heard of that in a turn
    handlers.answer(laptop, requests.Leave(room="attic"))
    let_run()
    assert resuming.ready()
    assert ("attic" in harness.hub.rooms, "lobby" in phone.rooms) == (False, True)


def test_a_room_left_while_hello_resumes_it_is_left_once(harness: Harness) -> None:
    anna = account(harness, "anna", "lobby", "attic")
    laptop, other = connect(harness, "laptop", anna), connect(harness, "bert", None, "attic")
    phone, resuming = resume_where_a_post_is_on_its_way(harness, anna, other)
    handlers.answer(laptop, requests.Leave(room="attic"))
    harness.timeline.deliver_next()
    resuming.get(timeout=20)
    shown = [event for event in seen(phone) if isinstance(event, Left | events.Joined)]
    assert shown[0] == Left(room="attic", reason="elsewhere")
    assert [event.room for event in shown] == ["attic", "lobby"]


def test_a_replay_stops_when_the_room_is_left_on_another_connection(harness: Harness) -> None:
    anna = account(harness, "anna", "lobby", "attic")
    laptop = connect(harness, "laptop", anna)
    for number in range(3):
        harness.say(laptop, f"post {number}", "attic")
    harness.timeline.store()
    harness.timeline.deliver_next()
    harness.timeline.hold_readers = True
    phone = harness.session()
    phone.rooms = harness.hub.add(phone)
    harness.hub.authenticate(phone, b"p" * 16, JSON, harness.hub.people.logins.begin(anna, None)[0])
    phone.to_follow["attic"] = None
    replaying = gevent.spawn(handlers.follow, phone)
    let_run()
    assert harness.timeline.readers
    handlers.answer(laptop, requests.Leave(room="attic"))
    harness.timeline.resume_reader()
    replaying.get(timeout=20)
    shown = seen(phone)
    assert [type(event).__name__ for event in shown] == ["Joined", "Left"]
