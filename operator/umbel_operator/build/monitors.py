"""Build the objects by which the Prometheus operator finds the metrics of beat and of workers."""

from __future__ import annotations

from typing import Any

from umbel_operator.api.broker import Broker
from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.build import labels, names
from umbel_operator.build.metadata import child_metadata
from umbel_operator.build.settings import Monitors, Settings

API_VERSION = "monitoring.coreos.com/v1"


def build_beat_monitor(broker: Broker, settings: Settings) -> dict[str, Any] | None:
    """Return the ServiceMonitor of a Broker's beat, or None if switched off.

    Its metrics name their own namespace, and get a label `broker`.
    """
    monitors = settings.monitors
    if monitors is None:
        return None
    endpoint = {
        **_endpoint(monitors),
        "honorLabels": True,
        "relabelings": [_label("broker", "__meta_kubernetes_service_label_umbel_dev_broker")],
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "ServiceMonitor",
        "metadata": child_metadata(
            broker, names.beat(broker.name), {**dict(monitors.labels), **labels.beat_labels(broker.name)}
        ),
        "spec": {"selector": {"matchLabels": labels.beat_selector(broker.name)}, "endpoints": [endpoint]},
    }


def build_worker_monitor(pool: WorkerPool, settings: Settings) -> dict[str, Any] | None:
    """Return the PodMonitor of a pool's workers, or None if switched off; their metrics get a label `pool`."""
    monitors = settings.monitors
    if monitors is None:
        return None
    endpoint = {
        **_endpoint(monitors),
        "relabelings": [_label("pool", "__meta_kubernetes_pod_label_umbel_dev_pool")],
    }
    own = labels.worker_labels(pool.name, pool.spec.broker_ref.name)
    return {
        "apiVersion": API_VERSION,
        "kind": "PodMonitor",
        "metadata": child_metadata(pool, names.worker_deployment(pool.name), {**dict(monitors.labels), **own}),
        "spec": {"selector": {"matchLabels": labels.worker_selector(pool.name)}, "podMetricsEndpoints": [endpoint]},
    }


def _endpoint(monitors: Monitors) -> dict[str, Any]:
    return {"port": "http", "path": "/metrics", "interval": monitors.interval}


def _label(name: str, source: str) -> dict[str, Any]:
    return {"action": "replace", "sourceLabels": [source], "targetLabel": name}
