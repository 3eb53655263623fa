"""A node in a process of its own: `python -m tests.server.timeline.redis.lone_decider URL NAME`.

It decides to set a number to 1, and says so before it does; does it when a line comes; and says
what became of it.
"""

import sys

import gevent
from gevent.threadpool import ThreadPool

from geventchat.protocol.errors import Refused
from tests.server.timeline.redis.deciders import Node


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    url, name = sys.argv[1:]
    node = Node(url)
    with node.deciding():
        say(node.timeline.nodes.name)
        ThreadPool(1).apply(sys.stdin.readline)
        number = node.get(name)
        number.state = 1
        try:
            node.records.save(number)
        except Refused as refused:
            say(refused.code)
        else:
            say("done")
    while True:
        gevent.sleep(1)


if __name__ == "__main__":
    main()
