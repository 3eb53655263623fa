"""A process with the proxy between server and engine."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.proof.server import HERE, Failed


class Proxy:
    """What makes it do something."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def do(self, name: str, *arguments: object) -> None:
        """Set an attribute of the proxy, or call a method."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "\n":
            raise Failed("the proxy has ended")


@contextmanager
def proxied(path: str, engine: str) -> Iterator[Proxy]:
    """Run it at a path, before the engine at another."""
    command = [sys.executable, "-m", "tests.proof.proxy", path, engine]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=HERE, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            proxy = Proxy(process)
            proxy.do("delay", 0.0)
            yield proxy
        finally:
            process.kill()
