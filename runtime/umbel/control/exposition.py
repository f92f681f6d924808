"""Figures as Prometheus reads them. Its library is imported at the first request: a worker that nobody scrapes does without."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from umbel.control.calls import Call, Handler, Response
from umbel.meters import Meter

if TYPE_CHECKING:
    from prometheus_client import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[str, ...]
#: A histogram's counts by bucket, which are not cumulative and one more than the bounds, and the sum.
Spread = tuple[Sequence[int], float]


class Sheet:
    """What is found at one request, metric by metric."""

    def __init__(self) -> None:
        self._metrics: list[Metric] = []

    def gauge(self, meter: Meter, values: Mapping[Labels, float] | float) -> None:
        """Add a gauge: a number, or one for each set of label values."""
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(meter.name, meter.meaning, labels=meter.labels)
        for labels, value in _by_labels(values).items():
            family.add_metric(labels, value)
        self._metrics.append(family)

    def counter(self, meter: Meter, values: Mapping[Labels, float] | float) -> None:
        """Add a counter."""
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(meter.name, meter.meaning, labels=meter.labels)
        for labels, value in _by_labels(values).items():
            family.add_metric(labels, value)
        self._metrics.append(family)

    def histogram(self, meter: Meter, bounds: Sequence[float], values: Mapping[Labels, Spread]) -> None:
        """Add a histogram.

        Args:
            meter: what it is.
            bounds: upper bounds of all buckets but the last.
            values: see `Spread`.
        """
        from prometheus_client.core import HistogramMetricFamily

        family = HistogramMetricFamily(meter.name, meter.meaning, labels=meter.labels)
        for labels, (counts, total) in values.items():
            buckets, below = [], 0
            for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
                below += count
                buckets.append((bound, float(below)))
            family.add_metric(labels, buckets, sum_value=total)
        self._metrics.append(family)

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import generate_latest
        from prometheus_client.registry import Collector

        metrics = self._metrics

        class Found(Collector):
            def collect(self) -> Iterable[Metric]:
                return metrics

        registry = CollectorRegistry(auto_describe=False)
        registry.register(Found())
        return generate_latest(registry)


def serve(gather: Callable[[], Sheet]) -> Handler:
    """Return the handler of ``/metrics``."""

    def metrics(call: Call) -> Response:
        return Response(200, gather().text(), CONTENT_TYPE)

    return metrics


def _by_labels(values: Mapping[Labels, float] | float) -> Mapping[Labels, float]:
    return values if isinstance(values, Mapping) else {(): values}
