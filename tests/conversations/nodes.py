"""Conversations over several nodes: every server of this package is so many on one engine.

With CONVERSATION_NODES=2 clients are dealt out to them alternately, whatever address a test
connects to. The tests are the same, so what a member notices of the nodes makes one of them fail.
"""

import os
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Final

import gevent

from geventchat.config import Config
from geventchat.server.logs.console import Console
from geventchat.server.logs.writer import LogWriter
from geventchat.server.server import Server
from geventchat.server.timeline.redis import RedisTimeline

NODES: Final = int(os.environ.get("CONVERSATION_NODES", "1"))
_SECONDS: Final = 20.0
_dealt: Final[dict[tuple[str, int], Iterator[tuple[str, int]]]] = {}
"""By each address of the first server: the next node that somebody is sent to who goes there."""
_addresses: Final[dict[Server, list[tuple[str, int]]]] = {}
"""Of the first of some nodes."""
_running: Final[list[Sequence[Server]]] = []


def start(config: Config, *, ticking: bool = True) -> Server:
    """Start a server, and the other nodes beside it; return the first."""
    servers: list[Server] = []
    try:
        for _ in range(NODES):
            server = Server(config, Console(LogWriter(None), echo=False))
            server.start(ticking=ticking)
            servers.append(server)
    except BaseException:
        for server in servers:
            server.stop()
        raise
    if NODES > 1:
        _running.append(servers)
        _addresses[servers[0]] = [*servers[0].addresses, *servers[0].web_addresses]
        _deal([each.addresses for each in servers])
        _deal([each.web_addresses for each in servers])
    return servers[0]


def _deal(addresses: Sequence[Sequence[tuple[str, int]]]) -> None:
    for same in zip(*addresses, strict=True):
        _dealt[same[0]] = cycle(same)


def stop(server: Server) -> None:
    """Stop a server, and the other nodes beside it, unless that was done."""
    nodes = beside(server)
    if nodes in _running:
        _running.remove(nodes)
        for address in _addresses.pop(server, ()):
            _dealt.pop(address, None)
    gevent.joinall([gevent.spawn(each.stop) for each in nodes], raise_error=True)


def beside(server: Server) -> Sequence[Server]:
    """Return all nodes of which a server is the first; itself if it is alone."""
    return next((nodes for nodes in _running if nodes[0] is server), [server])


def node_for(address: tuple[str, int]) -> tuple[str, int]:
    """Return where a client of an address connects: to the nodes in turn, once they are level."""
    level()
    return next(_dealt[address]) if address in _dealt else address


def level() -> None:
    """Wait until each node has heard what the others know, as on one node that is heard at once."""
    for nodes in _running:
        end = time.monotonic() + _SECONDS
        while not _is_level(nodes):
            assert time.monotonic() < end, "the nodes do not come level"
            gevent.sleep(0.001)


def _is_level(nodes: Sequence[Server]) -> bool:
    timelines = [each._timeline for each in nodes if isinstance(each._timeline, RedisTimeline)]
    if any(each.lost or each.failing for each in timelines):
        return True  # it is not to be waited for
    if any(each._hub.submissions._waiting or not each._hub.delivery.idle for each in nodes):
        return False
    if len({each._feed.passed for each in timelines}) > 1:
        return False
    if not all(each.nodes._claims.idle for each in timelines):
        return False
    lives = [each.nodes._live for each in timelines if hasattr(each.nodes, "_live")]
    return all(
        not one._has_news and other._heard.get(one._life.node, 0) == one._number
        for one in lives
        for other in lives
        if one is not other and one._life.others
    )
