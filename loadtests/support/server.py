"""The server to load: one that runs already, or one for this run alone."""

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.support.preflight import raise_descriptor_limit

START_SECONDS = 20


@contextmanager
def serving(host: str | None, *options: str) -> Iterator[str]:
    """Give the address of the server to load, one that ends with the run if none was named.

    The options are for such a one.
    """
    if host:
        yield host
        return
    raise_descriptor_limit()  # the server takes what it finds
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        timeline = f"sqlite:{folder}/load.db"
        serve = [sys.executable, "-m", "geventchat", "serve", "--port", "0", "--timeline", timeline]
        serve += ["--admin", "127.0.0.1:0", *options]
        with (
            log.open("wb") as output,
            # In a session of its own, Ctrl-C is not for it.
            subprocess.Popen(
                serve, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            ) as server,
        ):
            try:
                address = _address(server, log)
                print(f"A server was started at {address}, for this run alone.")
                yield address
            finally:
                server.terminate()


def _address(server: "subprocess.Popen[bytes]", log: Path) -> str:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        if found := re.search(r"listens on (\S+:\d+)", log.read_text("utf-8")):
            return found[1]
        time.sleep(0.02)
    sys.exit(f"The server did not start. It said: {log.read_text('utf-8')}")
