"""Build the disruption budget of a WorkerPool."""

from __future__ import annotations

from typing import Any

from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.build import labels, names
from umbel_operator.build.deployment import number_or_percent
from umbel_operator.build.metadata import child_metadata


def build_disruption_budget(pool: WorkerPool) -> dict[str, Any] | None:
    """Return the PodDisruptionBudget of a pool, or None where its spec asks for none."""
    disruption = pool.spec.disruption
    if disruption is None:
        return None
    spec: dict[str, Any] = {"selector": {"matchLabels": labels.worker_selector(pool.name)}}
    if disruption.min_available is not None:
        spec["minAvailable"] = number_or_percent(disruption.min_available)
    if disruption.max_unavailable is not None:
        spec["maxUnavailable"] = number_or_percent(disruption.max_unavailable)
    # A pod that never became ready holds no task, and must not block the drain of its node.
    spec["unhealthyPodEvictionPolicy"] = "AlwaysAllow"
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": child_metadata(
            pool, names.worker_deployment(pool.name), labels.worker_labels(pool.name, pool.spec.broker_ref.name)
        ),
        "spec": spec,
    }
