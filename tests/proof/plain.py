"""What clients of the original protocol do: say several texts at once, and hear no verdict."""

import random
from contextlib import suppress

import gevent
from gevent import socket
from gevent.event import Event as Signal

from geventchat.protocol import frames
from geventchat.protocol.names import LOBBY
from tests.proof.log import host, write
from tests.proof.talk import text_of


def shout(name: str, port: int, dice: random.Random, stop: Signal) -> None:
    """Say texts, some at once; each is sent once, and it is not known whether it is stored."""
    number = 0
    while not stop.is_set():
        with suppress(OSError), socket.create_connection((host(), port), timeout=5) as plain:
            plain.settimeout(None)
            reading = gevent.spawn(_read, plain)
            while not stop.wait(dice.uniform(0.2, 1.5)) and not reading.ready():
                for _ in range(dice.randrange(1, 5)):
                    number += 1
                    text = text_of(f"{name}-{number}", dice)
                    write(name, "says", LOBBY, f"{name}-{number}", text)
                    plain.sendall(frames.encode(text))
                    gevent.sleep(dice.choice((0, 0, 0.01)))
            reading.kill()
        gevent.sleep(0.2)


def _read(plain: socket.socket) -> None:
    with suppress(OSError):
        while plain.recv(65_536):
            pass
