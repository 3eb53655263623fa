"""A server that takes too long for every delivery: it carries fewer users than a good one."""

import sys

from gevent.monkey import get_original

from geventchat.__main__ import main
from geventchat.server.transport.outbox import Outbox

SECONDS = 0.02
_send = Outbox.send
_block = get_original("time", "sleep")


def slowly(outbox: Outbox, item: bytes | memoryview) -> None:
    _block(SECONDS)  # all of the server, as work does, but not the machine
    _send(outbox, item)


if __name__ == "__main__":
    Outbox.send = slowly  # type: ignore[assignment,method-assign]
    sys.exit(main(sys.argv[1:]))
