"""The kinds of the Prometheus operator, as far as we write them: to check objects, and to serve them from an API server.

Typed by hand from its API reference (monitoring.coreos.com/v1), and only what we use: a field beside these is a mistake of
ours, or has to be looked up there and added here.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

GROUP, VERSION = "monitoring.coreos.com", "v1"
TEXT: dict[str, Any] = {"type": "string"}
TEXTS: dict[str, Any] = {"type": "object", "additionalProperties": TEXT}


def thing(required: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """Make the schema of an object with these fields and no others."""
    return {"type": "object", "properties": fields, **({"required": list(required)} if required else {})}


def several(item: dict[str, Any]) -> dict[str, Any]:
    """Make the schema of a list."""
    return {"type": "array", "items": item}


RELABELING = thing(action=TEXT, sourceLabels=several(TEXT), targetLabel=TEXT, regex=TEXT, replacement=TEXT)
ENDPOINT = thing(
    port=TEXT,
    path=TEXT,
    interval={**TEXT, "pattern": "^([0-9]+(ms|[smhdwy]))+$"},
    honorLabels={"type": "boolean"},
    relabelings=several(RELABELING),
)
SELECTOR = thing(matchLabels=TEXTS)
RULE = thing(
    ("expr",),
    alert=TEXT,
    record=TEXT,
    expr={"x-kubernetes-int-or-string": True},
    labels=TEXTS,
    annotations=TEXTS,
    **{"for": {**TEXT, "pattern": "^([0-9]+(ms|[smhdwy]))+$"}},
)
SPECS: dict[str, dict[str, Any]] = {
    "ServiceMonitor": thing(("endpoints", "selector"), endpoints=several(ENDPOINT), selector=SELECTOR),
    "PodMonitor": thing(("selector",), podMetricsEndpoints=several(ENDPOINT), selector=SELECTOR),
    "PrometheusRule": thing(groups=several(thing(("name",), name=TEXT, interval=TEXT, rules=several(RULE)))),
}


def monitoring_faults(obj: dict[str, Any]) -> list[str]:
    """List what is wrong with an object: fields that we do not know of, wrong types, required fields missing."""
    schema = _closed(thing(("apiVersion", "kind", "spec"), apiVersion=TEXT, kind=TEXT, spec=SPECS[obj["kind"]]))
    plain = {key: value for key, value in obj.items() if key != "metadata"}
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(plain)]


def monitoring_crd(kind: str) -> dict[str, Any]:
    """Make a CRD, so that an API server without the Prometheus operator serves the kind."""
    plural = f"{kind.lower()}s"
    schema = thing(("spec",), spec=SPECS[kind])
    version = {"name": VERSION, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [version],
        },
    }


def _closed(schema: Any) -> Any:
    """Forbid other fields at every level; an API server prunes them, or refuses them if asked to be strict."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(part) for key, part in schema.items()}
    return (
        {**closed, "additionalProperties": False}
        if "properties" in schema and schema.get("type") == "object"
        else closed
    )
