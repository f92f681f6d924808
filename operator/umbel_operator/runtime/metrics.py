"""The operator's own metrics, for Prometheus."""

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from umbel_operator.runtime.keys import Key
from umbel_operator.runtime.workqueue import WorkQueue


class Metrics:
    """Count and time what the operator does; each operator has its own registry."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "umbel_operator_reconcile", "Reconciles by kind and result.", ("kind", "result"), registry=self.registry
        )
        self.seconds = Histogram(
            "umbel_operator_reconcile_seconds",
            "Duration of one reconcile.",
            ("kind",),
            buckets=(0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
            registry=self.registry,
        )
        self.requests = Counter(
            "umbel_operator_api_requests",
            "Requests to the API server; code 0 means no answer.",
            ("verb", "resource", "code"),
            registry=self.registry,
        )
        self.last_event = Gauge(
            "umbel_operator_last_event_timestamp_seconds",
            "When the last watch event of a kind came in.",
            ("kind",),
            registry=self.registry,
        )
        self.observe_errors = Counter(
            "umbel_operator_observe_errors",
            "Watch events that could not be taken in, each answered with a list.",
            ("kind",),
            registry=self.registry,
        )
        self.status_writes = Counter(
            "umbel_operator_status_writes", "Writes of a status, by kind.", ("kind",), registry=self.registry
        )
        self.beat_polls = Counter(
            "umbel_operator_beat_polls", "Polls of beat, by result.", ("result",), registry=self.registry
        )
        info = Gauge("umbel_operator_build_info", "The operator's version.", ("version",), registry=self.registry)
        info.labels(version).set(1)

    def request(self, verb: str, resource: str, code: int) -> None:
        """Count one request to the API server."""
        self.requests.labels(verb, resource or "-", str(code)).inc()

    def event(self, kind: str) -> None:
        """Note that the watch of a kind is alive."""
        self.last_event.labels(kind).set(time.time())

    def watch_queue(self, queue: WorkQueue[Key]) -> None:
        """Show a queue's depth, age and retries whenever somebody looks."""
        self.registry.register(_QueueCollector(queue))

    def text(self) -> bytes:
        """Write all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _QueueCollector(Collector):
    def __init__(self, queue: WorkQueue[Key]) -> None:
        self._queue = queue

    def collect(self) -> Iterable[Metric]:
        depth = GaugeMetricFamily("umbel_operator_workqueue_depth", "Keys that are ready.", labels=["kind"])
        counts: dict[str, int] = {}
        for key in self._queue.waiting():
            counts[key.kind] = counts.get(key.kind, 0) + 1
        for kind, count in counts.items():
            depth.add_metric([kind], count)
        yield depth
        yield GaugeMetricFamily(
            "umbel_operator_workqueue_oldest_seconds", "Age of the longest waiting key.", value=self._queue.oldest()
        )
        yield GaugeMetricFamily(
            "umbel_operator_workqueue_retries", "Re-queues after an error.", value=self._queue.retries
        )
