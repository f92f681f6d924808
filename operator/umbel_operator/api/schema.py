"""Turn a model into a structural schema as a CustomResourceDefinition needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

#: Keys in the order in which a reader wants them; others follow by name.
_ORDER = (
    "description",
    "type",
    "format",
    "enum",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "pattern",
    "anyOf",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
    "required",
    "properties",
    "additionalProperties",
    "items",
)


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the model's schema with references resolved and without what only JSON Schema tools want.

    Optional fields lose their null alternative (in the API absent and null are the same), defaults that are empty
    vanish, and the description of a field wins over that of its type.
    """
    raw = model.model_json_schema(by_alias=True)
    definitions = raw.pop("$defs", {})
    return _convert(raw, definitions)


def _convert(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    flat = _flatten(node, definitions)
    out: dict[str, Any] = {}
    for key in sorted(flat, key=_position):
        value = flat[key]
        if key == "title" or (key == "additionalProperties" and isinstance(value, bool)):
            continue
        if key == "properties":
            out[key] = {name: _convert(child, definitions) for name, child in value.items()}
        elif key in ("items", "additionalProperties"):
            out[key] = _convert(value, definitions)
        elif key == "default":
            default = _without_nulls(value)
            if default not in (None, {}, []):
                out[key] = default
        else:
            out[key] = value
    return out


def _flatten(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a reference, or the one alternative that is not null, into the node itself; the node's own keys win."""
    flat = dict(node)
    while True:
        if "$ref" in flat:
            inner = definitions[str(flat.pop("$ref")).rsplit("/", 1)[1]]
        elif "x-kubernetes-int-or-string" not in flat and "anyOf" in flat:
            (inner,) = [choice for choice in flat.pop("anyOf") if choice.get("type") != "null"]
        else:
            return flat
        flat = {**inner, **flat}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


def _position(key: str) -> tuple[int, str]:
    return (_ORDER.index(key) if key in _ORDER else len(_ORDER), key)
