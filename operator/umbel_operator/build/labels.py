"""Label the children, and select pods by the few labels that never change."""

from __future__ import annotations

from umbel_operator.api.names import LABEL_BROKER, LABEL_COMPONENT, LABEL_POOL, MANAGED_BY


def worker_selector(pool: str) -> dict[str, str]:
    """Return the labels that select the workers of a pool; part of a Deployment's immutable selector."""
    return {LABEL_POOL: pool, LABEL_COMPONENT: "worker"}


def worker_selector_text(pool: str) -> str:
    """Return the same selector as text, for /scale."""
    return ",".join(f"{key}={value}" for key, value in worker_selector(pool).items())


def beat_selector(broker: str) -> dict[str, str]:
    """Return the labels that select beat's pods of a Broker; part of a Deployment's immutable selector."""
    return {LABEL_BROKER: broker, LABEL_COMPONENT: "beat"}


def worker_labels(pool: str, broker: str) -> dict[str, str]:
    """Return the labels of a pool's children and pods."""
    return {**_common("umbel-worker", pool, "worker"), **worker_selector(pool), LABEL_BROKER: broker}


def beat_labels(broker: str) -> dict[str, str]:
    """Return the labels of beat's Deployment, Service and pods."""
    return {**_common("umbel-beat", broker, "beat"), **beat_selector(broker)}


def config_labels(broker: str) -> dict[str, str]:
    """Return the labels of a Broker's ConfigMaps."""
    return {**_common("umbel-beat", broker, "config"), LABEL_BROKER: broker, LABEL_COMPONENT: "config"}


def _common(name: str, instance: str, component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": instance,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": MANAGED_BY,
        "app.kubernetes.io/part-of": "umbel",
    }
