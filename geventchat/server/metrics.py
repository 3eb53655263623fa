"""What a server counts, for Prometheus: plain numbers that are put together only when asked for."""

from collections import Counter
from collections.abc import Iterator

import gevent
from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from geventchat.server.hub import Hub
from geventchat.server.slices import in_slices
from geventchat.server.times import Times

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The figures of one server. Its labels are few and bounded: never a nick, room or address."""

    def __init__(self, hub: Hub, refused: Counter[str], door: Counter[str]) -> None:
        """`refused`: the connections that were not let in, by reason; `door`: what else it did."""
        self._hub = hub
        self._refused = refused
        self._door = door
        self._process = ProcessCollector(registry=None)

    def text(self) -> bytes:
        """Give all of it in Prometheus's text format. Waits; others are served in between."""
        # It lists each descriptor: 4 ms at 10,000.
        process = gevent.get_hub().threadpool.apply(self._process.collect)
        inside: Counter[tuple[bool, str]] = Counter()
        held = []
        for session in in_slices(self._hub.sessions):
            inside[session.rich, session.link.door] += 1
            held.append(session.outbox.size)
        return generate_latest(_Families([*self._families(inside, sorted(held) or [0]), *process]))

    def _families(self, inside: Counter[tuple[bool, str]], held: list[int]) -> Iterator[Metric]:
        """Yield the figures, with the sessions by kind and door and the sizes of their outboxes."""
        hub, delivery, timeline = self._hub, self._hub.delivery, self._hub.timeline
        sessions = GaugeMetricFamily(
            "geventchat_sessions", "Clients that are connected.", labels=["kind", "door"]
        )
        for door in hub.opens:
            sessions.add_metric(["rich", door], inside[True, door])
            sessions.add_metric(["plain", door], inside[False, door])
        yield sessions
        yield _labelled("opens", "Sessions that began.", "door", hub.opens)
        yield _gauge("rooms", "Rooms that have members.", len(hub.rooms))
        yield _counter("posts", "Posts that were stored.", timeline.posts_stored)
        yield _times("store_seconds", "How long each batch took to store.", timeline.store_times)
        yield _gauge("storing", "Whether the last batch could be stored.", not timeline.failing)
        yield _counter("failed_messages", "Messages that could not be stored.", hub.failed)
        yield _counter("deliveries", "Posts times the members that heard them.", delivery.delivered)
        yield _times("turn_seconds", "How long turns of rooms took.", delivery.turn_times)
        text = "From a turn's first message until all who are live had it."
        yield _times("heard_seconds", text, delivery.heard_times)
        outbox = GaugeMetricFamily(
            "geventchat_outbox_bytes", "What clients have still to hear.", labels=["quantile"]
        )
        for quantile in (0.5, 0.99, 1.0):
            outbox.add_metric([f"{quantile:g}"], held[int(quantile * (len(held) - 1))])
        yield outbox
        yield _labelled("closes", "Sessions that ended.", "reason", hub.closes)
        yield _labelled("refused", "Connections that were not let in.", "reason", self._refused)
        yield _counter("pauses", "Times that a client was read later.", self._door["pauses"])
        yield _gauge("loop_lag_seconds", "Longest a timer was late in a minute.", max(hub.lags))


class _Families(Collector):
    """Metrics that were collected before."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        """Give them."""
        return self._families


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"geventchat_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"geventchat_{name}", text, value)


def _times(name: str, text: str, times: Times) -> Metric:
    return HistogramMetricFamily(
        f"geventchat_{name}", text, buckets=times.buckets(), sum_value=times.seconds
    )


def _labelled(name: str, text: str, label: str, counts: Counter[str]) -> Metric:
    family = CounterMetricFamily(f"geventchat_{name}", text, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family
