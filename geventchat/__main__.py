"""`python -m geventchat` and the script `geventchat`: the one place that patches."""

from gevent import monkey

monkey.patch_all()  # before anything else is imported, so that nothing keeps what blocks

import sys

import gevent

from geventchat.cli import main

# Who spawned whom is never asked, and remembering it costs memory for every client.
gevent.config.track_greenlet_tree = False

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
