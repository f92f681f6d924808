"""What the operator's installation decides for everything that it builds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Facts of the installation, the same for all resources."""

    #: Image of beat where a Broker names none; it holds the umbel package.
    beat_image: str
    #: Pull policy of that image; None leaves it to Kubernetes.
    beat_image_pull_policy: str | None = None
    #: Whether to narrow beat's port with a NetworkPolicy.
    network_policies: bool = False
    #: Namespaces beside the Broker's own that may reach beat's port (the operator's, the monitoring's).
    network_policy_namespaces: tuple[str, ...] = ()
