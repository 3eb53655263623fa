"""Claims: a client is on one node, and a nick has one owner, whichever nodes ask."""

import gevent
import pytest

from geventchat.protocol.errors import Refused
from tests.engines import RunningEngine
from tests.server.timeline.redis.claimers import Claimer, Claimers
from tests.server.timeline.redis.watched import until


@pytest.fixture
def two(engine: RunningEngine, claimers: Claimers) -> list[Claimer]:
    return claimers(engine.url, 2)


def refused(claimer: Claimer, nick: str, client: str) -> tuple[str, str]:
    """Claim a nick that cannot be had; return the code and the text of the refusal."""
    with pytest.raises(Refused) as caught:
        claimer.nodes.claim(nick, client.encode())
    return caught.value.code, caught.value.text


# Clients


def test_a_client_keeps_its_nick_on_another_node(two: list[Claimer]) -> None:
    one, other = two
    assert one.enter("c", guest="guest-7") == "guest-7"
    one.nodes.claim("Ann", b"c")
    assert other.enter("c") == "Ann"
    until(lambda: one.moved == [(b"c", other.nodes.name)])
    assert refused(one, "ann", "d")[0] == "nick_in_use"
    assert other.moved == []


def test_a_guest_keeps_its_number_on_another_node(two: list[Claimer]) -> None:
    one, other = two
    one.enter("c", guest="guest-7")
    assert other.enter("c", guest="guest-1001") == "guest-7"
    assert one.enter("c", guest="guest-8") == "guest-7"


def test_a_client_that_comes_again_moves_nowhere(two: list[Claimer]) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    assert one.enter("c", "Ann") == "Ann"
    assert other.enter("d") == "guest-0"  # and the feed has passed all of that
    assert (one.moved, other.moved) == ([], [])


def test_a_client_that_goes_to_and_fro_is_given_up_each_time(two: list[Claimer]) -> None:
    one, other = two
    for _ in range(3):
        one.enter("c")
        other.enter("c")
    until(lambda: len(one.moved) == 3)
    assert len(other.moved) == 2


def test_a_client_that_has_left_is_forgotten_with_its_nick(two: list[Claimer]) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    one.nodes.leave(b"c")
    until(lambda: other.may_have("Ann"))
    assert other.nodes.known(b"c") is None
    assert other.enter("c", guest="guest-9") == "guest-9"
    assert one.moved == []


def test_what_a_node_says_of_a_client_that_has_moved_changes_nothing(two: list[Claimer]) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    other.enter("c")
    one.nodes.hold(b"c", "Ann", 60)
    one.nodes.leave(b"c")
    assert one.nodes.known(b"c") == "Ann"  # asked behind them
    assert refused(one, "Ann", "d")[1] == "The nick Ann is in use. Choose another."


def test_who_catches_up_has_heard_all_that_was_there_before(two: list[Claimer]) -> None:
    one, other = two
    for number in range(20):
        one.enter(f"c{number}")
        top = one.timeline._feed.passed
        other.nodes.catch_up()
        assert other.timeline._feed.passed >= top


def test_the_nick_of_a_client_elsewhere_is_known(two: list[Claimer]) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    assert other.nodes.known(b"c") == "Ann"
    assert one.nodes.known(b"c") is None
    assert other.nodes.known(b"d") is None


def test_a_client_that_signs_in_on_another_node_gives_its_nick_back(two: list[Claimer]) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    assert other.nodes.enter(b"c", "guest-0", None, account=True) is None
    assert one.may_have("Ann")
    assert one.enter("c", guest="guest-5") == "guest-5"


def test_many_nodes_that_want_a_client_at_once_get_it_one_after_the_other(
    engine: RunningEngine, claimers: Claimers
) -> None:
    nodes = claimers(engine.url, 3)
    nodes[0].enter("c", guest="guest-5")
    entering = [gevent.spawn(node.enter, "c") for _ in range(10) for node in nodes]
    gevent.joinall(entering, timeout=30)
    assert {each.value for each in entering if each.successful()} == {"guest-5"}
    moves = [move for node in nodes for move in node.moved]
    owners = {node.nodes.name for node in nodes if node.nodes.known(b"c") is None}
    assert len(owners) == 1
    assert moves


def test_a_client_of_which_nothing_is_known_any_more_is_held_again(two: list[Claimer]) -> None:
    one, other = two
    one.nodes.hold(b"c", "Ann", 60)
    until(lambda: "is held for" in refused(other, "Ann", "d")[1])
    assert other.enter("c") == "Ann"


def test_a_client_that_another_node_has_by_then_is_not_held(two: list[Claimer]) -> None:
    one, other = two
    other.enter("c")
    one.nodes.hold(b"c", "Ann", 60)
    until(lambda: one.moved == [(b"c", other.nodes.name)])
    assert other.may_have("Ann")


def test_a_nick_that_somebody_has_by_then_is_not_held(two: list[Claimer]) -> None:
    one, other = two
    other.nodes.claim("Ann", b"d")
    one.nodes.hold(b"c", "Ann", 60)
    until(lambda: one.moved == [(b"c", other.nodes.name)])
    assert one.nodes.known(b"c") is None


# Nicks


def test_a_nick_has_one_owner_in_every_spelling(two: list[Claimer]) -> None:
    one, other = two
    one.nodes.claim("Ann", b"c")
    assert refused(other, "\uff21NN", "d") == (
        "nick_in_use", "The nick \uff21NN is in use. Choose another.",
    )  # fmt: skip


def test_a_nick_that_looks_like_another_is_refused(two: list[Claimer]) -> None:
    one, other = two
    one.nodes.claim("Bernd", b"c")
    code, text = refused(other, "Bemd", "d")
    assert code == "nick_too_similar"
    assert text == "The nick Bemd looks like Bernd, which is in use. Choose another."


def test_a_held_nick_says_for_how_long(two: list[Claimer]) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    one.nodes.hold(b"c", "Ann", 60)
    until(lambda: "is held for its former user for " in refused(other, "Ann", "d")[1])
    one.enter("c", "Ann")
    assert refused(other, "Ann", "d")[1] == "The nick Ann is in use. Choose another."


def test_of_many_who_race_for_a_nick_one_gets_it(engine: RunningEngine, claimers: Claimers) -> None:
    nodes = claimers(engine.url, 3)
    racing = [
        gevent.spawn(node.nodes.claim, "Crown", b"%d-%d" % (place, number))
        for number in range(20)
        for place, node in enumerate(nodes)
    ]
    gevent.joinall(racing, timeout=30)
    errors = [each.exception for each in racing if not each.successful()]
    assert len(errors) == len(racing) - 1
    assert {each.code for each in errors if isinstance(each, Refused)} == {"nick_in_use"}


def test_a_client_that_is_renamed_keeps_both_nicks_until_one_is_given_back(
    two: list[Claimer],
) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    one.nodes.claim("Bob", b"c")
    assert refused(other, "Ann", "d")[0] == refused(other, "Bob", "d")[0] == "nick_in_use"
    one.nodes.unclaim("Ann")
    until(lambda: other.may_have("Ann"))
    assert other.enter("c") == "Bob"


def test_who_asks_for_a_nick_that_its_node_has_just_given_back_gets_it(
    two: list[Claimer],
) -> None:
    one, _ = two
    for number in range(20):
        client = b"%d" % number
        one.nodes.claim("Ann", client)
        one.nodes.unclaim("Ann")


def test_a_claim_is_undone(two: list[Claimer]) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    one.nodes.claim("Bob", b"c")
    one.nodes.restore("Bob", b"c", "Ann")
    until(lambda: other.may_have("Bob"))
    assert refused(other, "Ann", "d")[0] == "nick_in_use"
    assert other.enter("c") == "Ann"


def test_undoing_a_claim_that_was_refused_changes_nothing(two: list[Claimer]) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    other.nodes.claim("Bob", b"d")
    assert refused(one, "Bob", "c")[0] == "nick_in_use"
    one.nodes.restore("Bob", b"c", "Ann")
    assert one.enter("c", "Ann") == "Ann"
    assert refused(one, "Bob", "e")[0] == refused(other, "Ann", "e")[0] == "nick_in_use"


def test_undoing_the_claim_of_a_client_that_has_moved_leaves_it_the_nick_it_moved_with(
    two: list[Claimer],
) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    one.nodes.claim("Bob", b"c")
    assert other.enter("c") == "Bob"
    one.nodes.restore("Bob", b"c", "Ann")
    until(lambda: other.may_have("Ann"))
    assert refused(one, "Bob", "d")[0] == "nick_in_use"


def test_another_spelling_of_a_nick_is_undone_too(two: list[Claimer]) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    one.nodes.claim("ANN", b"c")
    one.nodes.restore("ANN", b"c", "Ann")
    assert one.enter("c", "Ann") == "Ann"
    assert refused(other, "ann", "d")[0] == "nick_in_use"


# Accounts


def test_a_nick_that_is_reserved_belongs_to_an_account(two: list[Claimer]) -> None:
    one, other = two
    one.nodes.reserve("Ann")
    text = "The nick Ann belongs to an account. Choose another."
    assert refused(other, "Ann", "d") == ("nick_in_use", text)
    one.nodes.unclaim("Ann")
    until(lambda: other.may_have("Ann"))


def test_an_account_takes_the_nick_of_its_own_client_alone(two: list[Claimer]) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    with pytest.raises(Refused, match="is in use"):
        other.nodes.reserve("Ann", b"d")
    one.nodes.reserve("Ann", b"c")
    assert "belongs to an account" in refused(other, "Ann", "d")[1]
    one.nodes.restore("Ann", b"c")
    until(lambda: "is in use" in refused(other, "Ann", "d")[1])
    assert other.enter("c") == "Ann"


def test_an_account_may_take_the_nick_that_another_node_holds_for_its_client(
    two: list[Claimer],
) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    other.nodes.reserve("Ann", b"c")
    other.nodes.restore("Ann", b"c")
    assert other.nodes.known(b"c") == "Ann"
    assert refused(one, "Ann", "d")[0] == "nick_in_use"


# The end of a node


def test_the_nicks_of_a_node_that_has_ended_are_free(two: list[Claimer]) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    one.end()
    until(lambda: other.may_have("Ann"))
    other.nodes.claim("Ann", b"d")
    assert other.enter("c", guest="guest-9") == "guest-9"


def test_a_client_of_a_node_that_has_ended_has_its_nick_unless_others_took_it(
    two: list[Claimer],
) -> None:
    one, other = two
    one.enter("c")
    one.nodes.claim("Ann", b"c")
    one.end()
    until(lambda: other.may_have("Ann"))
    assert other.enter("c") == "Ann"
    assert refused(other, "Ann", "d")[0] == "nick_in_use"


def test_what_belonged_to_a_node_that_has_ended_is_deleted_after_a_while(
    engine: RunningEngine, claimers: Claimers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geventchat.server.timeline.redis.claims._SWEEP_SECONDS", 0.01)
    one, other = claimers(engine.url, 2)
    for number in range(300):
        one.nodes.claim(f"Ann{number}", b"%d" % number)
    other.nodes.claim("Bob", b"d")
    one.end()
    until(lambda: engine.call("HLEN", "{gc}:claims") == 4)  # a client, a nick, a skeleton, tables
    assert refused(other, "Bob", "e")[0] == "nick_in_use"


# Tables


def test_nodes_with_other_tables_of_unicode_are_warned_of(
    engine: RunningEngine,
    claimers: Claimers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    claimers(engine.url, 2)
    assert "Unicode" not in caplog.text
    monkeypatch.setattr("unicodedata.unidata_version", "99.0.0")
    claimers(engine.url, 1)
    (warning,) = [each.getMessage() for each in caplog.records if "Unicode" in each.getMessage()]
    assert "here 99.0.0" in warning
