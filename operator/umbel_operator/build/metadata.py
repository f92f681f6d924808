"""Write the metadata of a child: name, labels and the one owner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from umbel_operator.api.base import Resource
from umbel_operator.api.names import API_VERSION


def child_metadata(
    owner: Resource, name: str, labels: Mapping[str, str], annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the metadata of a child that `owner` controls; deleting the owner never waits for it."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": owner.namespace,
        "labels": dict(labels),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": owner.kind_name(),
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    return metadata
