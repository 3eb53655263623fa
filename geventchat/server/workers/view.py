"""What the workers answer to the questions of an admin port, as one answer of their parent."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import gevent
import msgspec
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from geventchat.protocol.admin import Top
from geventchat.server.workers.process import NoAnswer, Worker

_NODE: Final = "node"
"""The label that says whose figure it is: the number of a worker."""
_ENDED: Final = "has ended and is about to be started again"


class View:
    """Asks all workers at the same time. Everything waits."""

    def __init__(
        self, workers: Callable[[], Sequence[Worker]], restarts: Callable[[], int]
    ) -> None:
        self._workers = workers
        self._restarts = restarts

    def health(self) -> str | None:
        """Return why not all workers are ready for clients; None if they are."""
        problems = []
        workers = self._workers()
        for worker, answer in zip(workers, self._ask("/healthz"), strict=True):
            if answer is None:
                starting = worker.running and not worker.ready.is_set()
                what = "is starting" if starting else "does not answer"
                problems.append(f"worker {worker.number} {what if worker.running else _ENDED}")
            elif answer[0] != 200:
                problems.append(f"worker {worker.number}: {answer[1].decode().strip()}")
        return ", ".join(problems) or None

    def metrics(self) -> bytes:
        """Return the figures of all workers, with a label that says whose they are."""
        families: dict[str, Metric] = {}
        ready = 0
        workers = self._workers()
        for worker, answer in zip(workers, self._ask("/metrics"), strict=True):
            if answer is not None:
                ready += 1
                for found in text_string_to_metric_families(answer[1].decode()):
                    _add(families, found, str(worker.number))
        return generate_latest(_Families([*families.values(), *self._own(ready)]))

    def top(self) -> Top:
        """Return the busiest rooms and slowest clients: each worker answers for all nodes."""
        for worker in self._workers():
            answer = _answer(worker, "/top")
            if answer is not None and answer[0] == 200:
                return msgspec.json.decode(answer[1], type=Top)
        return Top([], [])

    def _own(self, ready: int) -> Iterator[Metric]:
        text = "Workers that accept clients and answer."
        yield GaugeMetricFamily("geventchat_workers_ready", text, ready)
        text = "Workers that ended by themselves and were started again."
        yield CounterMetricFamily("geventchat_worker_restarts", text, self._restarts())

    def _ask(self, path: str) -> list[tuple[int, bytes] | None]:
        """Return what each worker answers; None for one that does not."""
        asking = [gevent.spawn(_answer, worker, path) for worker in self._workers()]
        gevent.joinall(asking)
        return [each.value for each in asking]


def _answer(worker: Worker, path: str) -> tuple[int, bytes] | None:
    try:
        return worker.ask(path)
    except NoAnswer:
        return None


def _add(families: dict[str, Metric], found: Metric, node: str) -> None:
    """Add the samples of a worker to those of the same metric of others."""
    family = families.get(found.name)
    if family is None:
        family = families[found.name] = Metric(found.name, found.documentation, found.type)
    for sample in found.samples:
        family.samples.append(sample._replace(labels={_NODE: node, **sample.labels}))


class _Families(Collector):
    """Metrics that are collected already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        """Return them."""
        return self._families
