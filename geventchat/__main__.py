"""`python -m geventchat` and the script `geventchat`: the one place that patches."""

import signal

_INTERRUPTED = signal.getsignal(signal.SIGINT)
if _INTERRUPTED is signal.default_int_handler:  # not where it is ignored, as behind `&`
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback while this is imported

from gevent import monkey

monkey.patch_all()  # before anything else is imported, so that nothing keeps what blocks

import sys

import gevent

from geventchat.cli import main

# Who spawned whom is never asked, and remembering it costs memory for every client.
gevent.config.track_greenlet_tree = False
signal.signal(signal.SIGINT, _INTERRUPTED)

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
