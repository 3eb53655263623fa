import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.capacity import report
from loadtests.capacity.climb import Step, at_least, climb, confirm, knee, limited_by
from loadtests.capacity.crowd import Crowd
from loadtests.support.address import Address, free_port
from loadtests.support.login import Login
from tests.process import served

HERE = Path(__file__).parents[2]
BOUND = 100.0


def server(capacity: int, **more: float) -> "list[Step]":
    """Climb on a server that is late beyond its capacity; return the steps."""

    def measure(users: int) -> Step:
        late = 10.0 if users <= capacity else 500.0
        return Step(users, late / 2, late, **more)  # type: ignore[arg-type]

    return climb(measure, first=1_000, most=20_000, grain=20, bound_ms=BOUND)


@given(st.integers(20, 30_000))
def test_the_knee_is_found_within_a_tenth_in_few_steps(capacity: int) -> None:
    steps = server(capacity)
    found = knee(steps, BOUND)

    assert found <= capacity
    assert found >= min(capacity, 20_000) * 0.89 - 20
    assert len(steps) <= 12
    assert all(step.users % 20 == 0 for step in steps)


def test_a_step_is_bad_when_late_or_failed_or_somebody_is_missing() -> None:
    assert Step(10, 1, 100).good(BOUND)
    assert not Step(10, 1, 101).good(BOUND)
    assert not Step(10, None, None).good(BOUND)
    assert not Step(10, 1, 1, failures=1).good(BOUND)
    assert not Step(10, 1, 1, missing=1).good(BOUND)


def test_a_good_step_above_a_bad_one_does_not_count() -> None:
    assert knee([Step(10, 1, 1), Step(20, 1, 500), Step(30, 1, 1)], BOUND) == 10


def test_what_does_not_hold_a_second_time_gives_way_to_less() -> None:
    steps, held = confirm(
        lambda users: Step(users, 1, 1 if users <= 900 else 500), 1_000, 20, BOUND
    )
    assert [step.users for step in steps] == [1_000, 900]
    assert held == 900

    steps, held = confirm(lambda users: Step(users, 1, 500), 1_000, 20, BOUND)
    assert (len(steps), held) == (3, 0)


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (
            Step(10, 1, 1, server_cpu=30),
            "the descriptors ended first, with 70 % of the server's core idle",
        ),
        (Step(10, 1, 1), "the descriptors ended first"),
        (Step(10, 1, 500, server_cpu=99, load_cpu=99), "limited by the server's CPU"),
        (
            Step(10, 1, 500, server_cpu=40, load_cpu=99),
            "the load generator's CPU ended first",
        ),
        (Step(10, 1, 1, failures=3), "3 failures with 10 users"),
        (Step(10, 1, 1, missing=4), "4 of 10 users could not connect"),
        (
            Step(10, 1, 500, server_cpu=50),
            "with 10 users p99 was 500 ms, the server's core 50 % busy",
        ),
        (Step(10, None, None), "with 10 users nothing was delivered"),
    ],
)
def test_what_gave_out_first_is_named(step: Step, why: str) -> None:
    assert limited_by([step], "the descriptors ended first", BOUND) == why


def test_what_the_server_did_not_end_is_a_least_number() -> None:
    good = Step(10, 1, 1, server_cpu=30)
    assert at_least([good], BOUND)
    assert at_least([good, Step(20, 1, 500, server_cpu=40, load_cpu=99)], BOUND)
    assert not at_least([good, Step(20, 1, 500, server_cpu=99, load_cpu=99)], BOUND)
    assert not at_least([good, Step(20, 1, 500, server_cpu=40, load_cpu=40)], BOUND)
    assert not at_least([good, Step(20, 1, 1, missing=1, load_cpu=99)], BOUND)


def test_a_least_number_is_said_to_be_one() -> None:
    least = replace(finding(1_000), at_least=True, limited_by="the descriptors ended first")
    assert least.sentence() == (
        "This machine supports at least 1,000 users in rooms of 20, 10 of each talking once in "
        "20 s, with 99 % of messages delivered within 100 ms and none lost: "
        "the descriptors ended first."
    )
    assert "<h1>At least 1,000 users</h1>" in report.page(least)
    nothing = replace(least, users=0, limited_by="the load generator's CPU ended first")
    assert nothing.sentence() == (
        "2,000 users in rooms of 20, 10 of each talking once in 20 s could not be measured: "
        "the load generator's CPU ended first."
    )


def test_only_what_was_bad_is_not_supported() -> None:
    steps = [Step(1_000, 1, 2), Step(2_000, 1, 500)]
    again = [Step(1_000, 1, 500), Step(900, 1, 500), Step(800, 1, 500)]
    nothing = replace(finding(0), steps=steps, confirmed=again)
    assert nothing.sentence().startswith("This machine does not support 800 users")


def test_silent_users_who_were_lost_are_there_again_at_the_next_step() -> None:
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def accept() -> tuple[socket.socket, bytes]:
            peer = stack.enter_context(listening.accept()[0])
            return peer, peer.recv(4_096)

        crowd = Crowd(Address(*listening.getsockname()), 1, Login())
        crowd.want(3)
        crowd.come()
        _, (slow, hello), _ = (accept() for _ in range(3))
        slow.sendall(b'{"type":"bye","code":"slow","text":"Disconnected.","reconnect":true}\0')
        slow.close()
        while not crowd.lost:
            crowd.hear(1)
        assert (crowd.users, crowd.lost) == (2, 1)
        assert "Disconnected." in crowd.told
        assert crowd.complete  # it does not come again in the same step

        crowd.want(2)
        assert (crowd.complete, crowd.told) == (False, "")
        crowd.come()
        _, again = accept()
        assert crowd.complete
        assert (crowd.users, crowd.lost) == (2, 1)
        assert b"room-0-1" in hello
        assert b"room-0-1" in again
        crowd.want(0)


def test_a_server_that_is_killed_after_a_ping_costs_its_silent_users_and_no_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        crowd = Crowd(Address(*listening.getsockname()), 1, Login())
        crowd.want(1)
        crowd.come()
        peer, _ = listening.accept()
        peer.sendall(b'{"type":"ping"}\0')
        peer.close()  # with the hello unread, so that the connection is reset
        while crowd.users:
            crowd.hear(1)
    assert crowd.lost == 1


def test_silent_users_whom_no_server_takes_are_not_asked_for_again_and_again() -> None:
    crowd = Crowd(Address("127.0.0.1", free_port()), 1, Login())
    crowd.want(3)
    crowd.come()
    assert (crowd.users, crowd.lost, crowd.told) == (0, 1, "Connection refused")
    assert crowd.complete


def finding(users: int) -> report.Finding:
    return report.Finding(
        users=users,
        room_size=20,
        talkers=10,
        talk_seconds=20,
        bound_ms=BOUND,
        limited_by="limited by the <server's> CPU",
        steps=[Step(1_000, 1, 2, server_cpu=50), Step(2_000, 1, 500, server_cpu=99)],
        confirmed=[],
        command="make capacity",
    )


def test_the_answer_is_one_sentence() -> None:
    assert finding(1_000).sentence() == (
        "This machine supports 1,000 users in rooms of 20, 10 of each talking once in 20 s, "
        "with 99 % of messages delivered within 100 ms and none lost: "
        "limited by the <server's> CPU."
    )
    assert finding(0).sentence().startswith("This machine does not support 2,000 users in rooms")


def test_the_page_needs_nothing_but_itself_and_spells_out_what_it_shows() -> None:
    page = report.page(finding(1_000))
    assert "<server's>" not in page
    assert "<svg" in page
    assert "src=" not in page
    assert "href=" not in page


def started(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "loadtests.capacity", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=HERE, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--server", "127.0.0.1:1"], "capacity: No server answers at 127.0.0.1:1: "),
        (
            ["--most", "3"],
            "capacity: only 3 users are possible, less than one room of 20: more was not asked",
        ),
        (["--server", ""], "capacity: argument --server: '' is not HOST:PORT"),
        (["--room-size", "1"], "capacity: argument --room-size: '1' is not a whole number"),
        (["--talkers", "20"], "capacity: --talkers must be less than --room-size (20)"),
        (["--talk-seconds", "nan"], "capacity: argument --talk-seconds: 'nan' is not a number"),
        (["--bound-ms", "0"], "capacity: argument --bound-ms: '0' is not a number above 0"),
        (["--seconds", "0"], "capacity: argument --seconds: '0' is not a whole number"),
        (["--html", "/nonexistent/x"], "capacity: argument --html: '/nonexistent' is not a folder"),
        (["--html", "/"], "capacity: argument --html: '/' is not the name of a file"),
    ],
)
def test_what_cannot_be_measured_is_one_line(arguments: list[str], line: str) -> None:
    with started(*arguments) as process:
        _, complaint = process.communicate()
    assert process.returncode == 2
    assert complaint.startswith(line)
    assert complaint.count("\n") == 1


@pytest.mark.timeout(90)
def test_a_slowed_server_supports_fewer_users_than_a_good_one(tmp_path: Path) -> None:
    # A bound that a busy machine keeps, and a server with ten times the work that it has does not.
    room = ["--most", "20", "--seconds", "1", "--talk-seconds", "0.2", "--bound-ms", "500"]
    room += ["--html"]
    with served(tmp_path, "--timeline", "memory:", program="tests.loadtests.slowed") as server:
        host = "{}:{}".format(*server.address)
        with (
            started(*room, f"{tmp_path}/good.html") as good,
            started(*room, f"{tmp_path}/slowed.html", "--server", host) as slowed,
        ):
            answer, _ = good.communicate()
            slow_answer, _ = slowed.communicate()

    assert "This machine supports at least 20 users in rooms of 20" in answer
    assert "This machine does not support 20 users in rooms of 20" in slow_answer
    assert (good.returncode, slowed.returncode) == (0, 1)
    assert "20 users" in (tmp_path / "good.html").read_text("utf-8")
