"""Compares the figures of Locust's users with those of a load generator in C.

    python -m loadtests.scenarios.agreement --tools DIR [--runs 3]

DIR holds `blast`, as for `loadtests.scenarios.bars`. The two load a server of their own in turn:
400 members in rooms of 20, a message each in two seconds on average. The medians of say→heard must
be within 20 % or 5 ms of each other at p50, and 35 % or 15 ms at p99: else the exit code is 1.
"""

import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from loadtests.scenarios.bars import LOAD_CORE, running, tools
from loadtests.support.arguments import whole
from loadtests.support.command import Parser, command

MEMBERS, ROOM_SIZE, TALK_SECONDS, SECONDS = 400, 20, 2, 20
ALLOWED: Final = {"p50_ms": (0.20, 5.0), "p99_ms": (0.35, 15.0)}
"""How far apart the two may be: a share of blast's figure, or so many ms."""


def agree(figure: str, blast: float, locust: float) -> bool:
    """Whether two medians agree."""
    share, ms = ALLOWED[figure]
    return abs(locust - blast) <= max(share * blast, ms)


def by_blast(tools: Path) -> dict[str, float]:
    """Return the figures of the program in C."""
    with running("sqlite", tools) as run:
        command = [str(tools / "blast"), "-proto", "rich", "-p", str(run.port)]
        command += ["-pid", str(run.pid)]
        command += ["-n", str(MEMBERS), "-rooms", str(MEMBERS // ROOM_SIZE), "-s", str(MEMBERS)]
        command += ["-r", str(MEMBERS // TALK_SECONDS), "-d", str(SECONDS)]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    figures = dict(pair.split("=") for pair in told.split())
    return {name: float(figures[name]) for name in ALLOWED}


def by_locust(tools: Path) -> dict[str, float]:
    """Return the figures of Locust's users, from when all are there."""
    with running("sqlite", tools) as run, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "loadtests", "--host", f"127.0.0.1:{run.port}"]
        command += [
            "--headless",
            "--users",
            str(MEMBERS),
            "--spawn-rate",
            str(MEMBERS),
            "--reset-stats",
        ]
        command += ["--run-time", f"{SECONDS}s", "--lobby", "0", "--room-size", str(ROOM_SIZE)]
        command += ["--talk-seconds", str(TALK_SECONDS), "--csv", f"{folder}/run", "Talker"]
        subprocess.run(command, capture_output=True, check=True)
        with Path(folder, "run_chat.csv").open(newline="", encoding="utf-8") as file:
            (heard,) = (row for row in csv.DictReader(file) if row["name"] == "delivered")
    return {name: float(heard[name]) for name in ALLOWED}


def main() -> int:
    """Measure both in turn, print a row for each figure; return the exit code."""
    parser = Parser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tools", type=tools, required=True)
    parser.add_argument("--runs", type=whole(1), default=3)
    asked = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    runs = []
    for run in range(asked.runs):
        print(f"agreement: run {run + 1} of {asked.runs}", file=sys.stderr)
        runs.append((by_blast(asked.tools), by_locust(asked.tools)))
    code = 0
    for figure in ALLOWED:
        blast, locust = (statistics.median(run[each][figure] for run in runs) for each in (0, 1))
        fine = agree(figure, blast, locust)
        code |= not fine
        verdict = "agree" if fine else "DISAGREE"
        print(f"| {figure} | blast {blast:.2f} | Locust {locust:.2f} | {verdict} |")
    return code


if __name__ == "__main__":
    command("agreement", main)
