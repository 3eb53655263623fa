"""docs/operations.md lists every metric and every event of the log."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conversations.chat import Chat, chatting
from tests.conversations.peers import Plain
from tests.conversations.signed_in import PASSWORD

_TEXT: Final = (Path(__file__).parent.parent / "docs" / "operations.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a line with this start."""
    table = _TEXT.partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.split("\n")[2:]]


def quoted(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    (tmp_path / "token").write_text("the-token-of-a-test")
    options = {"operator_file": str(tmp_path / "token"), "web": "127.0.0.1:0"}
    with chatting(options=options, connections=2) as chat:
        yield chat


def test_every_metric_is_listed(chat: Chat) -> None:
    ann, _ = chat.rich_clients("Ann", "Bob")
    with Plain(chat.address) as rejected:
        rejected.rest()
    ann.tell("bye")
    ann.closing()
    chat.wait_disconnected(ann)
    listed = {
        (name, kind, frozenset(quoted(labels)), text)
        for cell, kind, labels, text in rows("metric")
        for name in quoted(cell)
    }
    families = text_string_to_metric_families(chat.server._metrics.text().decode())
    assert listed == {
        (
            family.name + "_total" * (family.type == "counter"),
            family.type,
            frozenset().union(*(sample.labels for sample in family.samples)) - {"le"},
            family.documentation,
        )
        for family in families
        if family.name.startswith("geventchat_")
    }


def test_every_event_of_the_log_is_listed_with_its_fields(
    chat: Chat, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "geventchat")
    console = chat.server._hub._console
    monkeypatch.setattr(console, "_echo", True)
    monkeypatch.setattr(console._printer, "admits", lambda: True)
    ann = chat.rich("Ann", token="the-token-of-a-test")
    chat.rich("Bob")
    chat.refused()
    ann.ask("nick", nick="Olga")
    ann.say("lobby", "hi")
    ann.posts(1)
    ann.ask("register", nick="Olga", password=PASSWORD)
    ann.ask("create", room="plans")
    ann.say("plans", "secret")
    ann.posts(1, "plans")
    for request in (
        {"action": "ban", "target": "Bob", "seconds": 60, "reason": "spam"},
        {"action": "unban", "target": "Bob", "token": "a-wrong-token-of-a-test"},
    ):
        ann.ask("admin", **request)
    ann.ask("hook", action="add", room="lobby")
    chat.stop()
    logged: dict[str, set[str]] = {}
    for record in caplog.records:
        details = dict(getattr(record, "details", {}))
        if details:
            logged.setdefault(details.pop("event"), set()).update(details)
    listed = {event: quoted(fields) for cell, fields, _ in rows("event") for event in quoted(cell)}
    assert logged == listed
