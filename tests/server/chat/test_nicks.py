"""Nicks: one owner each, and none that looks like another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geventchat.protocol import names
from geventchat.protocol.errors import Refused
from geventchat.server.chat.nicks import Nicks


def refusal(nicks: Nicks[str], nick: str, owner: str) -> str:
    """Return the error code for a nick."""
    with pytest.raises(Refused) as refused:
        nicks.take(nick, owner)
    assert nick in refused.value.text
    return refused.value.code


def test_a_nick_has_the_owner_who_took_it() -> None:
    nicks: Nicks[str] = Nicks()
    assert nicks.take("Anna", "a") == "Anna"
    assert nicks.owner("Anna") == "a"


def test_a_nick_keeps_its_spelling_and_is_found_by_any() -> None:
    nicks: Nicks[str] = Nicks()
    assert nicks.take("Ａnna", "a") == "Anna"
    assert (nicks.owner("ANNA"), nicks.owner("anna"), nicks.owner("ａｎｎａ")) == ("a", "a", "a")


def test_an_untaken_nick_has_no_owner() -> None:
    nicks: Nicks[str] = Nicks()
    assert nicks.owner("Anna") is None
    assert nicks.owner("") is None
    assert nicks.owner("x" * 100_000) is None


@pytest.mark.parametrize("nick", ["Anna", "ANNA", "ａnna"])
def test_a_nick_has_one_owner_in_every_spelling(nick: str) -> None:
    nicks: Nicks[str] = Nicks()
    nicks.take("Anna", "a")
    with pytest.raises(Refused) as refused:
        nicks.take(nick, "b")
    assert refused.value.code == "nick_in_use"
    assert nicks.owner("Anna") == "a"


@pytest.mark.parametrize("nick", ["аnna", "Аnna", "annа"])  # each with a Cyrillic letter
def test_a_nick_that_only_looks_like_one_in_use_is_refused(nick: str) -> None:
    nicks: Nicks[str] = Nicks()
    nicks.take("anna", "a")
    assert refusal(nicks, nick, "b") == "nick_too_similar"
    assert nicks.owner(nick) is None


def test_a_refused_nick_names_the_one_in_the_way_and_what_is_said_of_its_owner() -> None:
    nicks: Nicks[str] = Nicks({"b": "is here", "w": "is held for 7 more seconds"}.__getitem__)
    nicks.take("Bernd", "b")
    nicks.take("Warner", "w")
    for nick, text in (
        ("BERND", "The nick BERND is here. Choose another."),
        ("Bemd", "The nick Bemd looks like Bernd, which is here. Choose another."),
        ("Wamer", "The nick Wamer looks like Warner, which is held for 7 more seconds. "
                  "Choose another."),
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            nicks.take(nick, "c")
        assert refused.value.text == text


def test_an_invalid_nick_is_refused() -> None:
    nicks: Nicks[str] = Nicks()
    for text in ("", "an na", "server", "guest-1"):
        with pytest.raises(Refused) as refused:
            nicks.take(text, "a")
        assert refused.value.code == "bad_nick"


@pytest.mark.parametrize("other", ["ANNA", "anna", "аnna"])
def test_an_owner_may_take_another_form_of_its_own_nick(other: str) -> None:
    nicks: Nicks[str] = Nicks()
    nicks.take("Anna", "a")
    assert nicks.take(other, "a") == other
    assert nicks.owner(other) == "a"


def test_a_nick_that_was_freed_may_be_taken_and_so_may_its_look_alikes() -> None:
    nicks: Nicks[str] = Nicks()
    nicks.take("anna", "a")
    nicks.free("ANNA")
    assert nicks.owner("anna") is None
    assert nicks.take("аnna", "b") == "аnna"
    nicks.free("аnna")
    assert nicks.take("anna", "c") == "anna"


def test_freeing_an_unused_nick_is_no_error() -> None:
    nicks: Nicks[str] = Nicks()
    nicks.free("anna")
    nicks.free("guest-1")


def test_freeing_a_look_alike_takes_nothing_from_the_one_in_use() -> None:
    nicks: Nicks[str] = Nicks()
    nicks.take("anna", "a")
    nicks.free("аnna")
    assert nicks.owner("anna") == "a"
    assert refusal(nicks, "аnna", "b") == "nick_too_similar"


def test_after_a_move_to_a_look_alike_the_new_one_is_protected_and_the_old_one_still() -> None:
    nicks: Nicks[str] = Nicks()
    nicks.take("anna", "a")
    nicks.take("аnna", "a")
    nicks.free("anna")
    assert (nicks.owner("anna"), nicks.owner("аnna")) == (None, "a")
    assert refusal(nicks, "anna", "b") == "nick_too_similar"


def test_respelling_a_nick_releases_its_former_skeleton() -> None:
    # I and i are the same nick, but only I looks like l.
    nicks: Nicks[str] = Nicks()
    nicks.take("Ian", "a")
    nicks.take("ian", "a")
    assert nicks.take("lan", "b") == "lan"


def test_a_respelled_and_freed_nick_is_free_in_every_spelling() -> None:
    nicks: Nicks[str] = Nicks()
    nicks.take("Ian", "a")
    nicks.take("ian", "a")
    nicks.free("ian")
    assert nicks.take("lan", "b") == "lan"
    nicks.free("lan")
    assert nicks.take("Ian", "c") == "Ian"


def test_a_nick_can_be_handed_on_with_its_skeleton() -> None:
    nicks: Nicks[str] = Nicks()
    nicks.take("anna", "session")
    nicks.give("anna", "held")
    assert nicks.owner("anna") == "held"
    assert refusal(nicks, "anna", "b") == "nick_in_use"
    assert refusal(nicks, "аnna", "b") == "nick_too_similar"
    assert nicks.take("аnna", "held") == "аnna"


def test_every_guest_has_a_unique_name_that_cannot_be_taken() -> None:
    nicks: Nicks[str] = Nicks()
    guests = [nicks.guest() for _ in range(100)]
    assert guests[0] == "guest-1"
    assert len(set(guests)) == 100
    assert nicks.owner(guests[0]) is None
    nicks.give(guests[0], "a")
    assert nicks.owner("Guest-1") == "a"
    nicks.free(guests[0])
    assert nicks.owner(guests[0]) is None
    assert guests[0] not in {nicks.guest() for _ in range(100)}


FORMS = ["Ian", "ian", "lan", "Lan", "IAN", "Bert", "bert", "Вert", "ßo", "sso", "O0", "OO", "oo"]
Step = tuple[str, str]


@given(st.lists(st.tuples(st.sampled_from(FORMS), st.sampled_from("abc")), max_size=30))
def test_no_two_owners_ever_have_nicks_that_are_or_look_the_same(steps: list[Step]) -> None:
    """Each owner has one nick, like a session: a new one releases the former."""
    nicks: Nicks[str] = Nicks()
    held: dict[str, str] = {}
    for form, owner in steps:
        rivals = [nick for other, nick in held.items() if other != owner]
        same = any(names.fold(nick) == names.fold(form) for nick in rivals)
        alike = any(names.skeleton(nick) == names.skeleton(form) for nick in rivals)
        if same or alike:
            assert refusal(nicks, form, owner) == ("nick_in_use" if same else "nick_too_similar")
            continue
        former = held.get(owner)
        held[owner] = nicks.take(form, owner)
        if former is not None and names.fold(former) != names.fold(form):
            nicks.free(former)
        assert {nicks.owner(nick): nick for nick in held.values()} == held
    for nick in held.values():
        nicks.free(nick)
    for form in FORMS:
        assert nicks.take(form, "new") == form
        nicks.free(form)


def test_the_newest_guest_that_nobody_saw_gives_its_number_back() -> None:
    nicks: Nicks[str] = Nicks()
    guests = [nicks.guest() for _ in range(3)]
    for guest in reversed(guests[1:]):
        nicks.take_back(guest)
    nicks.take_back(guests[2])
    assert [nicks.guest() for _ in range(3)] == ["guest-2", "guest-3", "guest-4"]


def test_a_number_that_other_nodes_may_know_is_not_given_again() -> None:
    nicks: Nicks[str] = Nicks()
    first, second = nicks.guest(), nicks.guest()
    nicks.keep(first)
    nicks.keep(second)
    nicks.take_back(second)
    nicks.take_back(first)
    assert nicks.guest() == "guest-3"
