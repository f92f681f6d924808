"""Merge a user's pod template into the built one, list entries by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: By which key the entries of a list are matched; a list that is not named here is replaced as a whole.
_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
#: Lists whose entries are merged field by field; the entries of others are unions, so a new one replaces the old.
_DEEP = {"containers", "initContainers", "ephemeralContainers"}
_PROBES = {"startupProbe", "livenessProbe", "readinessProbe"}
_HANDLERS = {"httpGet", "exec", "tcpSocket", "grpc"}


def merge_pod_spec(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `patch` merged in as Kubernetes' strategic merge does; null removes a field.

    Raises `ValueError` where a list is no list, or an entry lacks the key by which it is matched.
    """
    return _merge_object(base, patch, "template.spec")


def _merge_object(base: Mapping[str, Any], patch: Mapping[str, Any], path: str) -> dict[str, Any]:
    out = dict(base)
    for key, value in patch.items():
        here = f"{path}.{key}"
        if value is None:
            out.pop(key, None)
        elif key in _KEYS:
            out[key] = _merge_list(out.get(key, []), value, key, here)
        elif isinstance(value, Mapping) and isinstance(out.get(key), Mapping):
            old = out[key]
            if key in _PROBES and not _HANDLERS.isdisjoint(value):
                old = {field: item for field, item in old.items() if field not in _HANDLERS}
            out[key] = _merge_object(old, value, here)
        else:
            out[key] = value
    return out


def _merge_list(base: list[Any], patch: Any, key: str, path: str) -> list[Any]:
    if not isinstance(patch, list):
        raise ValueError(f"{path} must be a list, not {type(patch).__name__}; write its entries with '- '")
    match = _KEYS[key]
    out = list(base)
    positions = {entry.get(match): index for index, entry in enumerate(out)}
    for number, entry in enumerate(patch):
        if not isinstance(entry, Mapping) or not isinstance(entry.get(match), str | int):
            raise ValueError(f"{path}[{number}] needs the key {match}, by which it is merged")
        position = positions.get(entry[match])
        if position is None:
            positions[entry[match]] = len(out)
            out.append(dict(entry))
        elif key in _DEEP:
            out[position] = _merge_object(out[position], entry, f"{path}[{entry[match]}]")
        else:
            out[position] = dict(entry)
    return out
