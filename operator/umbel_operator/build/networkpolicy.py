"""Build the NetworkPolicies that narrow the port of beat and of workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from umbel_operator.api.broker import Broker
from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.build import labels, names
from umbel_operator.build.metadata import child_metadata
from umbel_operator.build.settings import Settings


def build_beat_network_policy(broker: Broker, settings: Settings) -> dict[str, Any] | None:
    """Return the policy that lets only the own and the configured namespaces reach beat, or None if switched off."""
    if not settings.network_policies:
        return None
    metadata = child_metadata(broker, names.beat(broker.name), labels.beat_labels(broker.name))
    return _policy(metadata, labels.beat_selector(broker.name), settings)


def build_worker_network_policy(pool: WorkerPool, settings: Settings) -> dict[str, Any] | None:
    """Return the same for the workers of a pool: they listen for probes and metrics only."""
    if not settings.network_policies:
        return None
    metadata = child_metadata(
        pool, names.worker_deployment(pool.name), labels.worker_labels(pool.name, pool.spec.broker_ref.name)
    )
    return _policy(metadata, labels.worker_selector(pool.name), settings)


def _policy(metadata: dict[str, Any], selector: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    others = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
        for namespace in settings.network_policy_namespaces
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": {"matchLabels": dict(selector)},
            # What they may reach themselves stays open: tasks call whatever they call.
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"podSelector": {}}, *others], "ports": [{"port": names.HTTP_PORT, "protocol": "TCP"}]}
            ],
        },
    }
