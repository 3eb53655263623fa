"""A server that takes too long for every delivery: it carries fewer users than a good one."""

import sys
import time

from geventchat.__main__ import main
from geventchat.server.outbox import Outbox

SECONDS = 0.01
_flush = Outbox.flush


def slowly(outbox: Outbox) -> None:
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        pass
    _flush(outbox)


if __name__ == "__main__":
    Outbox.flush = slowly  # type: ignore[assignment,method-assign]
    sys.exit(main(["serve", "--port", "0", "--timeline", "memory:"]))
