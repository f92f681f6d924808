"""The operator's own metrics, for Prometheus."""

import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from umbel.meters import Meter
from umbel_operator.runtime import meters
from umbel_operator.runtime.keys import Key
from umbel_operator.runtime.workqueue import WorkQueue


class Metrics:
    """Count and time what the operator does; each operator has its own registry."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.reconciles = Counter(*_of(meters.RECONCILES), registry=registry)
        self.seconds = Histogram(
            *_of(meters.SECONDS),
            buckets=(0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
            registry=registry,
        )
        self.requests = Counter(*_of(meters.REQUESTS), registry=registry)
        self.last_event = Gauge(*_of(meters.LAST_EVENT), registry=registry)
        self.observe_errors = Counter(*_of(meters.OBSERVE_ERRORS), registry=registry)
        self.status_writes = Counter(*_of(meters.STATUS_WRITES), registry=registry)
        self.beat_polls = Counter(*_of(meters.BEAT_POLLS), registry=registry)
        self.leader = Gauge(*_of(meters.LEADER), registry=registry)
        Gauge(*_of(meters.BUILD_INFO), registry=registry).labels(version).set(1)

    def request(self, verb: str, resource: str, code: int) -> None:
        """Count one request to the API server."""
        self.requests.labels(verb, resource or "-", str(code)).inc()

    def event(self, kind: str) -> None:
        """Note that the watch of a kind is alive."""
        self.last_event.labels(kind).set(time.time())

    def watch_queue(self, queue: WorkQueue[Key]) -> None:
        """Show a queue's depth, age and retries whenever somebody looks."""
        self.registry.register(_QueueCollector(queue))

    def watch_beats(self, stale: Callable[[], Iterable[tuple[tuple[str, str], bool]]]) -> None:
        """Show of each Broker, by namespace and name, whether its beat is silent whenever somebody looks."""
        self.registry.register(_BeatCollector(stale))

    def text(self) -> bytes:
        """Write all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _QueueCollector(Collector):
    def __init__(self, queue: WorkQueue[Key]) -> None:
        self._queue = queue

    def collect(self) -> Iterable[Metric]:
        depth = _family(meters.DEPTH)
        counts: dict[str, int] = {}
        for key in self._queue.waiting():
            counts[key.kind] = counts.get(key.kind, 0) + 1
        for kind, count in counts.items():
            depth.add_metric([kind], count)
        yield depth
        for meter, value in ((meters.OLDEST, self._queue.oldest()), (meters.RETRIES, self._queue.retries)):
            family = _family(meter)
            family.add_metric([], value)
            yield family


class _BeatCollector(Collector):
    def __init__(self, stale: Callable[[], Iterable[tuple[tuple[str, str], bool]]]) -> None:
        self._stale = stale

    def collect(self) -> Iterable[Metric]:
        family = _family(meters.BEAT_STALE)
        for broker, stale in self._stale():
            family.add_metric(broker, stale)
        yield family


def _of(meter: Meter) -> tuple[str, str, tuple[str, ...]]:
    return meter.name, meter.meaning, meter.labels


def _family(meter: Meter) -> GaugeMetricFamily:
    return GaugeMetricFamily(meter.name, meter.meaning, labels=meter.labels)
