"""Fetches metrics from an admin port and renders them as a page of text."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from typing import Final, NamedTuple

import gevent
import msgspec
from prometheus_client.parser import text_string_to_metric_families
from prompt_toolkit.utils import get_cwidth

from geventchat.protocol.admin import Top
from geventchat.protocol.names import MAX_NAME_LENGTH
from geventchat.protocol.visible import visible

_SECONDS: Final = 3.0
"""How long the replies may take."""
_PAGE_BYTES: Final = 2 << 20
"""The figures of one worker are 5 KB, and there may be 256."""
_JOINED: Final[dict[str, Callable[[Iterable[int]], int]]] = {
    "geventchat_accounts": max,
    "geventchat_loop_lag_seconds": max,
    "geventchat_outbox_bytes": max,
    "geventchat_rooms": max,
    "geventchat_storage_up": min,
    "process_start_time_seconds": min,
}
"""How the figures of workers become one; others are added."""


class NotAdminPort(Exception):
    """Something other than an admin port replied."""

    def __str__(self) -> str:
        return "another service is listening there"


class Sample(NamedTuple):
    """The metrics of a server at one moment."""

    at: float
    """By the monotonic clock."""
    figures: Counter[str]
    """Metrics by name; also by name, space and the value of each label."""
    top: Top


def fetch(host: str, port: int) -> Sample:
    """Fetch the metrics of an admin port. Waits. Raises OSError and NotAdminPort."""
    try:
        with (
            # The timeout of a socket starts again with each byte.
            gevent.Timeout(_SECONDS, TimeoutError("timed out")),
            closing(HTTPConnection(host, port, timeout=_SECONDS)) as connection,
        ):
            figures = _figures(_page(connection, "/metrics"))
            top = msgspec.json.decode(_page(connection, "/top"), type=Top)
    except (HTTPException, ValueError):  # of JSON and of Prometheus's format too
        raise NotAdminPort from None
    return Sample(time.monotonic(), figures, top)


def page(before: Sample, now: Sample) -> Iterator[tuple[str, str]]:
    """Yield style and text of each line: current values, and rates since an earlier sample."""
    figures = now.figures

    def rate(name: str) -> float:
        return _grown(before, now, name) / max(now.at - before.at, 0.001)

    def mean(name: str) -> str:
        count = _grown(before, now, f"geventchat_{name}_seconds_count")
        return (
            _time(_grown(before, now, f"geventchat_{name}_seconds_sum") / count) if count else "-"
        )

    if not figures["geventchat_storage_up"]:
        yield "ansired bold", "storage unavailable"
    nodes = now.top.nodes
    if (count := len(nodes) + len(now.top.silent)) > 1 and not figures["geventchat_workers_ready"]:
        yield "", f"node {nodes[0].host} {nodes[0].pid}, one of {count}"
    yield (
        "",
        (
            f"up {timedelta(seconds=int(time.time() - figures['process_start_time_seconds']))}   "
            f"cpu {rate('process_cpu_seconds_total'):.0%}   "
            f"memory {_size(figures['process_resident_memory_bytes'])}   "
            f"descriptors {figures['process_open_fds']:,.0f}"
        ),
    )
    yield (
        "",
        (
            f"clients {figures['geventchat_connections']:,.0f}: "
            f"{figures['geventchat_connections rich']:,.0f} rich, "
            f"{figures['geventchat_connections plain']:,.0f} plain   "
            f"rooms {figures['geventchat_rooms']:,.0f}"
        ),
    )
    if figures["geventchat_accounts"]:
        wrong = sum(rate(f"geventchat_sign_ins_total {why}") for why in ("wrong", "limited"))
        yield (
            "",
            (
                f"accounts {figures['geventchat_accounts']:,.0f}   "
                f"signed in {figures['geventchat_signed_in']:,.0f}   "
                f"sign-ins {rate('geventchat_sign_ins_total'):,.1f}/s, {wrong:,.1f}/s wrong"
            ),
        )
    yield (
        "",
        (
            f"posts {rate('geventchat_messages_stored_total'):,.1f}/s   "
            f"deliveries {rate('geventchat_messages_delivered_total'):,.0f}/s   "
            f"failed {rate('geventchat_messages_failed_total'):,.1f}/s"
        ),
    )
    yield (
        "",
        (
            f"delivery {mean('delivery')}   commit {mean('commit')}   fan-out {mean('fanout')}   "
            f"lag {_time(figures['geventchat_loop_lag_seconds'])}"
        ),
    )
    yield (
        "",
        (
            f"outbox p99 {_size(figures['geventchat_outbox_bytes 0.99'])}, "
            f"max {_size(figures['geventchat_outbox_bytes 1'])}   "
            f"closed {rate('geventchat_connections_closed_total'):,.1f}/s   "
            f"rejected {rate('geventchat_connections_rejected_total'):,.1f}/s"
        ),
    )
    yield from _nodes(before, now)
    yield "", ""
    yield "bold", f"{_cell('BUSIEST ROOMS')} {'POSTS/S':>10} {'MEMBERS':>10}"
    for room in now.top.rooms:
        yield "", f"{_cell(room.room)} {room.messages_per_second:>10,.1f} {room.members:>10,}"
    yield "", ""
    yield "bold", f"{_cell('SLOWEST CLIENTS')} {'QUEUED':>10}   {'VIA':<5} ADDRESS"
    for client in now.top.clients:
        size, door = _size(client.outbox_bytes), visible(client.door)
        yield "", f"{_cell(client.nick)} {size:>10}   {door:<5} {visible(client.address)}"


def _nodes(before: Sample, now: Sample) -> Iterator[tuple[str, str]]:
    """Yield a line for each node, the one that was asked first, if there are several."""
    found, silent = now.top.nodes, now.top.silent
    if len(found) + len(silent) < 2:
        return
    stored = {node.name: node.messages_stored for node in before.top.nodes}
    seconds = max(now.at - before.at, 0.001)
    yield "", ""
    yield "bold", _cell("NODES") + _columns("CLIENTS", "ROOMS", "POSTS/S", "OUTBOX", "LAG")
    for node in found:
        posts = max(node.messages_stored - stored.get(node.name, node.messages_stored), 0)
        yield (
            "",
            _cell(f"{node.host} {node.pid}")
            + _columns(
                f"{node.connections:,}",
                f"{node.rooms:,}",
                f"{posts / seconds:,.1f}",
                _size(node.outbox_bytes),
                _time(node.loop_lag_seconds),
            ),
        )
    for name in silent:
        yield "ansired bold", f"{_cell(name)} no answer"


def _columns(clients: str, rooms: str, posts: str, outbox: str, lag: str) -> str:
    return f"{clients:>8}{rooms:>7}{posts:>9}{outbox:>12}{lag:>11}"


def _page(connection: HTTPConnection, path: str) -> str:
    connection.request("GET", path, headers={"Host": "localhost"})  # by whatever name it goes
    answer = connection.getresponse()
    body = answer.read(_PAGE_BYTES)
    if answer.status != 200:
        raise NotAdminPort
    return body.decode()


def _figures(text: str) -> Counter[str]:
    """Return the metrics of a server, or of the workers of one as if they were one process."""
    of_nodes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            figures = of_nodes[sample.labels.pop("node", "")]
            for name in (sample.name, *(f"{sample.name} {by}" for by in sample.labels.values())):
                figures[name] += sample.value  # type: ignore[assignment]
    figures = Counter()
    for name in {name for each in of_nodes.values() for name in each}:
        values = [each[name] for each in of_nodes.values() if name in each]
        figures[name] = _JOINED.get(name.partition(" ")[0], sum)(values)
    if "geventchat_connections" not in figures:
        raise NotAdminPort
    return figures


def _grown(before: Sample, now: Sample, name: str) -> float:
    """Return the increase of a counter, which is reset when the server restarts."""
    grown = now.figures[name] - before.figures[name]
    return grown if grown >= 0 else now.figures[name]


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms" if seconds >= 0.001 else f"{seconds * 1e6:.0f} µs"


def _size(count: float) -> str:
    if count < 1024:
        return f"{count:,.0f} B"
    for unit in ("KiB", "MiB"):
        count /= 1024
        if count < 1024:
            return f"{count:,.1f} {unit}"
    return f"{count / 1024:,.1f} GiB"


def _cell(text: str) -> str:
    """Escape a name and pad or cut it to the width of its column."""
    text = visible(text)
    while get_cwidth(text) > MAX_NAME_LENGTH:
        text = text.removesuffix("…")[:-1] + "…"
    return text + " " * (MAX_NAME_LENGTH - get_cwidth(text))
