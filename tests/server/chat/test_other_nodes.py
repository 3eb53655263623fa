"""What other nodes say reaches the parts that follow it."""

import logging

import pytest

from geventchat.server.chat.other_nodes import OtherNodes
from geventchat.server.timeline.nodes import Asked, Typed


def test_what_no_part_has_taken_over_is_ignored() -> None:
    others = OtherNodes()
    others.hear_records([("account", "a", None)])
    others.hear_moved(b"client", "n1")
    others.hear_part("n1", [], whole=True)
    others.hear_message("n1", Typed("lobby", "Ada"))
    others.hear_message("n1", Asked(1, "top"))
    others.hear_gone("n1")


def test_typing_and_the_other_messages_go_to_different_parts() -> None:
    others = OtherNodes()
    heard: list[tuple[str, object]] = []
    others.on_typed = lambda node, typed: heard.append((node, typed.nick))
    others.on_message = lambda node, message: heard.append((node, type(message)))
    others.hear_message("n1", Typed("lobby", "Ada"))
    others.hear_message("n2", Asked(1, "top"))
    assert heard == [("n1", "Ada"), ("n2", Asked)]


def test_a_bug_in_one_part_is_logged_and_keeps_nothing_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(node: str) -> None:
        raise RuntimeError(node)

    others = OtherNodes()
    gone: list[str] = []
    others.on_gone += [fail, gone.append]
    with caplog.at_level(logging.ERROR):
        others.hear_gone("n1")
    assert gone == ["n1"]
    assert "following another node failed" in caplog.text


def test_rules_go_to_a_part_of_their_own() -> None:
    others = OtherNodes()
    records: list[str] = []
    rules: list[str] = []
    others.on_records = lambda changes: records.extend(number for _, number, _ in changes)
    others.on_rules = lambda changes: rules.extend(number for _, number, _ in changes)
    others.hear_records([("rule", "ban/nick/bob", b"1"), ("account", "a", b"2")])
    others.hear_records([("rule", "ban/nick/bob", None)])
    assert (records, rules) == (["a"], ["ban/nick/bob"] * 2)
