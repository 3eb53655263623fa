"""What can happen to nodes on one engine, so that a bug of theirs shows: see test_nodes_bugs.py."""

from tests.server.timeline.redis.store_model import LEASE, QUIET
from tests.server.timeline.redis.test_nodes_model import Nodes

FIRST, SECOND, THIRD = range(3)


def others_were_first(nodes: Nodes) -> None:
    nodes.say(SECOND, "tea", keyed=False)
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=True)
    nodes.execute(0, answers=True)
    nodes.answer(1)


def the_feed_is_late(nodes: Nodes) -> None:
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=True)
    nodes.answer(0)


def an_answer_is_lost(nodes: Nodes) -> None:
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=False)
    nodes.connect(FIRST, waited=False)
    nodes.execute(0, answers=True)


def a_turn_overtakes_another(nodes: Nodes) -> None:
    nodes.say(FIRST, "tea", keyed=False)
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(1, answers=True)
    nodes.all_goes_well(FIRST)


def a_copy_lacks_something(nodes: Nodes) -> None:
    nodes.say(FIRST, "tea", keyed=False)
    nodes.all_goes_well(FIRST)
    nodes.a_replica_is_promoted(3, lives_on=False)
    nodes.connect(FIRST, waited=False)


def sends_again(nodes: Nodes) -> None:
    """A turn is stored, but its node was believed dead before it heard so."""
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=False)
    the_first_is_believed_dead(nodes)
    nodes.all_goes_well(FIRST)


def hears_after_its_lease(nodes: Nodes) -> None:
    """One that was believed dead reads on, and an older file is put back of which it knows more."""
    nodes.a_node_comes(0)
    for _ in range(3):
        for node in FIRST, SECOND, THIRD:
            nodes.all_goes_well(node)
    time_passes_for_all_but_the_first(nodes, SECOND, THIRD)
    nodes.say(THIRD, "tea", keyed=False)
    nodes.execute(0, answers=False)
    nodes.read(FIRST, 100)
    nodes.the_engine_restarts_with_an_older_file(1)
    for node in SECOND, THIRD, SECOND:
        nodes.connect(node, waited=False)
    nodes.commands.clear()
    nodes.say(SECOND, "tea", keyed=False)
    nodes.all_goes_well(SECOND)


def stores_unknown(nodes: Nodes) -> None:
    """A new one stores, and an older file is put back in which it never came."""
    nodes.a_node_comes(0)
    nodes.say(THIRD, "tea", keyed=False)
    nodes.execute(0, answers=True)
    nodes.read(THIRD, 100)
    nodes.the_engine_restarts_with_an_older_file(2)
    the_others_go_on(nodes)


def skips_a_hole(nodes: Nodes) -> None:
    """The feed is trimmed further than a node has read."""
    for _ in range(3):
        nodes.say(FIRST, "tea", keyed=False)
        nodes.all_goes_well(FIRST)
    nodes.the_feed_is_trimmed()
    nodes.the_feed_is_trimmed()
    nodes.all_goes_well(SECOND)


def takes_a_copy(nodes: Nodes) -> None:
    """Where the copy comes from lives on, and somebody new goes there."""
    nodes.a_replica_is_promoted(0, lives_on=True)
    for node in FIRST, SECOND, FIRST:
        nodes.connect(node, waited=False)
    nodes.a_node_comes(0)
    for _ in range(2):
        nodes.time_passes(1)
        nodes.beat(THIRD)
    nodes.say(THIRD, "tea", keyed=False)
    nodes.execute(0, answers=True)
    nodes.read(THIRD, 100)
    nodes.say(FIRST, "tea", keyed=False)
    nodes.all_goes_well(FIRST)


def asks_nobody(nodes: Nodes) -> None:
    """An older file is put back, of which one node knows more than the other."""
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=True)
    nodes.read(FIRST, 100)
    nodes.the_engine_restarts_with_an_older_file(1)
    nodes.connect(SECOND, waited=False)
    nodes.say(SECOND, "tea", keyed=False)
    nodes.all_goes_well(SECOND)


def hears_unknown(nodes: Nodes) -> None:
    """A new one hears something, and an older file is put back in which it never came."""
    nodes.a_node_comes(0)
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=False)
    nodes.beat(THIRD)
    nodes.read(THIRD, 100)
    nodes.the_engine_restarts_with_an_older_file(3)
    nodes.connect(FIRST, waited=False)
    nodes.connect(SECOND, waited=False)
    nodes.say(SECOND, "tea", keyed=False)
    nodes.all_goes_well(SECOND)


def a_new_one_answers_alone(nodes: Nodes) -> None:
    """A new one is the first to ask after an older file was put back."""
    nodes.a_node_comes(0)
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=True)
    nodes.read(FIRST, 100)
    nodes.the_engine_restarts_with_an_older_file(1)
    nodes.connect(THIRD, waited=False)
    nodes.all_goes_well(SECOND)
    nodes.say(SECOND, "tea", keyed=False)
    nodes.all_goes_well(SECOND)


def an_answer_is_lost_after_all(nodes: Nodes) -> None:
    """An older file is put back that lacks what a node was answered, and nobody has heard."""
    nodes.say(FIRST, "tea", keyed=False)
    nodes.execute(0, answers=True)
    nodes.answer(0)
    nodes.the_engine_restarts_with_an_older_file(1)
    the_others_go_on(nodes)


def one_comes_from_a_former_life(nodes: Nodes) -> None:
    """It has missed a whole life, of which an older file is put back."""
    for _ in range(LEASE):
        nodes.time_passes(QUIET)
        nodes.beat(FIRST)
    nodes.a_replica_is_promoted(0, lives_on=True)
    for _ in range(3):
        nodes.all_goes_well(SECOND)
    nodes.say(SECOND, "tea", keyed=False)
    nodes.all_goes_well(SECOND)
    after_its_beginning = len(nodes.engines[-1].states) - 2
    nodes.the_engine_restarts_with_an_older_file(after_its_beginning)
    for _ in range(3):
        nodes.all_goes_well(FIRST)
    nodes.say(FIRST, "tea", keyed=False)
    nodes.all_goes_well(FIRST)


def stores_for_the_dead(nodes: Nodes) -> None:
    """A node pauses with a turn under way."""
    nodes.say(FIRST, "tea", keyed=False)
    the_first_is_believed_dead(nodes)
    nodes.execute(0, answers=True)


def nobody_beats(nodes: Nodes) -> None:
    """The engine hangs for longer than a lease, and no node may be believed dead for that."""
    before = [node.id for node in nodes.nodes]
    nodes.time_passes(LEASE + 1)
    for node in FIRST, SECOND:
        nodes.beat(node)
    assert [node.id for node in nodes.nodes] == before


def joins_unsettled(nodes: Nodes) -> None:
    """One that missed a life joins an older file of it, before others have compared that."""
    nodes.a_node_comes(0)
    one_comes_from_a_former_life(nodes)


def the_first_is_believed_dead(nodes: Nodes) -> None:
    time_passes_for_all_but_the_first(nodes, SECOND)


def time_passes_for_all_but_the_first(nodes: Nodes, *others: int) -> None:
    for _ in range(LEASE):
        nodes.time_passes(QUIET)
        for node in others:
            nodes.beat(node)


def the_others_go_on(nodes: Nodes) -> None:
    for node in FIRST, SECOND, FIRST:
        nodes.connect(node, waited=False)
    nodes.say(SECOND, "tea", keyed=False)
    nodes.all_goes_well(SECOND)
