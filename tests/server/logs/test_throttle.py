"""A log under attack: some lines per kind, and the number of further ones."""

import logging

from geventchat.server.logs.throttle import EACH_SECOND, Throttle


def record(text: str, *args: object, **details: object) -> logging.LogRecord:
    made = logging.LogRecord("geventchat", logging.INFO, "", 0, text, args, None)
    made.details = details
    return made


def admitted(repeats: Throttle, records: list[logging.LogRecord]) -> int:
    return sum(map(repeats.admits, records))


def test_ten_of_a_kind_are_written_and_the_rest_is_one_summary() -> None:
    repeats = Throttle()
    coming = [record("%s", f"guest-{n} came", event="connected", clients=n) for n in range(1_000)]
    assert admitted(repeats, coming) == EACH_SECOND == 10

    (summary,) = repeats.summary()
    assert summary.getMessage() == "990 more like this: guest-999 came"
    assert vars(summary)["details"] == {"event": "connected", "clients": 999, "repeats": 990}


def test_a_summary_of_one_is_the_record_itself() -> None:
    repeats = Throttle()
    records = [record("%s failed", n) for n in range(11)]
    admitted(repeats, records)
    assert repeats.summary() == [records[-1]]


def test_messages_are_never_limited() -> None:
    said = [record("%s", f"#lobby guest-1: {n}", event="message") for n in range(100)]
    repeats = Throttle()
    assert admitted(repeats, said) == 100
    assert repeats.summary() == []


def test_the_limit_is_per_kind() -> None:
    repeats = Throttle()
    for _ in range(10):
        assert repeats.admits(record("%s", "guest-1 came", event="connected"))
        assert repeats.admits(record("%s", "guest-1 left (quit)", event="disconnected"))
        assert repeats.admits(record("the session of %s failed", "127.0.0.1"))
    assert repeats.summary() == []


def test_the_limit_is_per_second() -> None:
    repeats = Throttle()
    assert admitted(repeats, [record("again")] * 30) == 10
    assert len(repeats.summary()) == 1
    assert admitted(repeats, [record("again")] * 30) == 10


def test_actions_of_operators_are_never_limited() -> None:
    repeats = Throttle()
    act = record("%s at %s: %s%s", "Ann", "127.0.0.1", "ban", "", event="audit")
    act.name = "geventchat.audit"
    assert admitted(repeats, [act] * 1_000) == 1_000
    assert repeats.summary() == []


def test_refused_attempts_are_limited() -> None:
    repeats = Throttle()
    tried = record("%s at %s: %s%s", "Eve", "192.0.2.1", "ban", "", event="audit", refused="no")
    tried.name = "geventchat.audit"
    assert admitted(repeats, [tried] * 1_000) == 10
    assert len(repeats.summary()) == 1
