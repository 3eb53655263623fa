"""A store that is killed with SIGKILL before each of its statements in turn; runs as a process.

    python -m tests.server.killed boot|migrate|store|trim DATABASE FOLDER

Leaves copies of the files as the n-th killed one left them in FOLDER/n, one for each statement.
"""

import itertools
import os
import shutil
import signal
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

from geventchat.server.timeline.retention_policy import RetentionPolicy
from geventchat.server.timeline.sqlite import schema, store
from tests.server.record import say


def dies_before(number: int, path: Path, act: str) -> None:
    """Run an operation on a database, and die before its n-th statement."""
    real = schema.connect
    statements = itertools.count(1)

    def die(_: str) -> None:
        if next(statements) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def connect(path: str, **more: Any) -> sqlite3.Connection:
        db = real(path, **more)
        if act in ("boot", "migrate"):
            db.set_trace_callback(die)
        return db

    vars(store)["connect"] = connect
    record = store.Store(str(path))
    assert record.db is not None
    if act == "store":
        record.db.set_trace_callback(die)
        record.store([say("new", "n1"), say("one", "k1"), say("hi", room="another")])
    if act == "trim":
        record.db.set_trace_callback(die)
        in_ten_days = time.time() + 10 * 24 * 60 * 60
        vars(time)["time"] = lambda: in_ten_days
        record.retention.policy = RetentionPolicy(days=1)
        while record.trim():
            pass


def main() -> None:
    """Kill and copy until one run completes."""
    act, database, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    for number in itertools.count(1):
        place = folder / str(number)
        place.mkdir()
        for file in database.parent.glob(f"{database.name}*"):
            shutil.copy(file, place)
        child = os.fork()
        if child == 0:
            dies_before(number, place / database.name, act)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            return


if __name__ == "__main__":
    main()
