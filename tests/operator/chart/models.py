"""Check objects against the official client's models, which are generated from Kubernetes' OpenAPI description."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kubernetes import client
from pydantic import ValidationError

#: The model of each kind that the chart makes.
MODELS: dict[tuple[str, str], Any] = {
    ("v1", "ServiceAccount"): client.V1ServiceAccount,
    ("v1", "Service"): client.V1Service,
    ("v1", "ConfigMap"): client.V1ConfigMap,
    ("v1", "Namespace"): client.V1Namespace,
    ("v1", "Secret"): client.V1Secret,
    ("v1", "Pod"): client.V1Pod,
    ("apps/v1", "Deployment"): client.V1Deployment,
    ("policy/v1", "PodDisruptionBudget"): client.V1PodDisruptionBudget,
    ("batch/v1", "Job"): client.V1Job,
    ("rbac.authorization.k8s.io/v1", "Role"): client.V1Role,
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): client.V1RoleBinding,
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): client.V1ClusterRole,
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): client.V1ClusterRoleBinding,
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): client.V1CustomResourceDefinition,
}
_INNER = re.compile(r"^(?:Optional|List|Dict)\[(?:str, )?(.+)\]$")


def faults(obj: dict[str, Any]) -> list[str]:
    """List what is wrong with an object: fields that Kubernetes does not know, wrong types, required fields missing."""
    model = MODELS[(obj["apiVersion"], obj["kind"])]
    found = list(_unknown(model, obj, obj["kind"]))
    try:
        model.from_dict(obj)
    except ValidationError as problem:
        found += [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in problem.errors(include_url=False)]
    return found


def _unknown(model: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    types = {outer: model.openapi_types[inner] for inner, outer in model.attribute_map.items()}
    for name, child in value.items():
        if name not in types:
            yield f"{path}.{name}: unknown field"
            continue
        yield from _of_type(types[name], child, f"{path}.{name}")


def _of_type(name: str, value: Any, path: str) -> Iterator[str]:
    inner = _INNER.match(name)
    if inner and isinstance(value, list):
        for index, child in enumerate(value):
            yield from _of_type(inner[1], child, f"{path}[{index}]")
    elif inner and isinstance(value, dict):
        for key, child in value.items():
            yield from _of_type(inner[1], child, f"{path}.{key}")
    elif hasattr(client, name) and hasattr(getattr(client, name), "openapi_types"):
        if isinstance(value, dict):
            yield from _unknown(getattr(client, name), value, path)
        else:
            yield f"{path}: must be an object, not {value!r}"
