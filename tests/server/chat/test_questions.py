"""Questions to other nodes: each is answered, or those who asked are told who did not."""

import logging
import operator
from functools import partial

import gevent
import pytest
from gevent.event import Event

from geventchat.server.chat.questions import Answers, Questions
from geventchat.server.timeline.nodes import Answered, Asked, Directed
from tests.server.joined import Joined, Store
from tests.server.switches import let_run, never_switches


def nodes(count: int) -> tuple[Store, list[Joined]]:
    store = Store()
    return store, [Joined(store, f"n{number}") for number in range(1, count + 1)]


def test_every_other_node_is_asked_and_its_answer_is_known() -> None:
    _, (asking, *others) = nodes(3)
    for other in others:
        name = other.nodes.name.encode()
        other.hub.questions.answer("name", partial(operator.add, name))
    answers = asking.hub.questions.ask("name", b" is here")
    assert answers == Answers({"n2": b"n2 is here", "n3": b"n3 is here"}, ())


def test_a_server_alone_waits_for_nobody() -> None:
    _, (alone,) = nodes(1)
    with never_switches():
        assert alone.hub.questions.ask("name") == Answers({}, ())
        assert alone.hub.questions.direct("bob", "ann", "hi", 1) == Answers({}, ())


def test_who_does_not_answer_in_time_is_named() -> None:
    store, (asking, deaf, able) = nodes(3)
    able.hub.questions.answer("name", lambda _: b"here")
    store.deaf.add(deaf.nodes.name)
    answers = asking.hub.questions.ask("name", seconds=0.5)
    assert answers == Answers({"n3": b"here"}, ("n2",))
    note = asking.hub.questions.note(answers.silent, "it may be there.")
    assert note == "1 of 3 nodes did not answer within 2 seconds: it may be there."


def test_nobody_waits_for_a_node_that_has_ended() -> None:
    store, (asking, ending) = nodes(2)
    store.deaf.add("n2")
    question = gevent.spawn(asking.hub.questions.ask, "name", b"", 600.0)
    let_run()
    assert not question.ready()
    ending.end()
    assert question.get(timeout=20) == Answers({}, ())


def test_an_answer_that_is_late_or_was_not_asked_for_is_ignored() -> None:
    store, (asking, _) = nodes(2)
    store.deaf.add("n2")
    asking.hub.questions.ask("name", seconds=0.001)
    with never_switches():
        asking.hub.questions.hear("n2", Answered(1, b"late"))
        asking.hub.questions.hear("n2", Answered(99, b"what?"))


def test_hearing_a_question_never_waits_though_its_answer_may() -> None:
    _, (asking, answering) = nodes(2)
    known = Event()

    def answer(_: bytes) -> bytes:
        known.wait()
        return b"now"

    answering.hub.questions.answer("slow", answer)
    question = gevent.spawn(asking.hub.questions.ask, "slow", b"", 600.0)
    let_run()
    assert not question.ready()
    known.set()
    assert question.get(timeout=20).contents == {"n2": b"now"}


def test_a_flood_of_questions_cannot_fill_the_memory_of_a_node() -> None:
    _, (_, answering) = nodes(2)
    begun: list[bytes] = []
    never = Event()

    def answer(about: bytes) -> bytes:
        begun.append(about)
        never.wait()
        return b""

    questions = answering.hub.questions
    questions.answer("slow", answer)
    for number in range(1_000):
        questions.hear("n1", Asked(number, "slow"))
    let_run()
    assert len(begun) == 64
    never.set()


def test_a_bug_in_an_answer_is_logged_and_the_next_question_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, (asking, answering) = nodes(2)
    answering.hub.questions.answer("divide", lambda about: b"%d" % (1 // len(about)))
    with caplog.at_level(logging.ERROR):
        assert asking.hub.questions.ask("divide", seconds=0.01).silent == ("n2",)
        let_run()
    assert "answering another node failed: divide" in caplog.text
    assert asking.hub.questions.ask("divide", b"1").contents == {"n2": b"1"}


def test_a_question_that_a_node_does_not_know_stays_without_an_answer() -> None:
    _, (asking, _) = nodes(2)
    assert asking.hub.questions.ask("from a later version", seconds=0.01).silent == ("n2",)


def test_a_direct_message_is_answered_by_who_has_the_nick_before_the_others() -> None:
    store, (asking, deaf, having) = nodes(3)
    store.deaf.add(deaf.nodes.name)
    having.hub.questions.on_direct = lambda direct: "Bob" if direct.to == "bob" else None
    answers = asking.hub.questions.direct("bob", "ann", "hi", 1)
    assert answers.contents == {"n3": b"Bob"}


def test_a_direct_message_for_nobody_is_over_when_all_have_said_so() -> None:
    _, (asking, *_) = nodes(3)
    answers = asking.hub.questions.direct("bob", "ann", "hi", 1)
    assert answers == Answers({"n2": b"", "n3": b""}, ())


def test_a_direct_message_that_has_arrived_already_asks_for_no_answer() -> None:
    _, (sending, hearing) = nodes(2)
    heard: list[Directed] = []
    said: list[object] = []

    def receive(direct: Directed) -> str:
        heard.append(direct)
        return "Bob"

    hearing.hub.questions.on_direct = receive
    sending.hub.other_nodes.on_message = lambda _, message: said.append(message)
    sending.hub.questions.direct_too("bob", "ann", "hi", 1)
    let_run()
    assert [direct.text for direct in heard] == ["hi"]
    assert said == []


def test_nothing_is_kept_of_a_question_whose_asker_has_ended() -> None:
    store, (asking, _) = nodes(2)
    store.deaf.add("n2")
    question = gevent.spawn(asking.hub.questions.ask, "name", b"", 600.0)
    let_run()
    question.kill()
    assert isinstance(asking.hub.questions, Questions)
    assert asking.hub.questions._pending == {}
