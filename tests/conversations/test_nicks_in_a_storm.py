"""Many clients come, go and take nicks on three nodes, while their engine dies, hangs or forgets.

Whatever happened: in the end each client is on one node, and each nick has one owner.
"""

import random
from collections import Counter
from contextlib import ExitStack, suppress
from signal import SIGCONT, SIGSTOP

import gevent
import pytest

from geventchat.protocol import names
from geventchat.server.timeline import redis as package
from tests.conversations.chat import Chat, chatting
from tests.conversations.peers import Plain, encode
from tests.engines import RunningEngine, running

pytestmark = pytest.mark.timeout(600)
CLIENTS = 12
STEPS = 20
NICKS = ["Ann", "Bob", "ANN", "Bemd", "Bernd", "Zoe"]


def live(number: int, chats: list[Chat], chance: random.Random) -> None:
    """Be a client that comes to any node, takes nicks, is lost and quits."""
    hello = {"type": "hello", "version": 1, "client": f"client-of-a-storm-{number}"}
    for _ in range(STEPS):
        with Plain(chance.choice(chats).address) as peer, suppress(EOFError, OSError):
            peer.send(b"\x1e" + encode({**hello, "nick": chance.choice(NICKS)}))
            for nick in chance.choices(NICKS, k=chance.randrange(3)):
                peer.send(encode({"type": "nick", "nick": nick}))
            if chance.random() < 0.8:
                peer.send(encode({"type": "ping", "id": "seen"}))
                while b'"seen"' not in peer.frame():
                    pass
            if chance.random() < 0.3:
                peer.send(encode({"type": "bye"}))
                peer.rest()
            elif chance.random() < 0.3:
                gevent.sleep(chance.random())
        gevent.sleep(chance.random() * 0.05)


def disturb(own: RunningEngine, chance: random.Random, *, forgets: bool) -> None:
    """Have the engine die, and hang, and perhaps lose all that it has."""
    while True:
        gevent.sleep(0.5 + chance.random())
        if forgets and chance.random() < 0.5:
            own.call("FLUSHALL")
        elif chance.random() < 0.5:
            own.restart(sleep=gevent.sleep)
        else:
            own.signal(SIGSTOP)
            try:
                gevent.sleep(chance.random())
            finally:
                own.signal(SIGCONT)


@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize("seed", range(1))
def test_each_nick_has_one_owner_after_a_storm(
    seed: int, forgets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "ENGINE_SECONDS", 0.3)
    chance = random.Random(seed)
    with running("valkey") as own, ExitStack() as stack:
        chats = [stack.enter_context(chatting(own.url, clock=True)) for _ in range(3)]
        living = [
            gevent.spawn(live, number, chats, random.Random(f"{seed} {number}"))
            for number in range(CLIENTS)
        ]
        disturbing = gevent.spawn(disturb, own, chance, forgets=forgets)
        gevent.joinall(living, timeout=90, raise_error=True)
        disturbing.kill()
        own.restart(sleep=gevent.sleep)
        check(own, chats)


def check(own: RunningEngine, chats: list[Chat]) -> None:
    """Check what all nodes have, and what the engine has, when nothing is under way any more."""
    hubs = [chat.server._hub for chat in chats]
    with gevent.Timeout(30):
        while any(hub.sessions for hub in hubs):
            gevent.sleep(0.01)
        for chat in chats:
            chat.server._timeline.nodes.check("Nobody")
    clients = Counter(client for hub in hubs for client in hub.owners.clients)
    assert {client for client, count in clients.items() if count > 1} == set()
    nicks = Counter(names.fold(owner.nick) for hub in hubs for owner in hub.owners.clients.values())
    assert {nick for nick, count in nicks.items() if count > 1} == set()
    stored = own.call("HKEYS", "{gc}:claims")
    claimed = {field[2:].decode() for field in stored if field.startswith(b"n:")}
    assert claimed == {nick for nick in nicks if not nick.startswith(names.GUEST)}
