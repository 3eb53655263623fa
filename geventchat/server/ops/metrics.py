"""What a server counts, for Prometheus: plain numbers, put together only for a scrape."""

import platform
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

from geventchat import __version__
from geventchat.server.chat.hub import Hub
from geventchat.server.histogram import Histogram
from geventchat.server.slices import in_slices


class Metrics:
    """The figures of one server. Its labels are few and bounded: never a nick, room or address."""

    def __init__(
        self, hub: Hub, rejected: Counter[str], counts: Counter[str], hooks: Counter[str]
    ) -> None:
        """`rejected`: connections that were rejected, by reason; `counts`: what else is counted.

        `hooks`: what webhooks asked for, by the status of the answer.
        """
        self._hooks = hooks
        self._hub = hub
        self._rejected = rejected
        self._counts = counts
        self._process = ProcessCollector(registry=None)
        self.certificate_expires: float | None = None
        """As of `time.time`; None: the server does not speak TLS."""

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format. Waits."""
        # It lists each descriptor: 4 ms at 10,000.
        process = gevent.get_hub().threadpool.apply(self._process.collect)
        inside: Counter[tuple[bool, str]] = Counter()
        queued, signed_in = [], 0
        for session in in_slices(self._hub.sessions):
            signed_in += session.account is not None
            inside[session.form.rich, session.door] += 1
            queued.append(session.outbox.size)
        accounts = self._hub.people.count
        families = self._families(inside, sorted(queued) or [0])
        people = self._people(accounts, signed_in)
        return generate_latest(_Families([*families, *people, *process]))

    def _people(self, accounts: int, signed_in: int) -> Iterator[Metric]:
        """Yield the figures of accounts: how many there are, and connections signed in."""
        yield _gauge("accounts", "Accounts.", accounts)
        yield _gauge("signed_in", "Open connections that are signed in to an account.", signed_in)
        text = "Connections that asked to sign in with hello, by what came of it."
        yield _labelled("sign_ins", text, "outcome", self._hub.people.sign_ins)

    def _families(self, inside: Counter[tuple[bool, str]], queued: list[int]) -> Iterator[Metric]:
        """Yield the figures, with connections by kind and door and the bytes they queue."""
        hub, delivery, timeline = self._hub, self._hub.delivery, self._hub.timeline
        connections = GaugeMetricFamily(
            "geventchat_connections", "Open connections.", labels=["kind", "door"]
        )
        for door in hub.opens:
            connections.add_metric(["rich", door], inside[True, door])
            connections.add_metric(["plain", door], inside[False, door])
        yield connections
        yield _labelled("connections_opened", "Connections opened.", "door", hub.opens)
        yield _labelled("connections_closed", "Connections closed.", "reason", hub.closes)
        yield _labelled("connections_rejected", "Connections rejected.", "reason", self._rejected)
        if hub.search is not None:
            text = "Rooms with something new that a search does not find yet."
            yield _gauge("search_rooms_behind", text, hub.search.lag)
            yield _gauge("search_bytes", "Size of the index for search.", hub.search.file_bytes)
        yield _gauge("rooms", "Rooms that have members.", len(hub.rooms))
        yield _counter("messages_stored", "Messages stored.", timeline.posts_stored)
        yield _counter(
            "messages_failed", "Messages that could not be stored.", hub.submissions.failed
        )
        text = "Messages of which it is not known whether they were stored."
        yield _counter("messages_unknown", text, hub.submissions.unknown)
        text = "Requests to post by a webhook; those with status 200 were stored."
        yield _labelled("hook_requests", text, "status", self._hooks)
        text = "Messages times the members that received them."
        yield _counter("messages_delivered", text, delivery.delivered)
        text = "Messages deleted because of a limit of the history."
        yield _counter("messages_trimmed", text, timeline.posts_trimmed)
        text = "Whether messages can be stored; after a failure, whether the longest fits again."
        yield _gauge("storage_up", text, not timeline.failing)
        if not timeline.nodes.alone:
            text = "Servers that use the store, this one included."
            yield _gauge("nodes", text, 1 + len(timeline.nodes.others))
            text = "Times that something stored by this or another server was missed."
            yield _counter("feed_holes", text, timeline.feed_holes)
            text = "How long ago anything was heard from the store; one second is normal."
            yield _gauge("feed_silent_seconds", text, timeline.silent_seconds)
        database, wal = timeline.file_bytes
        yield _gauge("database_bytes", "Size of the database.", database)
        yield _gauge("wal_bytes", "Size of the write-ahead log of the database.", wal)
        text = "Whether a restored older copy of the database would be noticed."
        yield _gauge("rollback_guard_up", text, not timeline.guard_failing)
        yield _times("commit_seconds", "How long each commit took.", timeline.store_times)
        text = "How long it took to pass what was new in a room to all its members."
        yield _times("fanout_seconds", text, delivery.turn_times)
        text = "From the arrival of a message until all live members had it."
        yield _times("delivery_seconds", text, delivery.delivery_times)
        outbox = GaugeMetricFamily(
            "geventchat_outbox_bytes", "Bytes queued per client.", labels=["quantile"]
        )
        for quantile in (0.5, 0.99, 1.0):
            outbox.add_metric([f"{quantile:g}"], queued[int(quantile * (len(queued) - 1))])
        yield outbox
        text = "Reads delayed because a client sent too quickly."
        yield _counter("reads_throttled", text, self._counts["pauses"])
        expiry = GaugeMetricFamily(
            "geventchat_certificate_expiry_timestamp_seconds", "When the TLS certificate expires."
        )
        if self.certificate_expires is not None:
            expiry.add_metric([], self.certificate_expires)
        yield expiry
        build = GaugeMetricFamily(
            "geventchat_build_info",
            "Always 1; the labels are versions.",
            labels=["version", "python"],
        )
        build.add_metric([__version__, platform.python_version()], 1)
        yield build
        text = "The longest delay of the event loop in the last minute."
        yield _gauge("loop_lag_seconds", text, max(hub.clock.delays))


class _Families(Collector):
    """Metrics that are collected already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        """Return them."""
        return self._families


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"geventchat_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"geventchat_{name}", text, value)


def _times(name: str, text: str, times: Histogram) -> Metric:
    return HistogramMetricFamily(
        f"geventchat_{name}", text, buckets=times.buckets(), sum_value=times.seconds
    )


def _labelled(name: str, text: str, label: str, counts: Counter[str]) -> Metric:
    family = CounterMetricFamily(f"geventchat_{name}", text, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family
