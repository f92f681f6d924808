"""What the operator's installation decides for everything that it builds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitors:
    """How the Prometheus operator is told of beat and of workers."""

    #: Time between two scrapes, as Prometheus writes it.
    interval: str = "30s"
    #: Labels by which a Prometheus chooses its monitors.
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Facts of the installation, the same for all resources."""

    #: Image of beat where a Broker names none; it holds the umbel package.
    beat_image: str
    #: Pull policy of that image; None leaves it to Kubernetes.
    beat_image_pull_policy: str | None = None
    #: Whether to narrow the port of beat and of workers with NetworkPolicies.
    network_policies: bool = False
    #: Namespaces beside the own that may reach that port (the operator's, the monitoring's).
    network_policy_namespaces: tuple[str, ...] = ()
    #: Fields for the security context of every worker's container; a pool's template wins over them.
    worker_security_context: Mapping[str, Any] | None = None
    #: Whether to make a ServiceMonitor for each Broker and a PodMonitor for each WorkerPool; None makes none.
    monitors: Monitors | None = None

    def switched_off(self) -> tuple[str, ...]:
        """Name the kinds of children, in the plural, that are neither made nor watched."""
        policies = () if self.network_policies else ("networkpolicies",)
        return (*policies, *(() if self.monitors is not None else ("servicemonitors", "podmonitors")))
