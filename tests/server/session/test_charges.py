"""What requests cost: the more members hear of one, the longer its client pauses afterwards."""

from collections import Counter

import pytest

from geventchat.config import Limits
from geventchat.protocol import events, requests
from geventchat.server.session import handlers
from geventchat.server.session.session import Session
from geventchat.server.transport.token_bucket import TokenBucket
from tests.server.hub_harness import Harness, heard, link_of, rich


class Charged(TokenBucket):
    """A bucket that only adds up what is charged."""

    def __init__(self) -> None:
        super().__init__(Limits(), Counter())
        self.tokens = 0.0

    def charge(self, tokens: float, now: float) -> None:
        self.tokens += tokens


@pytest.fixture
def harness() -> Harness:
    return Harness(rooms_per_client=1_000)


def rooms(count: int) -> list[str]:
    return [f"room-{number}" for number in range(count)]


def price(harness: Harness, session: Session, request: requests.AnyRequest) -> float:
    """Handle a request of a session; return the tokens it costs."""
    link_of(session).pace = pace = Charged()
    handlers.answer(session, request)
    link_of(session).pace = None
    return pace.tokens


def crowd(harness: Harness, count: int, *names: str) -> None:
    for number in range(count):
        rich(harness, f"other{number}", *names)


def test_a_rename_in_many_rooms_takes_more_tokens_than_one_in_few(harness: Harness) -> None:
    few, many = rich(harness, "few", *rooms(2)), rich(harness, "many", *rooms(200))
    small = price(harness, few, requests.Nick(nick="few1"))
    large = price(harness, many, requests.Nick(nick="many1"))
    assert 0 < small < 1 < 10 < large


def test_a_rename_takes_more_tokens_the_more_members_hear_it(harness: Harness) -> None:
    crowd(harness, 150, "large")
    small = price(harness, rich(harness, "ann", "small"), requests.Nick(nick="ann1"))
    large = price(harness, rich(harness, "bob", "large"), requests.Nick(nick="bob1"))
    assert small < large


@pytest.mark.parametrize("kind", [requests.Join, requests.Leave, requests.Typing])
def test_what_a_room_is_told_takes_more_tokens_in_a_larger_room(
    harness: Harness, kind: type[requests.Join | requests.Leave | requests.Typing]
) -> None:
    crowd(harness, 150, "large")
    crowd(harness, 1, "small")
    prices = []
    for number, room in enumerate(("small", "large")):
        session = rich(harness, f"ann{number}", *([] if kind is requests.Join else [room]))
        prices.append(price(harness, session, kind(room=room)))
    assert 0 < prices[0] < prices[1]


def test_a_topic_takes_more_tokens_in_a_larger_room(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "wait_acknowledged", lambda session: None)
    crowd(harness, 150, "large")
    ann = rich(harness, "ann", "large", "small")
    small = price(harness, ann, requests.Topic(room="small", topic="tea"))
    large = price(harness, ann, requests.Topic(room="large", topic="tea"))
    assert 0 < small < large


def test_a_say_takes_no_more_tokens_in_a_larger_room(harness: Harness) -> None:
    crowd(harness, 150, "large")
    ann = rich(harness, "ann", "large")
    assert price(harness, ann, requests.Say(room="large", text="hi")) == 0


def test_a_crowd_that_hears_only_a_number_costs_no_more_than_a_small_room(harness: Harness) -> None:
    crowd(harness, 201, "crowd")
    ann, bob = rich(harness, "ann"), rich(harness, "bob")
    small = price(harness, ann, requests.Join(room="small"))
    assert 0 < price(harness, bob, requests.Join(room="crowd")) <= small


def test_who_in_a_large_room_lists_at_most_500_nicks_and_counts_all(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not even look at the others: hundreds may ask at once."""
    crowd(harness, 700, "large")
    ann = rich(harness, "ann", "large")
    link_of(ann).taken.clear()
    asked: list[int] = []
    nicks_in = harness.hub.nicks_in

    def counted(room: object, most: int) -> dict[str, str | None]:
        nicks = nicks_in(room, most)  # type: ignore[arg-type]
        asked.append(len(nicks))
        return nicks

    monkeypatch.setattr(harness.hub, "nicks_in", counted)
    handlers.answer(ann, requests.Who(room="large"))
    members = events.decode(heard(ann)[-1])
    assert isinstance(members, events.Members)
    assert (len(members.nicks), members.count, asked) == (500, 701, [500])


def test_a_redaction_takes_more_tokens_than_a_message(harness: Harness) -> None:
    ann = rich(harness, "ann", "room")
    price(harness, ann, requests.Say(room="room", text="one"))
    edit = price(harness, ann, requests.Edit(room="room", position=1, text="two"))
    assert edit == 0  # beyond that of its frame, as for a message
    crowd(harness, 300, "room")
    assert price(harness, ann, requests.Redact(room="room", position=1)) > 2


def test_a_change_of_a_password_costs_as_much_as_twenty_messages(harness: Harness) -> None:
    """Each takes some 60 ms of the thread in which all others sign in."""
    ann = rich(harness, "ann")
    handlers.answer(ann, requests.Register(nick="ann", password="correct horse"))
    change = requests.ChangePassword(password="correct horse", new_password="correct horse")
    assert price(harness, ann, change) == pytest.approx(20, abs=1)
