"""Tell a pod who it is, by the downward API."""

from __future__ import annotations

from typing import Any


def identity_env() -> tuple[dict[str, Any], ...]:
    """Return the variables that carry the pod's uid, name and namespace."""
    return (
        _field("UMBEL_POD_UID", "metadata.uid"),
        _field("UMBEL_POD_NAME", "metadata.name"),
        _field("UMBEL_NAMESPACE", "metadata.namespace"),
    )


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
