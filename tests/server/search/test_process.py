"""A program that is asked, with programs of some lines."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from geventchat.server.search.process import Process

PROGRAM = """
import os, sys, time
for line in sys.stdin:
    if line == "end\\n":
        sys.exit(3)
    if line == "sleep\\n":
        time.sleep(60)
    print(os.getpid(), line.strip(), flush=True)
"""


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    (tmp_path / "program_of_a_test.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = Process("program_of_a_test")
    yield process
    process.close()


def ask(process: Process, text: str, seconds: float = 20) -> tuple[int, str]:
    pid, said = process.ask(text.encode(), seconds).decode().split()
    return int(pid), said


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_questions_are_answered_in_order_by_one_program(process: Process) -> None:
    asked = [gevent.spawn(ask, process, str(number)) for number in range(5)]
    gevent.joinall(asked)
    answers = [each.get() for each in asked]
    assert [said for _, said in answers] == ["0", "1", "2", "3", "4"]
    assert len({pid for pid, _ in answers}) == 1


def test_a_large_question_arrives(process: Process) -> None:
    assert ask(process, "x" * 1_000_000)[1] == "x" * 1_000_000


def test_one_who_no_longer_waits_takes_no_answer_of_another(process: Process) -> None:
    gone = gevent.spawn(ask, process, "gone")
    gevent.sleep(0)
    gone.kill()
    assert ask(process, "here")[1] == "here"


def test_a_program_that_ends_is_started_again_by_the_next_question(process: Process) -> None:
    first, _ = ask(process, "a")
    with pytest.raises(ConnectionError):
        ask(process, "end")
    assert not exists(first)
    second, said = ask(process, "b")
    assert (second != first, said) == (True, "b")


def test_a_program_that_is_killed_between_two_questions_is_started_again(process: Process) -> None:
    first, _ = ask(process, "a")
    os.kill(first, signal.SIGKILL)
    with pytest.raises(OSError, match=r"."):
        ask(process, "b")
    assert ask(process, "c")[0] != first


def test_a_program_that_takes_too_long_is_ended(process: Process) -> None:
    first, _ = ask(process, "a")
    with pytest.raises(TimeoutError, match="no answer within"):
        ask(process, "sleep", 0.05)
    assert not exists(first)
    assert ask(process, "b")[1] == "b"


def test_close_ends_the_program_and_who_waits(process: Process) -> None:
    pid, _ = ask(process, "a")
    waiting = [gevent.spawn(ask, process, "sleep"), gevent.spawn(ask, process, "b")]
    gevent.sleep(0)
    process.close()
    for each in waiting:
        with pytest.raises(ConnectionError, match="the server ends"):
            each.get()
    assert not exists(pid)
    with pytest.raises(ConnectionError, match="the server ends"):
        ask(process, "c")


def test_a_program_that_cannot_be_started_is_a_failure_of_its_question(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("sys.executable", "/no/such/program")
        with pytest.raises(OSError, match="No such file"):
            ask(process, "a")
    assert ask(process, "b")[1] == "b"
