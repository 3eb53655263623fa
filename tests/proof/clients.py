"""The processes of the clients."""

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.proof import people
from tests.proof.server import HERE, Failed, Server
from tests.proof.talk import ROOMS

CLIENTS_PER_PROCESS: Final = 10


class Clients:
    """Client processes and their logs."""

    def __init__(self, folder: Path, clients: int, seed: int, server: Server, cast: str) -> None:
        self._processes = []
        self.files = []
        for first in range(0, clients, CLIENTS_PER_PROCESS):
            count = min(CLIENTS_PER_PROCESS, clients - first)
            file = folder / f"clients-{first}.jsonl"
            command = [sys.executable, "-m", "tests.proof.client", str(server.port)]
            command += [str(first), str(count), str(seed), str(file), cast]
            pipe = subprocess.PIPE
            process = subprocess.Popen(command, cwd=HERE, stdin=pipe, stdout=pipe, text=True)
            self._processes.append(process)
            self.files.append(str(file))

    def __enter__(self) -> "Clients":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

    def expect(self, word: str) -> None:
        """Wait until every process has printed a line."""
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline() != f"{word}\n":
                raise Failed(f"clients ended before they were {word}")

    def tell(self, line: str) -> None:
        """Send a line to every process."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{line}\n")
            process.stdin.flush()

    def end(self) -> None:
        """Wait until all have ended by themselves."""
        for process in self._processes:
            if process.wait(90):
                raise Failed(f"clients ended with {process.returncode}")

    def pause(self, dice: random.Random) -> None:
        """Stop some clients for a moment."""
        process = dice.choice(self._processes)
        process.send_signal(signal.SIGSTOP)
        time.sleep(dice.uniform(0.1, 0.5))
        process.send_signal(signal.SIGCONT)


def cast(clients: int, server: Server) -> str:
    """Make accounts and a webhook, as an operator; return what the clients need of it."""
    for nick in people.added(clients):
        server.operate("account", "add", nick, told=people.password(nick))
    told = server.operate("hook", "add", ROOMS[0])
    token = re.search(r"/hook/([\w-]+)", told)
    if token is None:
        raise Failed(f"no webhook could be made: {told}")
    return json.dumps({"clients": clients, "port": server.web_port, "token": token[1]})
