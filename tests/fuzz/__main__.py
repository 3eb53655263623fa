"""`make fuzz`: run Atheris on each target, and keep the cases that reach new branches.

    python -m tests.fuzz [--runs 250000] [TARGET ...]

Each target runs in a process of its own. A failing input is saved in a file, whose name is printed
with the traceback; the exit code is then 1. Cases that reached new branches are merged into the
corpus.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.fuzz import corpus

TARGETS: Final = (
    "frames",
    "hello",
    "proxy",
    "forwarded",
    "requests",
    "events",
    "names",
    "shown",
    "settings",
    "web",
    "hosts",
)
_WORDS: Final = (
    "type hello say join leave nick who history direct topic typing ping pong bye post joined"
    " welcome version client nonce password rooms room epoch position text key id limit before to"
    " null true false NaN \\\\u0000 \\\\ud800 1e999 [limits] host port timeline trust echo"
    " frame_bytes ping_seconds PROXY TCP4 TCP6 UNKNOWN for= host= \\x0d\\x0a"
    " \\x0d\\x0a\\x0d\\x0a\\x00\\x0d\\x0aQUIT\\x0a"
).split()
_MOST_BYTES: Final = 512


def main() -> int:
    """Fuzz the named targets, or all; return the exit code."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=250_000, help="cases for each target")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    asked = parser.parse_args()
    if unknown := set(asked.targets) - set(TARGETS):
        parser.error(f"no target is called {', '.join(sorted(unknown))}")
    failed = [name for name in asked.targets or TARGETS if not _fuzz(name, asked.runs)]
    return 1 if failed else 0


def _fuzz(target: str, runs: int) -> bool:
    """Run a target and keep new cases; return whether it passed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        kept, found, words = (Path(folder, name) for name in ("kept", "found", "words"))
        kept.mkdir()
        found.mkdir()
        for number, case in enumerate(corpus.cases(target)):
            kept.joinpath(str(number)).write_bytes(case)
        words.write_text("".join(f'"{word}"\n' for word in _WORDS), "ascii")
        bounds = f"-runs={runs}", f"-max_len={_MOST_BYTES}", f"-dict={words}", "-verbosity=0"
        whole = _atheris(target, *bounds, str(found), str(kept))
        # Adds the cases to the corpus that reach new branches.
        if _atheris(target, "-merge=1", str(kept), str(found)):
            corpus.keep(target, (path.read_bytes() for path in kept.iterdir()))
    outcome = "nothing broke" if whole else "BROKEN"
    seconds, cases = time.monotonic() - began, len(corpus.cases(target))
    print(
        f"{target}: {runs:,} cases in {seconds:.0f} s, {outcome}; {cases} in the corpus", flush=True
    )
    return whole


def _atheris(target: str, *arguments: str) -> bool:
    """Run Atheris on a target; print its output if it failed."""
    command = [sys.executable, "-m", "tests.fuzz.engine", target, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
