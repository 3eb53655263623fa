"""The proxy between server and engine, in a process of its own.

    python -m tests.proof.proxy SOCKET ENGINE

It reads lines of JSON: a name of what FaultProxy has, and arguments, or the value of an attribute.
Each is answered with an empty line.
"""

import json
import sys

from gevent import socket

from tests.fault_proxy import FaultProxy


def main() -> None:
    """Run the proxy until standard input ends."""
    proxy = FaultProxy(*sys.argv[1:3])
    while True:
        socket.wait_read(0)
        if not (line := sys.stdin.readline()):
            return
        match json.loads(line):
            case ["delay", float(seconds)]:
                proxy.delay = seconds
            case ["delay", float(seconds), str(name)]:
                proxy.delays[name] = seconds
            case ["engine", str(path)]:
                proxy.engine = path
            case ["open", True]:
                proxy.open.set()
            case ["open", False]:
                proxy.open.clear()
            case ["lose_answer", str(name), int(nth), bool(silently)]:
                proxy.lose_answer(name, nth, silently=silently)
            case [str(name), *arguments]:
                getattr(proxy, name)(*arguments)
        print(flush=True)


if __name__ == "__main__":
    main()
