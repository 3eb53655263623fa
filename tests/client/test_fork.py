"""Programs fork, as multiprocessing does."""

import subprocess
import sys

import pytest

PROGRAM = """
import multiprocessing, sys
{patch}
from geventchat.client import Connection, Ended

port, room = int(sys.argv[1]), sys.argv[2]
parent = Connection("127.0.0.1", port, rooms=[room])

def child():
    try:
        parent.say(room, "from the wrong process")
    except Ended as error:
        print(error, flush=True)
    with Connection("127.0.0.1", port, rooms=[room]) as chat:
        print(chat.say(room, "from the child"), flush=True)

process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(10)
print(process.exitcode, parent.say(room, "from the parent"), parent.ended)
process.kill()
parent.close()
"""


@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"])
def test_a_forked_process_makes_its_own_connections(port: int, room: str, patch: str) -> None:
    program = PROGRAM.format(patch=patch)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(port), room],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    sentence = "The connection belongs to the parent process."
    assert (done.stdout.splitlines(), done.stderr) == ([sentence, "1", "0 2 None"], "")


WAITING = """
import multiprocessing, sys
from geventchat.client import Connection, Ended, Joined

port, room = int(sys.argv[1]), sys.argv[2]
parent = Connection("127.0.0.1", port, rooms=[room])

def child():
    {wait}
    print(parent.ended.text, flush=True)

parent.send(room, "acknowledged in the parent process")
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(10)
print(process.exitcode, parent.say(room, "from the parent"), parent.ended)
process.kill()
parent.close()
"""
ACKNOWLEDGED = """
    try:
        parent.wait_acknowledged()
    except Ended:
        pass
"""


@pytest.mark.parametrize(
    "wait", ["print(list(parent), flush=True)", ACKNOWLEDGED, "parent.close()"]
)
def test_a_forked_process_that_waits_takes_nothing_from_its_parent(
    port: int, room: str, wait: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WAITING.format(wait=wait), str(port), room],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.removeprefix("[]\n").splitlines() == [
        "The connection belongs to the parent process.",
        "0 2 None",
    ]
