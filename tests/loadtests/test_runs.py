import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from geventchat.client import Connection
from loadtests.support.address import Address, free_port
from tests.loadtests.conftest import Run, Started
from tests.loadtests.web import until

MOST_MESSAGES = ("--talk-seconds", "0.2", "--room-size", "10")


def test_all_kinds_of_users_chat_without_a_failure_on_a_server_of_its_own(
    load: Callable[..., Run], tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    run = load("-u", "100", "-t", "5s", *MOST_MESSAGES, "--html", str(report))

    assert run.code == 0, run.said
    assert "started a server at" in run.said
    assert run.failures() == set()
    counts = run.counts()
    assert counts["connect"] >= 100 - 2  # two are slow readers, whose times are their own
    for name in ("delivered", "acknowledged", "direct", "join", "resume"):
        assert counts[name] > 0, name
    assert "Talker" in report.read_text("utf-8")
    last = run.rows("chat_history")[-1]
    assert float(last["largest_outbox_kb"]) >= 0  # from the server's own /metrics
    assert int(last["slow_closes"]) >= 0


def test_all_that_takes_time_has_its_time_in_the_tables_of_locust(
    load: Callable[..., Run], server: str
) -> None:
    run = load("--host", server, "-u", "60", "-t", "5s", *MOST_MESSAGES)

    stats = {row["Name"]: row for row in run.rows("stats")}
    for name in ("connect", "join", "resume", "acknowledged", "delivered"):
        for figure in ("Average", "Median", "Min", "Max"):
            assert float(stats[name][f"{figure} Response Time"]) >= 1, name
        assert int(stats[name]["50%"]) >= 1, name


def test_what_is_heard_is_all_that_was_said_times_the_members_of_the_room(
    load: Callable[..., Run], server: str
) -> None:
    options = ("--lobby", "0", "--room-size", "10", "--talk-seconds", "0.5")
    run = load("--host", server, "-u", "40", "-r", "40", "-t", "6s", *options, "Talker", "Lurker")

    rows = [row for row in run.rows("chat_history") if float(row["seconds"]) >= 5]
    sent, delivered = (float(rows[0][f"{what}_per_second"]) for what in ("sent", "delivered"))
    assert delivered == pytest.approx(10 * sent, rel=0.1)


def test_two_processes_share_the_users(load: Callable[..., Run], server: str) -> None:
    port = str(free_port())
    run = load(
        *("--host", server, "-u", "60", "-t", "5s", *MOST_MESSAGES, "--processes", "2"),
        *("--master-bind-port", port, "--master-port", port),
    )

    assert run.code == 0, run.said
    assert run.failures() == set()
    # All but those on a bad line.
    assert max(int(row["connected"]) for row in run.rows("chat_history")) >= 56
    assert run.counts()["delivered"] > 0


SHAPES = ("staircase", "spike", "reconnect_storm", "soak")


@pytest.fixture(scope="module")
def shaped(server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Started]:
    """Start a run of each shape, all at once."""
    load = ("--host", server, "-u", "40", "-t", "5s", *MOST_MESSAGES)
    return {
        shape: Started(tmp_path_factory.mktemp(shape), *load, "--shape", shape) for shape in SHAPES
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_takes_the_users_and_the_time_it_is_given(
    shaped: dict[str, Started], shape: str
) -> None:
    run = shaped[shape].end()

    assert run.code == 0, run.said
    connected = [int(row["connected"]) for row in run.rows("chat_history")]
    assert max(connected) > 10  # a staircase has all only at its end
    if shape == "reconnect_storm":
        assert run.counts()["resume"] > 20  # away for up to 2 of 5 s, so not in every storm


def test_pytest_has_not_imported_locust() -> None:
    assert "locust" not in sys.modules


def test_a_room_of_many_is_joined_in_less_than_a_second_and_tells_a_part_of_its_members(
    server: str, tmp_path: Path
) -> None:
    options = ("-u", "600", "-r", "600", "-t", "8s", "--room-size", "600", "--lobby", "0")
    running = Started(tmp_path, "--host", server, *options, "Lurker")
    with Connection(*Address.parse(server), rooms=()) as chat:
        chat.join("room-0-0")
        until(lambda: chat.who("room-0-0").count == 601)
        chat.leave("room-0-0")
        began = time.monotonic()
        assert chat.join("room-0-0").count == 601
        assert len(chat.who("room-0-0").nicks) == 500
        assert time.monotonic() - began < 1
    assert running.end().code == 0
